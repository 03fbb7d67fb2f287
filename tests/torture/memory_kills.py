"""A memory that logs, crystallizes, recalls, pins and forgets at random, killed at any moment."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from strategies import all_crystals, chat, opened

from agentmem import Memory
from agentmem.errors import SettingsError
from agentmem.index import step_position
from agentmem.memory import EpisodeWriter, condensing, retention
from agentmem.terms import terms_of
from agentmem.testing import HashEncoder
from torture.children import Say, killed_after

KILLS = 5  # on one file


def message(number: int) -> dict[str, Any]:
    """The same for the same number, so that it can be logged again."""
    (drawn,) = chat(1, seed=number)
    return drawn | {"key": f"k{number}", "actor": ("user", "assistant")[number % 2], "data": {"n": number}}


def agent(file: Path, retain: Any, durability: Any, seed: int, say: Say) -> None:
    """Log, recall, crystallize, pin, forget and archive at random, telling which numbers were acknowledged."""
    rng = random.Random(seed)
    condensing.BATCH = rng.choice((7, 50, 2_000))
    retention.MOVE = dict.fromkeys(retention.MOVE, rng.choice((200, 2_000)))
    retention.HOT = 100
    with opened(file, retain=retain, durability=durability, encoder=HashEncoder(16)) as memory:
        number = int(rng.random() * 1e9)
        episode = memory.episode(id=f"run {rng.randrange(4)}")
        while True:
            episode, number = act(memory, episode, rng, number, say)


def act(memory: Memory, episode: EpisodeWriter, rng: random.Random, number: int, say: Say) -> tuple[EpisodeWriter, int]:
    choice = rng.random()
    if choice < 0.45:
        episode.log(**message(number + 1))
        say(f"{number + 1} {episode.id}")
        return episode, number + 1
    if choice < 0.6:
        size = rng.randrange(2, 30)
        episode.log_many([message(number + n) for n in range(1, size + 1)])
        say("\n".join(f"{number + n} {episode.id}" for n in range(1, size + 1)))
        return episode, number + size
    if choice < 0.8:
        memory.crystallize()
    elif choice < 0.85:
        episode.recall("Where do I live?", 100)
    elif choice < 0.93:
        episode.end()
        episode = memory.episode(id=f"run {rng.randrange(4)}")
    else:
        change = rng.choice((memory.pin, memory.forget))
        change([hit.id for hit in memory.recall("favorite color", 60).hits][:1] or [])
    return episode, number


def start_and_kill(file: Path, retain: str, durability: str, seed: int) -> dict[int, str]:
    """What a forked agent had told when it was killed at a random moment: number -> episode."""
    seconds = random.Random(seed).uniform(0.01, 0.2)
    first = seed % 4 != 0  # else it may be killed while it opens the file
    lines = [
        line.split(" ", 1) for line in killed_after(partial(agent, file, retain, durability, seed), seconds, first)
    ]
    return {int(number): episode for number, episode in lines}


def check(memory: Memory, told: dict[int, str]) -> None:
    """Everything that was told is there, once, as it was logged; a retry adds nothing; nothing is damaged."""
    there = {step.key: step for step in memory.steps()}
    for number, episode in told.items():
        step = there[f"k{number}"]
        assert (step.text, step.episode, step.data) == (message(number)["text"], episode, {"n": number})
    head = memory.head()
    for episode in set(told.values()):
        mine = [number for number, name in told.items() if name == episode][-20:]
        writer = memory.episode(id=episode)
        head = memory.head()  # an episode that had ended has begun again
        assert [step.id for step in writer.log_many(map(message, mine))] == [there[f"k{n}"].id for n in mine]
    assert memory.head() == head
    assert Counter(step.key for step in memory.steps()).most_common(1)[0][1] == 1 if there else True
    verified = memory.verify()
    assert verified.ok, verified.problems


def check_crystals(memory: Memory) -> None:
    """What the interrupted runs made is what one run over the same log makes."""
    memory.crystallize()
    made, dense = all_crystals(memory), memory._core.index(()).dense()
    cues = ("Where do I live?", "favorite color", "invoice number")
    recalled = [memory.recall(cue, 300, layers=layers).text for cue in cues for layers in (None, ["unit"], ["atom"])]
    retain = memory.stats().retain
    with opened(retain=retain, encoder=HashEncoder(16)) as whole:
        log = list(memory._core.store.scan())
        whole._core.store.append([replace(record, terms=terms_of(record)) for record in log])
        whole.crystallize()
        assert all_crystals(whole) == made
        other = whole._core.index(()).dense()
        assert other.rows.tobytes() == dense.rows.tobytes()
        assert other.position.tolist() == dense.position.tolist()
        assert [
            whole.recall(cue, 300, layers=layers).text for cue in cues for layers in (None, ["unit"], ["atom"])
        ] == recalled
    units = [source for c in made if c.layer.value == "unit" for source in c.sources]
    assert len(units) == len(set(units))
    assert set(map(step_position, units)) <= {step.position for step in memory.steps()}


def kill_often(directory: Path, retain: str, durability: str, kills: int, first: int) -> Counter[str]:
    """Kill agents on one file after another; a new file now and then, so that none grows long."""
    file, told = directory / f"{first}.mem", dict[int, str]()
    for seed in range(first, first + kills):
        told |= start_and_kill(file, retain, durability, seed)
        with opened(file, retain=retain, encoder=HashEncoder(16)) as memory:
            check(memory, told)
    with opened(file, retain=retain, encoder=HashEncoder(16)) as memory:
        check_crystals(memory)
        check(memory, told)
        check_settings(file, "keep" if retain == "crystals" else "crystals")
    return Counter(kills=kills, steps=len(told))


def check_settings(file: Path, other: str) -> None:
    try:
        opened(file, retain=other)
    except SettingsError:
        return
    raise AssertionError(f"a memory was opened with retain={other!r} that has another")


def part(seed: int, folder: Path) -> Counter[str]:
    retain, durability = ("keep", "crystals")[seed % 2], ("process", "power")[seed // 2 % 2]
    done = kill_often(folder, retain, durability, KILLS, 1_000 * (seed + 1))
    return done + Counter({durability: done["kills"]})
