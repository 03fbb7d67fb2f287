"""How much each piece of a segment is worth keeping, apart from any cue.

Knows text, English and what the log has said so far; knows nothing of budgets, spans or stores. A piece is a word,
number, path or value with the punctuation that follows it. Its weight is its surprisal in English times exp(votes): for
what it is (a number, a name, a date, something quoted, the value of a key), for the line it stands in (an outcome, the
first or last line of a long output, code) and for the step (a user's turn, a short action). What was said before loses
weight in messages; in actions and observations it does not, because a repeated state is what will be asked for.

No single rule wins on every kind of log, so weight is then shared out: among the words of a phrase in messages, over
the whole line in actions and observations.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentmem.salience.reading import AGENTS, Ints, Reading, Source, read
from agentmem.salience.votes import VOTES, Lift, Scored, Votes, lift, weigh

__all__ = ["AGENTS", "Lift", "Reading", "Salience", "Scored", "Source", "Usual", "Votes", "read"]

MOST = 4.0  # times the usual salience
SLOTS = 1 << 14  # counters per row of what the log has said


class Salience:
    """What the log has said so far, in bounded space: the steps that held each word, the lines of each shape.

    Counts are kept by hash, saturate at 255, and words have two rows of which the smaller count is believed (a
    count-min sketch). They depend on the segments learned and their order alone.
    """

    def __init__(self, votes: Votes = VOTES) -> None:
        self.votes = votes
        self._shaped = np.array([manner.shape for manner in votes.kinds])
        self._words = np.zeros((2, SLOTS), np.uint8)
        self._shapes = np.zeros(SLOTS, np.uint8)

    def score(self, sources: Sequence[Source]) -> Scored:
        """The sources' pieces and their weights. Changes nothing."""
        return self.weigh(read(sources))

    def weigh(self, reading: Reading, told: Sequence[Lift] = ()) -> Scored:
        """The weights of what was read. Changes nothing. told: spans that tell more than their words."""
        return weigh(reading, self.votes, *self.counts(reading), lift(reading, told))

    def counts(self, reading: Reading) -> tuple[Ints, Ints]:
        """Steps before that held each piece's word, and lines before of each line's shape."""
        first, second = _slots(reading.word)
        seen = np.minimum(self._words[0][first], self._words[1][second])
        return seen.astype(np.int64), self._shapes[reading.shape % SLOTS].astype(np.int64)

    def learn(self, reading: Reading) -> None:
        """Count a sealed segment's words, and its lines' shapes where they have a vote. Barred text is not learned."""
        fresh = ~reading.barred
        for row, slots in zip(self._words, _slots(reading.word), strict=True):
            _bump(row, np.unique(reading.source[fresh] * SLOTS + slots[fresh]) % SLOTS)
        shaped = self._shaped[reading.kind[reading.source[reading.head]]] > 0
        _bump(self._shapes, reading.shape[shaped] % SLOTS)

    def to_state(self) -> dict[str, str]:
        """JSON-able, at most 64 KB; `from_state` gives it back."""
        return {"words": _pack(self._words), "shapes": _pack(self._shapes)}

    @classmethod
    def from_state(cls, state: dict[str, Any], votes: Votes = VOTES) -> Salience:
        salience = cls(votes)
        salience._words = _unpack(state["words"]).reshape(2, SLOTS)
        salience._shapes = _unpack(state["shapes"])
        return salience


class Usual(NamedTuple):
    """What the log has weighed so far, and its tokens: what a crystal's salience is measured by."""

    weight: float = 0.0
    tokens: float = 0.0

    def after(self, scored: Scored) -> Usual:
        weight, tokens = _sums(scored)
        return Usual(self.weight + weight, self.tokens + tokens)

    def salience(self, scored: Scored) -> float:
        """(weight / tokens of these pieces) / (weight / tokens of the log so far), in [0, MOST], in sixteenths.

        About 1 on average, and 1 for the first segment of a log; more where errors, numbers, names or dates stand
        close, less in filler, 0 where there is nothing to weigh. Recalled text counts for nothing.
        """
        weight, tokens = _sums(scored)
        if not weight or not self.weight:
            return 0.0
        return min(MOST, round(16 * weight * self.tokens / (tokens * self.weight)) / 16)


def _sums(scored: Scored) -> tuple[float, float]:
    fresh = ~scored.barred
    return float(scored.weight[fresh].sum()), float(scored.cost[fresh].sum())


def _slots(word: Ints) -> tuple[Ints, Ints]:
    return word % SLOTS, (word >> 14) % SLOTS


def _bump(row: NDArray[np.uint8], slots: Ints) -> None:
    touched, times = np.unique(slots, return_counts=True)
    row[touched] = np.minimum(row[touched] + times, 255)


def _pack(counts: NDArray[np.uint8]) -> str:
    return base64.b85encode(zlib.compress(counts.tobytes(), 6)).decode()


def _unpack(packed: str) -> NDArray[np.uint8]:
    return np.frombuffer(zlib.decompress(base64.b85decode(packed)), np.uint8).copy()
