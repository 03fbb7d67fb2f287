"""Playing a long episode quickly: steps are made ahead as guessed, and the policy then says which it would have made.

What it would have done otherwise is undone and done as it says, so every action is the policy's own, as if step after
step. Knows environments that can be copied, and a network of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch

from agentmem.policy.step_network import StepNetwork, Steps

CHUNK = 1_000
"""Steps ahead, at most; fewer after a guess was wrong."""


@dataclass(frozen=True)
class Ended:
    """What came of an episode. state: of the network, at its end."""

    steps: int
    reward: float
    state: Any


@torch.no_grad()
def played(
    policy: StepNetwork, env: gymnasium.Env[Any, Any], seed: int, tell: Callable[[int], None] = lambda steps: None
) -> Ended:
    """An episode by a policy, greedily. tell: is called with the number of steps made."""
    policy.eval()
    seen, _ = env.reset(seed=seed)
    state, chunk = None, CHUNK
    steps, total, before, over = 0, 0.0, 0, False
    while not over:
        origin, first = deepcopy(env), seen
        guess = max(0, before - 1)
        rows, rewards, ends = _ahead(env, seen, [guess] * chunk)
        acted, after = _decided(policy, rows[: len(rewards)], before, guess, state)
        wrong = next((place for place, action in enumerate(acted) if action != guess), None)
        if wrong is not None:
            env = origin
            actions = [guess] * wrong + [acted[wrong]]
            rows, rewards, ends = _ahead(env, first, actions)
            _, after = _decided(policy, rows[: len(rewards)], before, guess, state)
            before, chunk = acted[wrong] + 1, max(1, chunk // 2)
        else:
            before, chunk = guess + 1, min(CHUNK, 2 * chunk)
        state, seen, over = after, rows[-1], ends
        steps, total = steps + len(rewards), total + sum(rewards)
        tell(steps)
    return Ended(steps, total, state)


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


def _decided(policy: StepNetwork, rows: list[Any], before: int, guess: int, state: Any) -> tuple[list[int], Any]:
    """The policy's action at each row, if those before it in this chunk were guessed right, and the state after all."""
    features = [policy.features(each) for each in rows]
    ids, floats = (torch.from_numpy(np.stack(part))[None] for part in zip(*features, strict=True))
    acts = torch.tensor([[before] + [guess + 1] * (len(rows) - 1)])
    decided, after = policy(Steps(ids, floats, acts), state)
    return decided.logits[0].argmax(-1).tolist(), after
