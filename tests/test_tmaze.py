"""agentmem/TMaze-v0 is the passive T-maze of Ni et al. 2023: its numbers, what it shows, what it refuses."""

import pickle
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from agentmem.errors import InvalidInputError
from agentmem_envs.tmaze import AGENT, GOAL, ORACLE, TMaze

RIGHT, UP, LEFT, DOWN = range(4)
ARM = {1: UP, -1: DOWN}


def play(env: TMaze, actions: Iterable[int], seed: int = 0) -> tuple[list[list[float]], list[float], bool]:
    """The observations, the rewards, and whether it ended."""
    observation, _ = env.reset(seed=seed)
    seen, rewards, done = [observation.tolist()], [], False
    for action in actions:
        observation, reward, done, truncated, _ = env.step(action)
        assert not truncated
        seen.append(observation.tolist())
        rewards.append(reward)
    return seen, rewards, done


def goal(env: TMaze, seed: int) -> int:
    return int(env.reset(seed=seed)[0][1])


@pytest.mark.parametrize("length", [1, 10, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_right_all_along_and_then_the_arm_of_the_cue_returns_one(length: int, seed: int) -> None:
    env = TMaze(length)
    arm = goal(env, seed)
    seen, rewards, done = play(env, [RIGHT] * length + [ARM[arm]], seed)
    assert (sum(rewards), len(rewards), done) == (1.0, length + 1, True)
    assert seen == [[0, arm], *[[0, 0]] * (length - 1), [1, 0], [1, arm]]


def test_right_all_along_and_then_an_arm_at_random_returns_a_half() -> None:
    env = TMaze(10)
    returns = [sum(play(env, [RIGHT] * 10 + [arm], seed)[1]) for seed in range(200) for arm in (UP, DOWN)]
    assert np.mean(returns) == 0.5
    assert 70 < sum(goal(env, seed) == 1 for seed in range(200)) < 130


@pytest.mark.parametrize("idle", [UP, LEFT, DOWN])
@pytest.mark.parametrize("wasted", [1, 4, 10])
def test_a_wasted_step_costs_a_tenth_of_ten_cells_then_and_at_each_later_step_but_the_last(
    idle: int, wasted: int
) -> None:
    actions = [RIGHT] * 11
    actions[wasted - 1] = idle
    _, rewards, _ = play(TMaze(10), actions)
    assert rewards == [0.0] * (wasted - 1) + [-0.1] * (11 - wasted) + [0.0]


def test_never_moving_returns_minus_one() -> None:
    assert sum(play(TMaze(10), [LEFT] * 11)[1]) == pytest.approx(-1.0)
    assert sum(play(TMaze(10), [RIGHT] * 11)[1]) == 0.0  # at the junction, in no arm


def test_the_cue_is_not_shown_again_on_coming_back() -> None:
    seen, _, _ = play(TMaze(10), [RIGHT, LEFT, LEFT, UP])
    assert seen[0] in ([0, 1], [0, -1])
    assert seen[1:] == [[0, 0]] * 4


def test_the_choice_says_which_fact_it_needs_and_where_it_was_shown_and_the_end_whether_it_was_right() -> None:
    env = TMaze(3)
    infos = [env.reset(seed=0)[1], *(env.step(action)[4] for action in (RIGHT, RIGHT, RIGHT, ARM[goal(TMaze(3), 0)]))]
    need = {"id": "goal", "kind": "oracle", "shown": 0, "stale": None}
    assert [info["needs"] for info in infos] == [[], [], [], [need], []]
    result = {"id": "goal", "kind": "oracle", "hidden": True, "solved": True}
    assert [info["results"] for info in infos] == [[], [], [], [], [result]]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"length": 0}, "length=0: give a whole number of cells from 1 to 1,000,000"),
        ({"length": 1_000_001}, "length=1000001: give"),
        ({"length": 2.5}, "length=2.5: give"),
        ({"length": True}, "length=True: give"),
        ({"render_mode": "human"}, "render_mode='human': give one of None, 'ansi', 'rgb_array'"),
    ],
)
def test_a_bad_keyword_is_refused_by_value(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        TMaze(**settings)


@pytest.mark.parametrize("action", [4, -1, 1.0, "right", None, [0]])
def test_an_action_outside_the_space_is_refused_and_the_agent_stays(action: Any) -> None:
    env = TMaze(3)
    env.reset(seed=0)
    with pytest.raises(InvalidInputError, match="give 0 .right., 1 .up., 2 .left. or 3 .down."):
        env.step(action)
    assert env.step(RIGHT)[1] == 0.0


def test_a_step_before_the_beginning_or_after_the_end_is_refused() -> None:
    env = TMaze(1)
    for _ in range(2):
        with pytest.raises(InvalidInputError, match="the episode is over or has not begun, of 2 steps; call reset"):
            env.step(RIGHT)
        play(env, [RIGHT, UP])


def test_a_longer_corridor_takes_no_more_memory() -> None:
    short, long = (TMaze(length) for length in (10, 1_000_000))
    for env in (short, long):
        play(env, [RIGHT] * 10)
    assert abs(len(pickle.dumps(long)) - len(pickle.dumps(short))) < 16


def test_a_second_of_processor_time_is_more_than_a_thousand_steps() -> None:
    env = TMaze(200_000)
    env.reset(seed=0)
    began = time.process_time()
    for _ in range(20_000):
        env.step(RIGHT)
    assert 20_000 / (time.process_time() - began) > 1_000


def test_it_is_drawn_as_text_and_a_long_one_to_scale() -> None:
    env = TMaze(10, render_mode="ansi")
    play(env, [RIGHT, RIGHT], seed=0)
    assert env.render() == (
        "step 2 of 11, cell 2 of 10\n"
        "          .\n"
        "o.@.......+\n"
        "          G"
    )  # fmt: skip
    env = TMaze(1_000_000, render_mode="ansi")
    play(env, [RIGHT], seed=0)
    assert [len(line) for line in env.render().splitlines()[1:]] == [60, 60, 60]


def test_it_is_drawn_as_a_small_picture() -> None:
    env = TMaze(10, render_mode="rgb_array")
    play(env, [RIGHT] * 3)
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((40, 104, 3), np.uint8)
    where = {colour: np.argwhere((picture == colour).all(2)).mean(0).tolist() for colour in (AGENT, GOAL, ORACLE)}
    assert where == {AGENT: [19.5, 35.5], GOAL: [27.5, 91.5], ORACLE: [19.5, 11.5]}
    long = TMaze(1_000_000, render_mode="rgb_array")
    long.reset()
    assert long.render().shape == (40, 496, 3)
    assert TMaze().render() is None
