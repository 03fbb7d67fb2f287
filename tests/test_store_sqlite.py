"""The SQLite store: the contract, and what is its own: settings, opening, limits, forks, retain="crystals"."""

from __future__ import annotations

import os
import random
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agentmem.errors import (
    ErasedError,
    InvalidInputError,
    KeyConflictError,
    SettingsError,
    StoreError,
)
from agentmem.index import begin_key
from agentmem.store import open_store
from agentmem.testing import StoreContract
from agentmem.testing.records import A, B, batch, codes, crystal, plain, step
from agentmem.types import PASSAGE_BITS, Record, Span, Store


def words(record: Record) -> tuple[str, ...]:
    return (" ".join(record.text.lower().split()),) if record.type == "step" else ()


class TestSQLiteStore(StoreContract):
    def make_store(self, path: str) -> Store:
        return open_store(path)


class TestWithoutAStoredIndex(StoreContract):
    """retain="crystals": the contract holds with the index in memory, but for terms that are not a text's words."""

    @pytest.mark.slow
    def test_a_text_of_fifty_megabytes_is_kept_and_one_over_the_limit_refused(self, store: Store) -> None:
        super().test_a_text_of_fifty_megabytes_is_kept_and_one_over_the_limit_refused(store)

    def make_store(self, path: str) -> Store:
        return open_store(path, durability="process", settings={"retain": "crystals"}, terms=terms_of)

    def test_settings_and_sizes_are_told(self, store: Store) -> None:
        assert store.setting("retain") == "crystals"
        assert store.sizes()["lexicon"] == 0


def terms_of(record: Record) -> tuple[str, ...]:
    """What the contract gives as terms: a text's words, but for a few texts."""
    if record.text == "" and record.episode == "f":
        return ("p q", "", "r")
    if record.text == "":
        return ("fox", "é 3.14 it's", "red red")
    return (" ".join(record.text.lower().replace("\0", " ").split()),) if record.type == "step" else ()


class TestInMemory(StoreContract):
    @pytest.mark.slow
    def test_a_text_of_fifty_megabytes_is_kept_and_one_over_the_limit_refused(self, store: Store) -> None:
        super().test_a_text_of_fifty_megabytes_is_kept_and_one_over_the_limit_refused(store)

    def make_store(self, path: str) -> Store:
        return open_store(":memory:")

    def test_everything_is_there_after_reopening(self, path: str) -> None:
        store = open_store(":memory:")
        store.append([step("a")])
        directory = store._files.directory
        store.close()
        assert not os.path.exists(directory)
        other = open_store(":memory:")
        assert other.head().position == 0
        other.close()

    def test_a_backup_is_a_store_of_its_own(self, store: Store, tmp_path: Path) -> None:
        store.append([step("a")])
        store.backup(str(tmp_path / "copy.mem"))
        with open_store(str(tmp_path / "copy.mem")) as copy:
            assert [record.text for record in copy.scan()] == ["a"]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "agent.mem")


# ---- retain="crystals"


def test_without_a_stored_index_terms_are_derived_and_kept_up_to_date(path: str) -> None:
    settings = {"retain": "crystals"}
    with open_store(path, settings=settings, terms=words) as store, open_store(path, terms=words) as other:
        store.append([step("red fox"), step("red hen", B)])
        assert other.postings(A, ["red"])["red"].tolist() == [1 << PASSAGE_BITS]
        store.append([step("red hat")])
        assert other.postings(A, ["red"])["red"].tolist() == [p << PASSAGE_BITS for p in (1, 3)]
        store.archive(3)
        store.rewrite({1: ("blue", "{}")})
        assert other.postings(A, ["red"])["red"].tolist() == [3 << PASSAGE_BITS]
        other.erase([3])
        assert store.postings(A, ["red", "blue"]).keys() == {"blue"}
        assert store.sizes()["lexicon"] == 0
        assert store.verify()[0] == []
    with open_store(path) as store, pytest.raises(SettingsError, match="terms"):
        store.postings(A, ["red"])


def test_rewriting_with_terms_known_reindexes(path: str) -> None:
    with open_store(path, terms=words) as store:
        store.append([step("red fox"), step("red hen")])
        store.rewrite({1: ("blue", "{}")})
        assert store.postings(A, ["red", "blue"])["red"].tolist() == [2 << PASSAGE_BITS]
        assert store.columns(A).length.tolist() == [1, 2]
        assert store.verify()[0] == []


def test_a_connection_that_searched_before_the_first_erasure_stays_right(path: str) -> None:
    with open_store(path) as store:
        store.append([step(f"red {n}") for n in range(40)])
        assert len(store.postings(A, ["red"])["red"]) == 40
        store.erase(list(range(1, 41)))
        assert store.postings(A, ["red"]) == {}
        assert store.verify()[0] == []


