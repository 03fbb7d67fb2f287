"""What every `Store` must do, as tests. Knows nothing of how one does it.

class TestMyStore(StoreContract):
    def make_store(self, path):
        return MyStore(path)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from agentmem.errors import ClosedError, InvalidInputError, KeyConflictError, NotFoundError, TooLargeError
from agentmem.testing.records import A, B, batch, crystal, plain, step
from agentmem.testing.store_accounts import AccountsContract
from agentmem.testing.store_attachments import AttachmentsContract
from agentmem.testing.store_made import MadeContract
from agentmem.types import PASSAGE_BITS, Record, Span, Store

AWKWARD = ("", "\0", "a\0b", "ünïcödé 🜛 \U0010ffff", " leading and trailing ", "line\r\nline\n", "{}", "x" * 70_000)


class StoreContract(MadeContract, AttachmentsContract, AccountsContract):
    """Subclass it, implement `make_store`, and pytest runs it."""

    make_store: Callable[[str], Store]
    """Open the store at a path, or make it."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        return str(tmp_path / "contract.mem")

    @pytest.fixture
    def store(self, path: str) -> Iterator[Store]:
        store = self.make_store(path)
        yield store
        store.close()

    # ---- appending and reading

    def test_positions_start_at_one_and_have_no_gaps_over_all_namespaces(self, store: Store) -> None:
        first = store.append([step("a"), step("b", B)])
        second = store.append([step("c", ())])
        assert [record.position for record in first + second] == [1, 2, 3]
        assert store.head().position == 3
        assert set(store.namespaces()) == {A, B, ()}

    def test_an_empty_store_has_nothing(self, store: Store) -> None:
        assert store.head().position == 0
        assert store.append([]) == []
        assert list(store.scan()) == []
        assert store.keyed(A, "k") is None
        assert store.namespaces() == []
        assert len(store.columns(A).position) == 0
        assert store.postings(A, ["word"]) == {}
        assert store.watermark(A) == (0, b"")
        assert store.crystals(A) == []
        assert store.verify()[0] == []

    @pytest.mark.parametrize("archived", [False, True])
    def test_every_field_is_read_back_as_it_was_logged(self, store: Store, archived: bool) -> None:
        records = [
            step(
                text, B if number % 2 else A, key=text[:40] or None, body='{"n":[1,"ü"]}', logged_at=1.7e9 + number / 7
            )
            for number, text in enumerate(AWKWARD)
        ]
        records.append(Record("begin", A, episode="two", body='{"goal":"x"}', logged_at=2.5))
        records.append(Record("forget", A, actor="someone"))
        logged = store.append(records)
        if archived:
            assert store.archive(len(records)) == len(records)
        assert store.read([record.position for record in logged]) == plain(logged)
        assert list(store.scan()) == plain(logged)
        assert [replace(record, position=0) for record in logged] == records

    def test_records_are_read_in_the_order_asked(self, store: Store) -> None:
        store.append([step(str(n)) for n in range(9)])
        store.archive(4)
        assert [record.text for record in store.read([8, 1, 5, 1])] == ["7", "0", "4", "0"]

    def test_a_position_that_is_not_there_is_named(self, store: Store) -> None:
        store.append([step("a")])
        with pytest.raises(NotFoundError, match="7"):
            store.read([1, 7])

    def test_scan_filters_by_namespace_range_episode_and_type(self, store: Store) -> None:
        for n in range(12):
            store.append([step(str(n), B if n % 3 == 0 else A, episode=f"e{n % 2}")])
        store.append([Record("end", A, episode="e1")])
        for archived in (0, 5, 12):
            store.archive(archived)
            assert [r.position for r in store.scan(A, after=2, upto=9)] == [3, 5, 6, 8, 9]
            assert [r.position for r in store.scan(A, episode="e1")] == [2, 6, 8, 12, 13]
            assert [r.position for r in store.scan(A, episode="e1", types=["end"])] == [13]
            assert [r.position for r in store.scan(after=10)] == [11, 12, 13]
            assert list(store.scan(("nobody",))) == []
            assert list(store.scan(A, episode="never")) == []

    def test_scan_goes_on_over_an_archiving(self, store: Store) -> None:
        store.append([step(str(n)) for n in range(600)])
        scan = store.scan()
        seen = [next(scan).text]
        store.archive(600)
        assert seen + [record.text for record in scan] == [str(n) for n in range(600)]

    def test_columns_hold_what_the_records_hold(self, store: Store) -> None:
        store.append([step("one two two", episode="e", actor="x", kind="message", logged_at=7.25), step("b", B)])
        store.append([step("", episode="f", terms=("p q", "", "r"), logged_at=3.5), Record("end", A, logged_at=9.0)])
        for archived in (0, 2, 4):
            store.archive(archived)
            columns, names = store.columns(A), store.names()
            assert columns.position.tolist() == [1, 3, 4]
            assert columns.type.tolist() == [0, 0, 2]
            assert columns.kind.tolist() == [2, 0, -1]
            assert [names.get(n) for n in columns.episode.tolist()] == ["e", "f", None]
            assert [names.get(n) for n in columns.actor.tolist()] == ["x", None, None]
            assert columns.tokens.tolist() == [3, 0, 0]
            assert columns.length.tolist() == [3, 3, 0]
            assert store.times(A).tolist() == [7.25, 3.5, 9.0]
            assert store.times(A, after=1).tolist() == [3.5, 9.0]
            assert all(column.dtype == np.int64 for column in columns)
            assert store.columns(A, after=1).position.tolist() == [3, 4]
            assert store.columns(None, after=1).position.tolist() == [2, 3, 4]

    def test_names_after_an_id_are_those_that_are_new(self, store: Store) -> None:
        store.append([step("a", episode="one", actor="x")])
        known = store.names()
        assert store.names(after=max(known)) == {}
        store.append([step("b", episode="two", actor="x")])
        assert list(store.names(after=max(known)).values()) == ["two"]

    def test_tokens_of_all_namespaces_are_added_up(self, store: Store) -> None:
        assert store.tokens() == 0
        store.append([step("one two"), step("three", B), Record("end", A)])
        for archived in (0, 1, 3):
            store.archive(archived)
            assert store.tokens() == 3
        store.append([step("four five six seven")])
        assert store.tokens() == 7
        store.erase([2, 4])
        assert store.tokens() == 2
        store.append([step("eight")])
        assert store.tokens() == 3

    def test_postings_are_sorted_rows_of_one_namespace_after_a_position(self, store: Store) -> None:
        store.append([step("red fox"), step("red hen", B), step("", terms=("fox", "é 3.14 it's", "red red"))])
        found = store.postings(A, ["red", "fox", "é", "3.14", "it's", "hen", "absent"])
        assert set(found) == {"red", "fox", "é", "3.14", "it's"}
        rows = {
            term: [(row >> PASSAGE_BITS, row % (1 << PASSAGE_BITS)) for row in found[term].tolist()] for term in found
        }
        assert rows["red"] == [(1, 0), (3, 2)]
        assert rows["fox"] == [(1, 0), (3, 0)]
        assert rows["é"] == [(3, 1)]
        assert store.postings(A, ["red"], after=1)["red"].tolist() == [3 << PASSAGE_BITS | 2]
        assert store.postings(A, ["red"], after=3) == {}
        assert list(store.postings(B, ["red", "fox"])) == ["red"]

    def test_a_text_of_fifty_megabytes_is_kept_and_one_over_the_limit_refused(self, store: Store) -> None:
        text = "0123456789" * 5_000_000
        store.append([step("", terms=()), step(text, terms=())])
        assert store.read([2])[0].text == text
        with pytest.raises(TooLargeError, match="64 MiB"):
            store.append([step("x" * (65 << 20), terms=())])
        assert store.head().position == 2

    def test_a_lone_surrogate_is_refused_whole(self, store: Store) -> None:
        for bad in (step("\ud800"), step("a", episode="\udfff"), step("a", key="\ud800"), step("a", terms=("\ud800",))):
            with pytest.raises(InvalidInputError):
                store.append([step("fine"), bad])
        assert store.head().position == 0

    # ---- idempotency keys

    def test_a_retry_returns_what_was_first_logged(self, store: Store) -> None:
        first = store.append([step("a", key="k", logged_at=1.0)])
        again = store.append([step("a", key="k", logged_at=9.0), step("b")])
        assert again[0] == plain(first)[0]
        assert again[1].position == 2
        store.archive(2)
        assert store.append([step("a", key="k")])[0].position == 1
        assert store.head().position == 2
        assert store.keyed(A, "k") == plain(first)[0]

    def test_a_key_with_other_content_is_refused_and_nothing_of_its_call_is_logged(self, store: Store) -> None:
        store.append([step("a", key="k")])
        for other in (step("b", key="k"), step("a", key="k", episode="two"), step("a", key="k", body='{"a":1}')):
            with pytest.raises(KeyConflictError, match="k"):
                store.append([step("new"), other])
        assert store.head().position == 1

    def test_a_key_twice_in_one_call_is_one_record(self, store: Store) -> None:
        logged = store.append([step("a", key="k"), step("b"), step("a", key="k")])
        assert [record.position for record in logged] == [1, 2, 1]
        with pytest.raises(KeyConflictError):
            store.append([step("x", key="m"), step("y", key="m")])
        assert store.head().position == 2

    def test_keys_belong_to_their_namespace(self, store: Store) -> None:
        store.append([step("a", key="k"), step("b", B, key="k")])
        assert store.head().position == 2
        found = store.keyed(B, "k")
        assert found is not None
        assert found.text == "b"

    # ---- blobs

    def test_blobs_are_stored_with_their_record_and_shared(self, store: Store) -> None:
        data = b"\0image" * 1000
        digest = sha256(data).hexdigest()
        body = f'{{"blobs":{{"frame":"{digest}"}}}}'
        store.append([step("a", body=body)], blobs={digest: data})
        store.append([step("b", body=body)])
        assert (store.blob(digest), store.blob_uses(digest)) == (data, [1, 2])
        store.erase([1])
        assert (store.blob(digest), store.blob_uses(digest)) == (data, [2])
        store.erase([2])
        with pytest.raises(NotFoundError):
            store.blob(digest)
        assert store.blob_uses(digest) == store.blob_uses("no digest") == []

    def test_a_blob_that_is_missing_or_misnamed_is_refused(self, store: Store) -> None:
        digest = sha256(b"x").hexdigest()
        with pytest.raises(InvalidInputError):
            store.append([step("a", body=f'{{"blobs":{{"frame":"{digest}"}}}}')])
        with pytest.raises(InvalidInputError):
            store.append([step("a")], blobs={digest: b"y"})
        assert store.head().position == 0

    # ---- many at once

    def test_threads_append_without_gaps_or_losses(self, store: Store) -> None:
        logged: list[Record] = []
        failures: list[BaseException] = []

        def work(name: str) -> None:
            try:
                for n in range(25):
                    logged.extend(store.append([step(f"{name} {n} {part}", key=f"{name}{n}{part}") for part in "ab"]))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert sorted(record.position for record in logged) == list(range(1, 301))
        assert list(store.scan()) == plain(sorted(logged, key=lambda record: record.position))
        assert store.verify()[0] == []

    def test_a_reader_sees_whole_calls_in_order(self, store: Store) -> None:
        done = threading.Event()

        def write() -> None:
            for n in range(60):
                store.append([step(f"{n}")] * 3)
                if n % 20 == 10:
                    store.archive(n)
            done.set()

        thread = threading.Thread(target=write)
        thread.start()
        while not done.is_set():
            positions = store.columns(A).position.tolist()
            assert positions == list(range(1, len(positions) + 1))
            assert len(positions) % 3 == 0
        thread.join()

    # ---- the whole file

    def test_everything_is_there_after_reopening(self, path: str) -> None:
        store = self.make_store(path)
        logged = store.append([step(f"text {n}", key=str(n)) for n in range(10)])
        store.publish(A, batch([crystal("u", [Span(1, 0, 4)], "text")], 10), expected=store.version(A))
        store.archive(5)
        head, generation = store.head(), store.version(A).generation
        store.close()
        with pytest.raises(ClosedError):
            store.head()
        store.close()
        store = self.make_store(path)
        assert store.head() == head
        assert store.version(A).generation == generation
        assert list(store.scan()) == plain(logged)
        assert [c.id for _, c in store.crystals(A)] == ["u"]
        assert store.postings(A, ["text"])["text"].tolist() == [p << PASSAGE_BITS for p in range(1, 11)]
        assert store.verify()[0] == []
        store.close()

    def test_a_backup_is_a_store_of_its_own(self, store: Store, tmp_path: Path) -> None:
        store.append([step("a", key="k"), step("b")])
        store.archive(1)
        copy_path = str(tmp_path / "copy.mem")
        store.backup(copy_path)
        store.append([step("c")])
        with pytest.raises(InvalidInputError, match="exists"):
            store.backup(copy_path)
        copy = self.make_store(copy_path)
        assert [record.text for record in copy.scan()] == ["a", "b"]
        assert copy.append([step("a", key="k"), step("d")])[1].position == 3
        assert copy.verify()[0] == []
        copy.close()

    def test_settings_and_sizes_are_told(self, store: Store) -> None:
        store.append([step("a")])
        assert store.setting("retain") == "keep"
        assert store.setting("nothing of the kind") is None
        sizes = store.sizes()
        assert 0 < sizes["total"] == sum(size for part, size in sizes.items() if part != "total")

    def test_verify_counts_what_it_checked(self, store: Store) -> None:
        store.append([step("a", key="k"), step("b")])
        problems, checked = store.verify()
        assert problems == []
        assert checked["records"] == 2
