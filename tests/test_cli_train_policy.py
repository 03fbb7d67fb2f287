"""`agentmem train policy`: a short training on a shift, and what is refused before a folder is begun."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from rolls import SHOP
from typer.testing import CliRunner, Result

from agentmem import Memory
from agentmem.cli import app
from agentmem.errors import as_installed
from agentmem.neural.files import load
from agentmem.policy import load_trained
from agentmem.policy.choosing import KIND
from agentmem.policy.demonstrations import Shift, shown
from agentmem.rollout import load_policy, rollout

torch.set_num_threads(1)
MAZE = "agentmem/TMaze-v0"
BRIEF = ("--set", "steps=60", "--set", "delay=10", "--episodes", "1", "--rounds", "1", "--seconds", "0.3")


def train(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", "policy", *map(str, arguments)])


def test_a_shift_is_learned_from_its_train_split_and_the_model_plays(tmp_path: Path) -> None:
    out = tmp_path / "a shift"
    done = train("--env", SHOP, "--out", out, "--budgets", "300", *BRIEF, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["finished"]
    (file,) = (out / "demonstrations").iterdir()
    with np.load(file) as there:
        for split in ("train", "test"):
            known = shown(Shift(SHOP, {"split": split, "steps": 60, "delay": 10}, 0, 300))
            same = [np.array_equal(there[name], value) for name, value in vars(known).items()]
            assert all(same) == (split == "train")
    command = load(out / "model.safetensors", KIND).command
    again = train(*shlex.split(command)[3:], "--json")
    assert (again.exit_code, again.stdout) == (0, done.stdout), again.output
    with Memory.open(":memory:", encoder=None, durability="process") as memory:
        options = {"split": "test", "steps": 30, "delay": 10}
        assert rollout(SHOP, load_policy(str(out / "model.safetensors"), None), memory, options=options).steps == 30


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((SHOP, "--set", "steps=[40,60]"), r"--set steps=[40, 60]: shifts take one value; lists are for other env"),
        ((SHOP, "--set", "stepz=40"), "'stepz'"),
        ((SHOP, "--env", SHOP), f"--env {SHOP} was given twice: give it once, and --episodes for more of it"),
        ((SHOP, "--algo", "ppo"), f"--algo with --env {SHOP}: it is not for shifts; leave it out"),
        ((SHOP, "--luck", "0.1"), "--luck with"),
        ((SHOP, "--acting", "0.1"), "--acting with"),
        ((SHOP, "--clock", "4"), "--clock with"),
        ((MAZE, "--episodes", "2"), f"--episodes with --env {MAZE}: it is for shifts alone; leave it out"),
        ((MAZE, "--rounds", "2"), "--rounds with"),
        ((MAZE, "--budgets", "300"), "--budgets with"),
        ((MAZE, "--algo", "ppo", "--luck", "0.1"), "--luck 0.1 with --algo ppo"),
        ((MAZE, "--algo", "ppo", "--acting", "0.3"), "--acting 0.3 with --algo ppo"),
        ((MAZE, "--start", "shift"), "chooses calls: begin with one of the kind that is trained here"),
        ((SHOP, "--start", "tmaze", *BRIEF[:-2]), "acts step by step: begin with"),
        ((MAZE, "--start", "nobody"), "no policy 'nobody'"),
    ],
)
def test_what_does_not_apply_is_refused_and_leaves_no_folder_behind(
    arguments: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    result = train("--env", *arguments, "--seconds", "1", "--out", tmp_path / "new")
    assert (result.exit_code, why in result.stderr) == (1, True), result.output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("CartPole-v1",), "no oracle of CartPole-v1 is known"),
        (("Pendulum-v1",), "Pendulum-v1 has actions Box(-2.0, 2.0, (1,), float32), and a policy learns to choose one"),
        ((MAZE, "--set", "length=[10,0]"), "length=0: give a whole number of cells"),
        ((MAZE, "--set", "width=[3]"), "unexpected keyword argument 'width'"),
        ((SHOP, "--set", "steps=20", "--set", "delay=5", "--episodes", "1"), "20 decisions would be shown"),
        ((SHOP, "--set", "candidates=false"), "does not tell the right candidate"),
        (("agentmem/ShiftShp-v0",), "doesn't exist in namespace agentmem"),
        ((SHOP, "--budgets", "300,99999999999"), "give whole numbers of tokens from 1 to 1,000,000,000"),
        *(((MAZE, "--seconds", each), f"--seconds {each}: give a number") for each in ("0", "-1", "nan", "inf")),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_folder_is_claimed(
    arguments: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    result = train("--env", *arguments, "--out", tmp_path / "a" / "new")
    assert (result.exit_code, why in result.stderr) == (1, True), result.output
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("arguments", "most"),
    [
        ((SHOP, "--episodes", "99999999999"), "10,000"),
        ((SHOP, "--rounds", "99999999999"), "100"),
        ((MAZE, "--clock", "100000000"), "1,000"),
    ],
)
def test_numbers_that_no_machine_could_work_off_are_refused_with_the_limit(
    arguments: tuple[str, ...], most: str, tmp_path: Path
) -> None:
    result = train("--env", *arguments, "--out", tmp_path / "new")
    said = " ".join(result.stderr.replace("│", " ").split())
    assert (result.exit_code, f"is over {most}; give at most {most}" in said) == (2, True), result.output
    assert not (tmp_path / "new").exists()


def test_a_training_begins_with_a_policy_and_its_name_tells_what_it_held(tmp_path: Path) -> None:
    words = ("--env", MAZE, "--set", "length=20", "--start", "tmaze", "--algo", "ppo", "--seconds", "0.1")
    done = train(*words, "--out", tmp_path, "--json")
    assert (done.exit_code, json.loads(done.stdout)["right"]) == (0, pytest.approx(1, abs=0.1)), done.output
    begun = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert begun["asked"]["start"] == load_trained("tmaze").name
    assert train(*shlex.split(begun["command"])[3:], "--json").stdout == done.stdout


def test_ctrl_c_before_the_training_begins_says_how_to_go_on(tmp_path: Path) -> None:
    def press() -> Any:
        signal.raise_signal(signal.SIGINT)

    gymnasium.register("Pressing-v0", entry_point=press)
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # background tests may have been told to ignore it
    try:
        stopped = train("--env", "Pressing-v0", "--out", tmp_path / "new")
    finally:
        signal.signal(signal.SIGINT, before)
        del gymnasium.registry["Pressing-v0"]
    said = "stopped by Ctrl-C; nothing is lost: run the same command again to go on\n"
    assert (stopped.exit_code, stopped.stderr) == (130, said)
    assert not (tmp_path / "new").exists()


def test_the_help_of_the_seed_does_not_print_its_bounds() -> None:
    (line,) = (line for line in train("--help").stdout.splitlines() if "--seed" in line)
    assert "x<" not in line


def test_without_torch_it_says_what_needs_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from agentmem.cli import main; main()"
    out = str(tmp_path / "out")
    for words in (["train", "policy", "--env", MAZE], ["rollout", MAZE, "--policy", "tmaze"]):
        command = [sys.executable, "-c", code, *words, "--out", out]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr == as_installed(
            "error: a trained policy needs torch: pip install 'agentmem-crystal[policy]'\n"
        )
    assert list(tmp_path.iterdir()) == []
