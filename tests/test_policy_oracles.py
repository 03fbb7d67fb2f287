"""Oracles of the tasks of POPGym and MiniGrid: what they do is right, and the steps they name showed it."""

from __future__ import annotations

import random
from collections.abc import Sequence

import gymnasium
import pytest

from agentmem.bench.environments.options import TASKS
from agentmem.errors import InvalidInputError
from agentmem.policy.oracles import oracle_of
from agentmem.policy.shown import episode
from agentmem.policy.spaces import Features

PERFECT = [name for name in TASKS if not name.startswith("Concentration")]
pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages' own spaces and info


def played(task: str, seed: int, luck: float = 0.0) -> tuple[float, list[tuple[object, int, Sequence[int]]]]:
    """The oracle's return, and at each step what was seen, what was done and the steps it names. luck: share of actions
    that are drawn, not its own.
    """
    env, draw = gymnasium.make(TASKS[task].env), random.Random(seed)
    seen, _ = env.reset(seed=seed)
    right, steps, total, over = oracle_of(env), [], 0.0, False
    while not over:
        action, shown = right(seen)
        action = draw.randrange(int(env.action_space.n)) if draw.random() < luck else action  # type: ignore[attr-defined]
        steps.append((seen, action, shown))
        seen, reward, terminated, truncated, _ = env.step(action)
        total, over = total + float(reward), terminated or truncated
    return total, steps


@pytest.mark.parametrize("task", PERFECT)
def test_an_oracle_reaches_the_most_that_there_is(task: str) -> None:
    most = 0.97 if task.startswith("Memory") else 1.0 - 1e-9  # MiniGrid takes a little off for each step
    assert all(played(task, seed)[0] >= most for seed in range(3))


@pytest.mark.parametrize("task", ["RepeatFirstEasy", "RepeatPreviousMedium", "AutoencodeMedium"])
def test_the_step_it_names_showed_the_card_that_it_plays(task: str) -> None:
    _, steps = played(task, 1)
    named = [(action, seen) for _, action, shown in steps for seen in (steps[each][0] for each in shown)]
    assert len(named) >= 50
    for action, seen in named:
        assert action == int(seen[1] if isinstance(seen, tuple) else seen)  # type: ignore[call-overload]


@pytest.mark.parametrize("task", ["ConcentrationEasy", "ConcentrationMedium", "ConcentrationHard"])
def test_a_pair_that_was_seen_is_never_missed(task: str) -> None:
    total, steps = played(task, 2)
    assert 0.65 < total < 1  # none can know a card that it has not turned
    named = [(shown, action) for _, action, shown in steps if shown]
    assert named
    for shown, action in named:
        values = [steps[each][0][steps[each - 1][1]] for each in shown]  # type: ignore[index]
        assert len(set(map(int, values))) == 1
        assert any(steps[each - 1][1] == action for each in shown)


@pytest.mark.parametrize("task", ["ConcentrationEasy", "ConcentrationMedium", "ConcentrationHard"])
def test_pairs_that_others_turned_up_are_known_too(task: str) -> None:
    _, steps = played(task, 3, luck=0.5)
    named = [shown for _, _, shown in steps if shown]
    assert len(named) > 10
    assert {len(shown) for shown in named} == {1, 2}  # before one card of a pair both, and then the other one
    for shown in named:
        assert len({int(steps[each][0][steps[each - 1][1]]) for each in shown}) == 1  # type: ignore[index]


def test_in_the_memory_task_the_named_step_shows_the_object_and_is_named_from_then_on() -> None:
    _, steps = played("MemoryS17Random", 3)
    (first,) = {each for _, _, shown in steps for each in shown}
    objects = [bool(((seen["image"][..., 0] == 5) | (seen["image"][..., 0] == 6)).any()) for seen, _, _ in steps]  # type: ignore[index]
    assert objects[first]
    assert [bool(shown) for _, _, shown in steps].index(True) == first


def test_the_oracle_of_the_memory_task_finds_back_from_wherever_it_was_led() -> None:
    env = gymnasium.make(TASKS["MemoryS17Random"].env)
    features = Features.of(env.observation_space)
    assert max(len(episode(env, features, seed, 0.3).right) for seed in range(60)) < 200  # of 1,445 that there may be


def test_each_episode_has_an_oracle_of_its_own_and_others_are_refused() -> None:
    assert played("ConcentrationEasy", 4)[0] == played("ConcentrationEasy", 4)[0]
    env = gymnasium.make("CartPole-v1")
    env.reset(seed=0)
    with pytest.raises(InvalidInputError, match="no oracle of CartPole"):
        oracle_of(env)
