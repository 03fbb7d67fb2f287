"""What a policy is shown before it acts, by kind of memory: crystals, a window, nothing, or everything.

The window has the same budget of tokens as recall, by the same counter, and renders by the same grammar.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal, get_args

from agentmem.memory import Memory
from agentmem.recall import Line, render, sections
from agentmem.recall.render import head, line
from agentmem.tokens import count
from agentmem.types import Hit, PlanningContext, Step

Kind = Literal["crystals", "window", "none", "full"]
KINDS = get_args(Kind)
EMPTY = PlanningContext(text="", sections={}, tokens=0, budget=0, hits=(), store_version="")
FEW = 8
"""Lines that are tried first."""


def context_of(kind: Kind, memory: Memory, steps: Sequence[Step], cue: str, budget: int) -> PlanningContext:
    """The planning context of one kind; steps: what the run has logged, oldest first, without the present."""
    if kind == "crystals":
        return memory.recall(cue, budget=budget)
    if kind == "none":
        return EMPTY
    return newest(memory, steps, None if kind == "full" else budget)


def newest(memory: Memory, steps: Sequence[Step], budget: int | None) -> PlanningContext:
    """As many of the newest steps as fit into a budget; all of them where it is None."""
    lines = _lines(steps) if budget is None else _fitting(steps, budget)
    text = render(lines) if lines else ""
    made = PlanningContext.model_construct(
        text=text,
        sections=dict(sections(lines)),
        tokens=count(text),
        budget=count(text) if budget is None else budget,
        hits=tuple(one.hit for one in lines),
        store_version="",
    )
    encoder = memory._core.encoder
    made._encode = encoder.encode if encoder is not None else None
    return made


def _fitting(steps: Sequence[Step], budget: int) -> list[Line]:
    """The lines of as many of the newest steps as fit; of the others no more are made than of those."""
    some = FEW
    while some < len(steps) and count(render(_lines(steps[-some:]))) <= budget:
        some *= 2
    lines = _lines(steps[-some:])
    fit = bisect_right(range(1, len(lines) + 1), budget, key=lambda kept: count(render(lines[-kept:])))
    return lines[len(lines) - fit :]


def _lines(steps: Sequence[Step]) -> list[Line]:
    found, age = [], 0
    for step in reversed(steps):
        text = line(step.actor or step.kind, step.text)
        hit = Hit.model_construct(
            id=step.id, layer="step", position=step.position, score=0.0, reasons={}, span=None, section="recent",
            text=text, tokens=step.tokens, age=age, sources=(),
        )  # fmt: skip
        found.append(Line(step.position, "recent", head(None, step.episode), text, hit))
        age += step.tokens
    return found[::-1]