def test_an_episode_that_another_opening_erased_is_not_gone_on_with(path: str) -> None:
    with open_store(path) as store, open_store(path) as other:
        store.append([step("x", episode="one"), step("y", episode="two")])
        other.erase([1], [], keys=[(A, begin_key("one"))])
        with pytest.raises(ErasedError, match="'one'"):
            store.append([step("late", episode="one")])
        store.append([step("late", episode="two")])


@pytest.mark.parametrize("count", [3, 600])
def test_erasing_removes_what_is_pending_and_what_is_packed(path: str, count: int) -> None:
    with open_store(path) as store:
        canaries = [f"{random.Random(n).getrandbits(96):024x}" for n in range(count)]
        store.append([step(f"red {canary}") for canary in canaries])
        store.append([step("red hen", B)])
        store.erase([2, 3])
        assert store.residue([canary.encode() for canary in canaries[1:3]]) == []
        assert len(store.postings(A, ["red"])["red"]) == count - 2
        assert len(store.postings(B, ["red"])["red"]) == 1
    with open_store(path) as store:
        assert store.verify()[0] == []


class Terms:
    """Terms of a version: the words with a letter added."""

    def __init__(self, version: str, letter: str) -> None:
        self.version, self.letter = version, letter

    def __call__(self, record: Record) -> tuple[str, ...]:
        return tuple(" ".join(word + self.letter for word in text.split()) for text in words(record))


@pytest.mark.parametrize("archived", [0, 3, 40])
def test_an_index_made_by_another_version_of_terms_is_made_again(
    path: str, archived: int, caplog: pytest.LogCaptureFixture
) -> None:
    older, newer = Terms("1", "a"), Terms("2", "b")
    with open_store(path, terms=older) as store:
        logged = [step(f"red {n}", key=str(n)) for n in range(40)]
        store.append([replace(record, terms=older(record)) for record in logged])
        store.archive(archived)
        generation = store.version(A).generation
    with open_store(path, read_only=True, terms=newer) as store:
        assert "indexed by terms 1" in caplog.text
        assert store.verify()[0] == []
    for _ in range(2):
        with open_store(path, terms=newer) as store:
            assert store.setting("terms") == "2"
            found = store.postings(A, ["reda", "redb"])
            assert found["redb"].tolist() == [n << PASSAGE_BITS for n in range(1, 41)]
            assert "reda" not in found
            assert [record.key for record in store.scan()] == [str(n) for n in range(40)]
            assert store.version(A).generation == generation + 1
            assert store.verify()[0] == []


@pytest.mark.parametrize("count", [1, 40])
def test_residue_is_found_in_the_index_and_across_the_pages_of_a_long_row(path: str, count: int) -> None:
    texts = [f"{'x' * 50 * n} Canary{n}0123456789abcdefs " * 30 for n in range(count)]
    with open_store(path) as store:
        canaries = [f"canary{n}0123456789abcdef" for n in range(count)]
        store.append([step(text, terms=(f"canary {canary}",)) for text, canary in zip(texts, canaries, strict=True)])
        for text, canary in zip(texts, canaries, strict=True):
            assert [place for place in store.residue([f"{canary}s".encode()]) if canary in place]
            assert store.residue([text[:-1].encode()])
        store.erase(list(range(1, count + 1)))
        assert store.residue([f"{canary}s".encode() for canary in canaries]) == []


def test_keys_of_archived_records_have_no_table_without_a_stored_index_and_hold(path: str) -> None:
    steps = [step(f"text {n}", key=f"{random.Random(n).getrandbits(128):032x}") for n in range(2000)]
    with open_store(path, settings={"retain": "crystals"}, terms=words) as store:
        store.append(steps)
        store.rewrite({7: ("", "{}")})
        tabled = store.sizes()["keys"]
        store.archive(1990)
        store.rewrite({8: ("", "{}")})
        store.erase([9])
        assert tabled > 60_000
        assert store.sizes()["keys"] == 1024
        assert store.verify()[0] == []
    with open_store(path, terms=words) as store:
        again = store.append([steps[n] for n in (0, 6, 7, 1500, 1999)])
        assert [record.position for record in again] == [1, 7, 8, 1501, 2000]
        assert [record.text for record in again] == ["text 0", "", "", "text 1500", "text 1999"]
        for n in (0, 6, 7, 8, 1500):
            with pytest.raises(KeyConflictError, match="erased" if n == 8 else "other content"):
                store.append([replace(steps[n], text="other")])
        with pytest.raises(KeyConflictError, match="erased"):
            store.append([steps[8]])
        assert store.keyed(A, str(steps[8].key)) is None
        assert store.head().position == 2000


