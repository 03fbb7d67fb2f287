"""The wrapper that shows planning contexts to any agent, beside Gymnasium's own wrappers."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordEpisodeStatistics, RecordVideo
from rolls import SHOP, Counting, logged, memory_at

import agentmem_envs  # noqa: F401
from agentmem.errors import InvalidInputError, SettingsError
from agentmem.memory import Memory
from agentmem.rollout import PlanningContexts, Reading, ScriptedPolicy, rollout, trail
from agentmem.types import PlanningContext
from agentmem_envs.shift.policies import Oracle
from agentmem_envs.shift.wrapper import Candidates


def shift(memory: Memory, **settings: Any) -> PlanningContexts:
    env = Candidates(gymnasium.make(SHOP, steps=30, delay=8, privileged=True, render_mode="rgb_array"))
    return PlanningContexts(env, memory, **{"budget": 150, **settings})


def play(env: gymnasium.Env[Any, Any], seed: int) -> tuple[list[Any], dict[str, Any]]:
    observation, info = env.reset(seed=seed)
    seen, over = [observation], False
    while not over:
        observation, _, terminated, truncated, info = env.step(Oracle().act(observation, info))
        over = terminated or truncated
        seen.append(observation)
    return seen, info


def test_observations_have_a_context_of_what_came_before_within_the_budget() -> None:
    with memory_at() as memory:
        env = shift(memory)
        seen, _ = play(env, 0)
        assert seen[0]["context"] == ""
        assert sum(bool(one["context"]) for one in seen) > 25
        assert env.planning_context is not None
        assert env.planning_context.tokens <= 150
        assert set(seen[0]) == {"text", "step", "accepted", "candidates", "action_mask", "writes", "context"}
        steps = logged(memory, SHOP, "0")
        assert sum(kind == "action" for _, kind, *_ in steps) == 30


def test_it_passes_the_check_of_environments() -> None:
    with memory_at() as memory:
        check_env(PlanningContexts(Counting(), memory, budget=50), skip_render_check=True)


def test_each_episode_has_a_memory_of_its_own_also_one_that_was_left() -> None:
    with memory_at() as memory:
        env = PlanningContexts(Counting(words=True), memory, kind="window", budget=60)
        env.reset(seed=1)
        env.step(0)
        observation, _ = env.reset(seed=2)
        assert observation["context"] == ""
        observation, *_ = env.step(0)
        assert "run 2 step 0" in observation["context"]
        assert "run 1" not in observation["context"]
        env.close()
        assert [len(logged(memory, "Counting", number)) for number in ("0", "1")] == [3, 3]


def test_the_log_of_a_long_episode_is_crystallized_on_the_way_as_in_a_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "CRYSTALLIZED", 12)
    shown: list[str] = []

    def act(observation: Any, context: PlanningContext | None) -> int:
        shown.append(context.text if context else "")
        return 0

    with memory_at() as memory, memory_at() as other:
        env = shift(memory)
        observation, _ = env.reset(seed=0)
        seen = [observation["context"]]
        for turn in range(1, 30):
            observation, *_ = env.step(0)
            seen.append(observation["context"])
            assert bool(memory.scoped(SHOP, "0").stats().watermark) == (turn >= 12)
        options = {"steps": 30, "delay": 8, "privileged": True}
        rollout(SHOP, ScriptedPolicy(act), other, budget=150, options=options)
    assert seen == shown


def test_wrappers_side_by_side_log_to_episodes_of_their_own() -> None:
    with memory_at() as memory:
        beside = [PlanningContexts(Counting(), memory, kind="none") for _ in range(2)]
        for seed, env in enumerate(beside):
            env.reset(seed=seed)
        for env in beside:
            env.step(0)
        for env in beside:
            env.close()
        seen = [[text for _, _, text, *_ in logged(memory, "Counting", number)] for number in "01"]
        assert seen == [["[0, 0]", "0", "[0, 1]"], ["[1, 0]", "0", "[1, 1]"]]


def test_wrappers_that_begin_at_a_time_log_to_episodes_of_their_own() -> None:
    met = threading.Barrier(2)

    def thread(observation: Any) -> str:
        """Between the number and the episode: as long as it takes another to come so far too."""
        with contextlib.suppress(threading.BrokenBarrierError):
            met.wait(0.3)
        return ""

    with memory_at() as memory, ThreadPoolExecutor() as pool:
        reading = Reading(thread=thread)
        beside = [PlanningContexts(Counting(), memory, kind="none", reading=reading) for _ in range(2)]
        for begun in [pool.submit(env.reset, seed=seed) for seed, env in enumerate(beside)]:
            begun.result()
        for env in beside:
            env.close()
        assert sorted(logged(memory, "Counting", number)[0][2] for number in "01") == ["[0, 0]", "[1, 0]"]


def test_a_rollout_takes_none_of_its_episodes_for_its_own_nor_it_those_of_a_rollout() -> None:
    one = ScriptedPolicy(lambda observation, context: 1)
    with memory_at() as memory:
        env = PlanningContexts(Counting(), memory, kind="window", budget=60)
        for seed in (4, 5):
            env.reset(seed=seed)
        env.close()
        again = PlanningContexts(Counting(), memory, budget=40)
        again.reset(seed=6)
        again.close()
        with pytest.raises(
            SettingsError, match=r"PlanningContexts logged of 'Counting'; rollout\(\) would mix .* another"
        ):
            rollout(Counting, one, memory, kind="window", budget=60)
        assert [logged(memory, "Counting", number)[0][2] for number in "012"] == ["[4, 0]", "[5, 0]", "[6, 0]"]
    with memory_at() as memory:
        rollout(Counting, one, memory, kind="window", budget=60)
        with pytest.raises(SettingsError, match=r"rollout\(\) logged of 'Counting'; PlanningContexts would mix"):
            PlanningContexts(Counting(), memory)


def test_it_composes_with_the_statistics_of_episodes() -> None:
    with memory_at() as memory:
        outside = RecordEpisodeStatistics(shift(memory))
        _, info = play(outside, 1)
        assert info["episode"]["l"] == 30
        inside = PlanningContexts(RecordEpisodeStatistics(Counting()), memory, budget=40)
        inside.reset(seed=0)
        *_, info = [inside.step(1), inside.step(1)][-1]
        assert info["episode"]["r"] == 2.0


def test_it_composes_with_recorded_videos(tmp_path: Path) -> None:
    with memory_at() as memory:
        env = RecordVideo(shift(memory), str(tmp_path), episode_trigger=lambda number: True)
        play(env, 0)
        env.close()
    assert [file.suffix for file in tmp_path.iterdir()] == [".mp4"]


@pytest.mark.parametrize("kind", ["crystals", "window", "none"])
def test_a_budget_of_nothing_shows_nothing(kind: Any) -> None:
    with memory_at() as memory:
        env = PlanningContexts(Counting(), memory, budget=0, kind=kind)
        seen = [env.reset(seed=0)[0], env.step(0)[0]]
        assert [each["context"] for each in seen] == ["", ""]
        assert all(env.observation_space.contains(each) for each in seen)


def test_a_step_after_the_end_and_settings_out_of_bounds_are_refused() -> None:
    with memory_at() as memory:
        env = PlanningContexts(Counting(), memory, budget=40)
        with pytest.raises(InvalidInputError, match=r"call reset\(\)"):
            env.step(0)
        with pytest.raises(InvalidInputError, match="kind 'full' has no budget"):
            PlanningContexts(Counting(), memory, kind="full")
        with pytest.raises(InvalidInputError, match="budget -1: give a whole number of tokens from 0 to"):
            PlanningContexts(Counting(), memory, budget=-1)
        with pytest.raises(InvalidInputError, match="have a 'context' already: wrap it once"):
            PlanningContexts(env, memory)
