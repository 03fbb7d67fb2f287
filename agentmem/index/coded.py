"""The codes of units laid out for a scan, with the steps they stand for. Knows no crystals but by their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentmem.codes import BYTES
from agentmem.index.grown import Grown, GrownList
from agentmem.types import Codes


@dataclass(frozen=True, slots=True)
class Dense:
    """All codes of a namespace: rows uint8 [k, 96]; owner, position int64 [m]: code row and log position of each pair
    of a code and a step it stands for; born int64 [k]: log position from which the code's crystal exists.
    """

    rows: np.ndarray
    born: np.ndarray
    owner: np.ndarray
    position: np.ndarray


class Coded:
    """Grows as codes come; a code replaces an older one of the same unit."""

    def __init__(self) -> None:
        self._codes = Grown(3)  # per code: the unit's number, first and last log position
        self._rows = GrownList((BYTES,), np.uint8)
        self._early: list[Codes] = []  # of units that are not known yet
        self.units: set[int] = set()
        self._dense: Dense | None = None

    def add(self, codes: Sequence[Codes], numbers: Mapping[str, int]) -> None:
        """Take in codes; numbers: of crystals by their ids."""
        known = [(numbers[one.crystal], one) for one in (*self._early, *codes) if one.crystal in numbers]
        self._early = [one for one in (*self._early, *codes) if one.crystal not in numbers]
        if not known:
            return
        self._drop(self.units.intersection(number for number, _ in known))
        owner = np.repeat([number for number, _ in known], [len(one.rows) for _, one in known])
        first, last = (np.concatenate([getattr(one, side) for _, one in known]) for side in ("first", "last"))
        self._codes.extend([owner, first, last])
        self._rows.extend(np.concatenate([one.rows for _, one in known]))
        self.units.update(number for number, _ in known)
        self._dense = None

    def _drop(self, replaced: set[int]) -> None:
        if replaced:
            kept = ~np.isin(self._codes.rows[0], list(replaced))
            self._choose(np.flatnonzero(kept))

    def _choose(self, at: np.ndarray) -> None:
        codes, rows = self._codes.rows[:, at], self._rows.items[at]
        self._codes, self._rows = Grown(3), GrownList((BYTES,), np.uint8)
        self._codes.extend(list(codes))
        self._rows.extend(rows)

    def dense(self, born: np.ndarray, steps: np.ndarray) -> Dense:
        """born: of every crystal; steps: (unit, log position) of each step of a unit.

        A code may also stand for the units without one that were sealed before.
        """
        if self._dense is None:
            self._dense = self._lay(born, steps)
        return self._dense

    def _lay(self, born: np.ndarray, steps: np.ndarray) -> Dense:
        unit = self._codes.rows[0]
        if (unit[1:] < unit[:-1]).any():
            self._choose(np.argsort(unit, kind="stable"))
        unit, first, last = self._codes.rows
        coded = np.unique(unit)
        owner, position = _pairs(unit, first, last, *_grouped(coded, steps))
        return Dense(self._rows.items, born[unit], owner, position)


def _grouped(coded: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the coded unit that each step is under, its log position), by both; steps after the last one left out."""
    at = np.searchsorted(coded, steps[0])
    inside = at < len(coded)
    group, position = coded[at[inside]], steps[1][inside]
    order = np.lexsort((position, group))
    return group[order], position[order]


def _pairs(
    unit: np.ndarray, first: np.ndarray, last: np.ndarray, group: np.ndarray, position: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(code, log position) of each step under a code's unit that lies between its first and last position."""
    size = int(max(last.max(initial=0), position.max(initial=0))) + 1
    key = group * size + position
    start = np.searchsorted(key, unit * size + first)
    count = np.maximum(np.searchsorted(key, unit * size + last, "right") - start, 0)
    ahead = np.cumsum(count) - count
    at = np.arange(count.sum()) + np.repeat(start - ahead, count)
    return np.repeat(np.arange(len(unit)), count), position[at]
