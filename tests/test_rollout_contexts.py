"""Windows and whole logs: what is kept of each line changes nothing of what is shown."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from rolls import memory_at, shop

from agentmem.recall import Line, render, sections
from agentmem.recall.render import head, line
from agentmem.rollout import ScriptedPolicy
from agentmem.rollout.contexts import Log, newest
from agentmem.tokens import count
from agentmem.types import Hit, PlanningContext, Step

TEXTS = (
    "File it under BB-2.", "", " ", "Dear Ann,\n\n  two   lines \u2028 and a third", "[T1 Ann] recent:", "naïve 東京",
    "x" * 90, "1234567 " * 5, "A longer sentence that says how the order of a pack of six is to be sent to Ann. " * 4,
)  # fmt: skip
BUDGETS = (None, 0, 1, 5, 9, 30, 100, 512)


def plainly(steps: Sequence[Step], budget: int | None) -> PlanningContext:
    """The same context by no more than the grammar and the counter, every line of it made anew."""
    lines = [_line(step, sum(later.tokens for later in steps[n:])) for n, step in enumerate(steps, 1)]
    kept = 0 if budget is not None else len(lines)
    while kept < len(lines) and count(render(lines[-kept - 1 :])) <= (budget or 0):
        kept += 1
    shown = lines[len(lines) - kept :]
    text = render(shown) if shown else ""
    return PlanningContext(
        text=text,
        sections=dict(sections(shown)),
        tokens=count(text),
        budget=count(text) if budget is None else budget,
        hits=tuple(one.hit for one in shown),
        store_version="",
    )


def _line(step: Step, age: int) -> Line:
    text = line(step.actor or step.kind, step.text)
    hit = Hit(
        id=step.id, layer="step", position=step.position, score=0.0, reasons={}, span=None, section="recent",
        text=text, tokens=step.tokens, age=age,
    )  # fmt: skip
    return Line(step.position, "recent", head(None, step.episode), text, hit)


def same(made: PlanningContext, plain: PlanningContext) -> bool:
    return made.model_dump_json() == plain.model_dump_json()


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_log_that_grows_is_shown_as_if_every_line_was_made_anew(budget: int | None) -> None:
    draw, steps, log = random.Random(0), list[Step](), Log()
    with memory_at() as memory:
        writers = [memory.episode(id=name) for name in ("Ann Lee", "calls", "a/b [c]")]
        for _ in range(60):
            actor = draw.choice([None, "Bo  Kim"])
            steps.append(draw.choice(writers).log(draw.choice(TEXTS), actor=actor))
            made = newest(memory, log, steps, budget)
            assert same(made, plainly(steps, budget))
            assert budget is None or count(made.text) == made.tokens <= budget


@pytest.mark.parametrize("budget", [None, 40])
def test_a_beginning_of_a_log_and_other_steps_are_shown_as_they_are_whatever_was_shown_before(
    budget: int | None,
) -> None:
    with memory_at() as memory:
        steps = memory.episode(id="e").log_many([f"{n} is done." for n in range(20)])
        log = Log()
        for part in (steps, steps[:7], steps[:12], [], steps):
            assert same(newest(memory, log, part, budget), plainly(part, budget))
        for part in (steps[::2], steps[5:]):
            assert same(newest(memory, Log(), part, budget), plainly(part, budget))


def test_a_context_stays_as_it_was_shown() -> None:
    with memory_at() as memory:
        steps = memory.episode(id="e").log_many([f"{n} is done." for n in range(9)])
        log = Log()
        first = newest(memory, log, steps[:5], None)
        before = first.model_dump_json()
        newest(memory, log, steps, None)
        assert first.model_dump_json() == before


@pytest.mark.parametrize("kind", ["window", "full"])
def test_a_rollout_shows_at_each_step_what_was_logged_before_it(kind: Any) -> None:
    shown: list[PlanningContext] = []

    def act(observation: Any, context: PlanningContext) -> int:
        shown.append(context)
        return 0

    with memory_at() as memory:
        shop(memory, ScriptedPolicy(act), kind=kind, episodes=1, budget=120)
        steps = memory.scoped("agentmem/ShiftShop-Short-v0", "0").steps()
        logged = list(steps)
    for turn, context in enumerate(shown):
        before = [step for step in logged if step.data["n"] < turn]
        assert same(context, plainly(before, 120 if kind == "window" else None))