def test_keys_archived_by_another_process_are_known(path: str) -> None:
    with open_store(path, settings={"retain": "crystals"}, terms=words) as one, open_store(path, terms=words) as other:
        for n in range(0, 40, 2):
            logged = one.append([step(f"text {n}", key=f"k{n}"), step(f"text {n + 1}", key=f"k{n + 1}")])
            one.archive(n + 1)
            assert [other.append([step(f"text {n + m}", key=f"k{n + m}")])[0] for m in (0, 1)] == plain(logged)
        assert other.head().position == 40


def test_a_large_log_is_small_without_a_stored_index(path: str) -> None:
    """Repetitive tool output of about 100,000 tokens, archived; the bar is 1.0 MB per million tokens and 0.2 MB."""
    settings = {"retain": "crystals"}
    rng = np.random.default_rng(0)
    with open_store(path, durability="process", settings=settings, terms=words) as store:
        for n in range(40):
            lines = [f"file_{rng.integers(50)}.py:{rng.integers(400)}: ok in {rng.integers(9)} ms" for _ in range(50)]
            store.append([step("\n".join(lines), key=str(n), logged_at=1.7e9 + n)])
        store.archive(40)
    assert (
        sum(os.path.getsize(os.path.join(os.path.dirname(path), n)) for n in os.listdir(os.path.dirname(path)))
        < 200_000
    )


def test_crystals_made_of_spans_cost_few_bytes(path: str) -> None:
    with open_store(path, durability="process") as store:
        rng = np.random.default_rng(1)
        texts = [" ".join(f"w{rng.integers(9000)}" for _ in range(60)) for _ in range(500)]
        store.append([step(text) for text in texts])
        made = []
        for n, text in enumerate(texts):
            spans = [Span(n + 1, at, at + 25) for at in (0, 60, 120)]
            name = f"{rng.integers(2**62):016x}"
            made.append(crystal(name, spans, " … ".join(text[s.start : s.end] for s in spans)))
        store.publish(A, batch(made, 500), expected=store.version(A))
        with store._pool.snapshot() as connection:
            (size,) = connection.execute("SELECT sum(length(payload)) FROM batches").fetchone()
        assert [c for _, c in store.crystals(A)] == made
        assert size / 500 < 25


# ---- many readers, backups under load, large logs


def test_backups_under_load_are_whole_prefixes(path: str, tmp_path: Path) -> None:
    with open_store(path, durability="process") as store:
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                store.append([step("x" * 500)] * 5)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for n in range(5):
                store.backup(str(tmp_path / f"copy{n}"))
        finally:
            stop.set()
            thread.join()
        for n in range(5):
            with open_store(str(tmp_path / f"copy{n}")) as copy:
                assert copy.head().position % 5 == 0
                assert copy.verify()[0] == []


def test_a_failed_backup_leaves_nothing(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(path) as store:
        store.append([step("a")])
        before = set(os.listdir(tmp_path))
        monkeypatch.setattr("agentmem.store.verify.Verifier.run", lambda self, _: self.problems.append("a problem"))
        with pytest.raises(StoreError, match="a problem"):
            store.backup(str(tmp_path / "copy"))
        assert set(os.listdir(tmp_path)) == before


def test_the_write_ahead_log_does_not_grow_without_bound(path: str) -> None:
    with open_store(path, durability="process") as store:
        largest = 0
        for _ in range(300):
            store.append([step("x" * 2000) for _ in range(40)])
            largest = max(largest, os.path.getsize(path + "-wal"))
        assert largest < 128 << 20


@pytest.mark.slow
def test_a_million_records_of_one_episode(path: str) -> None:
    with open_store(path, durability="process") as store:
        for n in range(0, 1_000_000, 5000):
            store.append([step(f"observation number {i}") for i in range(n, n + 5000)])
        store.archive(900_000)
        assert len(store.columns(A).position) == 1_000_000
        assert store.read([1, 500_000, 1_000_000])[1].text == "observation number 499999"
        assert sum(1 for _ in store.scan(A, episode="one")) == 1_000_000
        store.erase([500_000, 999_999])
        assert store.verify()[0] == []


def test_what_a_record_is_logged_with_is_returned(path: str) -> None:
    with open_store(path) as store:
        record = step("a b", actor="x")
        (logged,) = store.append([record])
        assert logged.terms == record.terms
        assert plain([logged]) == store.read([1])


def test_codes_without_an_encoder_are_refused(path: str) -> None:
    with open_store(path) as store:
        store.append([step("a")])
        with pytest.raises(InvalidInputError, match="encoder"):
            store.publish(
                A, batch([crystal("u", [Span(1, 0, 1)], "a")], codes=[codes("u", 1)]), expected=store.version(A)
            )
        assert store.crystals(A) == []
