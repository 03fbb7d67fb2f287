"""An episode played again: what of an observation must be the same, and what may be of the moment."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rolls import Counting, memory_at

from agentmem import Memory
from agentmem.replay import replay, rerun
from agentmem.rollout import Again, ScriptedPolicy, rollout
from agentmem.types import Step


@pytest.fixture
def memory() -> Iterator[Memory]:
    with memory_at() as memory:
        yield memory


class Timed(Counting):
    """Tells in info what is another each time, in JSON and in an array; and, as a report reads it, what is `stale`."""

    stale = False

    def step(self, action: Any) -> Any:
        *said, info = super().step(action)
        return *said, {**info, "took": time.perf_counter(), "trace": np.random.random(100), "stale": Timed.stale}


def test_of_info_what_a_report_reads_must_be_the_same_and_the_rest_may_be_of_the_moment(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout(Timed, ScriptedPolicy(lambda seen, context: 1), memory, kind="none")
    episode = memory.scoped("Timed", "0")
    with Again(episode, make=Timed) as again:
        assert [one.same for one in rerun(replay(episode, None), again)] == [True] * 3
        monkeypatch.setattr(Timed, "stale", True)
        last = list(rerun(replay(episode, None), again))[-1]
    assert re.match(r"its data was .*\"stale\":false.*, and is .*\"stale\":true", last.why), last.why


class Plain:
    """Plays nothing anew, and says nothing of what must be the same: all must."""

    def __init__(self, steps: list[Any]) -> None:
        self.steps = steps

    def reset(self) -> list[dict[str, Any]]:
        return self.steps

    def step(self, action: Step) -> list[dict[str, Any]]:
        return []


def test_a_player_that_does_not_say_what_must_be_the_same_is_held_to_all(memory: Memory) -> None:
    memory.episode(id="e").log("A door.", data={"info": {"took": 1}})
    for took, same in ((1, True), (2, False)):
        player = Plain([{"text": "A door.", "data": {"info": {"took": took}}}])
        assert [one.same for one in rerun(replay(memory, "e"), player)] == [same]
