"""Locks that this process has on a memory's files: they end with its connections, and with nothing else."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentmem import Memory
from agentmem.errors import InvalidInputError
from agentmem.graph import memory_graph
from agentmem.graph.write import write
from agentmem.store import first_bytes, open_store


def locks(path: Path) -> list[str]:
    """Of this process on the database and its shared memory, as the kernel lists them."""
    files = [f":{os.stat(name).st_ino} " for name in (path, f"{path}-shm")]
    lines = Path("/proc/locks").read_text().splitlines()
    return [line for line in lines if f" {os.getpid()} " in line and any(file in line for file in files)]


def opened_again(memory: Memory, path: Path) -> None:
    Memory.open(path, encoder=None).close()


def opened_to_read(memory: Memory, path: Path) -> None:
    Memory.open(path, encoder=None, read_only=True).close()


def refused_as_a_target(memory: Memory, path: Path) -> None:
    with pytest.raises(InvalidInputError, match="is a memory"):
        write(memory_graph(memory), path, "json")


READS = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1])
print(file.execute("SELECT * FROM log").fetchall())
file.close()
"""
DONE: list[Callable[[Memory, Path], Any]] = [
    opened_again,
    opened_to_read,
    refused_as_a_target,
    lambda memory, path: memory.repair(dry_run=True),
    lambda memory, path: memory.verify(),
    lambda memory, path: memory.backup(path.with_name("copy.mem")),
    lambda memory, path: memory.erase(episode="monday"),
]


@pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="the kernel lists no locks here")
@pytest.mark.parametrize("do", DONE)
def test_what_is_done_beside_an_open_memory_keeps_its_locks(do: Callable[[Memory, Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with Memory.open(path, encoder=None) as memory:
        memory.episode(id="monday").log("one")
        before = {line.split(maxsplit=1)[1] for line in locks(path)}
        assert before
        do(memory, path)
        assert before <= {line.split(maxsplit=1)[1] for line in locks(path)}


def test_a_program_that_reads_the_file_beside_us_does_not_take_itself_for_the_last(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with Memory.open(path, encoder=None) as memory:
        episode = memory.episode(id="monday")
        episode.log("one")
        opened_again(memory, path)
        subprocess.run([sys.executable, "-c", READS, path], check=True)
        episode.log("two")
        assert os.path.exists(f"{path}-wal")
        with open_store(str(path), read_only=True) as other:
            assert [one.text for one in other.scan(types=["step"])] == ["one", "two"]
    assert sqlite3.connect(path).execute("SELECT count(*) FROM log").fetchone()[0] > 2


def test_an_export_does_not_replace_an_encrypted_memory(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    other = tmp_path / "other.mem"
    Memory.open(other, encoder=None, key_file=str(tmp_path / "other.key")).close()
    before = other.read_bytes()
    with Memory.open(tmp_path / "a.mem", encoder=None) as memory, pytest.raises(InvalidInputError, match="is a memory"):
        memory.export(other)
    assert other.read_bytes() == before


def test_a_file_that_cannot_be_opened_is_an_error_of_the_system_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="I/O error"):
        first_bytes(str(tmp_path))
