"""Values that nobody should give, at every way in: each is refused by an error of ours, or stored whole.

What is refused is to take no more than 100 ms of processor time, which is counted and not asserted: machines differ.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import chdir
from functools import cache
from pathlib import Path, PurePath
from typing import Any

from agentmem.errors import AgentMemError, in_brief
from torture.doors import Door, doors
from torture.values import bad
from torture.wires import ready, wires
from torture.world import World

TRIES = 200  # of a part
LOOKED = 25  # tries after which the other tenant is looked at
SECONDS = 0.1  # of processor time, within which an error is to come
LONGEST = 3_000  # characters of an error
FUNCTIONS = (
    "count_tokens",
    "progress",
    "clock",
    "condenser",
    "encoder",
    "passphrase",
    "analyser",
)  # given one, they do what it does


def part(seed: int, folder: Path) -> Counter[str]:
    with chdir(folder):  # names of files that are drawn end there
        return tried(seed, folder, TRIES)


def tried(seed: int, folder: Path, tries: int) -> Counter[str]:
    draw, done = random.Random(f"inputs {seed}"), Counter[str]()
    world, known = World(folder, draw), every()
    ready(world)
    names = sorted(name for name, door in known.items() if door.good)
    for number in range(tries):
        name = names[(seed * tries + number) % len(names)]
        done += through(world, name, known[name])
        if number % LOOKED == LOOKED - 1:
            check_apart(world)
    verified = world.memory.verify()
    assert verified.ok, verified.problems
    check_apart(world)
    world.memory.close()
    return done


def check_apart(world: World) -> None:
    """What the other tenant has, and how the file is made, is what it was."""
    for before, after in zip(world.before, world.bystander(), strict=True):
        assert before == after


@cache
def every() -> dict[str, Door]:
    """Every way into a memory."""
    return doors() | wires()


def through(world: World, name: str, door: Door) -> Counter[str]:
    """Try one door once."""
    kind, given = drawn(world, door)
    told = f"{name}({', '.join(f'{one}={in_brief(value)}' for one, value in given.items())})"
    refused, gave = None, None
    began = time.process_time()
    try:
        gave = door.call(world, **given)
    except AgentMemError as error:
        refused = str(error)
    except Exception as error:
        raise AssertionError(told) from error
    taken = time.process_time() - began
    if refused is None:
        as_given(world, door, given, gave, told)
        return Counter({"inputs": 1, "taken": 1, kind: 1})
    assert 0 < len(refused) < LONGEST, f"it says {len(refused)} characters: {told}"
    return Counter({"inputs": 1, "refused": 1, kind: 1}) + Counter({f"over 100 ms at {name}": int(taken > SECONDS)})


def as_given(world: World, door: Door, given: Mapping[str, Any], gave: Any, told: str) -> None:
    """What was taken is there, whole."""
    if door.check is not None:
        try:
            door.check(world, dict(given), gave)
        except Exception as error:
            raise AssertionError(f"not as given: {told}") from error


def drawn(world: World, door: Door) -> tuple[str, dict[str, Any]]:
    """Arguments, of which one or two are bad, and what is bad about the first."""
    draw = world.draw
    given = {name: make(world) for name, make in door.good.items() if name in door.needed or draw.random() < 0.2}
    for name in draw.sample(sorted(door.good), min(len(door.good), 1 + (draw.random() < 0.15))):
        kind, given[name] = bad(draw)
        while (name in FUNCTIONS and callable(given[name])) or (
            name in door.files and escapes(given[name], world.folder)
        ):
            kind, given[name] = bad(draw)
        if isinstance(given[name], str):
            given[name] = given[name][: door.most]
    return kind, given


def escapes(value: Any, folder: Path) -> bool:
    """Whether a file of this name would be made elsewhere."""
    name = (
        str(value)[:4_000].replace("\0", "").encode(errors="replace").decode()
        if isinstance(value, str | PurePath)
        else "x"
    )
    return not os.path.realpath(os.path.join(folder, os.path.expanduser(name))).startswith(f"{folder}{os.sep}")
