"""Playing a long episode quickly: steps are made ahead as guessed, and the policy then says which it would have made.

What it would have done otherwise is undone and done as it says, so every action is the policy's own, as if step after
step. Knows environments that can be copied, and a PolicyLM.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch

from agentmem.neural.transformer import State
from agentmem.policy.policy_lm import PolicyLM
from agentmem.policy.step_network import Steps

CHUNK = 1_000


@dataclass(frozen=True)
class Ended:
    """What came of an episode. atom_bytes: of its memory at the end."""

    steps: int
    reward: float
    atom_bytes: int


@torch.no_grad()
def played(
    policy: PolicyLM, env: gymnasium.Env[Any, Any], seed: int, tell: Callable[[int], None] = lambda steps: None
) -> Ended:
    """An episode by a policy, greedily. tell: is called with the number of steps made."""
    policy.eval()
    seen, _ = env.reset(seed=seed)
    state: State | None = None
    steps, total, before, over = 0, 0.0, 0, False
    while not over:
        origin, first = deepcopy(env), seen
        guess = max(0, before - 1)
        rows, rewards, ends = _ahead(env, seen, [guess] * CHUNK)
        acted, after = _decided(policy, rows[: len(rewards)], before, guess, state)
        wrong = next((place for place, action in enumerate(acted) if action != guess), None)
        if wrong is not None:
            env = origin
            actions = [guess] * wrong + [acted[wrong]]
            rows, rewards, ends = _ahead(env, first, actions)
            _, after = _decided(policy, rows[: len(rewards)], before, guess, state)
            before = acted[wrong] + 1
        else:
            before = guess + 1
        state, seen, over = after, rows[-1], ends
        steps, total = steps + len(rewards), total + sum(rewards)
        tell(steps)
    assert state is not None
    return Ended(steps, total, state.memory.atom_bytes)


def _ahead(env: gymnasium.Env[Any, Any], seen: Any, actions: list[int]) -> tuple[list[Any], list[float], bool]:
    """What is seen before each of these actions and after the last, the rewards, and whether that was the end."""
    rows, rewards = [seen], []
    for action in actions:
        seen, reward, terminated, truncated, _ = env.step(action)
        rows.append(seen)
        rewards.append(float(reward))
        if terminated or truncated:
            return rows, rewards, True
    return rows, rewards, False


def _decided(
    policy: PolicyLM, rows: list[Any], before: int, guess: int, state: State | None
) -> tuple[list[int], State]:
    """The policy's action at each row, if those before it in this chunk were guessed right, and the state after all."""
    features = [policy.features(each) for each in rows]
    ids, floats = (torch.from_numpy(np.stack(part))[None] for part in zip(*features, strict=True))
    acts = torch.tensor([[before] + [guess + 1] * (len(rows) - 1)])
    decided, after = policy(Steps(ids, floats, acts), state)
    return decided.logits[0].argmax(-1).tolist(), after
