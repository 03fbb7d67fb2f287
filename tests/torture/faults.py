"""Calls of the system that fail, any of them, once or from then on, and memory that cannot be had.

A store works on after what it refused, as an agent would; at the end everything acknowledged must be there. Every
third part is of encrypted stores.
"""

from __future__ import annotations

import errno
import random
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import apsw

from agentmem.errors import AgentMemError
from agentmem.store import open_store
from torture.calls import NAMES, Calls
from torture.children import Child, Say
from torture.store_kills import ENCRYPTED, act, check, key_file

FAULTS = 20  # of a part
STEPS = 14
ERRORS = (errno.ENOSPC, errno.EIO, errno.ENOMEM)
HEAP = 60_000  # bytes: room that is left to SQLite, at most


def agent(path: str, seed: int, at: int, error: int, lasting: bool, say: Say) -> None:
    """Work with a call that fails; tell what was acknowledged, and each refusal as "r". Nothing else may be raised."""
    calls = Calls(at, error, lasting, reads=error != errno.ENOSPC)
    with suppress(AgentMemError):
        work(path, seed, say)
    say(f"r {calls.failed} {calls.made}")


def work(path: str, seed: int, say: Say, room: int | None = None) -> None:
    """room: bytes of memory that SQLite may still take once the store is open."""
    rng = random.Random(seed)
    store = open_store(path, durability=("power", "process")[seed % 2], key_file=key_file(path, seed))
    if room is not None:
        apsw.hard_heap_limit(apsw.memory_used() + room)
    for _ in range(STEPS):
        refused(partial(act, store, rng, say), say)
        refused(lambda: list(store.scan()), say)
    refused(store.close, say)


def refused(work: partial[None] | object, say: Say) -> None:
    try:
        work()  # type: ignore[operator]
    except AgentMemError as error:
        say(f"r {type(error).__name__}")


def fail(path: str, seed: int, number: int, made: int) -> tuple[str, list[str]]:
    """What failed, and what a child told to which that happened."""
    rng = random.Random(f"{seed} {number}")
    if number % 4 == 3:
        kind, child = "memory", Child(partial(work, path, seed, room=rng.randrange(HEAP)))
    else:
        error, lasting = ERRORS[number % 4], rng.random() < 0.4
        kind = NAMES[error] + (" from then on" if lasting else "")
        child = Child(partial(agent, path, seed, rng.randrange(1, made + 1), error, lasting))
    lines = child.lines()
    assert child.code == 0, f"{kind}: the child ended with {child.code}: what it raised is on standard error"
    return kind, lines


def part(seed: int, folder: Path) -> Counter[str]:
    """The same work as often as there are faults, with another fault each time."""
    counting = Child(partial(agent, str(folder / "counting.mem"), seed, -1, errno.EIO, False))
    made = int(counting.lines()[-1].split()[-1])
    done = Counter[str]()
    for number in range(FAULTS):
        path = str(folder / f"{number}.mem")
        kind, lines = fail(path, seed, number, made)
        try:
            done += after(path, seed, [line for line in lines if line[0] != "r"])
        except AssertionError as error:
            raise AssertionError(f"fault {number}, {kind}: {error}; told {lines}") from error
        refusals = sum(line[0] == "r" for line in lines)
        done += Counter({"faults": 1, kind: 1, "refusals": refusals, ENCRYPTED: seed % 3 == 2})
    return done


def after(path: str, seed: int, said: list[str]) -> Counter[str]:
    with open_store(path, key_file=key_file(path, seed)) as store:
        return check(store, said, set())
