"""Whether a policy can act in an environment, and one can be trained there, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from agentmem.errors import InvalidInputError
from agentmem.policy import load_trained
from agentmem.policy.fits import check_acts, check_steps
from agentmem.rollout.making import about, maker

MAZE, SHOP, WIDE = "agentmem/TMaze-v0", "agentmem/ShiftShop-Short-v0", "Wide-v0"


class Wide(gymnasium.Env[Any, Any]):
    """Shows `n` numbers, and has `actions` actions, the first of them `start`."""

    def __init__(self, n: int = 2, actions: int = 4, start: int = 0) -> None:
        self.observation_space = spaces.Box(-1, 1, (n,), np.float32)
        self.action_space = spaces.Discrete(actions, start=start)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(self.observation_space.shape or (), np.float32), {}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    gymnasium.register(WIDE, entry_point=Wide, disable_env_checker=True)
    yield
    del gymnasium.registry[WIDE]


@pytest.mark.parametrize(
    ("env", "options", "policy", "said"),
    [
        (MAZE, {}, "tmaze", ""),
        (SHOP, {}, "shift", ""),
        (WIDE, {"n": 3}, "tmaze", "policy tmaze cannot act in Wide-v0: .* other observations .* play the environment"),
        (WIDE, {"actions": 2}, "tmaze", r"policy tmaze cannot act in Wide-v0: it chooses one of 4 .* Discrete\(2\)"),
        (WIDE, {"start": 1}, "tmaze", r"it chooses one of 4 actions, and there they are Discrete\(4, start=1\)"),
        (SHOP, {}, "tmaze", f"policy tmaze cannot act in {SHOP}: it chooses one of 4 actions"),
        (MAZE, {}, "shift", f"policy shift cannot act in {MAZE}: .* among 1 to 8 offered calls, .* offers 0: play a"),
        (SHOP, {"candidates": False}, "shift", "offers 0: play a shift"),
    ],
)
def test_a_trained_policy_is_refused_where_it_cannot_act(env: str, options: Any, policy: str, said: str) -> None:
    acting, there = load_trained(policy), about(maker(env, options))
    if not said:
        check_acts(acting, policy, env, there)
        return
    with pytest.raises(InvalidInputError, match=said) as caught:
        check_acts(acting, policy, env, there)
    assert "Error(" not in str(caught.value)


def test_each_value_of_each_list_is_made_and_may_change_no_form() -> None:
    check_steps(WIDE, {"n": [2, 2], "actions": [3, 3]}, oracle=False)
    for options in ({"n": [2, 3]}, {"n": [2, 2], "actions": [3, 3, 4]}):
        with pytest.raises(InvalidInputError, match="Wide-v0 has other observations or actions with {.*} than with {"):
            check_steps(WIDE, options, oracle=False)
    with pytest.raises(InvalidInputError, match=r"Discrete\(4, start=1\), and a policy learns .* Discrete from 0 on"):
        check_steps(WIDE, {"start": 1}, oracle=False)
    with pytest.raises(InvalidInputError, match="length=0"):
        check_steps(MAZE, {"length": [10, 100, 0]}, oracle=True)
    with pytest.raises(InvalidInputError, match="no oracle of Wide-v0"):
        check_steps(WIDE, {}, oracle=True)
