"""What a repair keeps beside the log of a file whose pages were overwritten: nothing goes without being named."""

from __future__ import annotations

import os
import shutil
from contextlib import closing, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

import apsw
import pytest
from torture.flips import words

from agentmem.errors import DamagedError, KeyConflictError, NotFoundError
from agentmem.store import open_store, repair
from agentmem.store.damaged import Damaged
from agentmem.store.files import Files
from agentmem.testing.records import A, B, step
from agentmem.types import RepairReport

BLOBS = {sha256(data).hexdigest(): data for data in (bytes([n]) * 300 for n in range(12))}
ENDS = ("", "-anchor")
NAMED = ("names", "sqlite_autoindex_names_1")
SPACES = ("namespaces", "sqlite_autoindex_namespaces_1")
TABLES = [
    *("settings", "counters", "seals", "gaps", "keys", "blobs", "blob_uses", "attachments", "barred", "ledger"),
    *(
        "blocks",
        "log",
        "log_columns",
        "batches",
        "sqlite_autoindex_blobs_1",
        "sqlite_autoindex_attachments_1",
        *NAMED,
        *SPACES,
    ),
]


@cache
def original() -> tuple[Path, dict[str, list[int]], int]:
    """A memory with blobs, attachments and an erased key; the pages of its tables; the size of a page."""
    file = Path(mkdtemp()) / "agent.mem"
    with open_store(str(file), terms=words) as store:
        for n, (name, data) in enumerate(BLOBS.items()):
            body = f'{{"blobs":{{"b":"{name}"}}}}'
            store.append([step(f"step {n}", key=f"key {n}", episode=f"e{n}", actor="ann", body=body)], {name: data})
            store.append([step(f"other {n}", B if n % 2 else A, key=f"other {n}", episode="two")])
        store.append([step("never so", key="gone")])
        store.append([step("the last", B, key="last")])
        store.erase([25])
        for n in range(20):
            store.attach(A, f"n{n}", bytes([n]) * 300)
        store.archive(9)
        store.note(1.0, "looked", "ann", A, {"at": "it"})
        with store._reading() as connection:
            pages: dict[str, list[int]] = {}
            for name, number in connection.execute("SELECT name, pageno FROM dbstat ORDER BY pageno"):
                pages.setdefault(name, []).append(number - 1)
            ((size,),) = connection.execute("PRAGMA page_size").fetchall()
    return file, pages, size


def copied(folder: Path) -> str:
    file = original()[0]
    for end in ENDS:
        shutil.copy(f"{file}{end}", folder)
    return str(folder / file.name)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return copied(tmp_path)


@pytest.fixture
def copy(path: str, tmp_path: Path) -> str:
    with open_store(path, terms=words) as store:
        store.backup(str(tmp_path / "copy.mem"))
    return str(tmp_path / "copy.mem")


def overwrite(path: str, *numbers: int) -> None:
    """Write nonsense over these pages, from 0."""
    size = original()[2]
    with open(path, "r+b") as file:
        for number in numbers:
            file.seek(size * number)
            file.write(b"\xff" * size)


def spoil(path: str, *tables: str) -> None:
    """Write nonsense over the last page of each of some tables."""
    with closing(apsw.Connection(path)) as connection:
        sql = "SELECT max(pageno) - 1 FROM dbstat WHERE name=?"
        numbers = [int(connection.execute(sql, (table,)).fetchall()[0][0]) for table in tables]  # type: ignore[arg-type]
    overwrite(path, *numbers)


def beside(path: str) -> dict[str, object]:
    """What stands beside the log, as far as it is told, and the records."""
    with open_store(path, terms=words) as store:
        assert store.verify()[0] == []
        found: dict[str, object] = {f"attachment {name!r}": store.attachment(A, name) for name in store.attachments(A)}
        for name in BLOBS:
            with suppress(NotFoundError):
                found[f"blob {name}"] = store.blob(name)
        found |= {f"step {record.position}": record for record in store.scan()}
        try:
            store.append([step("never so", key="gone")])
        except KeyConflictError:
            found["keys"] = "refused"
        return found


@cache
def whole() -> dict[str, object]:
    folder = Path(mkdtemp())
    return beside(copied(folder))


def unnamed(path: str, report: RepairReport) -> set[str]:
    """What is missing and not told of by the report; what is there must be as it was."""
    there = beside(path)
    assert there.items() <= whole().items()
    told = " ".join(loss.what for loss in report.lost)
    lost = {f"step {at}" for loss in report.lost if loss.first for at in range(loss.first, loss.last + 1)}
    needed = {name for name in whole().keys() - there.keys() if name not in lost}
    of_lost = {f"blob {name}" for name in BLOBS} if lost else set()  # a blob goes with its step
    return {name for name in needed - of_lost if name not in told and name.split()[0] + "s of" not in told}


def check(path: str, report: RepairReport) -> None:
    assert report.problems
    assert unnamed(path, report) == set()


@pytest.mark.parametrize("table", TABLES)
def test_a_page_of_nonsense_in_any_table_costs_only_what_is_named(path: str, table: str) -> None:
    spoil(path, table)
    check(path, repair(path, terms=words))


