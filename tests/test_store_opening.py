"""Opening, closing and forking: what a file, a disk or another process may do to a store."""

from __future__ import annotations

import errno
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import apsw
import pytest

from agentmem import Memory
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
from agentmem.testing.records import A, batch, step
from agentmem.types import Version


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
    before = Path(path).read_bytes()
    with pytest.raises(NotAMemoryError, match="another application"):
        open_store(path)
    assert Path(path).read_bytes() == before
    assert [file.name for file in Path(path).parent.iterdir()] == [Path(path).name]


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
            lambda: reader.publish(A, batch(), Version(0, 0)),
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
from agentmem.testing.records import step
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


NO_ROOM_TO_READ = """
import resource, sys
from agentmem.errors import FullError
from agentmem.store import open_store
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
try:
    open_store(sys.argv[1], read_only=True)
except FullError as error:
    print(error)
"""


def test_a_reader_whose_shared_memory_finds_no_room_is_told_to_free_some(path: str) -> None:
    open_store(path).close()
    assert f"no space left for {path} (disk I/O error); free some and try again" in run(NO_ROOM_TO_READ, path)


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
        answer = (mine[0].position > 0, store.verify()[0])
        store.close()
        queue.put(answer)
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


def close_in_child(store: SQLiteStore) -> None:
    store.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_only_closes_leaves_the_parent_alone(path: str) -> None:
    with open_store(path) as store:
        store.append([step("a")])
        child = multiprocessing.get_context("fork").Process(target=close_in_child, args=(store,))
        child.start()
        child.join(20)
        assert child.exitcode == 0
        assert store.append([step("b")])[0].position == 2
        assert store.verify()[0] == []


def test_reading_leaves_nothing_beside_a_file_that_nobody_else_has_open(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a.mem", encoder=None) as memory:
        memory.episode(id="one").log("The red door is locked.")
    before = sorted(os.listdir(tmp_path))
    with Memory.open(tmp_path / "a.mem", encoder=None, read_only=True) as memory:
        assert len(list(memory.steps())) == 1
        assert (tmp_path / "a.mem-shm").exists()
    assert sorted(os.listdir(tmp_path)) == before


def test_reading_takes_nothing_from_another_process_that_has_the_file_open(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a.mem", encoder=None) as memory:
        memory.episode(id="one").log("The red door is locked.")
    code = (
        "import sys; from agentmem import Memory; memory = Memory.open(sys.argv[1], encoder=None); print(flush=True)\n"
        "input(); memory.episode(id='two').log('The blue door is open.'); memory.close()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.mem")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        Memory.open(tmp_path / "a.mem", encoder=None, read_only=True).close()
        assert (tmp_path / "a.mem-wal").exists()
        with Memory.open(tmp_path / "a.mem", encoder=None, read_only=True) as memory:
            other.communicate(b"\n")
            assert [step.text for step in memory.steps("two")] == ["The blue door is open."]
    with Memory.open(tmp_path / "a.mem", encoder=None) as memory:
        assert memory.verify().ok
