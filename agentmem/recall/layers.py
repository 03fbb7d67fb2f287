"""How well each crystal of chosen layers matches a cue.

A crystal is ranked by the best of the steps it condenses, by all their words, and by its own; only its own are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from agentmem.index import View
from agentmem.recall.signals import Groups, Match, bm25, grouped, zscore
from agentmem.recall.stated import PLACE, concerns, holding
from agentmem.types import Crystal, Layer
from agentmem.words import stems, words

OWN = {"lexical": 0.5, "dense": 0.0, "length": 0.3}  # what a crystal's signals count for beside its best step's
REACH = 4.0  # how far behind the best a crystal may score and still be recalled


def steps_of(view: View, numbers: Sequence[int]) -> Groups:
    """Which steps of the view each crystal that exists condenses: (index into numbers, step row), in order."""
    crystals = [view.crystals[number] for number in numbers]
    cited, positions = _pairs([_cited(crystal) for crystal in crystals])
    known = {view.crystals[number].id: number for number in np.flatnonzero(view.live).tolist()}
    covering, units = _pairs([[known[unit] for unit in _units(crystal) if unit in known] for crystal in crystals])
    rows, inside = view.rows(positions)
    covering, covered = _covered(view, covering, units)
    owner, row = np.concatenate([cited[inside], covering]), np.concatenate([rows[inside], covered])
    order = np.lexsort((row, owner))
    return owner[order], row[order]


def _cited(crystal: Crystal) -> list[int]:
    """The log positions an atom points to."""
    return list({span.position for span in crystal.spans}) if crystal.layer is Layer.ATOM else []


def _units(crystal: Crystal) -> Sequence[str]:
    """The ids of the units whose steps a unit or cluster condenses."""
    if crystal.layer is Layer.UNIT:
        return (crystal.id,)
    return crystal.sources if crystal.layer is Layer.CLUSTER else ()


def _pairs(groups: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """(number of the group, member) of every member."""
    owner = np.repeat(np.arange(len(groups)), list(map(len, groups)))
    return owner, np.array(list(chain.from_iterable(groups)), np.int64)


def _covered(view: View, owner: np.ndarray, unit: np.ndarray) -> Groups:
    """Each pair of an owner and a unit as pairs of the owner and the rows that the unit covers."""
    order = np.argsort(view.unit, kind="stable")
    first, last = (np.searchsorted(view.unit[order], unit, side) for side in ("left", "right"))
    size = last - first
    inside = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    return np.repeat(owner, size), order[np.repeat(first, size) + inside]


def crystal_signals(
    view: View,
    numbers: Sequence[int],
    match: Match,
    similarity: np.ndarray | None,
    groups: Groups | None = None,
) -> dict[str, np.ndarray]:
    """Unweighted signals of the crystals with these numbers, named as those of steps. groups: their steps, if known."""
    groups = steps_of(view, numbers) if groups is None else groups
    size = len(numbers)
    lengths = np.bincount(groups[0], weights=view.length[groups[1]], minlength=size)
    around = bm25(grouped(match, groups, len(view.position), size), lengths)
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


def with_steps(
    signals: Mapping[str, np.ndarray], steps: Mapping[str, np.ndarray], best: np.ndarray
) -> dict[str, np.ndarray]:
    """The signals of crystals and of the best step of each: a crystal stands for the step that is asked for."""
    found = {name: values[best] for name, values in steps.items()}
    return {**found, **{name: found[name] + OWN[name] * values for name, values in signals.items()}}


def place_signal(cue: str, view: View) -> np.ndarray:
    """Per step, 1 where a place that the cue names was come to, or left."""
    signal = np.zeros(len(view.position))
    if not concerns(cue) or not len((stated := view.stated()).row):
        return signal
    said = f" {' '.join(words(cue))} "
    place = np.flatnonzero(stated.form[stated.key] == PLACE)
    known = np.unique(stated.value[place])
    named = known[[f" {' '.join(words(stated.text(value)))} " in said for value in known.tolist()]]
    signal[stated.row[place[np.isin(stated.value[place], named)]]] = 1.0
    at = holding(view, stated, place)
    here = np.where(at >= 0, stated.value[at], -1)
    then = np.where(view.next >= 0, here[view.next], -1)
    signal[np.isin(here, named) & (then != here)] = 1.0
    return signal


def best_steps(groups: Groups, size: int, score: np.ndarray) -> np.ndarray:
    """The row of the step of each crystal that scores highest; of equals the first."""
    owner, row = groups
    order = np.lexsort((row, -score[row], owner))
    best = np.zeros(size, np.int64)
    best[owner[order][::-1]] = row[order][::-1]
    return best


def near(score: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Of crystals in order, best first, those close to the best: the others have little to do with the cue.

    A budget is a limit. Crystals are so short that it would hold those of a small log all, whatever was asked.
    """
    return np.asarray(order[score[order] >= score[order].max(initial=-np.inf) - REACH])


def _own(view: View, numbers: Sequence[int], match: Match) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    bags = [_bag(view, view.crystals[number]) for number in numbers]
    counts = []
    for term in match.terms:
        frequency = np.array([bag.get(term, 0) for bag in bags], float)
        rows = np.flatnonzero(frequency)
        if len(rows):
            counts.append((rows, frequency[rows]))
    return counts, np.array([bag.total() for bag in bags], float)


def _bag(view: View, crystal: Crystal) -> Counter[str]:
    """A crystal's own stems, counted once for as long as the index lives."""
    bags = view.bags[crystal.namespace]
    if crystal.id not in bags:
        bags[crystal.id] = Counter(stems(f"{crystal.key or ''} {crystal.text}"))
    return bags[crystal.id]