def test_what_stands_between_pages_that_cannot_be_read_is_read(path: str) -> None:
    with open_store(path, terms=words) as store:
        for n in range(60):
            store.append([step(f"more {n} {'x' * 80}")])
        with store._reading() as connection:
            sql = "SELECT pageno - 1 FROM dbstat WHERE name='log' AND pagetype='leaf' ORDER BY path"
            leaves = [number for (number,) in connection.execute(sql)]
        known = {record.position for record in store.scan()}
    overwrite(path, leaves[-3], leaves[-1])
    report = repair(path, terms=words)
    gone = {at for loss in report.lost for at in range(loss.first, loss.last + 1)}
    with open_store(path, terms=words) as store:
        there = {record.position for record in store.scan()}
    assert there == known - gone
    assert there & set(range(min(gone), max(gone)))


@pytest.mark.slow
@pytest.mark.parametrize("backup", [False, True])
def test_whatever_page_is_nonsense_what_that_costs_is_named(path: str, copy: str, backup: bool) -> None:
    for number in range(1, original()[0].stat().st_size // original()[2]):
        copied(Path(path).parent)
        overwrite(path, number)
        try:
            report = repair(path, copy if backup else None, terms=words)
        except DamagedError as error:
            if "schema" not in str(error) or number not in original()[1]["sqlite_schema"]:
                raise
            continue
        check(path, report)
        if backup:
            assert beside(path) == whole(), number


@pytest.mark.parametrize("tables", [("attachments",), ("attachments", "sqlite_autoindex_attachments_1"), ("keys",)])
def test_a_whole_backup_gives_attachments_and_erased_keys_back(path: str, copy: str, tables: tuple[str, ...]) -> None:
    spoil(path, *tables)
    report = repair(path, copy, terms=words)
    assert report.lost == ()
    assert beside(path) == whole()


@pytest.mark.parametrize("tables", [("attachments",), ("attachments", "sqlite_autoindex_attachments_1")])
def test_what_was_attached_and_removed_since_the_backup_is_neither_made_up_nor_hidden(
    path: str, copy: str, tables: tuple[str, ...]
) -> None:
    newer = {f"n{n}": b"newer" * 40 for n in range(4, 20)}
    with open_store(path, terms=words) as store:
        store.detach(A, "n3")
        for name, data in newer.items():
            store.attach(A, name, data)
    spoil(path, *tables)
    told = " ".join(loss.what for loss in repair(path, copy, terms=words).lost)
    assert "some attachments of namespace" in told
    with open_store(path, terms=words) as store:
        there = store.attachments(A)
        assert "n3" not in there
        assert all(store.attachment(A, name) == newer[name] for name in there if name in newer)
        assert len(tables) == 2 or all(name in there or f"'{name}'" in told for name in newer)


def test_keys_of_what_was_erased_since_the_backup_are_made_again_from_its_steps(path: str, copy: str) -> None:
    with open_store(path, terms=words) as store:
        store.erase([1])
    spoil(path, "keys")
    report = repair(path, copy, terms=words)
    assert any("late retry" in loss.what for loss in report.lost)  # others may have been erased that it never had
    with open_store(path, terms=words) as store:
        for key in ("gone", "key 0"):
            with pytest.raises(KeyConflictError, match="erased"):
                store.append([step("again", key=key)])


def test_no_key_is_told_of_as_lost_where_nothing_was_ever_erased(tmp_path: Path) -> None:
    path = str(tmp_path / "small.mem")
    with open_store(path, terms=words) as store:
        store.append([step("one", key="one")])
        with store._reading() as connection:
            sql = "SELECT pageno - 1 FROM dbstat WHERE name='keys'"
            numbers = [number for (number,) in connection.execute(sql)]
    overwrite(path, *numbers)
    report = repair(path, terms=words)
    assert report.problems
    assert report.lost == ()


def test_a_backup_of_another_log_gives_no_keys(path: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.mem")
    with open_store(other, terms=words) as store:
        store.append([step("another", key="key 30"), step("more", key="more")])
        store.erase([1])
    spoil(path, "keys")
    assert any("late retry" in loss.what for loss in repair(path, other, terms=words).lost)
    with open_store(path, terms=words) as store:
        assert store.append([step("free", key="key 30")])[0].position == 27


@pytest.mark.parametrize("tables", [NAMED, SPACES])
def test_names_that_nothing_gives_are_told_and_nothing_is_touched(
    path: str, copy: str, tables: tuple[str, ...]
) -> None:
    spoil(path, *tables)
    before = Path(path).read_bytes()
    with pytest.raises(DamagedError, match=f"of its {tables[0]} cannot be read.*give a backup"):
        repair(path, terms=words)
    assert Path(path).read_bytes() == before
    assert repair(path, copy, terms=words).lost == ()
    assert beside(path) == whole()


def test_what_was_erased_does_not_come_back_where_it_cannot_be_read_what_was_erased(path: str, tmp_path: Path) -> None:
    old = str(tmp_path / "old.mem")
    with open_store(path, terms=words) as store:
        store.backup(old)
        store.erase([22])
    spoil(path, "gaps")
    report = repair(path, old, terms=words)
    there = beside(path)
    assert "step 22" not in there
    assert [loss.first for loss in report.lost if loss.first] == [22]
    assert there.items() <= whole().items()


def test_a_damaged_file_is_closed_where_reading_it_fails(path: str) -> None:
    connection = apsw.Connection(path)
    connection.execute("DROP TABLE ledger")
    connection.close()
    open_before = len(os.listdir("/proc/self/fd"))
    kept = []
    for _ in range(3):
        with pytest.raises(DamagedError, match="schema") as told:
            Damaged(Files(path), None)
        kept.append(told)  # and with it the frames that held it
    assert len(os.listdir("/proc/self/fd")) == open_before
