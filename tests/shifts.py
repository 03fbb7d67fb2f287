"""What the tests of shifts share: shifts made and played to their end, and all that was seen on the way."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from statistics import fmean
from typing import Any, Protocol

import pytest

from agentmem_envs.shift.airline import ShiftAirline
from agentmem_envs.shift.banking import ShiftBanking
from agentmem_envs.shift.desk import TOOLS
from agentmem_envs.shift.env import Shift
from agentmem_envs.shift.policies import Oracle, Rule
from agentmem_envs.shift.retail import ShiftRetail
from agentmem_envs.shift.shop import ShiftShop
from agentmem_envs.shift.tau2 import PACKAGE, VERSION
from agentmem_envs.shift.telecom import ShiftTelecom
from agentmem_envs.shift.wrapper import Candidates

SHIFTS = {
    "shop": ShiftShop,
    "retail": ShiftRetail,
    "airline": ShiftAirline,
    "telecom": ShiftTelecom,
    "banking": ShiftBanking,
}
DELAY, CHANCE, BOUND = 100, 1 / 8, 0.05
WINDOW = DELAY - 1


def _installed() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return ""


INSTALLED = _installed() == VERSION
NEEDS_TAU2 = pytest.mark.skipif(not INSTALLED, reason=f"{PACKAGE} {VERSION} is not installed")
DOMAINS = ("shop", *(pytest.param(each, marks=NEEDS_TAU2) for each in ("retail", "airline", "telecom", "banking")))


class Plays(Protocol):
    def act(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> int: ...


@dataclass
class Played:
    """One shift, step by step: what was seen, what it turned on, and how it was taken."""

    texts: list[str] = field(default_factory=list)
    candidates: list[str] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    needs: list[list[dict[str, Any]]] = field(default_factory=list)
    values: list[list[str]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    taken: list[bool] = field(default_factory=list)
    accepted: list[bool] = field(default_factory=list)
    stale: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def hidden(self) -> list[int]:
        """The steps that turn on a hidden fact."""
        return [step for step, needs in enumerate(self.needs) if needs]

    def window(self, step: int) -> list[str]:
        """The newest `delay - 1` observations at a step, its own among them."""
        return self.texts[max(0, step + 1 - WINDOW) : step + 1]


def offered(domain: str, **settings: Any) -> Candidates:
    return Candidates(SHIFTS[domain](privileged=True, **settings))


def played(env: Candidates, seed: int, policy: Plays) -> Played:
    """Plays a whole shift. `values` are those that a decision turns on, with what could be taken for them."""
    seen, over = Played(), False
    observation, info = env.reset(seed=seed)
    while not over:
        needed = env.shift._ticket.decision.hidden
        seen.texts.append(observation["text"])
        seen.candidates.append(observation["candidates"])
        seen.right.append(info["gold_index"])
        seen.needs.append(info["needs"])
        seen.values.append([needed.value, *needed.beside] if needed else [])
        observation, _, _, over, info = env.step(policy.act(observation, info))
        seen.kinds.append(info["kind"])
        seen.taken.append(info["right"])
        seen.accepted.append(bool(observation["accepted"]))
        seen.stale += info["stale"]
    seen.results = info["results"]
    return seen


def by_oracle(domain: str, seeds: int, steps: int = 300, split: str = "train", drift: bool = False) -> list[Played]:
    """Shifts that the oracle played, each of them once; not to be changed."""
    return [_by_oracle(domain, seed, steps, split, drift) for seed in range(seeds)]


@cache
def _by_oracle(domain: str, seed: int, steps: int, split: str, drift: bool) -> Played:
    return played(offered(domain, steps=steps, split=split, drift=drift), seed, Oracle())


def shares(taken: Iterable[tuple[str, float]]) -> dict[str, tuple[float, int]]:
    """kind: (the share that was right, how many there were)"""
    by_kind: dict[str, list[float]] = {}
    for kind, right in taken:
        by_kind.setdefault(kind, []).append(right)
    return {kind: (fmean(each), len(each)) for kind, each in sorted(by_kind.items())}


def ruled(shift: Played, window: int | None) -> list[tuple[str, float]]:
    """(kind, chance to be right) of the rule at each hidden decision, having seen the shift as the oracle did."""
    rule, chosen = Rule(window), []
    for step, text in enumerate(shift.texts):
        rule.see(text)
        if shift.needs[step]:
            best = rule.best(shift.candidates[step])
            chosen.append((shift.kinds[step], (shift.right[step] in best) / len(best)))
    return chosen


def far_from_chance(taken: Iterable[tuple[str, float]], fewest: int) -> dict[str, tuple[float, int]]:
    """The kinds met at least `fewest` times whose share is not within BOUND of chance."""
    found = {kind: each for kind, each in shares(taken).items() if each[1] >= fewest}
    assert found
    return {kind: each for kind, each in found.items() if abs(each[0] - CHANCE) > BOUND}


def checked(shift: Shift, logs: tuple[str, ...] = ()) -> set[str]:
    """The kinds of hidden decisions in a shift by the oracle; each one's own check fails before its call and holds
    after. logs: tools that add a row, which is not there to be looked at before.
    """
    _, info = shift.reset(seed=5)
    met = set()
    for _ in range(shift.steps):
        decision, live = shift._ticket.decision, shift._desk.live
        check = decision.check if decision.hidden and decision.call.tool not in TOOLS else None
        before = check is not None and decision.call.tool not in logs and check(live.row)
        *_, info = shift.step(info["gold"])
        if check is not None:
            assert (before, check(live.row)) == (False, True)
            met.add(info["kind"])
    return met
