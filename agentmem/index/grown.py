"""Columns that are added to at the end, in amortised constant time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Grown:
    """Rows of one dtype; what was handed out stays as it was."""

    def __init__(self, width: int, dtype: Any = np.int64) -> None:
        self._room = np.zeros((width, 64), dtype)
        self.rows = self._room[:, :0]

    def extend(self, columns: Sequence[np.ndarray | Sequence[float]]) -> None:
        size, new = self.rows.shape[1], len(columns[0])
        if size + new > self._room.shape[1]:
            room = np.zeros((len(self._room), _roomy(size, new)), self._room.dtype)
            room[:, :size] = self.rows
            self._room = room
        for row, column in zip(self._room, columns, strict=True):
            row[size : size + new] = column
        self.rows = self._room[:, : size + new]


class GrownList:
    """Items of one shape, one after another in memory; what was handed out stays as it was."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self._room = np.zeros((64, *shape), dtype)
        self.items = self._room[:0]

    def extend(self, items: np.ndarray) -> None:
        size, new = len(self.items), len(items)
        if size + new > len(self._room):
            room = np.zeros((_roomy(size, new), *self._room.shape[1:]), self._room.dtype)
            room[:size] = self.items
            self._room = room
        self._room[size : size + new] = items
        self.items = self._room[: size + new]


def _roomy(size: int, new: int) -> int:
    return size + new + max(64, size // 2)
