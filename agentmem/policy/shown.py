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
from agentmem.policy.step_network import StepNetwork, Steps, stacked
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


class Showing:
    """An episode as it is played: `seen` is what a step shows, `wanted` what is right there, `act` makes it.

    most: of its steps. Raises PlayError where the environment fails, and for an observation that cannot be learned
    from.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], features: Features, seed: int, most: int | None = None) -> None:
        self.env, self.most, self._features, self._of = env, most, features, f"the episode with seed {seed}"
        self._rows: list[Any] = []
        self._needs: list[tuple[int, int]] = []
        self._over = False
        with playing(env, at_step(0, self._of)):
            self._observation, self._info = env.reset(seed=seed)
        self._right = oracle_of(env)

    @property
    def goes_on(self) -> bool:
        return not self._over and len(self._rows) != self.most

    def seen(self) -> tuple[np.ndarray, np.ndarray]:
        """ids and floats of the observation."""
        return seen(self._features, self._observation, self.env, at_step(len(self._rows), self._of))

    def wanted(self) -> int:
        """Asked once at each step."""
        action, shown = self._right(self._observation)
        step = len(self._rows)
        self._needs += [(step, each) for each in (*shown, *(need["shown"] for need in self._info.get("needs", ())))]
        return action

    def act(self, seen: tuple[np.ndarray, np.ndarray], wanted: int, action: int) -> None:
        self._rows.append((*seen, action, wanted))
        with playing(self.env, at_step(len(self._rows), self._of)):
            self._observation, _, terminated, truncated, self._info = self.env.step(action)
        self._over = terminated or truncated

    def episode(self) -> Episode:
        ids, floats, acted, wanted = zip(*self._rows, strict=True)
        needs = tuple(self._needs)
        return Episode(np.stack(ids), np.stack(floats), np.array(acted), np.array(wanted), needs, self._over)


def episode(
    env: gymnasium.Env[Any, Any], features: Features, seed: int, luck: float, most: int | None = None
) -> Episode:
    """Played by the oracle, but for a share of actions that are drawn."""
    draw, showing = np.random.default_rng(apart(seed)), Showing(env, features, seed, most)
    while showing.goes_on:
        wanted, lucky = showing.wanted(), luck and draw.random() < luck
        action = int(draw.integers(env.action_space.n)) if lucky else wanted  # type: ignore[attr-defined]
        showing.act(showing.seen(), wanted, action)
    return showing.episode()


@torch.no_grad()
def acted(model: StepNetwork, showings: Sequence[Showing]) -> list[Episode]:
    """Played by a pupil side by side, its likeliest actions; the oracle says what would have been right."""
    model.eval()
    state, before = None, [0] * len(showings)
    while any(each.goes_on for each in showings):
        now = [each.seen() for each in showings]
        decided, state = model(Steps.of(now, before), state)
        actions = decided.logits[:, 0].argmax(-1).tolist()
        for showing, shown, action in zip(showings, now, actions, strict=True):
            if showing.goes_on:
                showing.act(shown, showing.wanted(), action)
        before = [action + 1 for action in actions]
    model.train()
    return [each.episode() for each in showings]


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
