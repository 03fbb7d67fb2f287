"""The SQLite store: the contract, and what is its own: settings, opening, limits, forks, retain="crystals"."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import apsw
import numpy as np
import pytest

from agentmem.errors import (
    ClosedError,
    FullError,
    InvalidInputError,
    LockedError,
    NewerFormatError,
    NotAMemoryError,
    NotFoundError,
    ReadOnlyError,
    SettingsError,
    StoreError,
)
from agentmem.store import SQLiteStore, files, open_store
from agentmem.testing import StoreContract
from agentmem.testing.store import A, B, batch, codes, crystal, plain, step
from agentmem.types import PASSAGE_BITS, Record, Span, Store


def words(record: Record) -> tuple[str, ...]:
    return (" ".join(record.text.lower().split()),) if record.type == "step" else ()


class TestSQLiteStore(StoreContract):
    def make_store(self, path: str) -> Store:
        return open_store(path)


class TestWithoutAStoredIndex(StoreContract):
    """retain="crystals": the contract holds with the index in memory, but for terms that are not a text's words."""

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


# ---- opening


def test_all_files_of_a_memory_start_with_its_path(path: str) -> None:
    with open_store(path) as store:
        store.append([step("a")])
        names = set(os.listdir(os.path.dirname(path)))
        assert names == {"agent.mem", "agent.mem-wal", "agent.mem-shm", "agent.mem-anchor", "agent.mem-lock"}


def test_a_setting_that_contradicts_the_file_is_refused(path: str) -> None:
    open_store(path, settings={"horizon": "500", "other": "x"}).close()
    with pytest.raises(SettingsError, match=r"horizon='500'.*horizon='600'"):
        open_store(path, settings={"horizon": "600"})
    with open_store(path, settings={"horizon": None, "retain": "keep", "other": "x"}) as store:
        assert store.setting("horizon") == "500"
        store.put_setting("encoder", "static")
    with open_store(path, read_only=True) as store:
        assert store.setting("encoder") == "static"


def test_postgres_is_reserved() -> None:
    with pytest.raises(SettingsError, match="reserved"):
        open_store("postgresql://user:secret@host/db")


def test_a_text_file_is_not_a_memory(path: str) -> None:
    Path(path).write_text("hello " * 1000)
    with pytest.raises(NotAMemoryError, match=r"agent\.mem"):
        open_store(path)
    with pytest.raises(NotAMemoryError):
        open_store(path, read_only=True)
    assert Path(path).read_text() == "hello " * 1000


def test_the_database_of_another_application_is_not_a_memory(path: str) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t(x)")
    other.close()
    with pytest.raises(NotAMemoryError, match="another application"):
        open_store(path)


def test_an_empty_file_is_a_new_memory(path: str) -> None:
    Path(path).touch()
    with open_store(path) as store:
        assert store.append([step("a")])[0].position == 1


def test_a_newer_format_is_refused(path: str) -> None:
    open_store(path).close()
    connection = apsw.Connection(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(NewerFormatError, match="99"):
            open_store(path, read_only=read_only)


def test_a_directory_or_a_missing_parent_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotAMemoryError, match="directory"):
        open_store(str(tmp_path))
    with pytest.raises(InvalidInputError, match="does not exist"):
        open_store(str(tmp_path / "no" / "agent.mem"))
    with pytest.raises(NotFoundError):
        open_store(str(tmp_path / "agent.mem"), read_only=True)


