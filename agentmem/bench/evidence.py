"""Does recalled text hold the labelled evidence? Measured by words alone, no model as judge; and two floors to beat.

A step counts as recalled when at least 80 % of its word 3-grams stand in the text: what a summary merely points at does
not count. The floors pack whole steps into the same budget: the newest ones, and the best by BM25.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

_WORD = re.compile(r"[^\W_]+")


class Turn(NamedTuple):
    """A step to be logged: what a user said in a conversation (an episode) on a topic (its goal)."""

    id: str
    episode: str
    goal: str
    text: str


class Question(NamedTuple):
    """Asked after the whole history. `evidence` is the id of the turn that answers it."""

    id: str
    text: str
    answers: list[str]
    evidence: str


class History(NamedTuple):
    person: str
    turns: list[Turn]
    questions: list[Question]


def words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def grams(said: Sequence[str]) -> set[tuple[str, ...]]:
    """Word 3-grams; single words where there are fewer than three."""
    return {tuple(said[i : i + 3]) for i in range(len(said) - 2)} or {(word,) for word in said}


def holds(text: str, step: str) -> bool:
    """Whether at least 80 % of the step's word 3-grams stand in the text."""
    wanted, there = grams(words(step)), grams(words(text))
    return len(wanted & there) >= 0.8 * len(wanted)


class Newest:
    """The floor every agent has: the newest steps that fit."""

    def __init__(self, turns: Sequence[Turn], count: Callable[[str], int]) -> None:
        self.lines = [f"user: {turn.text}" for turn in turns]
        self.costs = [count(line) + 1 for line in self.lines]

    def recall(self, cue: str, budget: int) -> str:
        """Lines in log order, at most `budget` tokens with their line breaks."""
        return self._pack(range(len(self.lines) - 1, -1, -1), budget)

    def _pack(self, order: Iterable[int], budget: int) -> str:
        """Whole lines, in this order of preference, while they fit."""
        chosen: list[int] = []
        for row in order:
            if self.costs[row] <= budget:
                chosen.append(row)
                budget -= self.costs[row]
        return "\n".join(self.lines[row] for row in sorted(chosen))


class BM25(Newest):
    """Okapi BM25 (Robertson et al. 1994), k1 = 1.2, b = 0.75, over whole steps."""

    def __init__(self, turns: Sequence[Turn], count: Callable[[str], int]) -> None:
        super().__init__(turns, count)
        self.bags = [Counter(words(line)) for line in self.lines]
        self.seen = Counter(word for bag in self.bags for word in bag)
        self.mean = sum(bag.total() for bag in self.bags) / max(1, len(self.bags))

    def recall(self, cue: str, budget: int) -> str:
        scores = [self._score(set(words(cue)), bag) for bag in self.bags]
        order = sorted((i for i, score in enumerate(scores) if score), key=lambda i: (-scores[i], i))
        return self._pack(order, budget)

    def _score(self, cue: set[str], bag: Counter[str]) -> float:
        length = 1.2 * (0.25 + 0.75 * bag.total() / self.mean)
        return sum(self._rarity(word) * bag[word] * 2.2 / (bag[word] + length) for word in cue if word in bag)

    def _rarity(self, word: str) -> float:
        n = len(self.bags)
        return math.log(1 + (n - self.seen[word] + 0.5) / (self.seen[word] + 0.5))
