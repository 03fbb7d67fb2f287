"""PolicyLM: a step network that remembers by the transformer with infinite memory.

Knows its settings, files and an episode; knows no environment. What is written of a step can be read for as long as the
episode goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.files import Saved, save
from agentmem.neural.settings import CrystalSettings, TransformerSettings, at_least
from agentmem.neural.transformer import InfiniteMemoryTransformer, State, positions
from agentmem.policy.choosing import one_thread
from agentmem.policy.spaces import Features, Leaf
from agentmem.policy.step_network import Remembered, StepNetwork, Steps
from agentmem.records import brief
from agentmem.types import PlanningContext

KIND = "PolicyLM"


@dataclass(frozen=True)
class PolicySettings:
    """features, actions, clock, acted: see StepNetwork. transformer: over the steps."""

    features: Features
    actions: int
    transformer: TransformerSettings = field(default_factory=TransformerSettings)
    clock: int = 0
    acted: bool = True

    def __post_init__(self) -> None:
        at_least(1, actions=self.actions)
        at_least(0, clock=self.clock)


class PolicyLM(StepNetwork):
    """Acts in an episode that `begin` began; it has no state itself. name: as a rollout notes it."""

    name: str | None = None

    def __init__(self, settings: PolicySettings) -> None:
        sizes = settings.transformer
        super().__init__(settings.features, settings.actions, sizes.d_model, settings.clock, settings.acted)
        self.settings = settings
        self.transformer = InfiniteMemoryTransformer(**vars(sizes))

    def start(self, episodes: int) -> State:
        return self.transformer.start(episodes)

    def remember(self, x: Tensor, state: State) -> Remembered:
        hidden, written, after = self.transformer.write(x, state)
        view = state.memory.view(written)
        hidden, readings, upper = self.transformer.read(hidden, view, positions(state, x), state.upper)
        memory = self.transformer.reinforced(after, readings)
        return Remembered(hidden, replace(after, memory=memory, upper=upper), readings, written)

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
        self._before = 0

    @torch.no_grad()
    def act(self, observation: Any, context: PlanningContext | None) -> int:
        """The action at the next step. Raises InvalidInputError for an observation of another space, and for one with
        numbers that are not finite.
        """
        steps = self._seen(observation)
        with one_thread():
            decided, self._state = self.policy(steps, self._state)
        action = int(decided.logits[0, -1].argmax())
        self._before = action + 1
        return action

    def _seen(self, observation: Any) -> Steps:
        features = self.policy.features
        try:
            steps = Steps.of([features(observation)], [self._before])
        except InvalidInputError:
            raise
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise _other(observation) from error
        if (steps.ids.shape[-1], steps.floats.shape[-1]) != (features.ids, features.floats):
            raise _other(observation)
        return steps


def _other(observation: Any) -> InvalidInputError:
    return InvalidInputError(
        f"this policy was trained on observations of another form than {brief(observation)}: play the environment that "
        "it was trained in, or train one for this by `agentmem train policy`"
    )


def settings_of(given: Mapping[str, Any]) -> PolicySettings:
    """Settings from plain values, as JSON has them."""
    leaves = tuple(Leaf(**{**leaf, "path": tuple(leaf["path"])}) for leaf in given["features"]["leaves"])
    sizes = dict(given["transformer"])
    crystal: dict[str, Any] = {
        name: tuple(each) if isinstance(each, list) else each for name, each in sizes.pop("crystal").items()
    }
    return PolicySettings(
        Features(leaves), given["actions"], TransformerSettings(crystal=CrystalSettings(**crystal), **sizes),
        given["clock"], given.get("acted", True),
    )  # fmt: skip
