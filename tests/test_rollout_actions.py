"""What a policy gives: an action that is none, too many of them, no policy; each is told with its place."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from rolls import SHOP, SHORT, Counting, Faulty, logged, memory_at
from typer.testing import CliRunner

from agentmem.cli import app
from agentmem.errors import InvalidInputError, PlayError
from agentmem.ingest.values import described
from agentmem.rollout import ScriptedPolicy, load_policy, rollout
from agentmem.rollout.actions import accepts
from agentmem.rollout.making import Make

MAZE = "agentmem/TMaze-v0"


class Saying:
    """Gives an action, or at its third step another."""

    name = "saying"

    def __init__(self, action: Any = 0, third: Any = ...) -> None:
        self.action, self.third, self.steps = action, third, 0

    def act(self, observation: Any, context: Any) -> Any:
        self.steps += 1
        return self.third if self.steps == 3 and self.third is not ... else self.action


def hello() -> Saying:
    """For the command line."""
    return Saying("hello")


@pytest.mark.parametrize("action", ["hello", object(), 1j, None, 99, -1, 2.5, [1], np.float32(1)])
@pytest.mark.parametrize("env", [MAZE, Faulty])
def test_an_action_that_is_none_of_the_environments_names_the_policy_and_nothing_of_the_turn_is_logged(
    env: str | Make, action: Any
) -> None:
    called = env if isinstance(env, str) else "Faulty"
    with memory_at() as memory:
        with pytest.raises(PlayError) as caught:
            rollout(env, Saying(third=action), memory, kind="none", numbers=[4])
        assert str(caught.value).startswith("policy saying gave ")
        assert str(caught.value).endswith(" in step 3 of episode 4, and Discrete(4) is needed; mend it")
        assert len(logged(memory, called, "4")) == 4
        assert rollout(env, Saying(), memory, kind="none", numbers=[4]).steps > 4


def test_no_lane_acts_in_a_round_in_which_one_gets_what_is_no_action() -> None:
    Counting.made = 0
    act = ScriptedPolicy(lambda seen, context: "hello" if seen[0] else 1)
    with memory_at() as memory:
        with pytest.raises(PlayError, match="gave 'hello' in step 1 of episode 1"):
            rollout(Counting, act, memory, kind="none", episodes=2, workers=2, apart=False)
        assert logged(memory, "Counting", "0") == []
    assert Counting.made == 0


def test_the_command_tells_it_in_one_line(tmp_path: Any) -> None:
    given = ["rollout", MAZE, "--policy", "test_rollout_actions:hello", "--memory", "none", "--out", tmp_path / "a.mem"]
    failed = CliRunner().invoke(app, list(map(str, given)))
    said = (
        "policy saying gave 'hello' in step 1 of episode 0, and Discrete(4) is needed; mend it; what was logged is kept"
    )
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == f"error: {said}: run the same command again to go on\n"


@pytest.mark.parametrize("action", ["hello", object(), 1j, None, 99, {"a": [1j]}])
def test_a_shift_grades_whatever_it_is_given(action: Any) -> None:
    with memory_at() as memory:
        report = rollout(SHOP, Saying(action), memory, kind="none", options={**SHORT, "steps": 5, "delay": 3})
    assert (report.steps, report.return_mean) == (5, 0.0)


def test_an_environment_that_says_so_is_given_any_action_also_under_a_wrapper() -> None:
    class Grading(Faulty):
        any_action = True

    with memory_at() as memory:
        make = lambda: gymnasium.wrappers.TimeLimit(Grading(), 4)  # noqa: E731
        assert rollout(make, Saying("hello"), memory, kind="none").steps == 4


BOX, BITS, SEVERAL = spaces.Box(-1, 1, (2,), np.float32), spaces.MultiBinary(2), spaces.MultiDiscrete([2, 3])
WHOLE = spaces.Discrete(3, start=-1)
BOTH = spaces.Dict({"a": WHOLE, "b": spaces.Tuple((BOX, spaces.Text(5)))})


@pytest.mark.parametrize(
    ("space", "taken", "refused"),
    [
        (WHOLE, [-1, 1, True, np.int8(0), np.uint64(1), np.array(1), np.True_], [2, -2, 1.0, "1", [1], None]),
        (
            BOX,
            [[0, 1], (0.5, 1.0), np.zeros(2), np.ones(2, int), [5, np.inf]],
            [0.5, [1], [[0, 1]], ["a", "b"], [np.nan, 0], [1j, 0], None, [[1], [1, 2]]],
        ),
        (BITS, [[0, 1], np.array([True, False]), [0.0, 1.0]], [[0, 2], [0.5, 0], [1], 1]),
        (SEVERAL, [[1, 2], np.array([0, 0], np.uint8)], [[2, 0], [0, 3], [-1, 0], [0.0, 1.0], "ab"]),
        (spaces.Text(3), ["", "longer than it says", np.str_("a")], [1, None, b"a"]),
        (BOTH, [{"a": 0, "b": ([0, 0], "x")}, {"a": 1, "b": [[1, 1], ""]}], [{}, {"a": 0, "b": ([0], "x")}, [0]]),
        (spaces.Sequence(WHOLE), [(), "whatever"], []),
    ],
    ids=["whole", "box", "bits", "several", "text", "both", "unknown"],
)
def test_what_environments_commonly_take_is_taken_for_an_action(
    space: spaces.Space[Any], taken: list[Any], refused: list[Any]
) -> None:
    space.seed(0)
    assert [action for action in taken if not accepts(space, action)] == []
    assert [action for action in refused if accepts(space, action)] == []
    assert all(accepts(space, space.sample()) for _ in range(20))


class Named(spaces.Discrete):
    """Takes its numbers by their names too."""

    def contains(self, x: Any) -> bool:
        return x in ("left", "right") or super().contains(x)


def test_a_space_of_ones_own_says_itself_what_it_takes_beyond_its_kind() -> None:
    own = spaces.Dict({"go": Named(2)})
    assert all(accepts(own, {"go": action}) for action in ("left", 0, np.int8(1)))
    assert not any(accepts(own, {"go": action}) for action in ("up", 2, None))


def test_a_tensor_with_gradients_is_refused_as_what_is_no_array_is() -> None:
    assert accepts(BOX, torch.zeros(2))
    assert not accepts(BOX, torch.zeros(2, requires_grad=True))


@pytest.mark.parametrize(
    ("value", "text"),
    [(1j, "1j"), (np.complex64(2j), "2j"), ([1, 1j], "[1, 1j]"), (int, "<class 'int'>"), (np.array(3), "3")],
)
def test_a_value_that_is_one_thing_is_told_as_it_is(value: Any, text: str) -> None:
    assert described(value) == text


def test_a_class_in_place_of_a_policy_is_told_how_one_is_made() -> None:
    with (
        memory_at() as memory,
        pytest.raises(InvalidInputError, match=r"Saying'> is a class: give one of it, .* Saying\(\)"),
    ):
        rollout(Faulty, Saying, memory, kind="none")


def test_a_class_that_acts_without_one_of_it_is_a_policy() -> None:
    class Still:
        name = "still"

        @staticmethod
        def act(observation: Any, context: Any) -> int:
            return 1

    with memory_at() as memory:
        assert rollout(Faulty, Still, memory, kind="none").steps == 6


class Beginning(Saying):
    def begin(self, seed: int) -> Any:
        return None if seed else self


def test_an_episode_that_is_begun_without_a_policy_is_told() -> None:
    with memory_at() as memory:
        with pytest.raises(PlayError, match=r"policy saying began an episode with None, which has no act\(observation"):
            rollout(Faulty, Beginning(), memory, kind="none", episodes=2)
        assert len(logged(memory, "Faulty", "0")) == 13


class Several(Saying):
    def act_many(self, policies: Any, observations: Any, contexts: Any) -> Any:
        return self.action


@pytest.mark.parametrize("given", [None, 1, [], [1], [1, 1, 1], (1, 1, 1)])
def test_as_many_actions_as_policies_are_needed(given: Any) -> None:
    with memory_at() as memory, pytest.raises(PlayError) as caught:
        rollout(Faulty, Several(given), memory, kind="none", episodes=2, workers=2, apart=False)
    assert str(caught.value).startswith(
        f"policy saying gave {given!r} by act_many, and a list of 2 is needed: an action"
    )


@pytest.mark.parametrize("name", [None, 5, b"random", Saying()])
def test_a_name_of_a_policy_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"policy .* is no name; give one, or a policy itself to rollout\(\)"):
        load_policy(name, None)


@pytest.mark.parametrize("recall", [lambda: True, lambda seen: True, lambda seen, info, more: True])
def test_a_function_that_says_when_takes_an_observation_and_info(recall: Any) -> None:
    with memory_at() as memory:
        with pytest.raises(
            InvalidInputError, match=r"recall <.*> does not take an observation and info \(.*\); give a f"
        ):
            rollout(Faulty, Saying(), memory, recall=recall)
        assert memory.head().position == 0


@pytest.mark.parametrize(
    ("recall", "said"),
    [
        (lambda seen, info: info["needs"], rf"raised KeyError at {__file__}:\d+: 'needs'; mend it"),
        (lambda seen, info: np.zeros(2), "raised ValueError: The truth value of an array"),
    ],
)
def test_what_a_function_that_says_when_raises_is_told_with_its_place(recall: Any, said: str) -> None:
    with (
        memory_at() as memory,
        pytest.raises(PlayError, match=rf"recall <.*>, in step 1 of episode 0, {said}") as caught,
    ):
        rollout(Faulty, Saying(), memory, recall=recall)
    assert isinstance(caught.value.__cause__, KeyError | ValueError)


def test_a_built_in_function_that_does_not_tell_what_it_takes_is_taken() -> None:
    with memory_at() as memory:
        assert rollout(Faulty, Saying(), memory, kind="none", recall=max).steps == 6
