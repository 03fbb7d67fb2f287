"""What every policy must do, as tests to inherit.

class TestMine(PolicyContract):
    def make_policy(self):
        return MyPolicy()

    def observations(self):
        return [...]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from agentmem.memory import Memory
from agentmem.types import PlanningContext


class PolicyContract(ABC):
    """Subclass, say how to make yours and what it sees, and let pytest collect it. See `agentmem.rollout.policies`."""

    @abstractmethod
    def make_policy(self) -> Any:
        """A new policy: an object with `act(observation, context)`, and perhaps `begin` and `act_many`."""

    @abstractmethod
    def observations(self) -> Sequence[Any]:
        """Observations of one episode, two or more."""

    def begun(self, seed: int = 0) -> Any:
        policy = self.make_policy()
        return policy.begin(seed) if hasattr(policy, "begin") else policy

    def contexts(self) -> list[PlanningContext | None]:
        """None, an empty one, and one that says something."""
        with Memory.open(":memory:", encoder=None) as memory:
            with memory.episode(id="run") as episode:
                episode.observe("The key hangs in the kitchen.")
            return [None, memory.recall("nothing like it"), memory.recall("Where is the key?")]

    def acted(self, policy: Any) -> list[str]:
        return [_plain(policy.act(seen, None)) for seen in self.observations()]

    def test_acts_on_every_observation_with_whatever_context(self) -> None:
        for context in self.contexts():
            policy = self.begun()
            for observation in self.observations():
                policy.act(observation, context)

    def test_acts_the_same_in_an_episode_that_sees_the_same(self) -> None:
        policy = self.make_policy()
        if hasattr(policy, "begin"):
            first, again = policy.begin(3), policy.begin(3)
            assert self.acted(first) == self.acted(again)

    def test_an_episode_knows_nothing_of_another_beside_it(self) -> None:
        policy = self.make_policy()
        if hasattr(policy, "begin"):
            alone = self.acted(policy.begin(3))
            one, other = policy.begin(3), policy.begin(4)
            beside = []
            for observation in self.observations():
                beside.append(_plain(one.act(observation, None)))
                other.act(observation, None)
            assert beside == alone

    def test_does_not_change_what_it_sees(self) -> None:
        policy = self.begun()
        for observation in self.observations():
            before = deepcopy(observation)
            policy.act(observation, None)
            assert _plain(before) == _plain(observation)

    def test_many_act_as_each_does_alone(self) -> None:
        policy = self.make_policy()
        if hasattr(policy, "act_many"):
            seen = list(self.observations())
            begun = [policy.begin(0) if hasattr(policy, "begin") else policy for _ in seen]
            together = policy.act_many(begun, seen, [None] * len(seen))
            alone = [self.begun().act(observation, None) for observation in seen]
            assert [_plain(action) for action in together] == [_plain(action) for action in alone]


def _plain(value: Any) -> str:
    """A value as text that is equal for equal values."""
    if isinstance(value, dict):
        return str({key: _plain(inner) for key, inner in value.items()})
    return str(value.tolist()) if isinstance(value, np.ndarray | np.generic) else repr(value)
