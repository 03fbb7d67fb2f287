"""Training in a folder: gone on with exactly, metrics of steps that were lost, blocks worked out twice."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from agentmem.errors import InvalidInputError, NotFoundError, SettingsError
from agentmem.neural.curriculum import recall_stage
from agentmem.neural.files import load
from agentmem.neural.reference import seeded
from agentmem.neural.runs import EVERY, TRAINING, Command, Run, check, claim, device_of
from agentmem.neural.settings import ATOM, CLUSTER, UNIT, CrystalSettings
from agentmem.neural.task_training import TaskTraining
from agentmem.neural.tokens import TokenModel, settings_of
from agentmem.neural.train import Step, Trainer, TrainSettings

torch.set_num_threads(1)
SIZES = settings_of(66, d_model=16, n_heads=2, lower=2, upper=2, window=16, crystal=CrystalSettings(dimension=16))
EASY = TaskTraining((recall_stage(203, (UNIT, CLUSTER, ATOM)),), tokens=100)
TOKENS = 14_000  # 8 steps
COMMAND = Command("agentmem train it", {"what": "it", "seed": 0})


def run(folder: Path, tokens: int = TOKENS, report_every: int = 1, checkpoint_blocks: bool = False) -> Run:
    claim(folder, COMMAND)
    model = seeded(SIZES, 0)
    model.transformer.checkpoint_blocks = checkpoint_blocks
    trainer = Trainer(model, EASY, TrainSettings(tokens=tokens, warmup=1, report_every=report_every))
    return Run(folder, trainer, lambda path: model.save(path, COMMAND.line))


def after(steps: int, it: Run) -> bool:
    """Stops after so many steps."""
    return not it.go(stop=lambda: it.progress.step >= steps)


def steps_in(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_that_was_stopped_ends_with_the_same_bytes_as_one_that_was_not(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(whole).go()
    assert after(3, run(parts))
    assert after(5, run(parts))
    assert run(parts).go()
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert steps_in(parts) == steps_in(whole) == list(range(1, 9))


def test_steps_after_the_last_save_are_taken_again_and_told_once(tmp_path: Path) -> None:
    assert after(3, run(tmp_path / "run"))
    killed = run(tmp_path / "run")
    killed.trainer.train(steps=2)  # and no save
    assert steps_in(tmp_path / "run") == [1, 2, 3, 4, 5]
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "sta')  # cut off by the kill
    again = run(tmp_path / "run")
    assert (again.progress.step, again.last["step"]) == (3, 3)
    assert again.go()
    assert steps_in(tmp_path / "run") == list(range(1, 9))


class Cheap:
    """An objective that costs nothing: every weight is to be small."""

    def step(self, model: TokenModel, stage: int, generator: torch.Generator) -> Step:
        return Step({"size": model.bias.square().sum()}, 0.0, 1)

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return False


def test_it_saves_every_so_often(tmp_path: Path) -> None:
    model = seeded(SIZES, 0)
    made = Run(tmp_path, Trainer(model, Cheap(), TrainSettings(tokens=10**9)), model.save)
    saved: list[int] = []

    def watch(run: Run) -> None:
        if (tmp_path / TRAINING).is_file():
            saved.append(load(tmp_path / TRAINING, "Training").settings["step"])

    made.go(watch, stop=lambda: made.progress.step >= 2 * EVERY + 1)
    assert saved == [EVERY] * EVERY + [2 * EVERY] * 2
    assert load(tmp_path / TRAINING, "Training").settings["step"] == 2 * EVERY + 1


def test_the_final_metrics_are_told_whatever_the_report_interval(tmp_path: Path) -> None:
    made = run(tmp_path / "run", report_every=1_000)
    made.go()
    assert (made.last["step"], made.last["done"]) == (8, 1.0)


def test_blocks_worked_out_twice_train_the_same_model(tmp_path: Path) -> None:
    for name, twice in (("kept", False), ("twice", True)):
        run(tmp_path / name, tokens=5_000, checkpoint_blocks=twice).go()
    assert (tmp_path / "kept" / "model.safetensors").read_bytes() == (
        tmp_path / "twice" / "model.safetensors"
    ).read_bytes()


def told(sizes: list[int], kept: torch.Tensor) -> torch.Tensor:
    sizes.append(kept.nbytes)
    return kept


def test_blocks_worked_out_twice_have_equal_gradients_and_keep_less() -> None:
    tokens = torch.randint(66, (2, 300), generator=torch.Generator().manual_seed(0))
    gradients, kept = [], []
    for twice in (False, True):
        model = seeded(SIZES, 0)
        model.transformer.checkpoint_blocks = twice
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(partial(told, sizes), lambda each: each):
            loss = model(tokens).log_probabilities.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients.append({name: each.grad for name, each in model.named_parameters()})
        kept.append(sum(sizes))
    assert kept[1] < 0.9 * kept[0]
    for name, each in gradients[0].items():
        assert (each is None) == (gradients[1][name] is None), name
        if each is not None:
            torch.testing.assert_close(each, gradients[1][name], rtol=0, atol=0)


def test_a_folder_belongs_to_the_command_that_began_it(tmp_path: Path) -> None:
    claim(tmp_path / "run", COMMAND)
    check(tmp_path / "run", COMMAND, resume=True)
    with pytest.raises(
        SettingsError, match="was begun with seed 0, and this is with 1: go on with `agentmem train it`"
    ):
        claim(tmp_path / "run", Command("agentmem train it --seed 1", {"what": "it", "seed": 1}))
    (tmp_path / "run" / "run.json").write_text("[]")
    with pytest.raises(SettingsError, match="does not say what began the folder"):
        check(tmp_path / "run", COMMAND)
    with pytest.raises(NotFoundError, match="has nothing to resume"):
        check(tmp_path / "new", COMMAND, resume=True)


def test_the_same_seed_gives_the_same_weights_and_leaves_torchs_own_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, other = seeded(SIZES, 1), seeded(SIZES, 1)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(each, other.state_dict()[name]) for name, each in one.state_dict().items())


def test_a_device_that_is_not_here_is_refused() -> None:
    assert device_of("cpu") == torch.device("cpu")
    with pytest.raises(InvalidInputError, match="device 'abacus' cannot be used here"):
        device_of("abacus")
