"""The lexical index: packed stretches give what lists would, whatever is joined, removed or indexed again."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.errors import DamagedError, ReadOnlyError
from agentmem.store import SQLiteStore, lexicon, open_store
from agentmem.store.blocks import compress, decompress
from agentmem.store.postings import Growing, Postings, merged
from agentmem.terms import terms_of
from agentmem.testing.records import A, B, step
from agentmem.types import PASSAGE_BITS, Namespace, Record, Store

Records = dict[int, tuple[int, list[tuple[int, str]]]]
TERMS = st.sampled_from(["a", "b", "wordwords", "wordwordy", "é", "3.14", "it's", "word" * 9, "\U0001f600", "-"])
PASSAGES = st.lists(st.tuples(st.sampled_from([0, 1, 200, 1 << 19]), st.lists(TERMS, min_size=1).map(" ".join)))
POSITIONS = st.integers(1, 1 << 30) | st.integers(1, 20)
RECORDS = st.dictionaries(POSITIONS, st.tuples(st.integers(1, 12), PASSAGES.map(lambda p: sorted(dict(p).items()))))


def words(record: Record) -> tuple[str, ...]:
    return (record.text,) if record.text else ()


def grown(records: Records, positions: Iterable[int] | None = None) -> Growing:
    growing = Growing()
    for position in sorted(records if positions is None else positions):
        growing.add(position, *records[position])
    return growing


def expected(records: Records) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for position in sorted(records):
        namespace, passages = records[position]
        for passage, text in passages:
            for term in set(text.split(" ")):
                found.setdefault(f"{namespace}x{term}", []).append(position << PASSAGE_BITS | passage)
    return found


def found(postings: Postings) -> dict[str, list[int]]:
    rows = {term: postings.find(term) for term in postings.terms()}
    return {term.decode(): [] if at is None else at.tolist() for term, at in rows.items()}


@given(RECORDS)
def test_packed_and_unpacked_every_term_has_its_rows(records: Records) -> None:
    postings = grown(records).pack()
    again = Postings.unpack(postings.pack(3), "the index")
    assert found(postings) == found(again) == expected(records)
    assert again.find(b"1xnever") is None
    assert len(again) == sum(map(len, expected(records).values()))
    assert again.nbytes == postings.nbytes


@given(RECORDS, st.lists(POSITIONS))
def test_stretches_joined_without_some_records_are_the_index_of_the_rest(records: Records, cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), 1 << 31]
    spans = pairwise(bounds)
    parts = [grown(records, [p for p in records if low < p <= high]).pack() for low, high in spans]
    without = set(list(records)[::3])
    rest = {position: record for position, record in records.items() if position not in without}
    assert merged(parts).pack(3) == grown(records).pack().pack(3)
    assert merged(parts, without).pack(3) == grown(rest).pack().pack(3)
    assert merged([grown(rest).pack(), grown(records, without).pack()]).pack(3) == grown(records).pack().pack(3)


@pytest.mark.parametrize("cut", [0, 4, 15])
def test_a_stretch_that_makes_no_sense_is_damage(cut: int) -> None:
    whole = grown({3: (1, [(0, "a b c")])}).pack()
    frame = compress(decompress(whole.pack(3), "it")[:cut], 3) if cut else b"no frame"
    with pytest.raises(DamagedError, match="it "):
        Postings.unpack(frame, "it")


@pytest.mark.slow
def test_a_log_grown_by_ones_and_archived_keeps_few_stretches_that_fall_off_in_size(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "agent.mem"), durability="process") as store:
        for n in range(40):
            store.append([step(f"word {n} {m}") for m in range(50)])
            store.archive(store.head().position)
        with store._reading() as connection:
            sizes = [stretch.size for stretch in lexicon.stretches(connection)]
            assert lexicon.pending(connection) == []
        assert all(older > newer for older, newer in pairwise(sizes))
        assert len(sizes) <= 8
        assert len(store.postings(A, ["word"])["word"]) == 2_000


@pytest.mark.slow
def test_a_log_that_is_never_archived_is_packed_too(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "agent.mem"), durability="process") as store:
        for n in range(60):
            store.append([step(f"word {n} {m}") for m in range(150)])
        store.append([step(f"word more {m}") for m in range(9_000)])
        with store._reading() as connection:
            assert len(lexicon.stretches(connection)) < 18
            assert len(lexicon.pending(connection)) < lexicon.PENDING
        assert len(store.postings(A, ["word"])["word"]) == 18_000
        assert store.verify()[0] == []


def postings_of(store: Store, terms: Sequence[str]) -> dict[str, list[int]]:
    return {term: rows.tolist() for term, rows in store.postings(A, terms).items()}


@pytest.mark.parametrize("archived", [0, 700, 1_400])
def test_rewriting_and_erasing_reach_every_stretch(tmp_path: Path, archived: int) -> None:
    with open_store(str(tmp_path / "agent.mem"), durability="process", terms=words) as store:
        for at in range(0, 1_400, 100):
            store.append([step(f"word n{at + n}") for n in range(100)])
        store.archive(archived)
        store.append([step("word late")])
        store.rewrite(dict.fromkeys((3, 650, 1300), ("other", "{}")))
        store.erase([4, 651, 1_301])
        gone = {3, 4, 650, 651, 1_300, 1_301}
        kept = [position << PASSAGE_BITS for position in range(1, 1_402) if position not in gone]
        assert postings_of(store, ["word", "n2", "n3", "late"]) == {"word": kept, "late": [1_401 << PASSAGE_BITS]}
        assert postings_of(store, ["other"]) == {"other": [p << PASSAGE_BITS for p in (3, 650, 1_300)]}
        assert store.verify()[0] == []


@pytest.mark.slow
def test_sizes_fall_off_also_after_stretches_that_are_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "LARGE", 40_000)
    with open_store(str(tmp_path / "agent.mem"), durability="process") as store:
        for _ in range(5):
            store.append([step(f"word n{m} {m % 7} more") for m in range(4_000)])
        store.archive(store.head().position)
        for n in range(12):
            store.append([step(f"word {n} {m}") for m in range(50)])
            store.archive(store.head().position)
        with store._reading() as connection:
            sizes = [stretch.size for stretch in lexicon.stretches(connection)]
        assert max(sizes) <= 40_000
        for older, newer in pairwise(sizes):
            assert older > newer or older + newer > 40_000
        assert len(store.postings(A, ["word"])["word"]) == 20_600
        assert store.verify()[0] == []


def undo(store: SQLiteStore) -> None:
    """Begin to seal what is pending, and fail."""
    with suppress(ZeroDivisionError), store._writing() as transaction:
        assert store._lexicon is not None
        store._lexicon.seal(transaction.connection)
        raise ZeroDivisionError


def test_two_stores_on_one_file_agree_whatever_is_erased_rewritten_or_rolled_back(tmp_path: Path) -> None:
    rng, model = random.Random(1), dict[int, tuple[str, Namespace]]()
    path = str(tmp_path / "agent.mem")
    with open_store(path, "process", terms=words) as one, open_store(path, "process", terms=words) as other:
        for turn in range(40):
            store, act = rng.choice([one, other]), rng.choice(["append"] * 4 + ["erase", "archive", "rewrite", "undo"])
            some = rng.sample(sorted(model), min(5, len(model)))
            if act == "append":
                many = range(rng.choice([1, 60, 700]))
                logged = [step(f"word w{rng.randrange(30)}", rng.choice([A, B])) for _ in many]
                model |= {record.position: (record.text, record.namespace) for record in store.append(logged)}
            elif act == "erase" and some:
                store.erase(some)
                model = {position: known for position, known in model.items() if position not in some}
            elif act == "rewrite" and some:
                store.rewrite(dict.fromkeys(some, ("word w3", "{}")))
                model |= {position: ("word w3", model[position][1]) for position in some}
            elif act == "archive":
                store.archive(store.head().position - rng.randrange(600))
            elif act == "undo":
                undo(store)
            for store, namespace in ((one, A), (other, A), (one, B)):
                of = {position: text for position, (text, space) in model.items() if space == namespace}
                found = {term: rows.tolist() for term, rows in store.postings(namespace, ["word", "w3"]).items()}
                assert found.get("word", []) == [p << PASSAGE_BITS for p in sorted(of)]
                assert found.get("w3", []) == [p << PASSAGE_BITS for p in sorted(of) if of[p] == "word w3"], turn
        assert one.verify()[0] == other.verify()[0] == []


def test_stretches_that_changed_meanwhile_are_not_joined(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "agent.mem"), durability="process", terms=words) as store:
        for n in range(2):
            store.append([step(f"word n{n} {m}") for m in range(600)])
        known = store._lexicon
        assert known is not None
        with store._reading() as connection:
            joined = known.joined(connection)
        assert joined is not None
        store.erase([5])
        with store._writing() as transaction:
            assert not known.join(transaction.connection, *joined)
        assert len(store.postings(A, ["word"])["word"]) == 1_199
        assert store.verify()[0] == []


def test_a_stretch_that_was_changed_after_it_was_read_is_told(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "agent.mem"), durability="process") as store:
        store.append([step(f"word {m}") for m in range(600)])
        assert len(store.postings(A, ["word"])["word"]) == 600
        for change, told in (("count=count+1", "another size"), ("data=zeroblob(9)", "was changed")):
            connection = apsw.Connection(store.path)
            connection.execute(f"UPDATE postings SET {change}")
            connection.close()
            assert any(told in problem for problem in store.verify()[0])


def test_a_stretch_that_another_opening_has_unpacked_is_checked_as_it_lies_in_the_file(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path, durability="process") as store, open_store(path, read_only=True) as reader:
        store.append([step(f"word {m}") for m in range(600)])
        assert len(reader.postings(A, ["word"])["word"]) == 600
        connection = apsw.Connection(path)
        connection.execute("UPDATE postings SET data=zeroblob(9)")
        connection.close()
        assert any("was changed" in problem for problem in store.verify()[0])


def test_opening_another_file_leaves_what_the_process_has_unpacked(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "agent.mem"), durability="process") as store:
        store.append([step(f"word {m}") for m in range(600)])
        store.postings(A, ["word"])
        ((digest,),) = store._writer_or_refuse().connection.execute("SELECT digest FROM postings").fetchall()
        unpacked = lexicon._UNPACKED.get(digest)
        assert unpacked is not None
        with open_store(str(tmp_path / "other.mem"), durability="process"):
            assert lexicon._UNPACKED.get(digest) is unpacked
        store.erase([1])
        assert lexicon._UNPACKED.get(digest) is None


def test_a_file_indexed_by_fts5_is_renewed_when_it_is_opened_for_writing(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path) as store:
        store.append([step("red fox"), step("red hen")])
    connection = apsw.Connection(path)
    connection.execute("DROP TABLE postings")
    for table in ("attachments", "barred", "ledger"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("CREATE VIRTUAL TABLE lexicon USING fts5(terms, content='')")
    connection.execute("PRAGMA user_version=1")
    connection.close()
    with pytest.raises(ReadOnlyError, match="older format 1"):
        open_store(path, read_only=True, terms=terms_of)
    with open_store(path, terms=terms_of) as store:
        assert store.postings(A, ["red", "hen"])["red"].tolist() == [p << PASSAGE_BITS for p in (1, 2)]
        assert store.verify()[0] == []
