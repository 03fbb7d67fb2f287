"""Episodes of steps to learn from: what was seen, what was done, and what would have been right.

Knows environments and oracles; knows no network. Some actions are drawn at random and the oracle says what was right
all the same, so that a pupil cannot lean on the action before (Laskey et al. 2017, arXiv:1703.09327).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from agentmem.policy.oracles import oracle_of
from agentmem.policy.spaces import Features, seen
from agentmem.policy.step_network import Steps, stacked
from agentmem.rollout.policies import apart
from agentmem.rollout.raised import at_step, playing


@dataclass(frozen=True)
class Episode:
    """ids int64 [T, I], floats [T, F]: what was seen. acted, right: int64 [T]. needs: (step, the step it needs). over:
    whether it was played to its end.
    """

    ids: np.ndarray
    floats: np.ndarray
    acted: np.ndarray
    right: np.ndarray
    needs: tuple[tuple[int, int], ...]
    over: bool


@dataclass(frozen=True)
class Batch:
    """steps [B, T]; right: int64 [B, T], -1 behind the end. at, shown: int64 [B, Q], steps and the steps they need, -1
    for none.
    """

    steps: Steps
    right: Tensor
    at: Tensor
    shown: Tensor


def episode(
    env: gymnasium.Env[Any, Any], features: Features, seed: int, luck: float, most: int | None = None
) -> Episode:
    """Played by the oracle, but for a share of actions that are drawn. most: of its steps. Raises PlayError where the
    environment fails, and for an observation that cannot be learned from.
    """
    draw = np.random.default_rng(apart(seed))
    of = f"the episode with seed {seed}"
    with playing(env, at_step(0, of)):
        observation, info = env.reset(seed=seed)
    rows: list[Any] = []
    right, needs, over = oracle_of(env), [], False
    while not over and len(rows) != most:
        wanted, shown = right(observation)
        needs += [(len(rows), step) for step in (*shown, *(need["shown"] for need in info.get("needs", ())))]
        action = int(draw.integers(env.action_space.n)) if luck and draw.random() < luck else wanted  # type: ignore[attr-defined]
        rows.append((*seen(features, observation, env, at_step(len(rows), of)), action, wanted))
        with playing(env, at_step(len(rows), of)):
            observation, _, terminated, truncated, info = env.step(action)
        over = terminated or truncated
    ids, floats, acted, wanted_all = zip(*rows, strict=True)
    return Episode(np.stack(ids), np.stack(floats), np.array(acted), np.array(wanted_all), tuple(needs), over)


def batch_of(episodes: Sequence[Episode]) -> Batch:
    """Side by side, those that end earlier with nothing behind their ends."""
    steps = stacked([(each.ids, each.floats, each.acted) for each in episodes])
    right = torch.full(steps.before.shape, -1)
    most = max(1, *(len(each.needs) for each in episodes))
    at, shown = torch.full((len(episodes), most), -1), torch.full((len(episodes), most), -1)
    for row, each in enumerate(episodes):
        right[row, : len(each.right)] = torch.from_numpy(each.right)
        for place, (step, needed) in enumerate(each.needs):
            at[row, place], shown[row, place] = step, needed
    return Batch(steps, right, at, shown)
