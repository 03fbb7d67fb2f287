"""A store that appends, publishes, archives and erases at random, killed at any moment; each third one encrypted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from agentmem.store import SQLiteStore, open_store
from agentmem.testing.records import A, batch, crystal, step
from agentmem.types import Record, Span
from torture.children import Say, killed_after

LONG = 3000  # records after which a file is long enough
KILLS = 10  # on one file
ENCRYPTED = "of encrypted stores"


def record(number: int) -> Record:
    """The same for the same number, so that it can be logged again."""
    rng = random.Random(number)
    text = f"number {number} " + "word " * rng.randrange(200)
    return step(text, key=f"k{number}", episode=f"e{number // 50}", logged_at=float(number))


def agent(path: str, durability: Any, keys: str | None, seed: int, say: Say, steps: int = 1 << 60) -> None:
    """Append, publish, archive and erase at random, telling what was acknowledged."""
    rng = random.Random(seed)
    store = open_store(path, durability=durability, key_file=keys)
    for _ in range(steps):
        act(store, rng, say)


def act(store: SQLiteStore, rng: random.Random, say: Say) -> None:
    choice, number = rng.random(), store.head().position
    if choice < 0.8:
        count = rng.choice([1, 1, 1, 2, 30])
        store.append([record(n) for n in range(number + 1, number + count + 1)])
        say(f"a {number + count}")
    elif choice < 0.9:
        version = store.version(A)
        if version.watermark < number:
            made = [crystal(f"c{p}", [Span(p, 0, 6)], "number") for p in range(version.watermark + 1, number + 1)]
            made = [one for one in made if store.keyed(A, f"k{one.born}")]
            assert store.publish(A, batch(made, number), expected=version)
            say(f"p {number}")
    elif choice < 0.97:
        store.archive(number - rng.randrange(20))
    else:
        victim = rng.randrange(1, number + 1) if number else 0
        if victim and store.keyed(A, f"k{victim}"):
            say(f"t {victim}")
            store.erase([victim])
            say(f"e {victim}")


def check(store: SQLiteStore, said: list[str], erased: set[int]) -> Counter[str]:
    """`erased` are the numbers known to be erased; those that may have been are found out."""
    for line in said:
        if line[0] == "t" and store.keyed(A, f"k{line[2:]}") is None:
            erased.add(int(line[2:]))
        assert line[0] != "e" or int(line[2:]) in erased, f"{line[2:]} was erased and is there"
    appended = max([int(line[2:]) for line in said if line[0] == "a"], default=0)
    head = store.head().position
    assert head >= appended, f"{appended} were acknowledged and {head} are there"
    check_published(store, said)
    there = {entry.position: entry for entry in store.scan()}
    assert set(there) == set(range(1, head + 1)) - erased, sorted(set(range(1, head + 1)) - erased ^ set(there))
    for number, entry in there.items():
        assert entry == Record(**{**fields(record(number)), "terms": (), "position": number}), f"{number} was changed"
    retried = check_retries(store, head, erased)
    problems = store.verify()[0]
    assert problems == [], problems
    return Counter(steps=appended, retries=retried)


def check_published(store: SQLiteStore, said: Iterable[str]) -> None:
    published = 0
    for line in said:
        published = {"p": int(line[2:]), "t": 0, "e": 0}.get(line[0], published)
    assert store.watermark(A).position >= published, "what was published is gone"
    for _, made in store.crystals(A):
        assert made.born <= store.watermark(A).position, f"{made.id} is of after the watermark"


def check_retries(store: SQLiteStore, head: int, erased: set[int]) -> int:
    """Log the last records again, and some that are new; returns how many were there already."""
    again = [record(n) for n in range(max(1, head - 40), head + 5) if n not in erased]
    assert [entry.position for entry in store.append(again)] == [int(entry.key[1:]) for entry in again if entry.key]
    assert store.head().position == head + 4, "a retry added something"
    return len(again) - 4


def fields(entry: Record) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Record.__slots__}


def kill_often(path: str, durability: Any, kills: int, first: int, keys: str | None = None) -> Counter[str]:
    erased, done = set[int](), Counter[str]()
    for seed in range(first, first + kills):
        seconds = random.Random(seed).uniform(0.005, 0.12)
        said = killed_after(partial(agent, path, durability, keys, seed), seconds)
        with open_store(path, durability=durability, key_file=keys) as store:
            done += check(store, said, erased) + Counter(kills=1)
            if store.head().position > LONG:
                break
    with open_store(path, key_file=keys) as store:
        assert store.head().position > 0
    return done


def part(seed: int, folder: Path) -> Counter[str]:
    durability = ("power", "process")[seed % 2]
    keys = key_file(str(folder / "agent.mem"), seed)
    done = kill_often(str(folder / "agent.mem"), durability, KILLS, 1000 * (seed + 1), keys)
    return done + Counter({durability: done["kills"], ENCRYPTED: bool(keys) * done["kills"]})


def key_file(path: str, seed: int) -> str | None:
    """Of every third part."""
    return f"{path}.key" if seed % 3 == 2 else None
