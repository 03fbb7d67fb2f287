"""Killed at any moment: nothing acknowledged is lost, nothing is half there, a retry adds nothing twice."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentmem.store import SQLiteStore, open_store
from agentmem.testing.records import A, batch, crystal, step
from agentmem.types import Record, Span

SECRET = "5ec7e7"
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def record(number: int) -> Record:
    """The same for the same number, so that it can be logged again."""
    rng = random.Random(number)
    text = f"number {number} " + "word " * rng.randrange(200)
    return step(text, key=f"k{number}", episode=f"e{number // 50}", logged_at=float(number))


def agent(path: str, durability: Any, seed: int, say: Callable[[str], None]) -> None:
    """Append, publish, archive and erase at random, telling what was acknowledged."""
    rng = random.Random(seed)
    store = open_store(path, durability=durability)
    number = store.head().position
    while True:
        choice = rng.random()
        if choice < 0.8:
            count = rng.choice([1, 1, 1, 2, 30])
            store.append([record(n) for n in range(number + 1, number + count + 1)])
            number += count
            say(f"a {number}\n")
        elif choice < 0.9:
            version = store.version(A)
            if version.watermark < number:
                made = [crystal(f"c{p}", [Span(p, 0, 6)], "number") for p in range(version.watermark + 1, number + 1)]
                made = [one for one in made if store.keyed(A, f"k{one.born}")]
                assert store.publish(A, batch(made, number), expected=version)
                say(f"p {number}\n")
        elif choice < 0.97:
            store.archive(number - rng.randrange(20))
        else:
            victim = rng.randrange(1, number + 1) if number else 0
            if victim and store.keyed(A, f"k{victim}"):
                say(f"t {victim}\n")
                store.erase([victim])
                say(f"e {victim}\n")


def start_and_kill(path: str, durability: Any, seed: int) -> list[str]:
    """What a forked agent had told when it was killed at a random moment."""
    read, write = os.pipe()

    def work() -> None:
        os.close(read)
        agent(path, durability, seed, lambda line: os.write(write, line.encode()) and None)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    os.close(write)
    time.sleep(random.Random(seed).uniform(0.005, 0.12))
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with os.fdopen(read) as lines:
        return [line for line in lines.read().split("\n") if line]


def check(store: SQLiteStore, said: list[str], erased: set[int]) -> None:
    """`erased` are the numbers known to be erased; those that may have been are found out."""
    for line in said:
        if line[0] == "t" and store.keyed(A, f"k{line[2:]}") is None:
            erased.add(int(line[2:]))
        assert line[0] != "e" or int(line[2:]) in erased
    appended = max([int(line[2:]) for line in said if line[0] == "a"], default=0)
    published = 0
    for line in said:
        published = {"p": int(line[2:]), "e": 0}.get(line[0], published)
    head = store.head().position
    assert head >= appended
    assert store.watermark(A).position >= published or any(line[0] == "t" for line in said[-1:])
    there = {entry.position: entry for entry in store.scan()}
    assert set(there) == set(range(1, head + 1)) - erased
    for number, entry in there.items():
        assert entry == Record(**{**_fields(record(number)), "terms": (), "position": number})
    retried = [record(n) for n in range(max(1, head - 40), head + 5) if n not in erased]
    assert [entry.position for entry in store.append(retried)] == [int(entry.key[1:]) for entry in retried if entry.key]
    assert store.head().position == max(head, head + 4)
    assert store.verify()[0] == []


def _fields(entry: Record) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Record.__slots__}


def kill_often(path: str, durability: Any, kills: int, first: int) -> None:
    erased: set[int] = set()
    for seed in range(first, first + kills):
        said = start_and_kill(path, durability, seed)
        with open_store(path, durability=durability) as store:
            check(store, said, erased)
            if store.head().position > 3000:
                break
    with open_store(path) as store:
        assert store.head().position > 0


@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_killed_process_loses_nothing_acknowledged(tmp_path: Path, durability: str) -> None:
    kill_often(str(tmp_path / "agent.mem"), durability, kills=10, first=0)


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["power", "process"])
def test_hundreds_of_killed_processes_lose_nothing_acknowledged(tmp_path: Path, durability: str) -> None:
    for part in range(20):
        directory = tmp_path / str(part)
        directory.mkdir()
        kill_often(str(directory / "agent.mem"), durability, kills=10, first=1000 * (part + 1))
