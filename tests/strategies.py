"""Logs for property tests: episodes that interleave, and what is said in them.

A log is drawn as a few blocks that each expand to several steps, so that examples stay small to draw and to shrink
while enough is logged for crystals of every layer to form.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate
from math import exp
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from agentmem import Crystal, Layer, Memory
from agentmem.memory import EpisodeWriter
from agentmem.salience.pieces import surprisals
from agentmem.testing import FakeClock

USUAL, MANY = 40, 400
"""Examples of a law that names no number: usually, and with `--hypothesis-profile many`."""
START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("observation", "action", "message")
ACTORS = (None, "user", "Ann", "assistant", "shell")
EPISODES = ("alpha", "beta", "the red door", "délta")
TEMPLATES = (
    "The score is {n} and the red door is now {state}; Bo waits with {n} apples in the kitchen.",
    "I live in {city} now, my favorite color is {color}, and order {n} arrives on Friday.",
    '{{"order": {n}, "status": "{state}", "city": "{city}", "total": {n}.50, "items": ["tea", "rice"]}}',
    "open the {color} box with key {n} and carry the lamp to {city}",
    "temperature: {n}\nstatus: {state}\nlocation: {city} harbour\nThe tide turns at {n} past four.",
    "Traceback: File /srv/app/{color}.py, line {n}: ValueError: {city} is not in the table of ports; exit code {n}",
    "We met {city}'s captain. She said that the {color} ship sails at {n}; nobody believed her, but it did sail.",
)
STATES = ("open", "locked", "broken", "sold")
CITIES = ("Oslo", "Lima", "Kyoto", "Accra", "Lyon")
COLORS = ("green", "blue", "amber")
ODD = (
    "",
    " ",
    "\n",
    "a\n\n\nb",
    "\x00",
    "🎉",
    "…",
    " … ",
    "鍵は台所にあります。ドアは開いている。",
    "x" * 700,
    "word " * 900,
)
CUES = (
    "Is the red door open, and what is the score?",
    "color favorite Ann lives",
    "order 3 status",
    "exit code ValueError table of ports",
    "captain ship Kyoto sails",
    "鍵は台所",
    "nothing like xyzzyplugh was ever said",
    "",
)


@dataclass(frozen=True)
class Said:
    """One step to be logged, or with `text` None the end of its episode."""

    episode: str
    text: str | None
    kind: str = "observation"
    actor: str | None = None
    at: datetime | None = None
    trust: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What `log` takes."""
        return {"text": self.text, "kind": self.kind, "actor": self.actor, "at": self.at, "trust": self.trust}


