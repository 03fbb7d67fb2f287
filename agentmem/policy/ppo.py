"""Proximal policy optimisation of a step network, over whole episodes.

Episodes are played side by side and learned from at once: the network reads each from its first step, so what it
remembers is learned too, and no state of an older policy is kept. Source: Schulman et al. 2017 (arXiv:1707.06347), with
generalised advantages (arXiv:1506.02438). Knows environments and a model; knows nothing of optimizers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium
import torch
import torch.nn.functional as F
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural import losses
from agentmem.neural.reader import gather
from agentmem.neural.train import Step
from agentmem.policy.horizon import grown, horizon
from agentmem.policy.played import Played, play
from agentmem.policy.step_network import Decided, StepNetwork
from agentmem.rollout.raised import closing

IMPORTANCE = 0.1


@dataclass
class ReinforcedTraining:
    """make: the environment of an episode, given a generator. episodes: played side by side for one batch. passes: over
    each batch, in `parts` parts. discount, trace: of advantages. clip: of the ratio of chances. worth, spread: weights
    of the losses of values and of entropy. Raises InvalidInputError for episodes that leave parts of different sizes.
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
    _played: Played | None = field(default=None, init=False)
    _order: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.int64), init=False)
    _scale: Tensor | None = field(default=None, init=False)
    _gains: Tensor = field(default_factory=lambda: torch.zeros(0, 0), init=False)

    def __post_init__(self) -> None:
        if self.episodes % self.parts:
            raise InvalidInputError(f"episodes={self.episodes} in parts={self.parts}: a whole number in each is needed")

    def step(self, model: StepNetwork, stage: int, generator: torch.Generator) -> Step:
        """One update. right: the mean return of the episodes that it is from; tokens: steps that were played for it."""
        steps = 0
        if self._played is None or not len(self._order):
            self._played = self._play(model, horizon(stage), generator)
            self._order = torch.cat([self._parts(generator) for _ in range(self.passes)])
            steps = int(self._played.real.sum())
            self._scale = scale_of(self._played, self.discount) if self._scale is None else self._scale
            self._gains = advantages(self._played, self.discount, self.trace, self._scale)
        rows, self._order = self._order[0], self._order[1:]
        parts = self._losses(model, self._played.part(rows), self._gains[rows])
        return Step(parts, float(self._played.rewards.sum(1).mean()), steps)

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return grown(stage, done)

    def said(self, line: Mapping[str, Any]) -> str:
        """Of a line of metrics, how good the model is."""
        return f"return {line['right']:.2f}"

    def kept(self, model: StepNetwork) -> dict[str, Tensor]:
        """What was played and not yet learned from, and the scale of rewards."""
        if self._played is None or self._scale is None:
            return {}
        return {"order": self._order, "scale": self._scale, **self._played.tensors()}

    def take_up(self, model: StepNetwork, kept: dict[str, Tensor]) -> None:
        if kept:
            self._order, self._scale = kept["order"], kept["scale"]
            self._played = Played.of({name: each for name, each in kept.items() if name not in ("order", "scale")})
            self._gains = advantages(self._played, self.discount, self.trace, kept["scale"])

    def _play(self, model: StepNetwork, most: int, generator: torch.Generator) -> Played:
        with ExitStack() as opened:
            envs = [opened.enter_context(closing(self.make(generator))) for _ in range(self.episodes)]
            seeds = torch.randint(2**31, (len(envs),), generator=generator).tolist()
            return play(model, envs, seeds, generator, most=most)

    def _parts(self, generator: torch.Generator) -> Tensor:
        return torch.randperm(self.episodes, generator=generator).view(self.parts, -1)

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
            **_kept(decided, real.shape[1]),
        }


def _kept(decided: Decided, steps: int) -> dict[str, Tensor]:
    """What is read later is to be kept: importance forecasts how much of each step a later reading takes."""
    if decided.written is None or not decided.readings:
        return {}
    choices = decided.written.choices
    needed = torch.zeros(len(decided.values), steps + 1)
    for reading in decided.readings:
        at = gather(reading.view.at.unsqueeze(-1), reading.chosen).flatten(1)
        needed.scatter_reduce_(1, at.where(at >= 0, steps), reading.weights.detach().float().flatten(1), "amax")
    kept = [losses.importance(each, needed[:, :steps]) for each in choices]
    return {"importance": IMPORTANCE * torch.stack(kept).mean()} if kept else {}


def scale_of(played: Played, discount: float) -> Tensor:
    """What rewards are to be multiplied by, so that what is still to come differs by about 1 from step to step."""
    worthless = replace(played, values=torch.zeros_like(played.values), after=torch.zeros_like(played.after))
    still = advantages(worthless, discount, 1.0)[played.real]
    return 1 / still.std() if still.std() > 0 else torch.ones(())


def advantages(played: Played, discount: float, trace: float, scale: Tensor | float = 1.0) -> Tensor:
    """Generalised advantages [B, T] of rewards times `scale`; an episode that is over is worth nothing more."""
    following = F.pad(played.values * played.real, (0, 1))[:, 1:]
    following = following.scatter(1, played.real.sum(1, keepdim=True) - 1, played.after[:, None])
    surprises = played.rewards * scale + discount * following - played.values
    gains, last = torch.zeros_like(surprises), torch.zeros(len(surprises))
    for at in reversed(range(surprises.shape[1])):
        last = (surprises[:, at] + discount * trace * last) * played.real[:, at]
        gains[:, at] = last
    return gains
