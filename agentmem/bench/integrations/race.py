"""The turns of one run: every history is given to every peer at once, and then asked all its questions.

Texts go in order, by turns of `TURN`: one turn a text at a time, the next in one call. Who begins a turn moves on by
one each time. What is timed is the peer's own call alone. Knows processes and times; nothing of scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from agentmem.bench.integrations.answers import items_of, system_of
from agentmem.bench.peers.entries import ENTRIES
from agentmem.bench.peers.peer import Answer, Item
from agentmem.bench.peers.racer import Racer
from agentmem.bench.processes import percentiles
from agentmem.bench.recall.histories import History
from agentmem.bench.recall.system import Built
from agentmem.types import CountTokens

TURN = 25
"""Texts, or questions, of a turn."""
MOST = 100
"""Items a search asks for: more than fit the budget."""
Progress = Callable[[int], None]


@dataclass
class Took:
    """What a peer took so far: milliseconds, bytes, texts."""

    racer: Racer
    one: list[float] = field(default_factory=list)
    several: list[float] = field(default_factory=list)
    settle: list[float] = field(default_factory=list)
    search: list[float] = field(default_factory=list)
    texts: int = 0
    bytes: int = 0

    def add(self, turn: int, items: Sequence[Item]) -> None:
        if turn % 2:
            self.several += [took / len(items) for took in self.racer.order(add_many=items)]
        else:
            self.one += self.racer.order(add=items)

    def figures(self) -> dict[str, Any]:
        """JSON: microseconds of a text, milliseconds of a search, bytes of a text."""
        entry = ENTRIES[self.racer.name]
        told: dict[str, Any] = {"append_us": _spread(self.one, 1e3), "batch_us": _spread(self.several, 1e3)}
        told["settle_us"] = 1e3 * sum(self.settle) / self.texts if self.texts else None
        told["search_ms"] = _spread(self.search, 1.0) if entry.cued else None
        told["bytes"] = self.bytes / self.texts if entry.durable and self.texts else None
        grew = max(0, self.racer.resident) if entry.cued and not entry.durable else 0
        told["resident"] = grew / self.texts if grew and self.texts else None
        return told


def _spread(milliseconds: Sequence[float], scale: float) -> dict[str, float] | None:
    return percentiles([one * scale for one in milliseconds], 95) if milliseconds else None


class Race:
    """All peers that run. `build` is a `bench.recall.system.Build`; `progress` is told of each text and question."""

    def __init__(self, racers: Mapping[str, Racer], questions: int, progress: Progress) -> None:
        self.took = {name: Took(racer) for name, racer in racers.items()}
        self.questions, self.progress = questions, progress
        self._turns = count()

    def build(self, history: History, folder: Path, count: CountTokens) -> Built:
        """Give and ask everything; what comes back is scored afterwards."""
        for took in self.running():
            took.racer.order(open=True)
        self._give(items_of(history))
        cues = list(dict.fromkeys(question.text for question in history.asked(self.questions)))
        answers = self._ask(cues)
        scored = [name for name in answers if ENTRIES[name].scored and len(answers[name]) == len(cues)]
        systems = [system_of(name, history, count, answers[name]) for name in scored]
        return Built(systems, {}, lambda: self._close(len(history.steps), scored))

    def running(self) -> Iterator[Took]:
        """Those that run, another one first each time."""
        every = [took for took in self.took.values() if took.racer.running]
        first = next(self._turns) % max(1, len(every))
        yield from every[first:] + every[:first]

    def _give(self, items: Sequence[Item]) -> None:
        for turn, some in enumerate(batched_by(items, TURN)):
            for took in self.running():
                took.add(turn, some)
            self.progress(len(some))
        for took in self.running():
            took.settle += took.racer.order(do=["settle"])

    def _ask(self, cues: Sequence[str]) -> dict[str, dict[str, Answer]]:
        """Peer -> cue -> answer. The first cue is asked once before, which is not timed."""
        answers: dict[str, dict[str, Answer]] = {name: {} for name in self.took}
        for took in self.running():
            took.racer.order(search=cues[:1], most=MOST)
        for some in batched_by(cues, TURN):
            for took in self.running():
                told = took.racer.told(search=some, most=MOST)
                took.search += told.get("wall_ms", [])
                answers[took.racer.name] |= dict(zip(some, told.get("answers", []), strict=False))
            self.progress(len(some))
        return answers

    def _close(self, texts: int, scored: Sequence[str]) -> dict[str, dict[str, int]]:
        """Bytes of those that were scored, once closed."""
        for took in self.running():
            took.racer.order(do=["close"])
            took.texts += texts
            took.bytes += took.racer.bytes
        return {name: {"files": self.took[name].racer.bytes} for name in scored}


def batched_by(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))