@dataclass(frozen=True)
class Block:
    """`repeat` steps of an episode that say alike things. pause: hours from one to the next, None without a time."""

    episode: str
    template: str
    first: int
    repeat: int
    kind: str
    actor: str | None
    pause: int | None
    trust: str | None = None
    ends: bool = False

    def said(self, hour: int) -> list[Said]:
        steps = [
            Said(self.episode, self._text(self.first + n), self.kind, self.actor, self._time(hour, n), self.trust)
            for n in range(self.repeat)
        ]
        return [*steps, Said(self.episode, None)] if self.ends else steps

    def _text(self, n: int) -> str:
        if self.template not in TEMPLATES:
            return self.template
        state, city, color = STATES[n % len(STATES)], CITIES[n // 2 % len(CITIES)], COLORS[n // 3 % len(COLORS)]
        return self.template.format(n=n, state=state, city=city, color=color)

    def _time(self, hour: int, n: int) -> datetime | None:
        return None if self.pause is None else START + timedelta(hours=hour + n * self.pause)


class Log(tuple[Said, ...]):
    """What is logged, in order; shown as the blocks it was drawn as."""

    drawn: Sequence[Block]

    def __repr__(self) -> str:
        return f"expand({list(self.drawn)})"


SECRET = "The vault opens with seven four one nine, said Ann."


def texts() -> st.SearchStrategy[str]:
    """Any text that can be logged, empty and long ones among them."""
    return st.sampled_from(ODD) | st.text(max_size=120)


def blocks(longest: int = 12) -> st.SearchStrategy[Block]:
    """Mostly realistic sentences, hours apart so that they form units of their own, and now and then anything."""
    sentences = st.sampled_from(TEMPLATES)
    return st.builds(
        Block,
        episode=st.sampled_from(EPISODES),
        template=sentences | sentences | texts(),
        first=st.integers(0, 40),
        repeat=st.integers(1, longest),
        kind=st.sampled_from(KINDS),
        actor=st.sampled_from(ACTORS),
        pause=st.sampled_from((2, 3, 0, None)),
        trust=st.sampled_from((None, None, None, "user", "web")),
        ends=st.booleans(),
    )


def logs(least: int = 1, most: int = 14) -> st.SearchStrategy[Log]:
    """What is logged, in order; in blocks twice as long with the profile `many`."""
    longest = 6 if settings().max_examples <= USUAL else 12
    return st.lists(blocks(longest), min_size=least, max_size=most).map(expand)


def expand(drawn: Sequence[Block]) -> Log:
    """Blocks as steps, one after the other; the clock of the source moves on ten hours with each."""
    log = Log(said for number, block in enumerate(drawn) for said in block.said(10 * number))
    log.drawn = drawn
    return log


def long_log(blocks_: int = 24, repeat: int = 12) -> Log:
    """One fixed log from which units, clusters and atoms form, and atoms retire."""
    return expand(
        [
            Block(EPISODES[n % 3], TEMPLATES[n % len(TEMPLATES)], n, repeat, KINDS[n % 3], ACTORS[n % 5], 2)
            for n in range(blocks_)
        ]
    )


FACTS = (
    "By the way, I live in {city} now.",
    "My favorite color is {color}, as you know.",
    "I work as a {job} these days.",
    "My sister's name is {name}.",
    "The invoice number is {n}.",
)
JOBS = ("baker", "pilot", "nurse", "mason", "clerk")
NAMES = ("Mira", "Oda", "Ravi", "Tove", "Ines")


def chat(messages: int, seed: int = 0, episode: str = "chat") -> Iterator[dict[str, Any]]:
    """What `log` takes: a user and an assistant who talk in words as frequent as in English, and now and then a fact.

    A message is 45 tokens on average, and compresses about as well as real conversation does.
    """
    words, rng = _vocabulary(), random.Random(f"{seed} {episode}")
    for number in range(messages):
        said = [_sentence(rng, words) for _ in range(rng.randrange(2, 5))]
        if number % 12 == 4:
            n = number // 12
            fact = FACTS[n % len(FACTS)]
            picked = [choices[rng.randrange(5)] for choices in (CITIES, JOBS, NAMES)]
            values = dict(zip(("city", "job", "name"), picked, strict=True))
            said.insert(1, fact.format(n=10_000 + number, color=COLORS[rng.randrange(3)], **values))
        yield {"text": " ".join(said), "kind": "message", "actor": ("user", "assistant")[number % 2]}


def _sentence(rng: random.Random, words: tuple[list[str], list[float]]) -> str:
    picked = rng.choices(words[0], cum_weights=words[1], k=rng.randrange(7, 15))
    return " ".join(picked).capitalize() + rng.choice("...?!")


@cache
def _vocabulary() -> tuple[list[str], list[float]]:
    table = surprisals()
    return list(table), list(accumulate(exp(-nats) for nats in table.values()))


def opened(path: Path | str = ":memory:", **settings: Any) -> Memory:
    """A memory for tests: lexical, fast, and with a clock of its own."""
    return Memory.open(path, **{"encoder": None, "durability": "process", "clock": FakeClock()} | settings)


class Player:
    """Writes what is said into a memory, in order; can be handed another memory of the same file on the way."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._writers: dict[str, EpisodeWriter] = {}

    def play(self, said: Sequence[Said]) -> None:
        """Log these, steps of one episode that follow one another in one go."""
        run: list[Said] = []
        for one in said:
            if run and (one.episode != run[-1].episode or one.text is None):
                self._log(run)
                run = []
            if one.text is None:
                self._writer(one.episode).end()
                del self._writers[one.episode]
            else:
                run.append(one)
        self._log(run)

    def reopened(self, memory: Memory) -> None:
        self.memory, self._writers = memory, {}

    def _writer(self, episode: str) -> EpisodeWriter:
        if episode not in self._writers:
            self._writers[episode] = self.memory.episode(
                id=episode, goal=f"goal of {episode}", agent=f"agent {episode[0]}"
            )
        return self._writers[episode]

    def _log(self, run: Sequence[Said]) -> None:
        if run:
            self._writer(run[0].episode).log_many([one.fields for one in run])


def played(said: Sequence[Said], path: Path | str = ":memory:", **settings: Any) -> Memory:
    """A new memory in which this was logged; not crystallized."""
    memory = opened(path, **settings)
    Player(memory).play(said)
    return memory


def all_crystals(memory: Memory) -> list[Crystal]:
    """Every crystal there ever was, retired ones with the position that retired them."""
    with memory._core.lock:
        index = memory._core.index(memory.namespace)
        return [crystal.model_copy(update={"retired": index.retired.get(crystal.id)}) for crystal in index.crystals]


def said(memory: Memory, cue: str = "red door", **options: Any) -> list[str]:
    return [hit.text for hit in memory.recall(cue, **options).hits]


def talked(messages: int = 500, seed: int = 0, **settings: Any) -> Memory:
    """A memory of one long conversation, not crystallized."""
    memory = opened(**settings)
    with_end = memory.episode(id="chat")
    with_end.log_many(chat(messages, seed))
    with_end.end()
    return memory


def of_layer(memory: Memory, layer: Layer) -> list[Crystal]:
    return [crystal for crystal in all_crystals(memory) if crystal.layer is layer]
