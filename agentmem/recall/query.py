"""What is asked of a memory, and the texts that answering it reads. Knows no ranking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agentmem.recall.signals import Weights
from agentmem.types import CountTokens, Layer, Record

Read = Callable[[Sequence[int]], list[Record]]

CHUNK = 48  # candidates read at once, at first


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: see Memory.recall. `current` is the episode that asks, `goal` its goal.

    thinned: steps may have lost text since they were counted. without: log positions of steps that who asks has before
    him already; they are not told. own: whether `count` is a caller's. untrusted: the share of the budget, 0..1, that
    untrusted text may take; None for what is usual.
    """

    cue: str
    budget: int
    count: CountTokens
    layers: tuple[Layer, ...] | None = None
    episode: str | None = None
    agent: str | None = None
    marks: bool = False
    current: str | None = None
    goal: str | None = None
    thinned: bool = False
    without: frozenset[int] = frozenset()
    own: bool = False
    untrusted: float | None = None
    weights: Weights = field(default_factory=Weights)


class Texts:
    """Records by position, fetched in batches and kept for the length of one recall."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known: dict[int, Record] = {}

    def fetch(self, positions: Sequence[int]) -> None:
        missing = [position for position in positions if position not in self._known]
        if missing:
            self._known.update((record.position, record) for record in self._read(missing))

    def __getitem__(self, position: int) -> Record:
        if position not in self._known:
            self.fetch([position])
        return self._known[position]

    def __contains__(self, position: int) -> bool:
        return position in self._known
