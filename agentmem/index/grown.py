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
            room = np.zeros((len(self._room), 2 * (size + new)), self._room.dtype)
            room[:, :size] = self.rows
            self._room = room
        for row, column in zip(self._room, columns, strict=True):
            row[size : size + new] = column
        self.rows = self._room[:, : size + new]
