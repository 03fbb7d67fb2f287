"""What a policy is shown before it acts, by kind of memory: crystals, a window, nothing, or everything.

The window has the same budget of tokens as recall, by the same counter, and renders by the same grammar.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Literal, get_args

from agentmem.memory import Memory
from agentmem.recall import Line, render, sections
from agentmem.recall.render import head, line
from agentmem.tokens import count
from agentmem.types import Hit, PlanningContext, Step

Kind = Literal["crystals", "window", "none", "full"]
KINDS = get_args(Kind)
EMPTY = PlanningContext(text="", sections={}, tokens=0, budget=0, hits=(), store_version="")


def context_of(kind: Kind, memory: Memory, log: Log, steps: Sequence[Step], cue: str, budget: int) -> PlanningContext:
    """The planning context of one kind; steps: what the run has logged, oldest first, without the present. log: its
    lines.
    """
    if kind == "crystals":
        return memory.recall(cue, budget=budget)
    if kind == "none":
        return EMPTY
    return newest(memory, log, steps, None if kind == "full" else budget)


def newest(memory: Memory, log: Log, steps: Sequence[Step], budget: int | None) -> PlanningContext:
    """As many of the newest steps as fit into a budget; all of them where it is None. log: of these steps, and perhaps
    of some that came after them.
    """
    end = len(steps)
    log.grow(steps)
    first = 0 if budget is None else log.first(end, budget)
    lines = log.lines[first:end]
    text = render(lines) if lines else ""
    tokens = count(text)
    made = PlanningContext.model_construct(
        text=text,
        sections=dict(sections(lines)),
        tokens=tokens,
        budget=tokens if budget is None else budget,
        hits=tuple(log.hits(first, end)),
        store_version="",
    )
    encoder = memory._core.encoder
    made._encode = encoder.encode if encoder is not None else None
    return made


class Log:
    """The lines of a run's steps, oldest first, each made and counted once.

    costs: of the lines before each, about, as they are counted one by one; tokens: of the steps before each.
    """

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.costs, self.tokens = [0], [0]

    def grow(self, steps: Sequence[Step]) -> None:
        """Have a line for each of these steps at least."""
        for step in steps[len(self.lines) :]:
            self._add(step)

    def _add(self, step: Step) -> None:
        text, under = line(step.actor or step.kind, step.text), head(None, step.episode)
        hit = Hit.model_construct(
            id=step.id, layer="step", position=step.position, score=0.0, reasons={}, span=None, section="recent",
            text=text, tokens=step.tokens, age=0, sources=(),
        )  # fmt: skip
        new = not self.lines or self.lines[-1].head != under
        self.lines.append(Line(step.position, "recent", under, text, hit))
        self.costs.append(self.costs[-1] + count(f"{under}\n{text}\n" if new else f"{text}\n"))
        self.tokens.append(self.tokens[-1] + step.tokens)

    def first(self, end: int, budget: int) -> int:
        """From where on the lines before `end` fit into a budget: about, by what each costs, and then exactly."""
        first = bisect_left(self.costs, self.costs[end] - budget, 0, end)
        while first and self._cost(first - 1, end) <= budget:
            first -= 1
        while first < end and self._cost(first, end) > budget:
            first += 1
        return first

    def _cost(self, first: int, end: int) -> int:
        return count(render(self.lines[first:end]))

    def hits(self, first: int, end: int) -> Iterator[Hit]:
        """What each of these lines is, at `end`."""
        for number in range(first, end):
            yield _aged(self.lines[number].hit, self.tokens[end] - self.tokens[number + 1])


def _aged(hit: Hit, age: int) -> Hit:
    """A hit of another age; to make it anew takes several times as long, and a whole log has thousands."""
    made = copy(hit)
    made.__dict__["age"] = age
    return made
