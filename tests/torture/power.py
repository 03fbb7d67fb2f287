"""Power cuts: whatever of the unsynced writes the disk kept.

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
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agentmem.store import open_store
from agentmem.testing.records import A

SECTOR = 512
CALL = re.compile(r"^(pwrite64|fdatasync|fsync|ftruncate|write|unlink)\((.*)\) += (-?\d+)")
TARGET = re.compile(r'^\d+<([^>]*)>(?:, "((?:\\x[0-9a-f]{2})*)", (\d+))?(?:, (\d+))?')
CALLS = "trace=pwrite64,fdatasync,fsync,ftruncate,write,unlink"
PARTS = 6  # in which all calls of one run are taken
KEEPS = (0.0, 0.5, 1.0)  # how likely a write that was not synced reached the disk
WORKLOAD = """
import os, random, sys
from agentmem.store import open_store
from agentmem.testing.records import A, batch, crystal, step
from agentmem.types import Span
rng = random.Random(int(sys.argv[4]))
about, keys = ('{"subjects":["ann"]}', sys.argv[5]) if len(sys.argv) > 5 else ("{}", None)
store = open_store(sys.argv[1], sys.argv[3], key_file=keys)
acks = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
number = 0
for n in range(24):
    count = 1 + rng.randrange(4)
    store.append([step(f"record {number + i + 1} " + "x" * rng.randrange(3_500), body=about) for i in range(count)])
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


def lacking() -> str:
    """What this machine lacks to record the writes of a process."""
    if shutil.which("strace") is None:
        return "strace, which records the writes"
    done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "the right of a process to trace another"


class Call(NamedTuple):
    """One system call: its name, file, bytes and offset (for a truncation, the size)."""

    name: str
    file: str
    data: bytes
    offset: int


def record(folder: Path, durability: str, seed: int, *keys: str) -> list[Call]:
    path, acks, trace = (str(folder / name) for name in ("agent.mem", "acks", "trace"))
    strace = ["strace", "-y", "-xx", "-s", "10000000", "-e", CALLS, "-o", trace]
    work = [sys.executable, "-c", WORKLOAD, path, acks, durability, str(seed), *keys]
    done = subprocess.run([*strace, *work], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
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
        assert store.watermark(A).position <= head
        problems = store.verify()[0]
        wrong = [one for one in problems if "anchor was missing" not in one and "lost" not in one]
        assert wrong == [], wrong
        state = int(store.attachment(A, "state").split()[0]) if store.attachments(A) else 0
        return min(len(texts), state) >= acknowledged


def cuts(folder: Path, durability: str, every: int, seed: int = 1, first: int = 0, *keys: str) -> Iterator[bool]:
    """Whether nothing was lost, for each state that the disk may have been in: at every so many calls from a first.
    keys: the path of a key file, which the disk kept."""
    calls, disk, rng = record(folder, durability, seed, *keys), Disk(), random.Random(seed)
    for number, call in enumerate(calls):
        disk.take(call)
        if number % every == first and disk.acknowledged:
            for keep in KEEPS:
                yield check(folder / "cut", disk.cut(keep, rng), disk.acknowledged, *keys)
    assert disk.acknowledged > 24


def part(seed: int, folder: Path) -> Counter[str]:
    done = Counter[str]()
    for kept in cuts(folder, "power", PARTS, seed // PARTS, seed % PARTS):
        assert kept, f"lost what was acknowledged, in state {done['states']}"
        done["states"] += 1
    return done
