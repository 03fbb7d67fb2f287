"""The sizes of the policies that are trained here, and what a batch of steps is of.

Knows numbers that belong together, and environments by id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import gymnasium
import torch

from agentmem.errors import InvalidInputError
from agentmem.neural.settings import CrystalSettings, TransformerSettings
from agentmem.policy.choice import ChoiceNetwork
from agentmem.policy.policy_lm import PolicyLM, PolicySettings
from agentmem.policy.spaces import Features
from agentmem.rollout.making import maker
from agentmem.rollout.raised import called

Made = TypeVar("Made")
CRYSTAL = CrystalSettings(dimension=64, code_bits=1_280, slots=10, cue_bits=64, recent=(300, 600), budget=10_496)
"""Each of the newest 300 steps in a slot of 16 bytes; of older ones ten in a hundred, in 64 atoms at most."""
STEPS = TransformerSettings(64, 4, lower=1, upper=1, window=64, conv=4, crystal=CRYSTAL)
"""Attention itself reaches 129 steps back; all beyond is read of crystals."""


def choice_network(seed: int) -> ChoiceNetwork:
    return seeded(seed, ChoiceNetwork)


def policy_lm(env: gymnasium.Env[Any, Any], seed: int, clock: int = 0) -> PolicyLM:
    """For an environment's spaces; clock: see StepNetwork. Raises InvalidInputError for actions that are not Discrete,
    and as `Features.of`.
    """
    settings = PolicySettings(Features.of(env.observation_space), actions_of(env), STEPS, clock, is_told(env))
    return seeded(seed, lambda: PolicyLM(settings))


def is_told(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether the action before is told: only where an environment asks for it, since whoever is told can remember by
    acting.
    """
    return bool(getattr(env.unwrapped, "obs_requires_prev_action", False))


def actions_of(env: gymnasium.Env[Any, Any]) -> int:
    """How many actions an environment has. Raises InvalidInputError where they are not Discrete, from 0 on."""
    if not (number := numbered_from_0(env.action_space)):
        raise InvalidInputError(
            f"{called(env)} has actions {env.action_space}, and a policy learns to choose one of "
            "so many, Discrete from 0 on: choose another environment, or number its actions by a wrapper"
        )
    return number


def numbered_from_0(space: gymnasium.Space[Any]) -> int:
    """How many actions a space has; 0 for one that is not Discrete, or begins elsewhere."""
    return int(space.n) if isinstance(space, gymnasium.spaces.Discrete) and space.start == 0 else 0


class Drawn(Protocol):
    """Makes an environment, with a generator as it is drawn, without one as ever."""

    def __call__(self, generator: torch.Generator | None = None) -> gymnasium.Env[Any, Any]: ...


def drawn(env: str, options: Mapping[str, Any]) -> Drawn:
    """Makes an environment by id; of an option that is a list one value is drawn each time."""

    makers: dict[str, Callable[[], gymnasium.Env[Any, Any]]] = {}  # each tries the environment once

    def make(generator: torch.Generator | None = None) -> gymnasium.Env[Any, Any]:
        generator = generator or torch.Generator().manual_seed(0)
        chosen = {name: _one(each, generator) for name, each in options.items()}
        if (key := repr(chosen)) not in makers:
            makers[key] = maker(env, chosen)
        return makers[key]()

    return make


def _one(value: Any, generator: torch.Generator) -> Any:
    if not isinstance(value, list) or not value:
        return value
    return value[int(torch.randint(len(value), (), generator=generator))]


def seeded(seed: int, make: Callable[[], Made]) -> Made:
    """The same seed gives the same weights; torch's own generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
