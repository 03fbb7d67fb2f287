"""A rollout goes on where it was: alone, in the environment that began, and behind the last turn that took place."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import UserDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Text
from rolls import Counting, Stopped, logged, memory_at, stop_after

from agentmem.errors import InvalidInputError, PlayError, SettingsError
from agentmem.rollout import ScriptedPolicy, rollout
from agentmem.rollout.notes import take


@pytest.mark.parametrize("kind", ["none", "window"])
def test_a_turn_that_the_environment_refuses_is_not_logged_and_the_run_can_go_on(kind: Any) -> None:
    asked = [0]

    def mistaken(observation: Any, context: Any) -> Any:
        asked[0] += 1
        return 4 if asked[0] == 4 else 3

    class Refusing(Counting):
        def step(self, action: Any) -> Any:
            if action == 4:
                raise ValueError("a slip")
            return super().step(action)

    name = Refusing.__qualname__
    three, settings = ScriptedPolicy(lambda observation, context: 3), {"kind": kind, "name": "three", "episodes": 2}
    with memory_at() as memory, memory_at() as other:
        with pytest.raises(PlayError, match="a slip"):
            rollout(Refusing, ScriptedPolicy(mistaken), memory, workers=2, apart=False, **settings)
        assert [len(logged(memory, name, number)) for number in "01"] == [2, 2]
        again, whole = (rollout(Refusing, three, each, **settings) for each in (memory, other))
        assert again.model_dump(exclude={"bytes"}) == whole.model_dump(exclude={"bytes"})


class Saying(gymnasium.Env[Any, Any]):
    """Says what it is told to say, and what was answered, four times."""

    observation_space, action_space = Text(90, min_length=0), Text(90)

    def __init__(self, says: str = "Hello.", ends: int = 4, view: float = 0.0) -> None:
        self.says, self.ends = says, ends
        if view:
            self.observation_space = Box(0, 9, (100,))
            self.says = np.full(100, view, np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._at = 0
        return self.says, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._at += 1
        return self.says, 0.0, self._at == self.ends, False, {"now": time.time()}


@pytest.mark.parametrize(
    ("began", "other", "died"),
    [
        ({}, {"says": "Good day."}, False),
        ({}, {"ends": 1}, False),
        ({"view": 1.0}, {"view": 2.0}, False),
        ({"ends": 2}, {"ends": 9}, True),
        ({"ends": 2}, {"ends": 2, "says": "Good day."}, True),
    ],
)
def test_a_rollout_goes_on_in_the_environment_that_began_alone(
    began: dict[str, Any], other: dict[str, Any], died: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise Stopped

    yes, settings = ScriptedPolicy(lambda observation, context: "yes"), {"kind": "none", "name": "yes"}
    with memory_at() as memory:
        with monkeypatch.context() as patched:
            if died:  # between its last step and its report
                patched.setattr("agentmem.rollout.run.episode_report", die)
            with pytest.raises(Stopped):
                rollout(lambda: Saying(**began), yes, memory, progress=None if died else stop_after(2), **settings)
        there = logged(memory, NAME, "0")
        with pytest.raises(InvalidInputError, match="the environment shows .* use the environment that began"):
            rollout(lambda: Saying(**other), yes, memory, **settings)
        assert logged(memory, NAME, "0") == there
        assert rollout(lambda: Saying(**began), yes, memory, **settings).steps == began.get("ends", 4)


NAME = "test_a_rollout_goes_on_in_the_environment_that_began_alone.<locals>.<lambda>"


def test_a_policy_with_a_state_that_says_a_secret_goes_on_though_the_log_has_it_masked() -> None:
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"

    class Secret:
        name = "secret"

        def begin(self, seed: int) -> Secret:
            return self

        def act(self, observation: Any, context: Any) -> Any:
            answers.append(token)
            return token

    class Heard(Saying):
        def step(self, action: Any) -> Any:
            heard.append(action)
            return super().step(action)

    answers: list[str] = []
    heard: list[str] = []
    with memory_at() as memory:
        with pytest.raises(Stopped):
            rollout(Heard, Secret(), memory, kind="none", progress=stop_after(2))
        assert rollout(Heard, Secret(), memory, kind="none").steps == 4
        assert token not in str(list(memory.scoped(Heard.__qualname__, "0").steps()))
    assert heard == answers == [token] * (2 + 4)


@pytest.mark.parametrize("path", ["a.mem", ":memory:"])
def test_another_thread_may_not_roll_out_the_same_at_the_same_time(tmp_path: Path, path: str) -> None:
    refused: list[str] = []
    three = ScriptedPolicy(lambda observation, context: 3)

    def meanwhile(memory: Any) -> None:
        try:
            rollout(Counting, three, memory, kind="none", name="three")
        except SettingsError as error:
            refused.append(str(error))

    def told(done: float, of: float) -> None:
        thread = threading.Thread(target=meanwhile, args=(memory,))
        thread.start()
        thread.join()

    with memory_at(tmp_path / path if path != ":memory:" else path) as memory:
        report = rollout(Counting, three, memory, kind="none", name="three", progress=told)
        assert len(logged(memory, "Counting", "0")) == 2 * report.steps + 1
        assert rollout(Counting, three, memory, kind="none", name="three").episodes == report.episodes
    assert len(refused) == report.steps
    assert "another thread rolls out 'Counting' in this memory: wait for its end" in refused[0]


@pytest.mark.parametrize("path", ["a.mem", ":memory:"])
@pytest.mark.parametrize("other", [[4], None])
def test_an_episode_that_is_played_is_refused_to_another_thread_and_others_are_not(
    tmp_path: Path, path: str, other: list[int] | None
) -> None:
    refused: list[str] = []
    three = ScriptedPolicy(lambda observation, context: 3)
    settings: dict[str, Any] = {"kind": "none", "name": "three"}

    def meanwhile(memory: Any) -> None:
        rollout(Counting, three, memory, numbers=[7], **settings)
        with pytest.raises(SettingsError) as caught:
            rollout(Counting, three, memory, episodes=5, numbers=other, **settings)
        refused.append(str(caught.value))

    def told(done: float, of: float) -> None:
        if done < of:
            with ThreadPoolExecutor() as pool:
                pool.submit(meanwhile, memory).result()

    with memory_at(tmp_path / path if path != ":memory:" else path) as memory:
        report = rollout(Counting, three, memory, numbers=[4], progress=told, **settings)
        assert len(logged(memory, "Counting", "4")) == 2 * report.steps + 1
        assert rollout(Counting, three, memory, numbers=[4], **settings).episodes == report.episodes
        assert [len(logged(memory, "Counting", number)) > 0 for number in "0123"] == [other is None] * 4
    assert len(refused) == report.steps - 1
    assert "another thread rolls out episode 4 of 'Counting' in this memory: wait for its end" in refused[0]
    assert not [each for each in tmp_path.iterdir() if "rollout" in each.name]


def test_of_two_that_begin_in_a_place_at_a_time_one_notes_what_is_logged_there() -> None:
    met = threading.Barrier(2)

    class Slow(UserDict[str, int]):
        """Read when it is written, as long as it takes another to come so far too."""

        def __getitem__(self, key: str) -> int:
            with contextlib.suppress(threading.BrokenBarrierError):
                met.wait(0.3)
            return super().__getitem__(key)

    def begun(memory: Any, seed: int) -> bool | str:
        try:
            return take(memory.scoped("place"), Slow(seed=seed))
        except SettingsError as error:
            return str(error)

    with memory_at() as memory, ThreadPoolExecutor() as pool:
        first, second = (pool.submit(begun, memory, seed) for seed in (1, 2))
        told = sorted((first.result(), second.result()), key=str)
    assert told[0] is True
    assert "this memory holds a rollout with seed" in str(told[1])
