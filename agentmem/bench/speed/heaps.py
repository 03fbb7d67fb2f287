"""Heaps' law, V = K n^b: how many distinct stems n tokens have. Knows figures alone."""

from __future__ import annotations

import math

import numpy as np

STEP = 2**0.25
FROM = 64
"""The law is fitted on the last so-manieth part of the tokens and on: the first few hundred say little."""


class Heaps:
    """See the figures of real text, `fit`, then ask `at`. Before fitting, b is 1."""

    def __init__(self) -> None:
        self.points: list[tuple[int, int]] = []
        self.last = (1, 1)
        self.exponent = 1.0

    def see(self, tokens: int, stems: int) -> None:
        """Take a point whenever the tokens have grown by a fifth."""
        self.last = (max(1, tokens), max(1, stems))
        if not self.points or tokens >= self.points[-1][0] * STEP:
            self.points.append(self.last)

    def fit(self) -> None:
        """b by least squares on logarithms, at most 1; the curve goes through the last point."""
        known = [point for point in self.points if point[0] * FROM >= self.last[0]]
        if len({tokens for tokens, _ in known}) > 1:
            tokens, stems = np.log(np.array(known, float)).T
            self.exponent = float(min(1.0, max(0.0, np.polyfit(tokens, stems, 1)[0])))

    def at(self, tokens: float) -> float:
        return self.last[1] * math.exp(self.exponent * math.log(max(1.0, tokens) / self.last[0]))
