"""A network that decides at each step of an episode: an observation encoder below, action and value heads above, and
what remembers in between.

Knows observations as numbers (`spaces`) and actions as whole numbers; knows no environment, and not how it remembers.
A step is what was seen and the action before it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentmem.neural.reader import Reading
from agentmem.neural.shapes import check
from agentmem.neural.values import Written
from agentmem.policy.spaces import Features


@dataclass(frozen=True)
class Steps:
    """Of several episodes, side by side. ids int64 [B, T, I] and floats [B, T, F]: what was seen. before int64 [B, T]:
    one more than the action before, 0 at the first step.
    """

    ids: Tensor
    floats: Tensor
    before: Tensor

    def part(self, start: int, end: int | None = None) -> Steps:
        return Steps(self.ids[:, start:end], self.floats[:, start:end], self.before[:, start:end])

    @classmethod
    def of(cls, seen: Sequence[tuple[np.ndarray, np.ndarray]], before: Sequence[int]) -> Steps:
        """One step [B, 1] of several episodes. seen: ids and floats of each, as Features gives them."""
        ids, floats = zip(*seen, strict=True)
        parts = torch.from_numpy(np.stack(ids)), torch.from_numpy(np.stack(floats)), torch.tensor(before)
        return cls(*(each[:, None] for each in parts))


@dataclass(frozen=True)
class Remembered:
    """out: [B, T, width]; state: after it. readings, written: of those that have crystals."""

    out: Tensor
    state: Any
    readings: list[Reading] = field(default_factory=list)
    written: Written | None = None


@dataclass(frozen=True)
class Decided:
    """hidden: [B, T, width], what the heads see; logits: [B, T, actions]; values: [B, T], of what is still to come; and
    what was read and written.
    """

    hidden: Tensor
    logits: Tensor
    values: Tensor
    readings: list[Reading]
    written: Written | None


class StepNetwork(nn.Module, ABC):
    """features: of observations. actions: how many there are. clock: sines and cosines of the number of a step, so many
    of each, that it is told too. acted: whether it is told the action before.
    """

    remembers = True
    """Whether anything but the present step can be told by it."""

    def __init__(self, features: Features, actions: int, width: int, clock: int = 0, acted: bool = True) -> None:
        super().__init__()
        self.features, self.sines = features, clock
        self.table = nn.Embedding(features.rows, width, padding_idx=0)
        self.floats = nn.Linear(features.floats, width) if features.floats else None
        self.before = nn.Embedding(actions + 1, width) if acted else None
        nn.init.normal_(self.table.weight, std=0.5 / max(1, features.ids) ** 0.5)
        if self.before is not None:
            nn.init.normal_(self.before.weight, std=0.5)
        self.clock = nn.Linear(2 * clock, width, bias=False) if clock else None
        self.encode = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.norm = nn.LayerNorm(width)
        self.action = nn.Linear(width, actions)
        self.value = nn.Linear(width, 1)

    @abstractmethod
    def start(self, episodes: int) -> Any:
        """The state before the first step of so many episodes; its `position` is how many steps were seen."""

    @abstractmethod
    def remember(self, x: Tensor, state: Any) -> Remembered:
        """x: the next steps, [B, T, width]."""

    def forward(self, steps: Steps, state: Any = None) -> tuple[Decided, Any]:
        """What is decided at each of the next steps [B, T] of episodes, and the state after them; without a state, from
        their beginning. Raises InvalidInputError for other shapes.
        """
        state = state or self.start(len(steps.before))
        kept = self.remember(self.embedded(steps, state.position), state)
        hidden = self.norm(kept.out)
        values = self.value(hidden).squeeze(-1)
        return Decided(hidden, self.action(hidden), values, kept.readings, kept.written), kept.state

    def embedded(self, steps: Steps, start: int = 0) -> Tensor:
        """[B, T, width]. start: the number of the first step."""
        check("before", steps.before, "B", "T", types=(torch.int64,))
        check("ids", steps.ids, *steps.before.shape, steps.ids.shape[-1], types=(torch.int64,))
        x = self._seen(steps.ids)
        if self.before is not None:
            x = x + self.before(steps.before)
        if self.clock is not None:
            x = x + self.clock(_sines(start + torch.arange(x.shape[1], device=x.device), self.sines))
        if self.floats is not None:
            check("floats", steps.floats, *steps.before.shape, self.features.floats)
            x = x + self.floats(steps.floats)
        encoded: Tensor = x + self.encode(x)
        return encoded

    def _seen(self, ids: Tensor) -> Tensor:
        """The rows of the table that ids [B, T, I] name, added up: [B, T, width]."""
        if not ids.shape[-1]:
            return self.table.weight.new_zeros(*ids.shape[:-1], self.table.embedding_dim)
        rows = F.embedding_bag(ids.flatten(0, 1), self.table.weight, mode="sum", padding_idx=0)
        return rows.view(*ids.shape[:-1], -1)


def stacked(episodes: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Steps:
    """Episodes (ids [T, I], floats [T, F], actions [T]) of different lengths as steps, with zeros behind their ends."""
    longest = max(len(actions) for _, _, actions in episodes)
    ids, floats, before = zip(*(
        (_long(torch.from_numpy(ids), longest), _long(torch.from_numpy(floats), longest),
         _long(F.pad(torch.from_numpy(actions[:-1]) + 1, (1, 0)), longest))
        for ids, floats, actions in episodes
    ), strict=True)  # fmt: skip
    return Steps(torch.stack(ids), torch.stack(floats), torch.stack(before))


def _sines(numbers: Tensor, of_each: int) -> Tensor:
    """Of periods from 2 to 2,000 steps: [T, 2 of_each]."""
    periods = 2 * 1_000 ** torch.linspace(0, 1, of_each, device=numbers.device)
    angles = numbers[:, None] * (2 * torch.pi / periods)
    return torch.cat((angles.sin(), angles.cos()), -1)


def _long(rows: Tensor, length: int) -> Tensor:
    """With zeros behind it."""
    return torch.cat((rows, rows.new_zeros(length - len(rows), *rows.shape[1:])))
