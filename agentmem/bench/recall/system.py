"""What is measured: something that answers a cue, within a budget, from the first steps of one history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from agentmem.bench.recall.histories import History
from agentmem.types import CountTokens


class System(Protocol):
    """One row of the report. `upto` is how many steps were known when the question was asked."""

    name: str

    def recall(self, cue: str, budget: int, upto: int) -> str:
        """A text of at most `budget` tokens."""
        ...

    def ranked(self, cue: str, upto: int) -> list[int]:
        """Places of steps, best first, for the ranking of sessions; no budget of interest holds it back."""
        ...

    def kept(self, place: int, upto: int) -> str:
        """What is left of a step's text, or of what condenses it."""
        ...


class Built(NamedTuple):
    """Systems that share what one history was written into.

    seconds: of writing, by part. close: lets go of it, and says the bytes of each system, by part.
    """

    systems: Sequence[System]
    seconds: Mapping[str, float]
    close: Callable[[], Mapping[str, Mapping[str, int]]]


Build = Callable[[History, Path, CountTokens], Built]
"""Writes a history into a folder that is empty."""
