"""Proximal policy optimisation of a PolicyLM, over whole episodes.

Episodes are played side by side and learned from at once: the transformer reads each from its first step, so what it
remembers is learned too, and no state of an older policy is kept. Source: Schulman et al. 2017 (arXiv:1707.06347), with
generalised advantages (arXiv:1506.02438). Knows environments and a model; knows nothing of optimizers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from agentmem.neural.train import Step
from agentmem.policy.policy_lm import PolicyLM, Steps, stacked


@dataclass(frozen=True)
class Played:
    """Episodes that were played: steps [B, T]; actions int64, and rewards, values and log probabilities of the actions
    when they were made, float [B, T]; real: bool [B, T], false behind the end.
    """

    steps: Steps
    actions: Tensor
    rewards: Tensor
    values: Tensor
    chances: Tensor
    real: Tensor

    def part(self, rows: Tensor) -> Played:
        steps = Steps(self.steps.ids[rows], self.steps.floats[rows], self.steps.before[rows])
        rest = self.actions, self.rewards, self.values, self.chances, self.real
        return Played(steps, *(each[rows] for each in rest))


@dataclass
class ReinforcedTraining:
    """make: the environment of an episode, given a generator. episodes: played side by side for one batch. passes: over
    each batch, in `parts` parts. discount, trace: of advantages. clip: of the ratio of chances. worth, spread: weights
    of the losses of values and of entropy.
    """

    make: Callable[[torch.Generator], gymnasium.Env[Any, Any]]
    episodes: int = 64
    passes: int = 4
    parts: int = 4
    discount: float = 0.99
    trace: float = 0.95
    clip: float = 0.2
    worth: float = 0.5
    spread: float = 0.01
    _left: list[tuple[Played, Tensor]] = field(default_factory=list, init=False)
    _returned: float = field(default=0.0, init=False)

    def step(self, model: PolicyLM, stage: int, generator: torch.Generator) -> Step:
        """One update. right: the mean return of the episodes that it is from; tokens: steps that were played for it."""
        steps = 0
        if not self._left:
            played = play(model, [self.make(generator) for _ in range(self.episodes)], generator)
            steps = int(played.real.sum())
            self._returned = float(played.rewards.sum(1).mean())
            gains = advantages(played, self.discount, self.trace)
            self._left = list(self._batches(played, gains, generator))
        losses = self._losses(model, *self._left.pop())
        return Step(losses, self._returned, steps)

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return False

    def _batches(self, played: Played, gains: Tensor, generator: torch.Generator) -> Any:
        for _ in range(self.passes):
            for rows in torch.randperm(len(gains), generator=generator).chunk(self.parts):
                yield played.part(rows), gains[rows]

    def _losses(self, model: PolicyLM, played: Played, gains: Tensor) -> dict[str, Tensor]:
        decided, _ = model(played.steps)
        real, chances = played.real, F.log_softmax(decided.logits, -1)
        ratio = (chances.gather(-1, played.actions.unsqueeze(-1)).squeeze(-1) - played.chances).exp()
        even = (gains - gains[real].mean()) / (gains[real].std() + 1e-6)
        held = torch.minimum(ratio * even, ratio.clamp(1 - self.clip, 1 + self.clip) * even)
        wanted = gains + played.values
        return {
            "policy": -held[real].mean(),
            "value": self.worth * F.mse_loss(decided.values[real], wanted[real]),
            "entropy": self.spread * (chances.exp() * chances).sum(-1)[real].mean(),
        }


@torch.no_grad()
def play(model: PolicyLM, envs: list[gymnasium.Env[Any, Any]], generator: torch.Generator) -> Played:
    """One episode of each environment, side by side, with actions drawn as the policy has it."""
    seeds = torch.randint(2**31, (len(envs),), generator=generator).tolist()
    seen = [env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)]
    before, state, over = [0] * len(envs), None, [False] * len(envs)
    rows: list[list[Any]] = [[] for _ in envs]
    while not all(over):
        features = [model.settings.features(each) for each in seen]
        ids, floats = (torch.from_numpy(np.stack(part))[:, None] for part in zip(*features, strict=True))
        decided, state = model(Steps(ids, floats, torch.tensor(before)[:, None]), state)
        chances = F.log_softmax(decided.logits[:, 0].float(), -1)
        actions = torch.multinomial(chances.exp(), 1, generator=generator).squeeze(-1).tolist()
        for lane, env in enumerate(envs):
            if not over[lane]:
                action = actions[lane]
                seen[lane], reward, terminated, truncated, _ = env.step(action)
                told = float(decided.values[lane, 0]), float(chances[lane, action])
                rows[lane].append((*features[lane], action, float(reward), *told))
                over[lane] = terminated or truncated
        before = [action + 1 for action in actions]
    return _played(rows)


def _played(rows: list[list[Any]]) -> Played:
    parts = [[np.stack(part) for part in zip(*episode, strict=True)] for episode in rows]
    longest = max(len(actions) for _, _, actions, *_ in parts)
    actions, rewards, values, chances, real = (torch.zeros(len(rows), longest) for _ in range(5))
    for lane, (_, _, acted, got, worth, chance) in enumerate(parts):
        for to, each in ((actions, acted), (rewards, got), (values, worth), (chances, chance)):
            to[lane, : len(acted)] = torch.from_numpy(each).float()
        real[lane, : len(acted)] = 1
    steps = stacked([(ids, floats, acted) for ids, floats, acted, *_ in parts])
    return Played(steps, actions.long(), rewards, values, chances, real.bool())


def advantages(played: Played, discount: float, trace: float) -> Tensor:
    """Generalised advantages [B, T]; an episode that is over is worth nothing more."""
    gains, last = torch.zeros_like(played.rewards), torch.zeros(len(played.rewards))
    for at in reversed(range(played.rewards.shape[1])):
        goes_on = at + 1 < played.rewards.shape[1]
        following = played.values[:, at + 1] * played.real[:, at + 1] if goes_on else torch.zeros_like(last)
        surprise = played.rewards[:, at] + discount * following - played.values[:, at]
        last = (surprise + discount * trace * last) * played.real[:, at]
        gains[:, at] = last
    return gains
