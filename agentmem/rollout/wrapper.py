"""A Gymnasium wrapper with which any agent sees a planning context beside its observation, and every step is logged."""

from __future__ import annotations

import string
from typing import Any

import gymnasium
from gymnasium import spaces

from agentmem.errors import InvalidInputError
from agentmem.memory import Memory, check_memory
from agentmem.records import brief
from agentmem.rollout.contexts import KINDS, Kind
from agentmem.rollout.lanes import Took
from agentmem.rollout.notes import begins, numbered, take
from agentmem.rollout.raised import Raised, at_step, called, fail, reward_of
from agentmem.rollout.reading import Reading, reading_of
from agentmem.rollout.trail import Trail, flush
from agentmem.tokens import check_budget
from agentmem.types import PlanningContext

CONTEXT = "context"
LETTERS = frozenset(string.printable)
LONGEST = 16
"""Characters of a token, at most, in the space of contexts; what is longer is cut."""


class PlanningContexts(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds `context` to the observation: the text of what is recalled for it, within `budget` tokens.

    A Dict observation gets one more entry, any other becomes Dict(observation, context). Each episode is logged in a
    namespace of its own below the memory's, `(id, number)`. `planning_context` is the whole of the last one. Raises
    InvalidInputError for a kind or budget that there is not, and an observation that has a `context` already;
    SettingsError where the memory holds a rollout of the environment, or imported episodes.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        memory: Memory,
        budget: int = 1024,
        kind: Kind = "crystals",
        reading: Reading | None = None,
    ) -> None:
        super().__init__(env)
        check_memory(memory)
        if kind not in KINDS or kind == "full":
            raise InvalidInputError(f"kind {brief(kind)} has no budget or is unknown; give crystals, window or none")
        check_budget(budget)
        self.memory, self.budget, self.kind = memory, budget, kind
        self.called = called(env)
        self.reading = reading or reading_of(self.called)
        text = spaces.Text(LONGEST * budget, min_length=0, charset=LETTERS)
        inner = env.observation_space
        self._joins = isinstance(inner, spaces.Dict)
        own = dict(inner.spaces) if isinstance(inner, spaces.Dict) else {"observation": inner}
        if CONTEXT in own:
            raise InvalidInputError(f"observations of {env} have a {CONTEXT!r} already: wrap it once")
        self.observation_space = spaces.Dict({**own, CONTEXT: text})
        self._place = memory.scoped(*memory.namespace, self.called)
        take(self._place, {"environment": self.called}, by=type(self).__name__)
        self._trail: Trail | None = None
        self._took: Took | None = None
        self.planning_context: PlanningContext | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.finish()
        observation, info = self.env.reset(seed=seed, options=options)
        with begins(self._place):  # the episode too, or a wrapper beside this one takes the number
            self._trail = Trail(self._next(), 0, seed or 0, self.reading)
            self._trail.writer(self.reading.thread(observation))
        return self._show(Took(observation, None, False, False, info))

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._trail is None or self._took is None:
            raise InvalidInputError("the episode is over or has not begun: call reset()")
        observation, given, terminated, truncated, info = self.env.step(action)
        if isinstance(reward := reward_of(given), Raised):
            fail(self.called, at_step(self._trail.turn + 1, f"episode {self._trail.memory.namespace[-1]}"), reward)
        self._trail.act(self._took, action, self.planning_context, self.kind)
        self._trail.turn += 1
        seen, told = self._show(Took(observation, reward, terminated, truncated, info))
        if terminated or truncated:
            self.finish()
        return seen, reward, terminated, truncated, told

    def finish(self) -> None:
        """Log what waits and end the episode, whether it is over or not."""
        if self._trail is None or self._took is None:
            return
        self._trail.waiting.append(self._trail.observe(self._took))
        flush([self._trail])
        self._trail.end()
        if self.kind == "crystals":
            self._trail.memory.crystallize()
        self._trail = self._took = None

    def close(self) -> None:
        self.finish()
        super().close()

    def _next(self) -> Memory:
        """The namespace of the next episode."""
        number = max(numbered(self._place), default=-1) + 1
        return self.memory.scoped(*self._place.namespace, str(number))

    def _show(self, took: Took) -> tuple[Any, dict[str, Any]]:
        assert self._trail is not None
        if self.kind != "none" or self._trail.long:
            flush([self._trail])
        if self.kind == "crystals" and self._trail.stops:
            self._trail.memory.crystallize()
        self._took = took
        self.planning_context = self._trail.context(self.kind, took.observation, self.budget)
        text = "".join(letter if letter in LETTERS else "?" for letter in self.planning_context.text)[
            : LONGEST * self.budget
        ]
        own = dict(took.observation) if self._joins else {"observation": took.observation}
        return {**own, CONTEXT: text}, took.info
