"""Labelled histories: steps in log order, and the questions asked of them. Knows no file, memory, budget or score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agentmem.errors import InvalidInputError
from agentmem.types import Kind


class Step(NamedTuple):
    """A step as its source gives it. `session` is the run or conversation it belongs to."""

    id: str
    text: str
    kind: Kind
    actor: str | None
    time: str | None
    session: str


class Question(NamedTuple):
    """evidence: places, in the history's steps, of those that answer it. upto: how many steps were known when asked."""

    id: str
    text: str
    answer: str
    type: str
    evidence: tuple[int, ...]
    upto: int


class History(NamedTuple):
    """Only questions with labelled evidence. answer_sessions: those that hold it; None where sessions are no target."""

    id: str
    steps: Sequence[Step]
    questions: Sequence[Question]
    answer_sessions: frozenset[str] | None = None

    def asked(self, most: int = 0) -> Sequence[Question]:
        """At most so many questions, spread over the whole list; all of them for 0."""
        n = len(self.questions)
        return [self.questions[i * n // most] for i in range(most)] if 0 < most < n else self.questions


def cut(steps: Sequence[Step], asked_at: str | None) -> int:
    """How many steps may be used at `end`, at `step:ID` or at an ISO time; steps without a time come before none."""
    if not asked_at or asked_at == "end":
        return len(steps)
    if not asked_at.startswith("step:"):
        return max((place for place, step in enumerate(steps, 1) if step.time and step.time <= asked_at), default=0)
    for place, step in enumerate(steps, 1):
        if step.id == asked_at[5:]:
            return place
    raise InvalidInputError(f"a question is asked at {asked_at}, and there is no such step; mend the file")


def places(steps: Sequence[Step], ids: Sequence[str]) -> tuple[int, ...]:
    """Where the steps with these ids stand; ids that no step has are left out."""
    known = {step.id: place for place, step in enumerate(steps)}
    return tuple(known[id] for id in ids if id in known)
