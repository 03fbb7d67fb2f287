"""A segment as arrays: pieces, the phrases and lines they stand in, the sources those belong to.

Knows text and its layout; gives nothing a weight and knows nothing of other segments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agentmem.salience.pieces import CLOSES, ENDS, OPENS, PIECE, STOP, UPPER, WHOLE, look

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

USER, AGENT, ACTION, OBSERVATION = range(4)  # who a step speaks for: a person, the agent, what it does, what it sees
AGENTS = frozenset("agent ai assistant bot env environment function game model shell system tool".split())
_BREAK = re.compile(r"\n+|(?<=[.!?])[ \t]+(?=[\"'A-Z0-9(\[])|(?<=[。！？])")


@dataclass(frozen=True, slots=True)
class Source:
    """One step as the condenser sees it. `skip`: [start, end) characters of its text that are not to be learned."""

    position: int
    kind: str
    actor: str | None
    text: str
    skip: tuple[tuple[int, int], ...] = ()


class Reading(NamedTuple):
    """A segment cut into pieces, lines and sources; nothing weighed yet.

    Per piece: source, line, phrase (indices), start and end (characters of its source's text), nats, cost (tokens),
    flags, word and masked (hashes, the latter without digits), named (a name by its capital), valued (follows its key),
    barred (recalled text). Per line: head (its first piece), shape (a hash without digits), edge (lines from the nearer
    end of its source), indent (columns). Per source: kind, size (tokens).
    """

    source: Ints
    line: Ints
    phrase: Ints
    start: Ints
    end: Ints
    nats: Floats
    cost: Floats
    flags: Ints
    word: Ints
    masked: Ints
    named: Bools
    valued: Bools
    barred: Bools
    head: Ints
    shape: Ints
    edge: Ints
    indent: Ints
    kind: Ints
    size: Floats

    def has(self, flag: int) -> Bools:
        """Per piece, whether it has the property."""
        held: Bools = (self.flags & flag) > 0
        return held


def read(sources: Sequence[Source]) -> Reading:
    """Cut a segment into pieces. Empty arrays where there is no text."""
    text = "\n".join(source.text for source in sources)
    sizes = np.array([len(source.text) + 1 for source in sources], np.int64)
    offset = np.cumsum(sizes) - sizes
    start, end, nats, cost, flags, word, masked = _pieces(text)
    source = np.searchsorted(offset, start, side="right") - 1
    breaks = np.array([0, *(match.end() for match in _BREAK.finditer(text))], np.int64)
    stretch = np.searchsorted(breaks, start, side="right") - 1
    new = changes(stretch) | changes(source)
    line, head = np.cumsum(new) - 1, np.flatnonzero(new)
    before = _shifted(flags, ENDS)
    closed = (before & CLOSES) > 0
    stop = (flags & STOP) > 0
    named = ((flags & UPPER) > 0) & ((before & ENDS) == 0) & ~new
    phrase = np.cumsum(new | stop | _shifted(stop, False) | closed | ((before & ENDS) > 0)) - 1
    return Reading(
        source=source,
        line=line,
        phrase=phrase,
        start=start - offset[source],
        end=end - offset[source],
        nats=nats,
        cost=cost,
        flags=flags,
        word=word,
        masked=masked,
        named=named,
        valued=_last((before & OPENS) > 0) > _last(closed | new),
        barred=_barred(sources, offset, start, end) | (end - start > WHOLE),
        head=head,
        shape=_shapes(masked, line, head),
        edge=_edges(source[head], len(sources)),
        indent=start[head] - breaks[stretch[head]],
        kind=np.array([_kind(source) for source in sources], np.int64),
        size=np.bincount(source, weights=cost, minlength=len(sources)).astype(np.float64),
    )


def _pieces(text: str) -> tuple[Ints, Ints, Floats, Floats, Ints, Ints, Ints]:
    """Start, end and what `look` says of each piece of a text; each distinct one is looked at once."""
    spans = np.array([match.span() for match in PIECE.finditer(text)], np.int64).reshape(-1, 2)
    found = [text[start:end] for start, end in spans.tolist()]
    known = {piece: number for number, piece in enumerate(dict.fromkeys(found))}
    seen = [look(piece) if len(piece) <= WHOLE else (0.0, len(piece) // 2, 0, 0, 0) for piece in known]
    of = np.fromiter(map(known.__getitem__, found), np.int64, len(found))
    nats, cost, flags, word, masked = list(zip(*seen, strict=True)) or [()] * 5
    real = (np.array(column, np.float64)[of] for column in (nats, cost))
    whole = (np.array(column, np.int64)[of] for column in (flags, word, masked))
    return (spans[:, 0], spans[:, 1], *real, *whole)  # type: ignore[return-value]


def _kind(source: Source) -> int:
    if source.kind != "message":
        return ACTION if source.kind == "action" else OBSERVATION
    return AGENT if (source.actor or "").casefold() in AGENTS else USER


def _shifted(values: NDArray[Any], first: Any) -> NDArray[Any]:
    return np.concatenate([np.array([first], values.dtype), values[:-1]])[: len(values)]


def changes(values: Ints) -> Bools:
    changed: Bools = values != _shifted(values, -1)
    return changed


def _last(holds: Bools) -> Ints:
    """Index of the last place up to here where it held; -1 if nowhere."""
    last: Ints = np.maximum.accumulate(np.where(holds, np.arange(len(holds)), -1))
    return last


def _barred(sources: Sequence[Source], offset: Ints, start: Ints, end: Ints) -> Bools:
    """Which pieces are skipped, or follow a gap that is: a span across it would hold what is not to be learned."""
    barred = np.zeros(len(start), bool)
    since = np.append(start[:1], end[:-1])
    for at, source in zip(offset.tolist(), sources, strict=True):
        for first, last in source.skip:
            barred |= (since < at + last) & (end > at + first)
    return barred


def _shapes(masked: Ints, line: Ints, head: Ints) -> Ints:
    if not len(head):
        return head
    odd = 2 * (np.arange(len(line)) - head[line]) + 1
    return np.add.reduceat((masked * odd) & 0xFFFFFFFF, head) & 0xFFFFFFFF


def _edges(source: Ints, sources: int) -> Ints:
    """Lines between each line and the nearer end of its source."""
    at = np.arange(len(source)) - np.searchsorted(source, np.arange(sources))[source]
    edges: Ints = np.minimum(at, np.bincount(source, minlength=sources)[source] - 1 - at)
    return edges
