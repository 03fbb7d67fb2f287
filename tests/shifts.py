"""What the tests of shifts share: shifts made and played to their end, and all that was seen on the way."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest

from agentmem_envs.shift.policies import Oracle
from agentmem_envs.shift.retail import ShiftRetail
from agentmem_envs.shift.shop import ShiftShop
from agentmem_envs.shift.wrapper import Candidates

SHIFTS = {"shop": ShiftShop, "retail": ShiftRetail}
DELAY = 100
WINDOW = DELAY - 1
TAU2 = pytest.mark.skipif(find_spec("inspect_evals") is None, reason="tau2's databases are not installed")
DOMAINS = ("shop", pytest.param("retail", marks=TAU2))


@dataclass
class Played:
    """One shift, step by step. `taken` holds (kind, was it right) of each decision on a hidden fact."""

    texts: list[str] = field(default_factory=list)
    candidates: list[str] = field(default_factory=list)
    needs: list[list[dict[str, Any]]] = field(default_factory=list)
    taken: list[tuple[str, bool]] = field(default_factory=list)
    values: list[tuple[str, ...]] = field(default_factory=list)
    accepted: list[bool] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    visible: list[bool] = field(default_factory=list)
    stale: int = 0


def offered(domain: str, **settings: Any) -> Candidates:
    return Candidates(SHIFTS[domain](privileged=True, **settings))


def played(env: Candidates, seed: int, act: Callable[[Mapping[str, Any], Mapping[str, Any]], int]) -> Played:
    """Plays a whole shift; `values` are those that the coming decision turns on, none where it turns on none."""
    seen, over = Played(), False
    observation, info = env.reset(seed=seed)
    while not over:
        needed = env.shift._ticket.decision.hidden
        seen.texts.append(observation["text"])
        seen.candidates.append(observation["candidates"])
        seen.needs.append(info["needs"])
        seen.values.append((needed.value, *needed.beside) if needed else ())
        observation, _, _, over, info = env.step(act(observation, info))
        if info["hidden"]:
            seen.taken.append((info["kind"], info["right"]))
        else:
            seen.visible.append(info["right"])
        seen.accepted.append(bool(observation["accepted"]))
        seen.stale += info["stale"]
    seen.results = info["results"]
    return seen


@cache
def by_oracle(domain: str, seed: int, steps: int = 300, split: str = "train", drift: bool = False) -> Played:
    return played(offered(domain, steps=steps, split=split, drift=drift), seed, Oracle().act)


def shares(taken: list[tuple[str, bool]]) -> dict[str, tuple[float, int]]:
    """kind: (the share that was right, how many there were)"""
    all_, right = Counter(kind for kind, _ in taken), Counter(kind for kind, was_right in taken if was_right)
    return {kind: (right[kind] / number, number) for kind, number in sorted(all_.items())}
