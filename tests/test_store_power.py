"""Power cuts: whatever of the unsynced writes the disk kept, nothing acknowledged at "power" is lost.

The writes and syncs of a run are recorded by strace. At every one of them the disk is rebuilt as it may have looked
had the power gone: what was synced, and of the rest nothing, everything, or some sectors.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from agentmem.store import has_ciphers, open_store
from agentmem.testing.records import A, step

SECTOR = 512
CALL = re.compile(r"^(pwrite64|fdatasync|fsync|ftruncate|write|unlink)\((.*)\) += (-?\d+)")
TARGET = re.compile(r'^\d+<([^>]*)>(?:, "((?:\\x[0-9a-f]{2})*)", (\d+))?(?:, (\d+))?')
WORKLOAD = """
import os, sys
from agentmem.store import open_store
from agentmem.testing.records import A, batch, crystal, step
from agentmem.types import Span
about, keys = ('{"subjects":["ann"]}', sys.argv[4]) if len(sys.argv) > 4 else ("{}", None)
store = open_store(sys.argv[1], sys.argv[3], key_file=keys)
acks = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
number = 0
for n in range(24):
    count = 1 + n % 4
    store.append([step(f"record {number + i + 1} " + "x" * 150 * n, body=about) for i in range(count)])
    number += count
    store.attach(A, "state", b"%d " % number * 300)
    os.write(acks, b"%d" % number)
    if n % 5 == 4:
        made = [crystal(f"c{n}", [Span(number, 0, 6)], "record")]
        store.publish(A, batch(made, number), store.version(A))
    if n % 8 == 7:
        store._writer.checkpoint()
    if n == 13:
        store.archive(12)
store.close()
"""


class Call(NamedTuple):
    """One system call: its name, file, bytes and offset (for a truncation, the size)."""

    name: str
    file: str
    data: bytes
    offset: int


def record(tmp_path: Path, durability: str, *keys: str) -> list[Call]:
    path, acks, trace = str(tmp_path / "agent.mem"), str(tmp_path / "acks"), str(tmp_path / "trace")
    calls = "trace=pwrite64,fdatasync,fsync,ftruncate,write,unlink"
    strace = ["strace", "-y", "-xx", "-s", "10000000", "-e", calls, "-o", trace]
    done = subprocess.run([*strace, sys.executable, "-c", WORKLOAD, path, acks, durability, *keys], capture_output=True)
    said = done.stderr.decode()
    if "ptrace" in said and "not permitted" in said:
        pytest.skip("this machine lets no process trace another")
    assert done.returncode == 0, said
    return [call for line in Path(trace).read_text().splitlines() if (call := parse(line)) is not None]


def parse(line: str) -> Call | None:
    found = CALL.match(line)
    if found is None or found[3].startswith("-"):
        return None
    name, arguments = found[1], found[2]
    if name == "unlink":
        return Call(name, os.path.basename(bytes.fromhex(arguments.strip('"').replace("\\x", "")).decode()), b"", 0)
    target = TARGET.match(arguments)
    if target is None:
        return None
    data = bytes.fromhex((target[2] or "").replace("\\x", ""))
    where = bytes.fromhex(target[1].replace("\\x", "")).decode() if target[1].startswith("\\x") else target[1]
    return Call(name, os.path.basename(where), data, int(target[4] or 0))


class Disk:
    """Files as they are on the disk for certain, and calls that may or may not have reached it."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.waiting: list[Call] = []
        self.acknowledged = 0

    def take(self, call: Call) -> None:
        if call.name == "write":
            if call.file == "acks":
                self.acknowledged = int(call.data)
        elif call.name in ("fsync", "fdatasync"):
            for one in self.waiting:
                if one.file == call.file:
                    apply(self.files, one)
            self.waiting = [one for one in self.waiting if one.file != call.file]
        elif call.name == "unlink":
            self.waiting = [one for one in self.waiting if one.file != call.file]
            self.files.pop(call.file, None)
        else:
            self.waiting.append(call)

    def cut(self, keep: float, rng: random.Random) -> dict[str, bytearray]:
        """A state after a power cut that kept each waiting write with a probability, some of them torn."""
        files = {name: bytearray(data) for name, data in self.files.items()}
        for one in self.waiting:
            if rng.random() >= keep:
                continue
            if keep < 1 and len(one.data) > SECTOR and rng.random() < 0.3:
                one = one._replace(data=one.data[: SECTOR * rng.randrange(1, len(one.data) // SECTOR + 1)])
            apply(files, one)
        return files


def apply(files: dict[str, bytearray], call: Call) -> None:
    content = files.setdefault(call.file, bytearray())
    end = call.offset + len(call.data)
    if len(content) < end or call.name == "ftruncate":
        content.extend(bytes(max(0, end - len(content))))
    if call.name == "ftruncate":
        del content[call.offset :]
    else:
        content[call.offset : end] = call.data


def check(directory: Path, files: dict[str, bytearray], acknowledged: int, keys: str | None = None) -> bool:
    """Whether everything acknowledged is there; what is there must be whole."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, data in files.items():
        if name.startswith("agent.mem"):
            (directory / name).write_bytes(data)
    with open_store(str(directory / "agent.mem"), key_file=keys) as store:
        head = store.head().position
        texts = [record.text.split()[1] for record in store.scan()]
        assert texts == [str(n) for n in range(1, len(texts) + 1)]
        assert store.watermark(step("").namespace).position <= head
        problems = store.verify()[0]
        assert [problem for problem in problems if "anchor was missing" not in problem and "lost" not in problem] == []
        state = int(store.attachment(A, "state").split()[0]) if store.attachments(A) else 0
        return min(len(texts), state) >= acknowledged


def cuts(tmp_path: Path, durability: str, every: int, *keys: str) -> list[bool]:
    calls, disk, rng = record(tmp_path, durability, *keys), Disk(), random.Random(1)
    kept = []
    for number, call in enumerate(calls):
        disk.take(call)
        if number % every == 0 and disk.acknowledged:
            for keep in (0.0, 0.5, 1.0):
                kept.append(check(tmp_path / "cut", disk.cut(keep, rng), disk.acknowledged, *keys))
    assert disk.acknowledged == 60
    return kept


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace records the writes")


@needs_strace
def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path) -> None:
    kept = cuts(tmp_path, "power", every=23)
    assert len(kept) > 30
    assert all(kept)


@needs_strace
@pytest.mark.slow
def test_a_power_cut_at_every_write_loses_nothing_acknowledged(tmp_path: Path) -> None:
    kept = cuts(tmp_path, "power", every=1)
    assert len(kept) > 1000
    assert all(kept)


@needs_strace
@pytest.mark.slow
def test_the_simulation_sees_that_process_does_not_survive_a_power_cut(tmp_path: Path) -> None:
    assert not all(cuts(tmp_path, "process", every=3))


@needs_strace
@pytest.mark.slow
@pytest.mark.skipif(not has_ciphers(), reason="the SQLite that is installed has no ciphers")
def test_a_power_cut_of_an_encrypted_memory_loses_nothing_acknowledged(tmp_path: Path) -> None:
    kept = cuts(tmp_path, "power", 3, str(tmp_path / "agent.key"))
    assert len(kept) > 300
    assert all(kept)
