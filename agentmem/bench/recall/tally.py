"""What was measured of one system on one file, question by question, and its means with intervals.

Intervals are 95 % by bootstrap over histories, since questions of one history share their fate: all systems of a file
are resampled alike, so that a difference between two of them has an interval of its own. Knows numbers; no texts.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

SAMPLES = 1000
AGE = 1000
"""Tokens up to which evidence is of the first age; each further one reaches twice as far."""


class Key(NamedTuple):
    """A score; budget 0 for what no budget changes."""

    metric: str
    budget: int = 0


class Row(NamedTuple):
    """One question's score; history is its number within the file."""

    history: int
    type: str
    value: float


@dataclass
class Tally:
    """rows: scores by metric and budget. ages: (budget, age) -> evidence steps found, and asked for."""

    rows: dict[Key, list[Row]] = field(default_factory=lambda: defaultdict(list))
    ages: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    milliseconds: list[float] = field(default_factory=list)
    overruns: int = 0
    bytes: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, history: int, type: str, budget: int, scores: Mapping[str, float]) -> None:
        for metric, value in scores.items():
            self.rows[Key(metric, budget)].append(Row(history, type, value))

    def age(self, budget: int, tokens: int, found: bool) -> None:
        """tokens: logged since the step and before the question."""
        counts = self.ages[budget, age_of(tokens)]
        counts[0] += found
        counts[1] += 1

    def by_type(self, key: Key) -> dict[str, tuple[float, int]]:
        """Question type -> mean and number."""
        found: dict[str, list[float]] = defaultdict(list)
        for row in self.rows[key]:
            found[row.type].append(row.value)
        return {type: (sum(values) / len(values), len(values)) for type, values in sorted(found.items())}

    def latency(self, share: float) -> float | None:
        """Milliseconds within which this share of recalls was done."""
        ordered = sorted(self.milliseconds)
        return ordered[int(share * (len(ordered) - 1))] if ordered else None


def age_of(tokens: int) -> int:
    """0 up to AGE tokens, 1 up to 2 * AGE, 2 up to 4 * AGE, ..."""
    return 0 if tokens <= AGE else math.ceil(math.log2(tokens / AGE))


class Spread(NamedTuple):
    """A mean, its number of questions, and the same mean of each resampling [SAMPLES], NaN where nothing is left."""

    mean: float
    n: int
    samples: np.ndarray

    def interval(self) -> tuple[float, float] | None:
        """95 %; None where there is nothing to resample."""
        known = self.samples[~np.isnan(self.samples)]
        if not len(known):
            return None
        low, high = np.percentile(known, (2.5, 97.5))
        return float(low), float(high)

    def minus(self, other: Spread) -> Spread:
        return Spread(self.mean - other.mean, min(self.n, other.n), self.samples - other.samples)


class Draws:
    """Resamplings of a file's histories: how often each is drawn [SAMPLES, histories]. One history gives no spread."""

    def __init__(self, histories: int, seed: int = 3) -> None:
        self.histories = histories
        picks = np.random.default_rng(seed).integers(0, max(1, histories), (SAMPLES, histories))
        self.times = np.stack([np.bincount(row, minlength=histories) for row in picks]).astype(float)

    def spread(self, rows: Iterable[Row]) -> Spread | None:
        """None without rows."""
        sums, counts = np.zeros(self.histories), np.zeros(self.histories)
        for row in rows:
            sums[row.history] += row.value
            counts[row.history] += 1
        if not counts.any():
            return None
        if self.histories < 2:
            return Spread(sums.sum() / counts.sum(), int(counts.sum()), np.full(SAMPLES, np.nan))
        with np.errstate(invalid="ignore"):
            samples = (self.times @ sums) / (self.times @ counts)
        return Spread(sums.sum() / counts.sum(), int(counts.sum()), samples)


def average(spreads: Iterable[Spread]) -> Spread | None:
    """The macro mean over files; a file with one history adds its mean alone to every resampling."""
    known = list(spreads)
    if not known:
        return None
    samples = [np.where(np.isnan(one.samples), one.mean, one.samples) for one in known]
    fixed = all(np.isnan(one.samples).all() for one in known)
    mean = sum(one.mean for one in known) / len(known)
    spread = np.full(SAMPLES, np.nan) if fixed else np.mean(samples, axis=0)
    return Spread(mean, sum(one.n for one in known), spread)
