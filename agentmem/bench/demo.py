"""The headline: one working shift played by the same policy with three kinds of memory, side by side.

Each kind has a memory of its own, so bytes are of what that kind keeps; that of crystals is the user's to look at.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentmem.errors import SettingsError
from agentmem.memory import Memory
from agentmem.rollout import RolloutReport, rollout
from agentmem.rollout.contexts import Kind
from agentmem.rollout.policies import name_of_policy
from agentmem.rollout.reading import reading_of
from agentmem.rollout.trail import Trail
from agentmem.types import Frozen, PlanningContext, Step
from agentmem.viewer import Exported, export
from agentmem.viewer.page import Tell

PAGE = 6 << 20
"""Bytes of the answers in the run's page: what was recalled is recalled again for it, and a demo is to be short."""
KINDS: tuple[Kind, ...] = ("crystals", "window", "none")
Progress = Callable[[float, float, str], None]


class Moment(Frozen):
    """A decision that turned on something said long before. step: its number, from 0. ago: steps since then; said: it,
    and asked: the text now. chosen: the call that was made. context: what memory recalled for it. steps: ids of those
    that said it and did it.
    """

    step: int
    ago: int
    said: str
    asked: str
    chosen: str
    context: PlanningContext
    steps: tuple[str, str]


class ShiftReport(Frozen):
    """rollouts: by kind of memory. moment: of the rollout with crystals; None where no decision needed memory."""

    rollouts: tuple[RolloutReport, ...]
    moment: Moment | None


def run(
    path: str | Path, env: str, policy: Any, budget: int = 512, options: Mapping[str, Any] | None = None,
    name: str | None = None, progress: Progress = lambda done, total, kind: None,
) -> ShiftReport:  # fmt: skip
    """Play a shift of `env` with a memory at `path`, with a window of as many tokens, and with none.

    A shift that was begun at `path` is gone on with. options: keywords of the shift. name: of a policy that has none of
    its own. Raises MissingExtraError without the environment's material, SettingsError where the memory holds something
    else too, and as `rollout`.
    """
    name = name_of_policy(policy) or name
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(KINDS):
            place = path if kind == "crystals" else Path(folder) / f"{kind}.mem"
            with Memory.open(place, durability="process") as memory:
                _check_alone(memory, env)
                reports.append(rollout(
                    env, policy, memory, kind=kind, budget=budget, options=options, name=name,
                    progress=lambda done, total, number=number, kind=kind: progress(number + done, len(KINDS), kind),  # type: ignore[misc]
                ))  # fmt: skip
    with Memory.open(path, durability="process") as memory:  # a read-only one would leave files beside it
        return ShiftReport(rollouts=tuple(reports), moment=moment(memory.scoped(env, "0"), env, budget))


def write_page(
    path: str | Path,
    page: str | Path,
    report: ShiftReport,
    tell: Tell = lambda done, total: None,
) -> Exported:
    """The run at `path` as a page in one file: first the moment that is shown, and what is around it."""
    near = report.moment.steps if report.moment is not None else ()
    space = (report.rollouts[0].environment, "0")
    with Memory.open(path, namespace=space, durability="process") as memory:
        return export(memory, page, name=Path(path).name, most=PAGE, near=near, tell=tell)


def _check_alone(memory: Memory, env: str) -> None:
    """So that bytes are of the shift alone."""
    others = {*memory._core.store.namespaces()} - {(env,), (env, "0")}
    if others:
        raise SettingsError(f"this memory holds something else than one shift of {env!r}: give another memory")


def moment(memory: Memory, env: str, budget: int) -> Moment | None:
    """The right decision that looked back furthest and found what it needed, of the episode in a memory's namespace."""
    trail = Trail(memory, 0, 0, reading_of(env))
    asked = {int(step.data["n"]): step for step in trail.steps if "observation" in step.data}
    acted = {int(step.data["n"]): step for step in trail.steps if step.kind == "action"}
    right = (turn for turn in acted if _found(acted[turn]) and asked[turn + 1].data["info"]["right"])
    furthest = max(right, key=lambda turn: _ago(asked[turn]), default=None)
    if furthest is None:
        return None
    observation, need = asked[furthest].data["observation"], asked[furthest].data["info"]["needs"][0]
    trail.turn = furthest
    shown = asked[need["shown"]]
    return Moment(
        step=furthest,
        ago=furthest - need["shown"],
        said=shown.data["observation"]["text"],
        asked=observation["text"],
        chosen=acted[furthest].text,
        context=trail.context("crystals", observation, budget),
        steps=(shown.id, acted[furthest].id),
    )


def _found(action: Step) -> bool:
    context = action.data.get("context", {})
    return bool(context.get("needed")) and context["needed"] == context["found"]


def _ago(observation: Step) -> int:
    needs = observation.data["info"]["needs"]
    return int(observation.data["n"]) - int(needs[0]["shown"])
