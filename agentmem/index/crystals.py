"""The crystals of a namespace: arrays of what ranking needs, and the crystals themselves once somebody asks for words.

Knows no store: whoever holds it says how crystals are loaded.
"""

from __future__ import annotations

import threading
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import overload

import numpy as np

from agentmem.errors import NotFoundError
from agentmem.index.grown import Grown
from agentmem.index.ids import step_positions
from agentmem.types import Crystal, Layer, Outlines

LAYERS = tuple(Layer)
SIXTEENTHS = 16
NEVER = np.iinfo(np.int64).max
Load = Callable[[int], Sequence[tuple[int, Crystal]]]  # those with serials after one


def steps_beneath(crystal: Crystal, of: Callable[[str], Crystal]) -> set[int]:
    """Log positions of all the steps that a crystal comes from, through every layer below it. of: a crystal by its id.

    Of an atom these are more than the steps it quotes: what stood beside them had a say in what was chosen.
    """
    if crystal.layer is Layer.UNIT:
        return set(step_positions(crystal.sources).tolist())
    return set[int]().union(*(steps_beneath(of(source), of) for source in crystal.sources))


class Loaded(Sequence[Crystal]):
    """Crystals in the order published, loaded when one is first asked for: most recalls need none."""

    def __init__(self, load: Load, ids: dict[str, int]) -> None:
        self._load, self._ids, self._size, self._serial = load, ids, 0, 0
        self._made: list[Crystal] = []
        self._lock = threading.Lock()

    def grow(self, size: int) -> None:
        """There are so many by now."""
        self._size = size

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, at: int) -> Crystal: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Crystal]: ...
    def __getitem__(self, at: int | slice) -> Crystal | Sequence[Crystal]:
        return self._all()[at]

    def __iter__(self) -> Iterator[Crystal]:
        return iter(self._all())

    def _all(self) -> list[Crystal]:
        """NotFoundError where they were made again since their outlines were read: the namespace has a new version."""
        with self._lock:
            size = self._size  # it may grow meanwhile
            if len(self._made) < size:
                found = self._load(self._serial)[: size - len(self._made)]
                made = [*self._made, *(crystal for _, crystal in found)]
                if len(made) < size or any(self._ids.get(one.id) is None for one in made):
                    raise NotFoundError("crystals were discarded while they were read; ask again")
                self._made, self._serial = made, found[-1][0]
            return self._made


class Chained(Sequence[Crystal]):
    """Several sequences as one."""

    def __init__(self, parts: Sequence[Sequence[Crystal]]) -> None:
        self._parts, self._ends = parts, list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, at: int) -> Crystal: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Crystal]: ...
    def __getitem__(self, at: int | slice) -> Crystal | Sequence[Crystal]:
        if isinstance(at, slice):
            return list(self)[at]
        part = bisect(self._ends, at)
        return self._parts[part][at - (self._ends[part - 1] if part else 0)]

    def __iter__(self) -> Iterator[Crystal]:
        return (crystal for part in self._parts for crystal in part)


class Sealed:
    """What is known of the crystals of a namespace without their words."""

    def __init__(self, load: Load) -> None:
        self.columns = Grown(5)  # per crystal: born, retired, layer, tokens, salience in sixteenths
        self.steps = Grown(2)  # per step of a unit: the unit's number, log position
        self.held = Grown(2)  # per span: the crystal's number, log position
        self.by_id: dict[str, int] = {}
        self.retired: dict[str, int] = {}
        self.crystals = Loaded(load, self.by_id)

    @property
    def units(self) -> np.ndarray:
        """Numbers of the units."""
        return np.flatnonzero(self.columns.rows[2] == LAYERS.index(Layer.UNIT))

    @property
    def live_atoms(self) -> dict[str, Crystal]:
        """Key -> the newest atom of it, where that is not retired."""
        atoms = np.flatnonzero(self.columns.rows[2] == LAYERS.index(Layer.ATOM)).tolist()
        newest = {str(key): number for number in atoms if (key := self.crystals[number].key) is not None}
        retired = self.columns.rows[1]
        return {key: self.crystals[number] for key, number in newest.items() if retired[number] == NEVER}

    def add(self, new: Outlines) -> None:
        numbers = np.arange(len(new.ids)) + self.columns.rows.shape[1]
        self.by_id.update(zip(new.ids, numbers.tolist(), strict=True))
        sixteenths = np.rint(new.salience * SIXTEENTHS)
        self.columns.extend([new.born, np.full(len(new.ids), NEVER), new.layer, new.tokens, sixteenths])
        self.steps.extend([np.repeat(numbers, new.sources), new.steps])
        self.held.extend([np.repeat(numbers, new.spans), new.held])
        self.crystals.grow(self.columns.rows.shape[1])

    def retire(self, crystal_id: str, position: int) -> None:
        self.retired[crystal_id] = position
        self.columns.rows[1][self.by_id[crystal_id]] = position

    def live(self, as_of: int) -> np.ndarray:
        """Which crystals exist as of a log position, bool [crystals]."""
        born, retired = self.columns.rows[:2]
        return np.asarray((born <= as_of) & (as_of < retired))

    def shown(self, live: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Without the crystals that hold words of a step that is not among these."""
        number, position = self.held.rows
        shown = live.copy()
        shown[number[~np.isin(position, positions)]] = False
        return shown
