"""Proximal policy optimisation of a step network, over whole episodes.

Episodes are played side by side and learned from at once: the network reads each from its first step, so what it
remembers is learned too, and no state of an older policy is kept. Source: Schulman et al. 2017 (arXiv:1707.06347), with
generalised advantages (arXiv:1506.02438). Knows environments and a model; knows nothing of optimizers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import torch
import torch.nn.functional as F
from torch import Tensor

from agentmem.neural.train import Step
from agentmem.policy.played import Played, play
from agentmem.policy.step_network import StepNetwork


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

    def step(self, model: StepNetwork, stage: int, generator: torch.Generator) -> Step:
        """One update. right: the mean return of the episodes that it is from; tokens: steps that were played for it."""
        steps = 0
        if not self._left:
            envs = [self.make(generator) for _ in range(self.episodes)]
            seeds = torch.randint(2**31, (len(envs),), generator=generator).tolist()
            played = play(model, envs, seeds, generator)
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

    def _losses(self, model: StepNetwork, played: Played, gains: Tensor) -> dict[str, Tensor]:
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
