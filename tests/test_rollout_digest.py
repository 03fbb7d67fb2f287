"""The digest of a rollout: the same for the same seed, whatever else an environment tells of itself."""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics
from rolls import Counting, memory_at

from agentmem.rollout import ScriptedPolicy, rollout
from agentmem.rollout.trail import READ

THREE = ScriptedPolicy(lambda observation, context: 3)


class Telling(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds to info what it is told to tell, at every step."""

    def __init__(self, env: gymnasium.Env[Any, Any], told: dict[str, Any]) -> None:
        super().__init__(env)
        self.told = told

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        seen, reward, terminated, truncated, info = self.env.step(action)
        return seen, float(reward), terminated, truncated, info | self.told


def digest_of(make: Any) -> str:
    with memory_at() as memory:
        return rollout(make, THREE, memory, kind="window", budget=60, episodes=2).digest


def test_the_time_that_an_episode_took_is_not_in_it() -> None:
    class Waiting(Counting):
        def step(self, action: Any) -> Any:
            time.sleep(pauses.pop())
            return super().step(action)

    pauses = [0.0] * 5 + [0.02] * 5
    digests = [digest_of(lambda: RecordEpisodeStatistics(Waiting())) for _ in range(2)]
    assert digests[0] == digests[1]
    assert not pauses


@pytest.mark.parametrize("told", [0.5, "noon", {"a": [1]}, np.arange(100)])
def test_of_info_it_has_what_a_report_reads_and_no_more(told: Any) -> None:
    bare = digest_of(Counting)
    assert digest_of(lambda: Telling(Counting(), {"luck": told, "needs_more": told})) == bare
    assert len({bare, *(digest_of(lambda read=read: Telling(Counting(), {read: [told]})) for read in READ)}) == 4
