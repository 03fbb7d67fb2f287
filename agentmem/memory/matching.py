"""Which codes, and which rows of an index, stand for which rows of a view. Knows no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agentmem.index import Dense, View
from agentmem.types import PASSAGE_BITS


class Pairs(NamedTuple):
    """The codes of each of some rows of a view: those of rows[i] are owner[starts[i] : starts[i + 1]], of which there
    are several; those with one of their own stand in `alone`, and their codes in `own`.

    position: the view's; upto: the log position from which on all these codes are there.
    """

    dense: Dense
    position: np.ndarray
    upto: int
    rows: np.ndarray
    starts: np.ndarray
    owner: np.ndarray
    alone: np.ndarray
    own: np.ndarray

    @classmethod
    def of(cls, dense: Dense, view: View, sealed: int) -> Pairs:
        upto = max(int(dense.born.max(initial=0)), int(dense.position.max(initial=0)))
        at, known = view.rows(dense.position)
        known &= dense.born[dense.owner] <= sealed
        at, owner = at[known], dense.owner[known]
        order = np.argsort(at, kind="stable")
        at, owner = at[order], owner[order]
        first = np.append(True, at[1:] != at[:-1])[: len(at)]
        alone = first & np.append(first[1:], True)[: len(at)]
        several, begins = at[~alone], first[~alone]
        rows, starts = several[begins], np.flatnonzero(begins)
        whole = upto if sealed >= upto else -1
        return cls(dense, view.position, whole, rows, starts, owner[~alone], at[alone], owner[alone])

    def best(self, alike: np.ndarray, out: np.ndarray) -> None:
        """Into `out`, by row, the best of what is said of each of its codes."""
        out[self.alone] = alike[self.own]
        if len(self.rows):
            out[self.rows] = np.maximum.reduceat(alike[self.owner], self.starts)

    def hold(self, dense: Dense, view: View, sealed: int) -> bool:
        """Whether they are the same in a view: that of the same steps, or of newer ones as well."""
        if dense is not self.dense or view.position is self.position:
            return dense is self.dense
        same, newer = np.split(view.position, [len(self.position)])
        return 0 <= self.upto < min([sealed + 1, *newer[:1]]) and np.array_equal(same, self.position)


def counted_rows(found: Mapping[str, Sequence[np.ndarray]], view: View) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(rows in a view, how many passages of each) of the rows of an index, by term; of all at once, as that costs by
    the call.
    """
    if not found:
        return {}
    each = [parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts)) for parts in found.values()]
    bounds = np.cumsum([0, *map(len, each)])
    positions = np.concatenate(each) >> PASSAGE_BITS
    first = np.append(True, positions[1:] != positions[:-1])
    first[bounds[:-1]] = True
    begins = np.flatnonzero(first)
    passages = np.diff(begins, append=len(positions)).astype(float)
    at, known = view.rows(positions[begins])
    at, passages = at[known], passages[known]
    ends = np.searchsorted(begins[known], bounds).tolist()
    spans = zip(found, ends[:-1], ends[1:], strict=True)
    return {term: (at[start:end], passages[start:end]) for term, start, end in spans if start < end}
