"""Codes of the steps that are in no unit yet, made at recall and kept. Knows no store and no encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from agentmem.codes import BYTES


class Tail:
    """The newest `most` codes, by log position."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.clear()

    def clear(self) -> None:
        """Something was erased, or rewritten, and who knows what."""
        self._positions, self._codes = np.zeros(0, np.int64), np.zeros((0, BYTES), np.uint8)

    def drop(self, positions: Sequence[int]) -> None:
        """These were erased."""
        there = ~np.isin(self._positions, positions)
        self._positions, self._codes = self._positions[there], self._codes[there]

    def codes(self, positions: np.ndarray, encode: Callable[[Sequence[int]], np.ndarray]) -> np.ndarray:
        """Codes uint8 [n, 96] at these sorted log positions; encode: makes those that are not known."""
        missing = positions[~np.isin(positions, self._positions, assume_unique=True)]
        if len(missing):
            self._add(missing, encode(missing.tolist()))
        found = self._codes[np.searchsorted(self._positions, positions)]
        self._positions, self._codes = self._positions[-self._most :], self._codes[-self._most :]
        return found

    def _add(self, positions: np.ndarray, codes: np.ndarray) -> None:
        order = np.argsort(together := np.concatenate([self._positions, positions]), kind="stable")
        self._positions, self._codes = together[order], np.concatenate([self._codes, codes])[order]
