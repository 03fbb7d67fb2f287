"""Many processes log into one memory while others crystallize it."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from pathlib import Path

from strategies import all_crystals, opened

from agentmem.errors import KeyConflictError
from agentmem.testing import HashEncoder
from torture.children import Child, Say, finished
from torture.memory_kills import check, check_crystals, message

WRITERS, CRYSTALLIZERS, COMMITS = 8, 2, 125  # of each writer


def write(file: Path, durability: str, first: int, commits: int, say: Say) -> None:
    with opened(file, durability=durability, encoder=HashEncoder(16)) as memory:
        episode = memory.episode(id=f"run {first}")
        for number in range(first, first + commits):
            episode.log(**message(number))
            say(f"{number} {episode.id}")


def crystallize(file: Path, seed: int, stop: Path, say: Say) -> None:
    """As often as it can, until there is a file `stop`."""
    rng = random.Random(seed)
    with opened(file, encoder=HashEncoder(16)) as memory:
        while not stop.exists():
            memory.crystallize()
            made = {crystal.id for crystal in all_crystals(memory)}
            memory.recall(rng.choice(("Where do I live?", "favorite color")), 200)
            say(str(len(made)))


def part(seed: int, folder: Path) -> Counter[str]:
    """`commits`; every one must be there once, in its episode's order, and the crystals those of one run."""
    file, stop = folder / "agent.mem", folder / "stop"
    durability = "power" if seed % 4 == 0 else "process"
    opened(file, encoder=HashEncoder(16)).close()
    beside = [Child(partial(crystallize, file, seed + n, stop)) for n in range(CRYSTALLIZERS)]
    firsts = [1_000_000 * seed + 1_000 * n for n in range(WRITERS)]
    told = finished([partial(write, file, durability, first, COMMITS) for first in firsts])
    stop.touch()
    runs = sum(len(child.lines()) for child in beside)
    assert [child.code for child in beside] == [0] * CRYSTALLIZERS, "a crystallizer failed"
    numbers = {int(number): episode for lines in told for number, episode in (line.split(" ", 1) for line in lines)}
    with opened(file, encoder=HashEncoder(16)) as memory:
        check(memory, numbers)
        for first in firsts:
            mine = [step.key for step in memory.steps(f"run {first}")]
            assert mine == [f"k{n}" for n in range(first, first + COMMITS)], f"the order of run {first}"
        check_crystals(memory)
    return Counter({"commits": len(numbers), durability: len(numbers), "crystallizings": runs})


# ---- the same steps by several

RETRIERS, KEYS = 4, 25


def retry(file: Path, seed: int, who: int, say: Say) -> None:
    """Log what the others log too, in an order of one's own, and now and then something else under the same key."""
    rng = random.Random(f"{seed} {who}")
    with opened(file) as memory:
        episode = memory.episode(id="run")
        for number in rng.sample(range(KEYS), KEYS):
            say(f"{number} {episode.log(**message(number)).id}")
            if rng.random() < 0.2:
                other(episode.log, message(number) | {"text": "something else"})


def other(log: object, fields: dict[str, object]) -> None:
    try:
        log(**fields)  # type: ignore[operator]
    except KeyConflictError:
        return
    raise AssertionError(f"key {fields['key']} was taken twice, with other content")


def retries(seed: int, folder: Path) -> Counter[str]:
    file = folder / "agent.mem"
    opened(file).close()
    told = finished([partial(retry, file, seed, who) for who in range(RETRIERS)])
    ids = {tuple(line.split()) for lines in told for line in lines}
    assert len(ids) == KEYS, f"{KEYS} keys got {len(ids)} ids"
    with opened(file) as memory:
        steps = list(memory.steps())
        assert len(steps) == KEYS, f"{KEYS} keys are {len(steps)} steps"
        assert {(step.key[1:], step.id) for step in steps if step.key} == ids
        assert memory.verify().ok
    return Counter(retries=(RETRIERS - 1) * KEYS, calls=RETRIERS * KEYS)