def test_a_lock_held_too_long_is_told(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(path) as store:
        store._writer._gate._seconds = 0.1  # type: ignore[union-attr]
        other = files.FileLock(path + "-lock")
        with other, pytest.raises(LockedError, match=r"-lock"):
            store.append([step("a")])
        assert store.append([step("a")])[0].position == 1
        other.close()


# ---- reading only


def test_a_store_opened_read_only_reads_and_refuses_to_write(path: str) -> None:
    with open_store(path) as writer, open_store(path, read_only=True) as reader:
        writer.append([step("a")])
        assert [record.text for record in reader.scan()] == ["a"]
        for write in (
            lambda: reader.append([step("b")]),
            lambda: reader.archive(1),
            lambda: reader.erase([1]),
            lambda: reader.publish(A, batch(), 0),
            lambda: reader.discard(A),
        ):
            with pytest.raises(ReadOnlyError):
                write()
        assert reader.verify()[0] == []


READ_ONLY_DIRECTORY = """
import os, sys
from agentmem.errors import ReadOnlyError
from agentmem.store import open_store
os.setuid(65534)
for read_only in (True, False):
    with open_store(sys.argv[1], read_only=read_only) as store:
        assert [r.text for r in store.scan()] == ["a"], list(store.scan())
        assert store.verify()[0] == []
        try:
            store.append(list(store.scan()))
        except ReadOnlyError as error:
            print("refused")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="gives up root to meet permissions")
def test_a_memory_in_a_read_only_directory_can_be_read() -> None:
    import shutil
    import tempfile

    directory = tempfile.mkdtemp(dir="/var/tmp")
    try:
        path = os.path.join(directory, "agent.mem")
        with open_store(path) as store:
            store.append([step("a")])
        for name in os.listdir(directory):
            os.chmod(os.path.join(directory, name), 0o444)
        os.chmod(directory, 0o555)
        assert run(READ_ONLY_DIRECTORY, path).split() == ["refused", "refused"]
    finally:
        os.chmod(directory, 0o755)
        shutil.rmtree(directory)


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- a full disk, a failing disk


def test_a_full_quota_refuses_whole_appends_and_reading_goes_on(path: str) -> None:
    with open_store(path) as store:
        store.append([step("first")])
        connection = store._writer.connection  # type: ignore[union-attr]
        connection.execute("PRAGMA max_page_count=60").fetchall()
        with pytest.raises(FullError, match="space"):
            fill(store)
        head = store.head().position
        assert head % 2 == 1
        assert store.verify()[0] == []
        connection.execute("PRAGMA max_page_count=1000000").fetchall()
        assert store.append([step("again")])[0].position == head + 1


def fill(store: SQLiteStore) -> None:
    for _ in range(100):
        store.append([step("x" * 4000), step("y" * 4000)])


FILE_SIZE = """
import resource, sys
from agentmem.errors import FullError
from agentmem.store import open_store
from agentmem.testing.store import step
store = open_store(sys.argv[1])
store.append([step("first")])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
acknowledged = 1
try:
    for _ in range(1000):
        store.append([step("x" * 4000), step("y" * 4000)])
        acknowledged += 2
except FullError as error:
    print("full")
assert store.head().position == acknowledged
assert len(list(store.scan())) == acknowledged
print(acknowledged)
"""


def test_a_file_that_may_not_grow_loses_nothing_acknowledged(path: str) -> None:
    said = run(FILE_SIZE, path).split()
    assert said[0] == "full"
    with open_store(path) as store:
        assert store.head().position == int(said[1])
        assert store.verify()[0] == []


def test_a_failed_sync_stops_writing_until_reopened(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(path)
    store.append([step("a")])

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, "fdatasync", fail)
    with pytest.raises(StoreError, match="Input/output"):
        store.append([step("b")])
    monkeypatch.undo()
    with pytest.raises(StoreError, match="sync failed"):
        store.append([step("c")])
    assert len(list(store.scan())) in (1, 2)
    store.close()
    with open_store(path) as store:
        assert store.append([step("d")])[0].position in (2, 3)
        assert store.verify()[0] == []


# ---- closing and forking


def test_a_closed_store_says_so(path: str) -> None:
    store = open_store(path)
    store.append([step("a")])
    scan = store.scan()
    store.close()
    for use in (store.head, store.namespaces, lambda: store.append([step("b")]), store.verify, lambda: next(scan)):
        with pytest.raises(ClosedError, match="closed"):
            use()


def append_in_child(store: SQLiteStore, path: str, queue: multiprocessing.Queue[object]) -> None:
    try:
        mine = store.append([step("from the child", key="child")])
        with open_store(path) as again:
            again.append([step("from the child, opened again")])
        queue.put((mine[0].position > 0, store.verify()[0]))
    except BaseException as error:
        queue.put(repr(error))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("where", ["file", ":memory:"])
def test_both_sides_of_a_fork_can_use_a_store(path: str, where: str) -> None:
    context = multiprocessing.get_context("fork")
    with open_store(path if where == "file" else where) as store:
        store.append([step("before")])
        busy = threading.Thread(target=lambda: [store.append([step(f"{n}")]) for n in range(300)])
        busy.start()
        queue: multiprocessing.Queue[object] = context.Queue()
        children = [
            context.Process(target=append_in_child, args=(store, store._files.database, queue)) for _ in range(3)
        ]
        for child in children:
            child.start()
        answers = [queue.get(timeout=60) for _ in children]
        for child in children:
            child.join()
        busy.join()
        assert answers == [(True, [])] * 3
        assert store.head().position == 1 + 300 + 1 + 3
        assert store.verify()[0] == []


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


@pytest.mark.parametrize("known", ["right", "wrong", "none"])
@pytest.mark.parametrize("count", [3, 40])
def test_erasing_removes_index_rows_whether_terms_are_known_or_not(path: str, known: str, count: int) -> None:
    terms = {"right": words, "wrong": lambda record: ("other terms",), "none": None}[known]
    with open_store(path, terms=terms) as store:
        canaries = [f"{random.Random(n).getrandbits(96):024x}" for n in range(count)]
        store.append([step(f"red {canary}") for canary in canaries])
        store.append([step("red hen", B)])
        store.erase([2, 3])
        assert store.residue([canary.encode() for canary in canaries[1:3]]) == []
        assert len(store.postings(A, ["red"])["red"]) == count - 2
        assert len(store.postings(B, ["red"])["red"]) == 1
    with open_store(path) as store:
        assert store.verify()[0] == []


def test_an_index_made_by_another_version_of_terms_is_only_counted(path: str) -> None:
    def older(record: Record) -> tuple[str, ...]:
        return tuple(text.replace("a", "b") for text in words(record))

    older.version = "1"  # type: ignore[attr-defined]
    with open_store(path, terms=older) as store:
        store.append([step("a cat", terms=older(step("a cat")))])
        assert store.verify()[0] == []
    with open_store(path, terms=words) as store:
        assert store.setting("terms") == "1"
        assert store.verify()[0] == []


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
        store.publish(A, batch(made, 500), expected=0)
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
            store.publish(A, batch([crystal("u", [Span(1, 0, 1)], "a")], codes=[codes("u", 1)]), expected=0)
        assert store.crystals(A) == []
