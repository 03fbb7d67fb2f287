"""`agentmem train policy`: a short training on a shift, and what is refused before a folder is begun."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from rolls import SHOP
from typer.testing import CliRunner, Result

from agentmem import Memory
from agentmem.cli import app
from agentmem.neural.files import load
from agentmem.policy.choosing import KIND
from agentmem.policy.demonstrations import Shift, shown
from agentmem.rollout import load_policy, rollout

torch.set_num_threads(1)
MAZE = "agentmem/TMaze-v0"
BRIEF = ("--set", "steps=60", "--set", "delay=10", "--episodes", "1", "--rounds", "1", "--seconds", "1")


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
        ((SHOP, "--algo", "ppo"), f"--algo with --env {SHOP}: it is not for shifts; leave it out"),
        ((SHOP, "--luck", "0.1"), "--luck with"),
        ((SHOP, "--clock", "4"), "--clock with"),
        ((MAZE, "--episodes", "2"), f"--episodes with --env {MAZE}: it is for shifts alone; leave it out"),
        ((MAZE, "--rounds", "2"), "--rounds with"),
        ((MAZE, "--budgets", "300"), "--budgets with"),
        ((MAZE, "--algo", "ppo", "--luck", "0.1"), "--luck 0.1 with --algo ppo"),
    ],
)
def test_what_does_not_apply_is_refused_and_leaves_no_folder_behind(
    arguments: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    result = train("--env", *arguments, "--seconds", "1", "--out", tmp_path / "new")
    assert (result.exit_code, why in result.stderr) == (1, True), result.output
    assert not (tmp_path / "new").exists()
