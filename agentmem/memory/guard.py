"""The guard against learning recalled text again: finds what an agent repeats of what it was just told.

Knows words and where they came from; knows no store. A run of RUN words or more in a row, found in what the episode
recalled, is recalled text; only what an agent writes is looked at, since an environment's word is its own.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable

RUN = 8
LIMIT = 20_000  # runs remembered of an episode, newest kept
_WORD = re.compile(r"[^\W_]+")
_PEOPLE = frozenset(("user", "human", "customer"))

Spans = list[tuple[int, int]]


class Guard:
    """What one episode recalled lately."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, ...], int] = OrderedDict()

    def remember(self, told: Iterable[tuple[int, str]]) -> None:
        """Take in (log position, text) of what a planning context showed."""
        for position, text in told:
            words = [word.casefold() for word in _WORD.findall(text)]
            for run in zip(*(words[start:] for start in range(RUN)), strict=False):
                self._runs[run] = position
                self._runs.move_to_end(run)  # what is told again is newest again
        while len(self._runs) > LIMIT:
            self._runs.popitem(last=False)

    def repeated(self, text: str, kind: str, actor: str | None) -> tuple[Spans, list[int]]:
        """([start, end) spans of a new step's text that repeat recalled text, positions of the steps they are from)."""
        if not self._runs or kind == "observation" or (actor or "").casefold() in _PEOPLE:
            return [], []
        found = [(match[0].casefold(), match.start(), match.end()) for match in _WORD.finditer(text)]
        spans: Spans = []
        origins: set[int] = set()
        for start in range(len(found) - RUN + 1):
            origin = self._runs.get(tuple(word for word, _, _ in found[start : start + RUN]))
            if origin is None:
                continue
            origins.add(origin)
            first, last = found[start][1], found[start + RUN - 1][2]
            if spans and first <= spans[-1][1]:
                spans[-1] = (spans[-1][0], last)
            else:
                spans.append((first, last))
        return spans, sorted(origins)
