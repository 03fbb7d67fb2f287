"""An environment at fault: it is told in one line which one, where, and what it raised; what was logged stays."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import re
import signal
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from rolls import FAULTY, Faulty, logged, memory_at
from typer.testing import CliRunner, Result

from agentmem.cli import app
from agentmem.errors import InvalidInputError, PlayError
from agentmem.policy.played import play
from agentmem.policy.reference import policy_lm
from agentmem.rollout import Again, PlanningContexts, ScriptedPolicy, rollout
from agentmem.rollout.lanes import Lanes
from agentmem.rollout.ray import _Shard

ONE = ScriptedPolicy(lambda observation, context: 1)
LINE = r"environment Faulty, %s, raised KeyError at .*rolls.py:\d+: 'a gear is lost'; mend it"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    ("fails", "where", "turns"), [("reset", "in the reset of episode 7", 0), ("step", "in step 3 of episode 7", 2)]
)
def test_what_an_environment_raises_names_it_the_episode_and_the_step_and_is_the_cause(
    fails: str, where: str, turns: int, apart: bool
) -> None:
    with memory_at() as memory:
        with pytest.raises(PlayError, match=LINE % where) as caught:
            rollout(
                partial(Faulty, fails), ONE, memory, kind="none", name="one", numbers=[7, 8], workers=2, apart=apart
            )
        assert [len(logged(memory, "Faulty", number)) for number in "78"] == [2 * turns, 2 * turns]
    cause = caught.value.__cause__
    assert isinstance(cause, KeyError)
    assert cause.args == ("a gear is lost",)
    assert caught.value.trace.splitlines()[-1] == "KeyError: 'a gear is lost'"
    assert "gymnasium" not in caught.value.trace


@pytest.mark.parametrize("apart", [False, True])
def test_what_it_raises_when_it_is_closed_is_told_and_all_is_kept(apart: bool) -> None:
    make, settings = partial(Faulty, "close"), {"kind": "none", "name": "one", "episodes": 2}
    with memory_at() as memory:
        with pytest.raises(PlayError, match=LINE % "in close"):
            rollout(make, ONE, memory, workers=2, apart=apart, **settings)
        assert rollout(make, ONE, memory, **settings).steps == 12


def test_closing_tells_nothing_over_what_ended_the_run() -> None:
    def stop(done: float, of: float) -> None:
        if done == 1:
            raise ZeroDivisionError

    with memory_at() as memory, pytest.raises(ZeroDivisionError):
        rollout(partial(Faulty, "close"), ONE, memory, kind="none", progress=stop)


class Twice(Faulty):
    """Fails when it is closed too, after that."""

    failed = False

    def _fail(self, where: str) -> None:
        self.failed = True
        super()._fail(where)

    def close(self) -> None:
        if self.failed:
            raise ZeroDivisionError


class Own(Faulty):
    """Says itself what is wrong."""

    def step(self, action: Any) -> Any:
        raise InvalidInputError(f"action {action}: give 5")


class Peculiar(Exception):
    def __init__(self, what: str, number: int) -> None:
        super().__init__(f"{what} {number}")


class Unsendable(Faulty):
    """Raises what cannot be sent to another process."""

    def step(self, action: Any) -> Any:
        raise Peculiar("gear", 5)


@pytest.mark.parametrize("apart", [False, True])
def test_an_error_of_ours_that_an_environment_raises_is_raised_as_it_is(apart: bool) -> None:
    with memory_at() as memory, pytest.raises(InvalidInputError) as caught:
        rollout(Own, ONE, memory, kind="none", apart=apart)
    assert str(caught.value) == "action 1: give 5"
    assert caught.value.__cause__ is None


def test_what_cannot_be_sent_from_a_process_of_its_own_is_told_all_the_same() -> None:
    with memory_at() as memory, pytest.raises(PlayError, match=r"raised Peculiar at .*: gear 5; mend it") as caught:
        rollout(Unsendable, ONE, memory, kind="none", apart=True)
    assert "Peculiar" in str(caught.value.__cause__)
    (note,) = caught.value.__cause__.__notes__  # type: ignore[union-attr]
    assert 'raise Peculiar("gear", 5)' in note


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("reward", [float("nan"), float("inf"), None, "none", np.float32("nan")])
def test_a_reward_that_is_no_finite_number_names_the_environment_the_episode_and_the_step(
    reward: Any, apart: bool
) -> None:
    with memory_at() as memory:
        said = rf"environment Faulty, in step 1 of episode 0, gave the reward .*{reward!s}.*, which is no finite number"
        with pytest.raises(PlayError, match=said):
            rollout(partial(Faulty, reward=reward), ONE, memory, kind="none", apart=apart)
        contexts = PlanningContexts(Faulty(reward=reward), memory.scoped("other"), kind="none")
        contexts.reset(seed=0)
        with pytest.raises(PlayError, match=said):
            contexts.step(1)


class Dying(Faulty):
    """Ends the process that it is in, in its third step."""

    def _fail(self, where: str) -> None:
        if where == "step":
            os._exit(3) if self.fails == "exit" else os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("how", "said"), [("exit", "ended with exit code 3"), ("kill", "was killed by signal 9")])
def test_a_process_that_ends_by_itself_is_told_with_the_place_and_the_same_call_goes_on(how: str, said: str) -> None:
    settings: dict[str, Any] = {"kind": "none", "name": "one", "episodes": 2}
    with memory_at() as memory:
        told = rf"environment Dying, in step 3 of episode \d: its process {said}; mend it, or give fewer workers"
        with pytest.raises(PlayError, match=told):
            rollout(partial(Dying, how), ONE, memory, workers=2, apart=True, **settings)
        assert multiprocessing.active_children() == []
        mended = type("Dying", (Faulty,), {})
        assert rollout(partial(mended, how), ONE, memory, **settings).steps == 12


class Shown(Faulty):
    """Shows something else in its third step, or at once."""

    def __init__(self, shows: Any, at: int) -> None:
        super().__init__()
        self.shows, self.at = shows, at
        if isinstance(shows, dict):
            self.observation_space = spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(0, 9, (1,))})

    def _seen(self) -> Any:
        other = {"a": 1, "b": super()._seen()} if isinstance(self.shows, dict) else super()._seen()
        return self.shows if self._at == self.at else other


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(("at", "where"), [(0, "in the reset of episode 0"), (3, "in step 3 of episode 0")])
@pytest.mark.parametrize(
    ("shows", "space"), [(np.zeros(3), r"Box\("), (None, r"Box\("), ("text", r"Box\("), ({"a": 1}, r"Dict\(")]
)
def test_an_observation_that_is_none_of_the_space_is_told_with_its_place(
    shows: Any, space: str, at: int, where: str, apart: bool
) -> None:
    said = rf"environment Shown, {where}, gave the observation .*, which is none of {space}.*; mend it"
    with memory_at() as memory, pytest.raises(PlayError, match=said):
        rollout(partial(Shown, shows, at), ONE, memory, kind="none", workers=2, episodes=2, apart=apart)


def test_an_environment_that_can_be_made_once_only_is_told_where_a_copy_is_made() -> None:
    made: list[int] = []

    def once() -> Faulty:
        made.append(1)
        if len(made) > 1:
            raise OSError("the only licence is in use")
        return Faulty()

    with memory_at() as memory, pytest.raises(PlayError, match=r"once, as it was made, raised OSError at .*only lic"):
        rollout(once, ONE, memory, kind="none")


def test_a_trial_whose_random_actions_an_environment_refuses_ends_no_rollout() -> None:
    class Strict(Faulty):
        def step(self, action: Any) -> Any:
            assert action == 1, "no such move here"
            return super().step(action)

    with memory_at() as memory:
        assert rollout(Strict, ONE, memory, kind="none", episodes=2, workers=2).steps == 12


def test_an_episode_that_is_played_again_tells_it_too() -> None:
    with memory_at() as memory:
        rollout(Faulty, ONE, memory, kind="none", seed=5, numbers=[3])
        with (
            pytest.raises(PlayError, match="in the reset of episode 3, raised KeyError"),
            Again(memory.scoped("Faulty", "3"), make=partial(Twice, "reset")) as again,
        ):
            again.reset()


def test_lanes_that_fail_at_a_first_reset_or_stand_still_are_closed_as_others_are() -> None:
    class Wordy(Faulty):
        observation_space = gymnasium.spaces.Dict({"text": gymnasium.spaces.Text(9)})

    for apart in (False, True):
        with (
            pytest.raises(PlayError, match="in the reset of episode 4"),
            Lanes(lambda: Wordy("reset"), 2, apart) as lanes,
        ):
            lanes.begin([4, 5])


@pytest.mark.parametrize(
    ("more", "where"),
    [
        (("--set", "fails=reset"), "in reset"),
        (("--set", "fails=step"), "in step 3 of episode 0"),
        (("--set", "fails=step", "--workers", 2, "--episodes", 2), "in step 3 of episode 0"),
        (("--set", "fails=close"), "in close"),
    ],
)
def test_the_command_tells_it_as_one_error_under_the_environments_own_traceback(
    more: tuple[object, ...], where: str, tmp_path: Path
) -> None:
    command = ("rollout", FAULTY, "--policy", "random", "--memory", "none", "--out", tmp_path / "run.mem", *more)
    failed = call(*command)
    assert (failed.exit_code, failed.stdout) == (1, "")
    first, *frames, last = failed.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert {line.split('"')[1] for line in frames if line.startswith("  File ")} == {
        Faulty.__init__.__code__.co_filename
    }
    assert last.startswith(f"error: environment {FAULTY}, {where}, raised KeyError at ")
    kept = "" if where == "in reset" else "; what was logged is kept: run the same command again to go on"
    assert last.endswith(f": 'a gear is lost'; mend it{kept}")


def test_a_reward_that_is_none_is_one_error_of_the_command_without_a_traceback(tmp_path: Path) -> None:
    failed = call("rollout", FAULTY, "--policy", "random", "--memory", "none", "--set", "reward=null")
    assert failed.exit_code == 1
    assert f"error: environment {FAULTY}, in step 1 of episode 0, gave the reward None, which is no" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_an_actor_tells_it_once_with_what_is_kept_and_so_does_the_command_that_it_reaches(tmp_path: Path) -> None:
    shard = _Shard(str(tmp_path / "shard-0.mem"), {"encoder": None})
    with pytest.raises(
        PlayError, match=r"in step 3 of episode 2, .*mend it; what was logged is kept: play it"
    ) as caught:
        shard.play(partial(Faulty, "step"), ONE, [2], {"kind": "none", "name": "one"})
    sent = pickle.loads(pickle.dumps(caught.value))
    assert (str(sent), sent.trace, sent.then) == (str(caught.value), caught.value.trace, caught.value.then)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("fails=step",), "in step 3 of the episode with seed \\d+, raised KeyError at .*: 'a gear is lost'; mend it"),
        (("fails=reset",), "in reset, raised KeyError"),
        (("reward=null",), "in step 1 of the episode with seed \\d+, gave the reward None"),
    ],
)
def test_a_training_by_rewards_tells_it_too(given: tuple[str, ...], said: str, tmp_path: Path) -> None:
    options = [part for each in given for part in ("--set", each)]
    asked = ("--algo", "ppo", "--seconds", 1, "--out", tmp_path / "new", *options)
    failed = call("train", "policy", "--env", FAULTY, *asked)
    assert failed.exit_code == 1
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("error: environment ")
    assert re.search(said, last), last


def test_an_episode_of_a_network_names_the_seed_that_fails() -> None:
    torch.set_num_threads(1)
    env = Faulty("reset")
    with pytest.raises(
        PlayError, match="environment Faulty, in the reset of the episode with seed 11, raised KeyError"
    ):
        play(policy_lm(env, 0), [env], [11])


def test_the_document_of_a_run_that_failed_and_was_mended_is_that_of_a_whole_one(tmp_path: Path) -> None:
    broken = True

    def make() -> Faulty:
        return Faulty("step" if broken else "")

    settings: dict[str, Any] = {"kind": "none", "name": "one", "episodes": 2}
    with memory_at() as memory, memory_at() as other:
        with pytest.raises(PlayError):
            rollout(make, ONE, memory, **settings)
        broken = False
        again, whole = (rollout(make, ONE, each, **settings) for each in (memory, other))
        assert json.loads(again.model_dump_json(exclude={"bytes"})) == json.loads(
            whole.model_dump_json(exclude={"bytes"})
        )
