"""How well each crystal of chosen layers matches a cue.

A crystal is ranked by all words of the steps it condenses, and by its own, while only its own are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from agentmem.index import View, step_position
from agentmem.recall.signals import Match, bm25, zscore
from agentmem.types import Crystal, Layer
from agentmem.words import stems

Groups = tuple[np.ndarray, np.ndarray]  # (crystal number, step row) pairs


def steps_of(view: View, numbers: Sequence[int]) -> Groups:
    """Which steps of the view each crystal condenses: (index into numbers, step row), two int64 arrays."""
    known = {view.crystals[number].id: number for number in np.flatnonzero(view.live).tolist()}
    owner, positions = [], []
    for place, number in enumerate(numbers):
        for position in _positions(view, view.crystals[number], known):
            owner.append(place)
            positions.append(position)
    rows, inside = view.rows(np.array(positions, np.int64))
    return np.array(owner, np.int64)[inside], rows[inside]


def _positions(view: View, crystal: Crystal, known: dict[str, int]) -> list[int]:
    if crystal.layer is Layer.UNIT:
        return [step_position(source) for source in crystal.sources]
    if crystal.layer is Layer.ATOM:
        return sorted({span.position for span in crystal.spans})
    below = (known.get(source) for source in crystal.sources)
    return [step_position(step) for number in below if number is not None for step in view.crystals[number].sources]


def crystal_signals(
    view: View, numbers: Sequence[int], match: Match, similarity: np.ndarray | None, groups: Groups | None = None
) -> dict[str, np.ndarray]:
    """Unweighted signals of the crystals with these numbers, named as those of steps. groups: their steps, if known."""
    groups = steps_of(view, numbers) if groups is None else groups
    size = len(numbers)
    lengths = np.bincount(groups[0], weights=view.length[groups[1]], minlength=size)
    around = bm25(_grouped(match, groups, len(view.position), size), lengths)
    own = bm25(*_own(view, numbers, match))
    dense = np.zeros(size)
    if similarity is not None:
        np.maximum.at(dense, groups[0], similarity[groups[1]])
        dense = zscore(dense)
    tokens = np.array([view.crystals[number].tokens for number in numbers], float)
    return {
        "lexical": zscore(around) + zscore(own),
        "dense": dense,
        "length": -np.log(tokens + 6.0),
    }


def _grouped(match: Match, groups: Groups, steps: int, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    out = []
    for rows, _ in match.counts.values():
        here = np.zeros(steps)
        here[rows] = 1
        totals = np.bincount(groups[0], weights=here[groups[1]], minlength=size)
        found = np.flatnonzero(totals)
        if len(found):
            out.append((found, totals[found]))
    return out


def _own(view: View, numbers: Sequence[int], match: Match) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    bags = [_bag(view.crystals[number]) for number in numbers]
    counts = []
    for term in match.terms:
        frequency = np.array([bag[term] for bag in bags], float)
        rows = np.flatnonzero(frequency)
        if len(rows):
            counts.append((rows, frequency[rows]))
    return counts, np.array([bag.total() for bag in bags], float)


class _Key:
    """A crystal compared by its id alone: what a bag of words is remembered by."""

    __slots__ = ("crystal",)

    def __init__(self, crystal: Crystal) -> None:
        self.crystal = crystal

    def __hash__(self) -> int:
        return hash(self.crystal.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.crystal.id == self.crystal.id


def _bag(crystal: Crystal) -> Counter[str]:
    return _bag_of(_Key(crystal))


@lru_cache(maxsize=50_000)
def _bag_of(key: _Key) -> Counter[str]:
    crystal = key.crystal
    return Counter(stems(f"{crystal.key or ''} {crystal.text}"))
