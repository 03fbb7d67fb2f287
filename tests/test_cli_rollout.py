"""`agentmem rollout`: what it prints, what it keeps, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium import spaces
from rolls import FAULTY, SHOP, Pressing
from typer.testing import CliRunner, Result
from workflows import LOAN

from agentmem.cli import app
from agentmem.cli.playing import policy_for
from agentmem.cli.show import size
from agentmem.rollout import load_policy
from agentmem.rollout.policies import SHIFTS, TRAINED
from agentmem_envs import ENVIRONMENTS

NAMELESS = "test_cli_rollout:Nameless"
SHORT = ("--set", "steps=30", "--set", "delay=8", "--budget", "150")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["rollout", *map(str, arguments)])


class Nameless:
    def act(self, observation: Any, context: Any) -> int:
        return 0


class Terminated:
    """Asks its process to end at its first step."""

    def act(self, observation: Any, context: Any) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return 0


class Falling:
    """Raises at its fifth step."""

    steps = 0

    def act(self, observation: Any, context: Any) -> int:
        Falling.steps += 1
        return self.fallen() if Falling.steps == 5 else 0

    def fallen(self) -> int:
        return Falling.steps // 0


class Wordy(gymnasium.Env[Any, Any]):
    """Twenty long texts."""

    observation_space, action_space = spaces.Text(5_000), spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self._at = 0
        return self._said(), {}

    def step(self, action: Any) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self._at += 1
        return self._said(), 0.0, self._at == 19, False, {}

    def _said(self) -> str:
        return " ".join(f"{self.np_random.integers(1_000)} boats" for _ in range(125))


gymnasium.register("Wordy-v0", entry_point="test_cli_rollout:Wordy", disable_env_checker=True)


def test_it_prints_one_document_of_all_that_was_measured() -> None:
    done = call(SHOP, "--policy", "oracle", "--memory", "window", *SHORT, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    wanted = "solved solved_hidden stale return_mean steps needed_fact_recall context_tokens_mean bytes".split()
    assert set(wanted) <= set(said)
    assert (said["solved"], said["steps"], said["memory"], said["policy"]) == (1.0, 30, "window", "oracle")
    again = call(SHOP, "--policy", "oracle", "--memory", "window", *SHORT, "--json", "--seed", 0, "--split", "test")
    assert json.loads(again.stdout)["digest"] == said["digest"]


def test_a_policy_is_noted_by_its_own_name_and_by_the_typed_one_where_it_has_none() -> None:
    maze = ("agentmem/TMaze-v0", "--set", "length=5", "--memory", "none", "--json")
    named = {name: json.loads(call(*maze, "--policy", name).stdout)["policy"] for name in ("tmaze", NAMELESS)}
    assert named[NAMELESS] == NAMELESS
    assert named["tmaze"] == load_policy("tmaze", None).name != "tmaze"  # type: ignore[attr-defined]


def test_the_help_and_the_page_name_every_policy() -> None:
    help, page = call("--help").output, (Path(__file__).parent.parent / "docs" / "rollouts.md").read_text()
    for name in ("random", *SHIFTS, *TRAINED, ".safetensors", "chat:MODEL", "your.module:name"):
        assert name in help
        assert f"`{name}`" in page


def test_the_oracle_plays_a_workflow_and_a_shift_without_candidates_too() -> None:
    shift = (SHOP, *SHORT, "--set", "candidates=false")
    workflow = ("agentmem/Workflow-v0", "--set", f"definition={LOAN}")
    for env in (shift, workflow):
        done = call(*env, "--policy", "oracle", "--memory", "none", "--json")
        assert done.exit_code == 0, done.output
        (episode,) = json.loads(done.stdout)["episodes"]
        solved, tickets = episode["tickets"]
        assert solved == tickets > 0


def test_of_shifts_the_trained_policy_that_comes_along_is_the_default() -> None:
    shifts = [each for each in ENVIRONMENTS if "Shift" in each]
    assert len(shifts) == 5 * 4  # desks, each plain, short, a week and with drift
    assert {policy_for(f"{module}{env}", {}) for env in shifts for module in ("", "agentmem_envs:")} == {"shift"}
    short = ("agentmem/ShiftShop-Drift-v0", "--set", "steps=12", "--set", "delay=2", "--budget", "150", "--json")
    assert call(*short).stdout == call(*short, "--policy", "shift").stdout != ""
    assert "shift in shifts, and needed elsewhere." in " ".join(re.findall(r"[^\s│]+", call("--help").output))


def test_it_prints_a_table_and_keeps_the_memory_that_it_is_told_to_keep(tmp_path: Path) -> None:
    out = tmp_path / "run.mem"
    maze = ("agentmem/TMaze-v0", "--policy", "random", "--set", "length=5", "--out", out, "--memory", "none")
    first = call(*maze, "--episodes", 3)
    assert first.exit_code == 0, first.output
    (found,) = (line.split() for line in first.stdout.splitlines() if "needed fact recall" in line)
    assert found[-1] == "-"  # nothing was needed
    assert re.search(r"solved +([\d.]+)% +\d of 3", first.stdout)
    again = [json.loads(call(*maze, "--episodes", 3, "--json").stdout) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0]["bytes"] == sum(file.stat().st_size for file in tmp_path.iterdir())
    assert [each["steps"] for each in again[0]["episodes"]] == [6, 6, 6]
    other = call(*maze, "--seed", 1)
    assert other.exit_code == 1
    assert f"{out}: this memory holds a rollout with seed 0, not 1" in other.stderr.replace("\n", "")
    assert "or another memory, such as --out other.mem" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *(
            (("agentmem/ShiftNowhere-v0", "--policy", name), "'agentmem/ShiftNowhere-v0' cannot be made: ")
            for name in ("random", "rule", "shift")
        ),
        (("nope", "--policy", "rule"), "'nope' cannot be made: "),
        (("nope",), "'nope' cannot be made: "),
        *(
            (
                (env,),
                f"{env} is no shift, which the policy shift plays by default: give --policy random, tmaze ",
            )
            for env in ("agentmem/TMaze-v0", "CartPole-v1")
        ),
        (("Pendulum-v1", "--policy", "tmaze"), "policy tmaze cannot act in Pendulum-v1: "),
        (("CartPole-v1", "--policy", "shift"), "policy shift cannot act in CartPole-v1: "),
        (("CartPole-v1", "--policy", "random", "--split", "train"), "cannot be made with {'split': 'train'}"),
        (
            ("CartPole-v1", "--policy", "best"),
            "policy 'best' is unknown; give random, oracle, reader, rule, shift, tmaze",
        ),
        *(
            (("CartPole-v1", "--policy", "random", "--set", given), f"--set '{given}' is no keyword with a value")
            for given in ("length", "length=", "=5", "a b=5")
        ),
        ((SHOP, "--policy", "random", "--set", "steps=1e400"), "steps=inf: give a whole number from 1 to 1,000,000"),
        ((SHOP, "--policy", "random", "--split", "train", "--set", "split=test"), "--split train and --set split=test"),
        (
            (SHOP, "--policy", "random", "--set", "steps=30", "--set", "delay=8", "--set", "steps=40"),
            "--set steps=30 and --set steps=40: give one of them",
        ),
        ((SHOP, "--policy", "random", "--set", "steps=NaN"), "steps=nan: give a whole number"),
        ((SHOP, "--policy", "random", "--set", "steps=abc"), "steps='abc': give a whole number"),
        ((SHOP, "--policy", "random", "--set", "drift=3"), "drift=3: give True or False (on the command line true"),
        *(
            (
                ("CartPole-v1", "--policy", name),
                f"policy {name} chooses among the candidates of a shift, and CartPole-v1 is",
            )
            for name in ("reader", "rule")
        ),
        (
            ("CartPole-v1", "--policy", "oracle"),
            "policy oracle is told the right call of a shift or a workflow, and CartPole",
        ),
        *(
            (("agentmem/Workflow-v0", "--set", f"definition={LOAN}", "--policy", name), said)
            for name, said in (
                ("rule", "rule chooses among the candidates of a shift"),
                ("shift", "in a workflow oracle"),
            )
        ),
        ((SHOP, "--policy", "chat:nobody:nothing", *SHORT), "model 'nobody:nothing' cannot be had ("),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(arguments: tuple[str, ...], said: str) -> None:
    done = call(*arguments)
    assert done.exit_code == 1
    assert said in done.output, done.output


def test_a_rollout_that_was_played_before_says_so_beside_the_same_document(tmp_path: Path) -> None:
    maze = ("agentmem/TMaze-v0", "--policy", "random", "--set", "length=5", "--out", tmp_path / "run.mem", "--json")
    first, again, more = call(*maze), call(*maze), call(*maze, "--episodes", 2)
    assert first.stderr == more.stderr == ""
    assert again.stderr.startswith("was played before: ")
    assert again.stdout == first.stdout


def test_bytes_are_what_is_kept_at_the_end_as_when_it_is_repeated(tmp_path: Path) -> None:
    out = tmp_path / "run.mem"
    said = [json.loads(call(SHOP, "--policy", "reader", *SHORT, "--json", "--out", out).stdout) for _ in range(2)]
    assert said[0] == said[1]
    assert said[0]["bytes"] == sum(file.stat().st_size for file in tmp_path.iterdir())


def test_a_sum_of_rewards_that_runs_over_is_null_in_json_and_the_same_when_it_is_repeated(tmp_path: Path) -> None:
    def no_json(constant: str) -> None:
        raise AssertionError(constant)

    command = (FAULTY, "--policy", NAMELESS, "--memory", "none", "--set", "reward=1e308", "--out", tmp_path / "run.mem")
    first, again = call(*command, "--json"), call(*command, "--json")
    assert (first.exit_code, again.exit_code, again.stdout) == (0, 0, first.stdout), again.output
    said = json.loads(first.stdout, parse_constant=no_json)
    assert (said["return_mean"], said["episodes"][0]["reward"], said["steps"]) == (None, None, 6)
    assert re.search("return mean +inf", call(*command).stdout)


def test_bytes_are_those_on_the_disk_and_become_fewer_where_older_steps_are_packed(tmp_path: Path) -> None:
    command = ("test_cli_rollout:Wordy-v0", "--policy", NAMELESS, "--memory", "none", "--out", tmp_path / "run.mem")
    sizes = []
    for episodes in (1, 2):
        done = call(*command, "--episodes", episodes)
        sizes.append(sum(file.stat().st_size for file in tmp_path.iterdir()))
        assert re.search(rf"bytes on disk +{size(sizes[-1])}", done.stdout), done.output
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(tmp_path: Path, workers: int) -> None:
    Pressing.steps = 0
    maze = ("agentmem/TMaze-v0", "--policy", "rolls:Pressing", "--set", "length=9", "--workers", workers)
    stopped = call(*maze, "--episodes", 2, "--out", tmp_path / "run.mem")
    assert (stopped.exit_code, stopped.stdout) == (130, "")
    assert stopped.stderr == "stopped by Ctrl-C; what was logged is kept: run the same command again to go on\n"
    done = call(*maze, "--episodes", 2, "--out", tmp_path / "run.mem", "--json")
    assert json.loads(done.stdout)["steps"] == 20
    assert Pressing.steps < 5 + 20
    Pressing.steps = 0
    assert call(*maze).stderr == "stopped by Ctrl-C; nothing was kept; with --out MEMORY the same command goes on\n"


def test_sigterm_ends_a_rollout_as_ctrl_c_does_and_leaves_nothing_of_a_memory_that_is_not_kept(tmp_path: Path) -> None:
    maze = ("agentmem/TMaze-v0", "--policy", "test_cli_rollout:Terminated", "--set", "length=9")
    ended = subprocess.run(
        [sys.executable, "-m", "agentmem.cli", "rollout", *maze], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parent, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    said = "stopped by SIGTERM; nothing was kept; with --out MEMORY the same command goes on\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "", said)
    assert [*tmp_path.iterdir()] == []


def test_what_a_policy_raises_is_one_error_under_its_own_traceback_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Falling, "steps", 0)
    maze = ("agentmem/TMaze-v0", "--policy", "test_cli_rollout:Falling", "--set", "length=9", "--memory", "none")
    failed = call(*maze, "--out", tmp_path / "run.mem")
    assert (failed.exit_code, failed.stdout) == (1, "")
    first, *frames, last = failed.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert [line.split(", in ")[1] for line in frames if line.startswith("  File ")] == ["act", "fallen"]
    place = f"test_cli_rollout:Falling raised ZeroDivisionError at {__file__}:"
    assert last.startswith(f"error: policy {place}")
    assert last.endswith("; mend it; what was logged is kept: run the same command again to go on")
    assert json.loads(call(*maze, "--out", tmp_path / "run.mem", "--json").stdout)["steps"] == 10
    assert Falling.steps == 5 + 6  # four of its actions were logged
    monkeypatch.setattr(Falling, "steps", 0)
    assert call(*maze).stderr.endswith("; mend it; nothing was kept; with --out MEMORY the same command goes on\n")


def test_a_policy_and_an_environment_in_modules_of_the_current_folder_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "of_this_folder.py").write_text(
        "class Mine:\n    def act(self, observation, context):\n        return 0\n"
    )
    (tmp_path / "mazes_of_this_folder.py").write_text(
        "import gymnasium\ngymnasium.register('here/Maze-v0', 'agentmem_envs.tmaze:TMaze', kwargs={'length': 5})\n"
    )
    done = call("mazes_of_this_folder:here/Maze-v0", "--policy", "of_this_folder:Mine", "--memory", "none")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("x = 1 / 0", "ZeroDivisionError at "),
        ("def (", "SyntaxError: invalid"),
        ("x = int('one')", "ValueError at "),
        ("import never_installed", "ModuleNotFoundError at "),
        ("class Best:\n    def __init__(self):\n        len(5)", "TypeError at "),
        ("class Best:\n    name = property(lambda self: 1 // 0)\n    act = print", "ZeroDivisionError at "),
        ("def Best():\n    assert 0", "AssertionError at .*:2; mend it"),
    ],
)
def test_what_cannot_be_imported_or_made_is_one_error_of_the_policys_own_code(
    code: str, raised: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = f"broken_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code)
    failed = call("agentmem/TMaze-v0", "--policy", f"{name}:Best")
    assert failed.exit_code == 1
    assert re.search(f"error: policy {name}:Best raised {raised}", failed.stderr)
    assert "importlib" not in failed.stderr
    assert "agentmem/" not in failed.stderr


@pytest.mark.parametrize("option", [("--memory", "some"), ("--episodes", "0"), ("--budget", "-4"), ("--split", "both")])
def test_a_value_that_an_option_does_not_take_is_wrong_usage(option: tuple[str, str]) -> None:
    assert call("CartPole-v1", "--policy", "random", *option).exit_code == 2
