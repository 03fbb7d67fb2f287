"""Two replays side by side: which steps are the same, and in what the planning contexts differ.

Two runs are aligned by what their steps say; two settings of one run step by step. Knows frames, and of a memory only
the steps; what differs is found out when one looks at it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple, overload

from agentmem.errors import InvalidInputError
from agentmem.records import brief, digest
from agentmem.replay import plain
from agentmem.replay.frames import Frame, Frames
from agentmem.types import Frozen, Hit


class Pair(NamedTuple):
    """Numbers of two frames that belong together; None where the other run has none. same: they say the same."""

    left: int | None
    right: int | None
    same: bool


class Difference(Frozen):
    """Two frames that belong together, and what their contexts show.

    same_step: both say the same. same_context: the texts of the contexts are equal. only_left, only_right: hits that
    say what none of the other side's says; both: how many do. tokens: of the contexts, left and right.
    """

    left: Frame | None
    right: Frame | None
    same_step: bool
    same_context: bool
    only_left: tuple[Hit, ...]
    only_right: tuple[Hit, ...]
    both: int
    tokens: tuple[int, int]

    def data(self) -> dict[str, Any]:
        """As plain JSON values: see docs/replay.md."""
        return {
            "version": plain.VERSION,
            "left": self.left and plain.frame(self.left),
            "right": self.right and plain.frame(self.right),
            "same_step": self.same_step,
            "same_context": self.same_context,
            "only_left": plain.several(self.only_left, plain.hit),
            "only_right": plain.several(self.only_right, plain.hit),
            "both": self.both,
            "tokens": list(self.tokens),
        }

    def to_json(self) -> str:
        """`data` as one line of JSON, as that of a frame."""
        return plain.to_json(self.data())


class Comparison(Sequence[Difference]):
    """See `compare`. `pairs` says which frames belong together, without a look at their contexts."""

    def __init__(self, left: Frames, right: Frames) -> None:
        self.left, self.right = left, right
        self.pairs: tuple[Pair, ...] = tuple(_together(left, right))

    def __len__(self) -> int:
        return len(self.pairs)

    @overload
    def __getitem__(self, number: int) -> Difference: ...
    @overload
    def __getitem__(self, number: slice) -> list[Difference]: ...
    def __getitem__(self, number: int | slice) -> Difference | list[Difference]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        pair = self.pairs[number]
        left = None if pair.left is None else self.left[pair.left]
        right = None if pair.right is None else self.right[pair.right]
        return _difference(left, right, pair.same)

    def __iter__(self) -> Iterator[Difference]:
        return (self[number] for number in range(len(self)))


def compare(left: Frames, right: Frames) -> Comparison:
    """Two runs, or one run with two settings, frame by frame. Raises InvalidInputError for what is no replay."""
    for what, value in (("left", left), ("right", right)):
        if not isinstance(value, Frames):
            raise InvalidInputError(f"{what} {brief(value)} is no replay; give what replay() returns")
    return Comparison(left, right)


def _together(left: Frames, right: Frames) -> Iterator[Pair]:
    if left.is_of(right):
        yield from (Pair(number, number, True) for number in range(len(left)))
        return
    said, also = _said(left), _said(right)
    start = _alike(said, also)
    end = _alike(said[start:][::-1], also[start:][::-1])
    ours, theirs = range(start, len(said) - end), range(start, len(also) - end)
    yield from (Pair(number, number, True) for number in range(start))
    matcher = SequenceMatcher(None, said[start : ours.stop], also[start : theirs.stop], autojunk=False)
    for what, first, last, begin, until in matcher.get_opcodes():
        yield from _paired(what == "equal", ours[first:last], theirs[begin:until], left, right)
    yield from (Pair(ours.stop + number, theirs.stop + number, True) for number in range(end))


def _alike(said: Sequence[str], also: Sequence[str]) -> int:
    """How many there are before the first that differs."""
    pairs = zip(said, also, strict=False)
    return next((n for n, (one, other) in enumerate(pairs) if one != other), min(len(said), len(also)))


def _paired(same: bool, ours: range, theirs: range, left: Frames, right: Frames) -> Iterator[Pair]:
    """Of a stretch of both runs: each step with the one at its place, if both are of one kind."""
    for place in range(max(len(ours), len(theirs))):
        one = ours[place] if place < len(ours) else None
        other = theirs[place] if place < len(theirs) else None
        if same or one is None or other is None or left.kind(one) == right.kind(other):
            yield Pair(one, other, same)
        else:
            yield from (Pair(one, None, False), Pair(None, other, False))


def _said(frames: Frames) -> list[str]:
    """What tells the steps of a run from one another."""
    return [digest(f"{step.kind}\0{step.actor or ''}\0{step.text}".encode()) for step in frames.steps()]


def _difference(left: Frame | None, right: Frame | None, same: bool) -> Difference:
    ours, theirs = _hits(left), _hits(right)
    texts, others = Counter(hit.text for hit in ours), Counter(hit.text for hit in theirs)
    said, also = ([one.context for one in frame.recalls] if frame else [] for frame in (left, right))
    return Difference(
        left=left,
        right=right,
        same_step=same,
        same_context=[one.text for one in said] == [one.text for one in also],
        only_left=tuple(hit for hit in ours if hit.text not in others),
        only_right=tuple(hit for hit in theirs if hit.text not in texts),
        both=len(texts.keys() & others.keys()),
        tokens=(sum(one.tokens for one in said), sum(one.tokens for one in also)),
    )


def _hits(frame: Frame | None) -> list[Hit]:
    return [one.hit for recall in (frame.recalls if frame else ()) for one in recall.ranked]
