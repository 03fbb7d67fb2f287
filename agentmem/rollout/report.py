"""What came of a rollout, told from the log alone: an interrupted run and a whole one say the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ConfigDict

from agentmem.records import digest
from agentmem.rollout.lanes import RESULTS
from agentmem.rollout.trail import Trail
from agentmem.types import Frozen


class _Report(Frozen):
    model_config = ConfigDict(ser_json_inf_nan="strings")  # a sum of rewards may run over


class EpisodeReport(_Report):
    """One environment episode. tickets, hidden_tickets: (solved, all), hidden being those that turn on a hidden fact;
    an environment that reports no `results` has none. stale: (a superseded value was chosen, decisions that had one).
    needed: (facts that planning contexts showed, by a text of their last valid showing that says the value where the
    environment tells it; facts needed). context_tokens: (sum, contexts). digest: of all that was seen, shown and
    done, and of info what is read here.
    """

    number: int
    seed: int
    steps: int
    reward: float
    terminated: bool
    tickets: tuple[int, int] = (0, 0)
    hidden_tickets: tuple[int, int] = (0, 0)
    stale: tuple[int, int] = (0, 0)
    needed: tuple[int, int] = (0, 0)
    context_tokens: tuple[int, int] = (0, 0)
    digest: str = ""


class RolloutReport(_Report):
    """All episodes by number; shares are None where there is nothing to share.

    bytes: on the disk, of all the memory's files once it is closed: fewer than before where older steps were packed.
    digest: of the episodes' digests.
    """

    environment: str
    policy: str
    memory: str
    budget: int
    seed: int
    solved: float | None
    solved_hidden: float | None
    stale: float | None
    return_mean: float
    steps: int
    needed_fact_recall: float | None
    context_tokens_mean: float | None
    bytes: int
    digest: str
    episodes: tuple[EpisodeReport, ...]


def episode_report(trail: Trail) -> EpisodeReport:
    """Of an episode that is over."""
    seen = [step for step in trail.steps if step.kind == "observation" and "info" in step.data]
    asked = [step.data.get("context", {}) for step in trail.steps if step.kind == "action"]
    results = [each for each in seen[-1].data["info"].get(RESULTS) or () if isinstance(each, dict)]
    hidden = [each for each in results if each.get("hidden")]
    shown = [each["tokens"] for each in asked if "tokens" in each]
    return EpisodeReport(
        number=trail.number,
        seed=trail.seed,
        steps=len(asked),
        reward=sum(step.reward or 0.0 for step in seen),
        terminated=seen[-1].terminated,
        tickets=_solved(results),
        hidden_tickets=_solved(hidden),
        stale=_stale([step.data["info"] for step in seen]),
        needed=(sum(each.get("found", 0) for each in asked), sum(each.get("needed", 0) for each in asked)),
        context_tokens=(sum(shown), len(shown)),
        digest=trail.digest(),
    )


def _solved(results: Sequence[dict[str, Any]]) -> tuple[int, int]:
    return sum(bool(each.get("solved")) for each in results), len(results)


def _stale(infos: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Of the decisions that had a superseded value: info tells what they need before, and what was chosen after."""
    chosen = of = 0
    for before, after in itertools.pairwise(infos):
        if any(isinstance(need, dict) and need.get("stale") is not None for need in before.get("needs") or ()):
            of += 1
            chosen += bool(after.get("stale"))
    return chosen, of


def share(pairs: Iterable[tuple[int, int]]) -> float | None:
    """Of pairs (some, all); None of nothing."""
    pairs = list(pairs)
    some, every = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    return some / every if every else None


def summed(note: Mapping[str, Any], reports: Sequence[EpisodeReport], size: int) -> RolloutReport:
    """The report of these episodes; note: environment, policy, memory, budget and seed; size: in bytes."""
    said = "".join(each.digest for each in reports)
    return RolloutReport(
        **{key: note[key] for key in ("environment", "policy", "memory", "budget", "seed")},
        solved=share(each.tickets for each in reports),
        solved_hidden=share(each.hidden_tickets for each in reports),
        stale=share(each.stale for each in reports),
        return_mean=sum(each.reward for each in reports) / len(reports) if reports else 0.0,
        steps=sum(each.steps for each in reports),
        needed_fact_recall=share(each.needed for each in reports),
        context_tokens_mean=share(each.context_tokens for each in reports),
        bytes=size,
        digest=digest(said.encode()),
        episodes=tuple(reports),
    )
