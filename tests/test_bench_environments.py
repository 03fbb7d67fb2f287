"""`agentmem bench environments`: mazes by a trained policy; rows of tasks that are trained, kept and gone on with."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch
from typer.testing import CliRunner

from agentmem.bench.environments import ahead, recurrent_ppo, tasks
from agentmem.bench.environments import row as rows
from agentmem.bench.environments.options import IMITATION, RECURRENT_PPO, REINFORCED, TRAINED
from agentmem.bench.environments.peers import bytes_carried
from agentmem.bench.environments.recurrent_ppo import Flat
from agentmem.bench.environments.row import Row, maker_of, network, row
from agentmem.bench.environments.tasks import markdown
from agentmem.bench.neural.peers.sizes import TOLERANCE, count
from agentmem.cli import app
from agentmem.errors import InvalidInputError
from agentmem.neural.files import load
from agentmem.neural.train import TRAINING
from agentmem.policy import load_trained
from agentmem.policy.policy_lm import PolicyLM
from agentmem.policy.shown import batch_of, episode
from agentmem.policy.step_network import StepNetwork, Steps

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages' own spaces and info


def invoked(*words: str) -> Any:
    done = CliRunner().invoke(app, ["bench", "environments", *words])
    assert done.exit_code == 0, done.output
    return done


# ---- tasks


@pytest.mark.parametrize("task", ["RepeatFirstEasy", "ConcentrationHard", "MemoryS13"])
def test_all_models_have_as_many_parameters(task: str) -> None:
    counts = [count(network(Row(task, model, IMITATION, 0, 1))) for model in TRAINED]
    assert max(counts) / min(counts) < 1 + 2 * TOLERANCE


@pytest.mark.parametrize("model", TRAINED)
def test_steps_one_after_another_decide_as_all_at_once(model: str) -> None:
    made = network(Row("AutoencodeEasy", model, IMITATION, 0, 1)).eval()
    steps = batch_of([episode(maker_of("AutoencodeEasy")(), made.features, seed, 0.0) for seed in (1, 2)]).steps
    state, logits = None, []
    with torch.no_grad():
        whole = made(steps)[0].logits
        for start in range(0, steps.before.shape[1], 17):
            decided, state = made(steps.part(start, start + 17), state)
            logits.append(decided.logits)
    assert torch.cat(logits, 1).allclose(whole, atol=1e-4)


def test_what_remembers_nothing_carries_no_bytes_and_what_does_carries_some() -> None:
    models = {model: network(Row("RepeatPreviousEasy", model, IMITATION, 0, 1)) for model in TRAINED}
    steps = batch_of([episode(maker_of("RepeatPreviousEasy")(), models["none"].features, 1, 0.0)]).steps
    carried = {name: bytes_carried(model, steps) for name, model in models.items()}
    assert carried.pop("none") == 0
    assert min(carried.values()) > 0


@pytest.mark.parametrize("protocol", [pytest.param(IMITATION, marks=pytest.mark.slow), REINFORCED])
def test_a_row_is_trained_once_and_then_read(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "EPISODES", 4)
    monkeypatch.setattr(rows, "LANES", 2)
    asked = Row("RepeatPreviousEasy", "gru", protocol, 0, 100)
    first = row(asked, tmp_path)
    assert -1 <= first["return_mean"] <= 1
    assert first["env_steps"] >= 51
    assert first["episodes"] == 4
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"{asked.name}.json"]
    assert row(asked, tmp_path) == first
    with pytest.raises(InvalidInputError, match="steps 100, not 900"):
        row(Row("RepeatPreviousEasy", "gru", protocol, 0, 900), tmp_path)


@pytest.mark.slow
def test_an_interrupted_row_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "EPISODES", 2)
    monkeypatch.setattr(rows, "LANES", 2)
    monkeypatch.setattr(rows, "SAVED", 2)
    asked, told = Row("RepeatPreviousEasy", "gru", IMITATION, 0, 600_000), []

    def stop(done: float) -> None:
        told.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        row(asked, tmp_path, stop)
    assert (tmp_path / f"{asked.name}-600000.training").is_file()
    with pytest.raises(KeyboardInterrupt):
        row(asked, tmp_path, stop)
    with pytest.raises(KeyboardInterrupt):
        row(replace(asked, steps=300_000), tmp_path, stop)  # of another budget it begins anew
    assert told[1] > told[0]
    steps = [load(tmp_path / f"{asked.name}-{each}.training", TRAINING).settings["step"] for each in (600_000, 300_000)]
    assert steps == [4, 2]


@pytest.mark.slow
def test_a_window_learns_what_was_four_cards_ago_and_what_remembers_nothing_cannot(tmp_path: Path) -> None:
    asked = Row("RepeatPreviousEasy", "windowed", IMITATION, 0, 200_000)
    found = {each: row(replace(asked, model=each), tmp_path) for each in ("windowed", "none")}
    assert found["windowed"]["return_mean"] > 0.9
    assert -0.65 < found["none"]["return_mean"] < -0.35  # a guess is right one time in four


def test_recurrent_ppo_is_a_row_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "EPISODES", 2)
    monkeypatch.setattr(recurrent_ppo, "STEPS", 16)
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    found = row(Row("RepeatPreviousEasy", RECURRENT_PPO, REINFORCED, 0, 100), tmp_path)
    assert list(scratch.glob("SB3*")) == []
    assert found["env_steps"] == 256  # of 100, all of an update
    assert found["bytes"] == 2 * 4 * 256


def test_flat_observations_tell_features_apart() -> None:
    env = Flat(gymnasium.make("popgym:popgym-AutoencodeEasy-v0"))
    seen, _ = env.reset(seed=1)
    assert env.observation_space.contains(seen)
    assert seen.sum() == 2  # the mode and the card


@pytest.mark.slow
def test_the_command_prints_a_line_for_each_task_and_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "EPISODES", 4)
    monkeypatch.setattr(rows, "LANES", 4)
    words = ("tasks", "--tasks", "RepeatFirstEasy", "--models", "gru,none,recurrent-ppo", "--seeds", "0,1")
    printed = invoked(*words, "--steps", "100", "--out", str(tmp_path)).stdout
    lines = [line for line in printed.splitlines() if "RepeatFirstEasy" in line]
    assert [line.split(" | ")[1] for line in lines] == ["gru", "none"]  # RecurrentPPO imitates nobody
    assert all(" 2 | " in line and " to " in line for line in lines)
    assert (tmp_path / "table.md").read_text("utf-8").strip() == printed.strip()
    read = json.loads(invoked(*words, "--steps", "100", "--out", str(tmp_path), "--json").stdout)
    assert markdown(read) == printed.strip()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["tasks", "--tasks", "Chess", "--out", "x"], "'Chess' is unknown"),
        (["tasks", "--models", "lstm", "--out", "x"], "'lstm' is unknown"),
        (["tasks", "--steps", "0", "--out", "x"], "'0' is no number of 1 or more"),
        (["tasks"], "--out"),
        (["mazes", "--lengths", "2000000"], "too long"),
        (["races"], "invalid choice"),
    ],
)
def test_what_cannot_be_measured_is_refused(words: list[str], why: str) -> None:
    done = CliRunner().invoke(app, ["bench", "environments", *words])
    assert done.exit_code == 2
    assert why in done.output


def test_what_no_row_could_come_of_is_refused_before_a_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*words: str) -> str:
        done = CliRunner().invoke(app, ["bench", "environments", "tasks", *words, "--out", str(tmp_path / "rows")])
        assert (done.exit_code, (tmp_path / "rows").exists()) == (1, False)
        return " ".join(done.stderr.split())

    assert "--models recurrent-ppo imitates nobody: give --by ppo" in refused("--models", RECURRENT_PPO)
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    words = ("--tasks", "RepeatFirstEasy", "--by", "ppo", "--models", f"gru,{RECURRENT_PPO}")
    assert "recurrent-ppo needs sb3-contrib" in refused(*words)
    monkeypatch.setitem(sys.modules, "minigrid", None)
    assert "cannot be made" in refused("--tasks", "RepeatFirstEasy,MemoryS13", "--models", "gru")


@pytest.mark.parametrize("done", [["one.json"], []])
def test_ctrl_c_says_that_the_rows_that_are_done_are_kept_where_there_are_any(
    done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "rows"

    def press(*_: Any) -> None:
        for name in done:
            (out / name).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks, "row", press)
    words = ["bench", "environments", "tasks", "--tasks", "RepeatFirstEasy", "--out", str(out)]
    stopped = CliRunner().invoke(app, words)
    said = " ".join(stopped.stderr.split())
    kept = f"stopped by Ctrl-C; what is done is kept in {out}: run the same command again to go on"
    assert (kept in said, out.exists()) == (bool(done), bool(done))
    assert stopped.exit_code == 130


# ---- mazes


def stepwise(network: StepNetwork, env: gymnasium.Env[Any, Any], seed: int) -> tuple[int, float]:
    """Steps and rewards of an episode, one step after another, greedily."""
    seen, _ = env.reset(seed=seed)
    state, before, steps, total, over = None, 0, 0, 0.0, False
    while not over:
        with torch.no_grad():
            decided, state = network(Steps.of([network.features(seen)], [before]), state)
        before = int(decided.logits[0, 0].argmax()) + 1
        seen, reward, terminated, truncated, _ = env.step(before - 1)
        steps, total, over = steps + 1, total + float(reward), terminated or truncated
    return steps, total


def test_a_long_episode_is_played_ahead_as_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "CHUNK", 40)
    policy = load_trained("tmaze")
    assert isinstance(policy, PolicyLM)
    env = gymnasium.make("agentmem_envs:agentmem/TMaze-v0", length=100)
    ended = ahead.played(policy, env.unwrapped, 3)
    assert (ended.steps, ended.reward) == stepwise(policy, env, 3) == (101, 1.0)


@pytest.mark.parametrize("model", TRAINED)
def test_an_episode_whose_next_action_is_guessed_wrong_is_played_as_step_by_step_too(model: str) -> None:
    made, env = network(Row("AutoencodeEasy", model, IMITATION, 0, 1)).eval(), maker_of("AutoencodeEasy")()
    ended = ahead.played(made, env, 5)
    steps, reward = stepwise(made, env, 5)
    assert (ended.steps, ended.reward) == (steps, pytest.approx(reward))
    assert reward > -1  # by chance some are right, which one action for all is not


def test_mazes_are_solved_by_the_policy_that_comes_with_the_package() -> None:
    (found,) = json.loads(invoked("mazes", "--lengths", "200", "--episodes", "4", "--json").stdout)["rows"]
    assert (found["model"], found["solved"], found["n"], found["episodes_played"]) == ("tmaze", 1.0, 4, 2)


def test_models_that_are_trained_for_mazes_stand_beside_it_and_are_kept(tmp_path: Path) -> None:
    words = ("mazes", "--lengths", "20,30", "--models", "gru,none", "--seeds", "0,1", "--steps", "100")
    printed = invoked(*words, "--out", str(tmp_path)).stdout
    lines = [line.split(" | ")[:3] for line in printed.splitlines()[2:]]
    assert lines == [
        [f"| {length}", *one] for length in (20, 30) for one in (["tmaze", "1"], ["gru", "2"], ["none", "2"])
    ]
    names = [f"TMaze-{model}-imitation-{seed}.json" for model in ("gru", "none") for seed in (0, 1)]
    assert sorted(each.name for each in tmp_path.iterdir()) == names
    read = json.loads(invoked(*words, "--out", str(tmp_path), "--json").stdout)["rows"]
    assert {one["steps"] for one in read if one["model"] != "tmaze"} == {100}
    refused = CliRunner().invoke(app, ["bench", "environments", *words[:1], *words[3:], "--out", str(tmp_path)])
    assert "is of lengths [20, 30], not [100, 1000, 10000, 100000, 1000000]" in " ".join(refused.stderr.split())


def test_models_without_a_folder_are_refused() -> None:
    done = CliRunner().invoke(app, ["bench", "environments", "mazes", "--models", "gru"])
    assert (done.exit_code, "--models gru: give --out DIR too" in done.stderr) == (1, True)


def test_a_policy_that_chooses_calls_walks_no_maze() -> None:
    done = CliRunner().invoke(app, ["bench", "environments", "mazes", "--policy", "shift", "--lengths", "20"])
    assert "walks no maze" in done.output
