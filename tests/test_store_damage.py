"""Damage: changed bytes, lost ends and replaced files are told, never served."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from torture.calls import Calls
from torture.children import Child, Say
from torture.flips import everything, fill, flips

from agentmem.errors import AgentMemError, DamagedError
from agentmem.store import open_store
from agentmem.testing.records import A, batch, crystal, step
from agentmem.types import Span


@pytest.mark.parametrize("killed", [False, True])
def test_a_flipped_bit_is_told_or_touches_nothing_stored(tmp_path: Path, killed: bool) -> None:
    done = flips(tmp_path, seed=1, trials=30, killed=killed)
    assert done["told"] > 10


READS = range(1, 40, 4)


def read_with_failures(path: str, key_file: str | None, what: str, say: Say) -> None:
    """Read all, and log a step, with the n-th read refused by the disk, for each n; tell what came of it."""
    for number in READS:
        store = open_store(path, key_file=key_file)
        calls = Calls(number, errno.ENOMEM, reads=True)
        try:
            found = repr(everything(store))
            store.append([step(f"after {number}", key=f"after {number}")])
        except AgentMemError as error:
            say(f"{calls.failed} {error}")
        else:
            say(f"{calls.failed} whole" if found == what else f"{calls.failed} served")
        finally:
            Calls()
            store.close()


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_read_that_the_disk_refuses_is_told_and_changes_nothing(tmp_path: Path, encrypted: bool) -> None:
    path, key_file = str(tmp_path / "agent.mem"), str(tmp_path / "agent.key") if encrypted else None
    with open_store(path, key_file=key_file) as store:
        fill(store)
        what = repr(everything(store))
    child = Child(partial(read_with_failures, path, key_file, what))
    lines = child.lines()
    assert child.code == 0
    assert len(lines) == len(READS)
    told = ("is damaged", "is not a memory file") if encrypted else ("IOError: disk I/O error",)
    assert [line for line in lines if not (line.startswith("pread64") and any(one in line for one in told))] == []
    with open_store(path, key_file=key_file) as store:
        assert store.verify()[0] == []


def killed(path: str, durability: Any, records: int = 200) -> None:
    """A memory as a killed process leaves it: everything in its -wal."""
    scratch = path + "-scratch"
    os.mkdir(scratch)
    inner = os.path.join(scratch, "agent.mem")
    with open_store(inner, durability=durability) as store:
        for n in range(records):
            store.append([step(f"record {n} " + "x" * 300)])
        for end in ("", "-wal", "-anchor"):
            shutil.copy(inner + end, path + end)
    shutil.rmtree(scratch)


@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_lost_end_that_was_on_the_disk_is_an_error_that_names_it(tmp_path: Path, damage: str) -> None:
    path = str(tmp_path / "agent.mem")
    killed(path, "power")
    wal = Path(path + "-wal")
    data = bytearray(wal.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "remove":
        wal.unlink()
    else:
        wal.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    for read_only in (False, True):
        with pytest.raises(DamagedError, match=r"before position \d+ .* up to 200"):
            open_store(path, read_only=read_only)


def test_a_lost_end_under_process_is_noted_and_its_positions_stay_unused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "agent.mem")
    killed(path, "process")
    wal = Path(path + "-wal")
    wal.write_bytes(wal.read_bytes()[: wal.stat().st_size // 2])
    with caplog.at_level(logging.WARNING), open_store(path, durability="process") as store:
        left = len(list(store.scan()))
        assert 0 < left < 200
        assert f"records {left + 1} to 200" in caplog.text
        assert store.append([step("after")])[0].position == 201
        problems, _ = store.verify()
        assert len(problems) == 1
        assert "lost" in problems[0]
        assert store.verify()[0] == []


def test_an_attachment_that_a_flipped_bit_dropped_is_missed_once_and_told_to_readers(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path) as store:
        store.append([step("a")])
        before = Path(path + "-wal").stat().st_size
        store.attach(A, "state", b"content")
        kept = {end: Path(path + end).read_bytes() for end in ("", "-wal", "-anchor")}
    for end, data in kept.items():
        Path(path + end).write_bytes(data)
    changed = bytearray(kept["-wal"])
    changed[before + 100] ^= 1
    Path(path + "-wal").write_bytes(changed)
    with open_store(path, read_only=True) as store:
        assert any("newest 1 changes of attachments" in problem for problem in store.verify()[0])
    with open_store(path) as store:
        assert store.attachments(A) == {}
        assert any("newest 1 changes of attachments" in problem for problem in store.verify()[0])
        store.attach(A, "state", b"again")
    with open_store(path) as store:
        assert store.verify()[0] == []
        assert store.attachment(A, "state") == b"again"


def test_a_process_that_is_killed_and_reopened_at_power_is_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    killed(path, "process")
    with open_store(path) as store:
        assert store.head().position == 200
        assert store.verify()[0] == []


def test_an_older_copy_of_the_database_is_an_error(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path) as store:
        store.append([step("a"), step("b")])
    older = Path(path).read_bytes()
    with open_store(path) as store:
        store.erase([1])
    Path(path).write_bytes(older)
    with pytest.raises(DamagedError, match="older than its anchor"):
        open_store(path)


def test_another_log_under_the_same_anchor_is_an_error(tmp_path: Path) -> None:
    one, other = str(tmp_path / "one.mem"), str(tmp_path / "other.mem")
    for path, text in ((one, "a"), (other, "b")):
        with open_store(path) as store:
            store.append([step(text)])
    shutil.copy(other, one)
    for read_only in (False, True):
        with pytest.raises(DamagedError, match="chain hash"):
            open_store(one, read_only=read_only)


@pytest.mark.parametrize("how", ["missing", "unreadable", "empty"])
def test_an_anchor_that_is_gone_is_made_again_and_told_once(tmp_path: Path, how: str) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path) as store:
        store.append([step("a")])
    anchor = Path(path + "-anchor")
    if how == "missing":
        anchor.unlink()
    else:
        anchor.write_bytes(b"" if how == "empty" else b"x" + anchor.read_bytes()[1:])
    with open_store(path) as store:
        problems, _ = store.verify()
        assert len(problems) == 1
        assert "anchor" in problems[0]
        assert store.verify()[0] == []
        assert store.append([step("b")])[0].position == 2


def test_an_anchor_that_is_behind_is_normal(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path) as store:
        store.append([step("a")])
        anchor = Path(path + "-anchor").read_bytes()
        store.append([step("b")])
        store.append([step("c")])
    Path(path + "-anchor").write_bytes(anchor)
    with open_store(path) as store:
        assert store.verify()[0] == []
        assert store.head().position == 3


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE log SET text='other' WHERE position=3", "position 3"),
        ("UPDATE log SET key='other' WHERE position=3", "position 3"),
        ("UPDATE log SET logged_at=5 WHERE position=3", "position 3"),
        ("DELETE FROM log WHERE position=3", "position"),
        ("UPDATE names SET name='other' WHERE id=1", "position"),
        ("DELETE FROM keys", "key"),
        ("DELETE FROM postings", "postings"),
        ("UPDATE postings SET data=zeroblob(50)", "the index of positions 1 to"),
        ("INSERT INTO pending VALUES(99, 1, 'word')", "postings"),
        ("UPDATE blocks SET last=last+1 WHERE first=1", "digest"),
        ("UPDATE batches SET payload=zeroblob(50)", "digest"),
        ("DELETE FROM batches WHERE kind='crystals'", "not there"),
    ],
)
def test_a_changed_row_is_told(tmp_path: Path, statement: str, what: str) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path) as store:
        for n in range(6):
            store.append([step(f"word {n}", key=f"k{n}")])
        made = batch([crystal("u", [Span(1, 0, 4)], "word")], 4, retired={"u": 2})
        store.publish(A, made, expected=store.version(A))
        store.archive(2)
    connection = apsw.Connection(path)
    connection.execute(statement)
    connection.close()
    with open_store(path) as store:
        problems, _ = store.verify()
    assert problems
    assert any(part in " ".join(problems) for part in what.split("|")), problems


def test_a_changed_table_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path) as store:
        fill(store)
        assert store.verify()[0] == []
        with sqlite3.connect(path) as other:
            other.execute("PRAGMA writable_schema=ON")
            changed = "replace(sql, 'log(namespace,', 'log(namespace ,')"
            other.execute(f"UPDATE sqlite_schema SET sql={changed} WHERE name='log_columns'")
        other.close()
        assert any("a table was changed" in problem for problem in store.verify()[0])
    for read_only in (False, True):
        with pytest.raises(
            DamagedError, match="a table, view or trigger that no memory has: 'CREATE INDEX log_columns"
        ):
            open_store(path, read_only=read_only)


def test_a_changed_record_is_not_served(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path) as store:
        store.append([step(f"record {n}") for n in range(6)])
        store.archive(3)
    connection = apsw.Connection(path)
    connection.execute("UPDATE log SET text='other' WHERE position=5")
    connection.execute("UPDATE blocks SET data=zeroblob(99)")
    connection.close()
    with open_store(path) as store:
        assert store.read([4])[0].text == "record 3"
        for position in (1, 5):
            with pytest.raises(DamagedError, match="position"):
                store.read([position])


def test_a_backup_of_a_damaged_memory_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path) as store:
        store.append([step("a")])
    connection = apsw.Connection(path)
    connection.execute("UPDATE log SET text='other'")
    connection.close()
    with open_store(path) as store, pytest.raises(DamagedError):
        store.backup(str(tmp_path / "copy.mem"))
    assert not [name for name in os.listdir(tmp_path) if name.startswith("copy")]
