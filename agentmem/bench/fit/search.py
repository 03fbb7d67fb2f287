"""The search for weights: one signal after the other, times a few factors, round after round.

Aims at the mean over files of the mean of evidence, all and exact. That is a weighted sum over questions, so that what
a change gains has a spread of its own; a gain that is small or within its spread moves nothing. Knows weights and
questions that score them; nothing of memories.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from agentmem.bench.fit.ready import Place, Scores
from agentmem.bench.recall.memories import SIGNALS
from agentmem.recall import Weights

METRICS = ("evidence", "all", "exact")
FACTORS = (0.8, 1.25, 0.5, 2.0, 0.0)
"""What a weight is multiplied by; of equal gains the first is taken. One that is off begins where it once did."""
LEAST = 5
"""Questions that a file must have of a metric for it to count there."""
GAIN = 0.003
SURE = 1.5
"""A change is made that gains more than GAIN, and SURE times the standard error of what it gains."""


class Scored(Protocol):
    """A question that any weights can be scored by."""

    @property
    def place(self) -> Place: ...

    @property
    def floor(self) -> Scores: ...

    def scores(self, weights: Weights) -> Scores: ...


class Aim:
    """Some questions, and what each score of each adds to the mean over their files."""

    def __init__(self, questions: Sequence[Scored]) -> None:
        self.questions = questions
        counts = Counter((one.place.file, metric) for one in questions for metric in one.floor)
        self.counts = {key: n for key, n in counts.items() if n >= LEAST}
        self.files = sorted({file for file, _ in self.counts})
        metrics = Counter(file for file, _ in self.counts)
        self._share = {key: 1 / (n * metrics[key[0]] * len(self.files)) for key, n in self.counts.items()}

    def parts(self, weights: Weights | None) -> np.ndarray:
        """What each question adds to the mean, [questions]; None: BM25's."""
        return np.array([self._part(one, self.scores(one, weights)) for one in self.questions])

    def scores(self, question: Scored, weights: Weights | None) -> Scores:
        return question.floor if weights is None else question.scores(weights)

    def _part(self, question: Scored, scores: Scores) -> float:
        file = question.place.file
        return sum(value * self._share.get((file, metric), 0.0) for metric, value in scores.items())

    def means(self, weights: Weights | None) -> dict[str, dict[str, float]]:
        """file -> metric -> its mean; only what counts."""
        sums: dict[tuple[str, str], float] = defaultdict(float)
        for one in self.questions:
            for metric, value in self.scores(one, weights).items():
                sums[one.place.file, metric] += value
        return {
            file: {metric: sums[file, metric] / n for metric in METRICS if (n := self.counts.get((file, metric)))}
            for file in self.files
        }


class Gain(NamedTuple):
    """How much more one choice of weights reaches than another, and the standard error of that."""

    mean: float
    error: float

    @classmethod
    def of(cls, now: np.ndarray, before: np.ndarray) -> Gain:
        apart = now - before
        return cls(float(apart.sum()), float(np.sqrt((apart * apart).sum())))

    @property
    def sure(self) -> bool:
        return self.mean > GAIN and self.mean > SURE * self.error


class State(NamedTuple):
    """A search that has tried `tried` signals; moves: those of the round under way, and `over`: nothing is left."""

    weights: Weights
    tried: int = 0
    moved: bool = False
    over: bool = False


def search(aim: Aim, start: Weights, rounds: int, state: State | None = None) -> Iterator[State]:
    """After each signal what is known; ends when no signal moved in a whole round, or after so many."""
    state = state or State(start)
    parts = aim.parts(state.weights)
    while not state.over:
        weights, best = state.weights, parts
        for tried in choices(state.weights, start, SIGNALS[state.tried % len(SIGNALS)]):
            found = aim.parts(tried)
            if Gain.of(found, parts).sure and found.sum() > best.sum() + 1e-9:
                weights, best = tried, found
        moved = state.moved or weights != state.weights
        ended = (state.tried + 1) % len(SIGNALS) == 0
        over = ended and (not moved or state.tried + 1 == rounds * len(SIGNALS))
        state, parts = State(weights, state.tried + 1, moved and not ended, over), best
        yield state


def choices(weights: Weights, start: Weights, signal: str) -> list[Weights]:
    """Weights with another one for a signal."""
    now: float = getattr(weights, signal)
    base: float = now or getattr(start, signal)
    values = dict.fromkeys(float(f"{base * factor:.3g}") for factor in (FACTORS if now else (1.0, *FACTORS)))
    return [replace(weights, **{signal: value}) for value in values if value != now]
