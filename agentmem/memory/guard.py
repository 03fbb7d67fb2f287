"""The guard against learning recalled text again: finds what an agent repeats of what it was just told.

Knows words and where they came from; knows no store. A run of RUN words or more in a row, found in what the episode
recalled, is recalled text; only what an agent writes is looked at, since an environment's word is its own.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence

RUN = 8
LIMIT = 20_000  # runs remembered of an episode, newest kept
_WORD = re.compile(r"[^\W_]+")
_PEOPLE = frozenset(("user", "human", "customer"))

Spans = list[tuple[int, int]]


class Guard:
    """What one episode recalled lately."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, ...], tuple[int, ...]] = OrderedDict()

    def remember(self, told: Iterable[tuple[int | Sequence[int], str]]) -> None:
        """Take in (log position, or those of all the steps it comes from, text) of what a planning context showed."""
        for where, text in told:
            positions = (where,) if isinstance(where, int) else tuple(where)
            words = [word.casefold() for word in _WORD.findall(text)]
            for run in zip(*(words[start:] for start in range(RUN)), strict=False):
                self._runs[run] = positions
                self._runs.move_to_end(run)  # what is told again is newest again
        while len(self._runs) > LIMIT:
            self._runs.popitem(last=False)

    def forget(self, positions: set[int]) -> None:
        """Drop what was told of these log positions: they were erased."""
        self._runs = OrderedDict((run, at) for run, at in self._runs.items() if positions.isdisjoint(at))

    def repeated(self, text: str, kind: str, actor: str | None) -> tuple[Spans, list[int]]:
        """([start, end) spans of a new step's text that repeat recalled text, positions of the steps they are from)."""
        if not self._runs or kind == "observation" or (actor or "").casefold() in _PEOPLE:
            return [], []
        found = [(match[0].casefold(), match.start(), match.end()) for match in _WORD.finditer(text)]
        spans: Spans = []
        origins: set[int] = set()
        for start in range(len(found) - RUN + 1):
            positions = self._runs.get(tuple(word for word, _, _ in found[start : start + RUN]))
            if positions is None:
                continue
            origins.update(positions)
            first, last = found[start][1], found[start + RUN - 1][2]
            if spans and first <= spans[-1][1]:
                spans[-1] = (spans[-1][0], last)
            else:
                spans.append((first, last))
        return spans, sorted(origins)
