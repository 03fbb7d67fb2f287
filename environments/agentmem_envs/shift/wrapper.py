"""The wrapper that lets an agent choose a call instead of writing it."""

from collections.abc import Sequence
from operator import index
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from agentmem.errors import InvalidInputError
from agentmem_envs.calls import LIMIT
from agentmem_envs.shift.candidates import CHOICES
from agentmem_envs.shift.env import Observation, Shift
from agentmem_envs.text import text_space


class Candidates(gymnasium.Wrapper[Observation, Any, Observation, str], RecordConstructorArgs):
    """Discrete(8) over calls filled from the schema, the text and values shown in this shift.

    Adds to the observation `candidates`, one call a line, `action_mask` [8] and `writes`, whether one of the calls may
    change something. The wrong calls are of the same tool and form as the right one; where that turns on a hidden fact,
    none was shown within the delay, and those that stood among candidates as often come first. A privileged shift's
    info has `gold_index`. What is no number of a line is a graded failure; a text is passed on as it is. Raises
    InvalidInputError on an environment that is not a shift.
    """

    any_action = True  # so that a rollout passes on what is none of the space, which is to be graded

    def __init__(self, env: gymnasium.Env[Observation, str]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        if not isinstance(env.unwrapped, Shift):
            raise InvalidInputError(f"{env} is no Shift environment, so it has no candidates")
        self.shift = env.unwrapped
        space = self.shift.observation_space
        assert isinstance(space, spaces.Dict)
        offers = {"candidates": text_space(CHOICES * LIMIT), "action_mask": spaces.MultiBinary(CHOICES)}
        self.observation_space = spaces.Dict({**space.spaces, **offers, "writes": spaces.Discrete(2)})
        self.action_space = spaces.Discrete(CHOICES)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._offer(observation), self._told(info)

    def step(self, action: np.int64 | str) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        chosen = action if isinstance(action, str) else _line(self.shift.candidates(), action)
        observation, reward, terminated, truncated, info = self.env.step(chosen)
        return self._offer(observation), float(reward), terminated, truncated, self._told(info)

    def _offer(self, observation: Observation) -> Observation:
        calls = self.shift.candidates()
        mask = (np.arange(CHOICES) < len(calls)).astype(np.int8)
        writes = np.int64(self.shift.writes())
        return {**observation, "candidates": "\n".join(calls), "action_mask": mask, "writes": writes}

    def _told(self, info: dict[str, Any]) -> dict[str, Any]:
        if info.get("gold"):
            info["gold_index"] = self.shift.candidates().index(info["gold"])
        return info


def _line(calls: Sequence[str], choice: Any) -> str:
    """The call of this number; nothing where there is none, or it is no number."""
    try:
        place = index(choice)
    except TypeError:
        return ""
    return calls[place] if 0 <= place < len(calls) else ""
