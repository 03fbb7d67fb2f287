"""PolicyLM: the transformer with infinite memory over the steps of an episode, with an observation encoder below and
action and value heads above.

Knows observations as numbers (`spaces`) and actions as whole numbers; knows no environment. A step is what was seen and
the action before it. What is written of a step can be read for as long as the episode goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentmem.errors import InvalidInputError
from agentmem.neural.files import Saved, save
from agentmem.neural.quantise import Precision
from agentmem.neural.reader import Reading
from agentmem.neural.settings import CrystalSettings, TransformerSettings, at_least
from agentmem.neural.shapes import check
from agentmem.neural.transformer import InfiniteMemoryTransformer, State, positions
from agentmem.neural.values import Written
from agentmem.policy.choosing import one_thread
from agentmem.policy.spaces import Features, Leaf
from agentmem.types import PlanningContext

KIND = "PolicyLM"


@dataclass(frozen=True)
class PolicySettings:
    """features: of observations. actions: how many there are. transformer: over the steps. clock: sines and
    cosines of the number of a step, so many of each, that it is told too.
    """

    features: Features
    actions: int
    transformer: TransformerSettings = field(default_factory=TransformerSettings)
    clock: int = 0

    def __post_init__(self) -> None:
        at_least(1, actions=self.actions)
        at_least(0, clock=self.clock)


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


@dataclass(frozen=True)
class Decided:
    """logits: [B, T, actions]; values: [B, T], of what is still to come; and what was read and written."""

    logits: Tensor
    values: Tensor
    readings: list[Reading]
    written: Written


class PolicyLM(nn.Module):
    """Acts in an episode that `begin` began; it has no state itself. name: as a rollout notes it."""

    name: str | None = None

    def __init__(self, settings: PolicySettings) -> None:
        super().__init__()
        self.settings, sizes = settings, settings.transformer
        width = sizes.d_model
        self.table = nn.Embedding(settings.features.rows, width, padding_idx=0)
        self.floats = nn.Linear(settings.features.floats, width) if settings.features.floats else None
        self.before = nn.Embedding(settings.actions + 1, width)
        for each in (self.table, self.before):
            nn.init.normal_(each.weight, std=0.5)
        self.clock = nn.Linear(2 * settings.clock, width, bias=False) if settings.clock else None
        self.encode = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.transformer = InfiniteMemoryTransformer(**vars(sizes))
        self.norm = nn.LayerNorm(width)
        self.action = nn.Linear(width, settings.actions)
        self.value = nn.Linear(width, 1)

    def forward(
        self, steps: Steps, state: State | None = None, precision: Precision | None = None
    ) -> tuple[Decided, State]:
        """What is decided at each of the next steps [B, T] of episodes, and the state after them; without a state, from
        their beginning. precision: of what is read, see `Memory.view`.

        Raises InvalidInputError for other shapes.
        """
        state = state or self.transformer.start(len(steps.before))
        x = self.embedded(steps, state.position)
        hidden, written, after = self.transformer.write(x, state)
        view = state.memory.view(written, precision)
        hidden, readings, upper = self.transformer.read(hidden, view, positions(state, x), state.upper)
        memory, hidden = self.transformer.reinforced(after, readings), self.norm(hidden)
        decided = Decided(self.action(hidden), self.value(hidden).squeeze(-1), readings, written)
        return decided, replace(after, memory=memory, upper=upper)

    def embedded(self, steps: Steps, start: int = 0) -> Tensor:
        """[B, T, d_model]. start: the number of the first step."""
        features = self.settings.features
        check("before", steps.before, "B", "T", types=(torch.int64,))
        check("ids", steps.ids, *steps.before.shape, steps.ids.shape[-1], types=(torch.int64,))
        number = max(1, steps.ids.shape[-1])
        x = self.table(steps.ids).sum(-2) / number**0.5 + self.before(steps.before)
        if self.clock is not None:
            x = x + self.clock(_sines(start + torch.arange(x.shape[1], device=x.device), self.settings.clock))
        if self.floats is not None:
            check("floats", steps.floats, *steps.before.shape, features.floats)
            x = x + self.floats(steps.floats)
        encoded: Tensor = x + self.encode(x)
        return encoded

    def seen(self, observation: Any, before: int | None = None) -> Steps:
        """One observation as a step [1, 1]. before: the action before it."""
        ids, floats = self.settings.features(observation)
        return Steps(
            torch.from_numpy(ids)[None, None], torch.from_numpy(floats)[None, None],
            torch.tensor([[0 if before is None else before + 1]]),
        )  # fmt: skip

    def begin(self, seed: int) -> Playing:
        """The policy of one episode."""
        return Playing(self)

    def act(self, observation: Any, context: PlanningContext | None) -> int:
        """As at the first step of an episode; the others are those of what `begin` gives."""
        return self.begin(0).act(observation, context)

    def save(self, path: str | Path, command: str = "", notes: Mapping[str, Any] | None = None) -> None:
        save(path, KIND, self.settings, self.state_dict(), None, command, notes)

    @classmethod
    def of(cls, saved: Saved) -> PolicyLM:
        """From what a file held. Raises InvalidInputError for what makes no policy."""
        made = saved.built(lambda settings: cls(settings_of(settings)))
        assert isinstance(made, PolicyLM)
        return made.eval()


class Playing:
    """A PolicyLM in one episode: it acts greedily, step after step, and remembers them all."""

    def __init__(self, policy: PolicyLM) -> None:
        self.policy = policy
        self._state: State | None = None
        self._before: int | None = None

    @torch.no_grad()
    def act(self, observation: Any, context: PlanningContext | None) -> int:
        """The action at the next step. Raises InvalidInputError for an observation of another space."""
        try:
            steps = self.policy.seen(observation, self._before)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InvalidInputError(
                f"an observation {type(observation).__name__} is not of the space that this policy was trained in "
                f"({error!r}): use it in the environment that it was trained for"
            ) from error
        with one_thread():
            decided, self._state = self.policy(steps, self._state)
        self._before = int(decided.logits[0, -1].argmax())
        return self._before


def settings_of(given: Mapping[str, Any]) -> PolicySettings:
    """Settings from plain values, as JSON has them."""
    leaves = tuple(Leaf(**{**leaf, "path": tuple(leaf["path"])}) for leaf in given["features"]["leaves"])
    sizes = dict(given["transformer"])
    crystal: dict[str, Any] = {
        name: tuple(each) if isinstance(each, list) else each for name, each in sizes.pop("crystal").items()
    }
    return PolicySettings(
        Features(leaves), given["actions"], TransformerSettings(crystal=CrystalSettings(**crystal), **sizes),
        given["clock"],
    )  # fmt: skip


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
