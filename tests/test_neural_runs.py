"""Training in a folder: gone on with exactly, metrics of steps that were lost, blocks worked out twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from agentmem.errors import InvalidInputError, NotFoundError, SettingsError
from agentmem.neural.curriculum import recall_stage
from agentmem.neural.files import load
from agentmem.neural.reference import seeded
from agentmem.neural.runs import EVERY, LOCK, MODEL, RUN, TRAINING, Command, Run, check, claim, device_of, use_threads
from agentmem.neural.settings import ATOM, CLUSTER, UNIT, CrystalSettings
from agentmem.neural.task_training import TaskTraining
from agentmem.neural.tokens import TokenModel, settings_of
from agentmem.neural.train import Step, Trainer, TrainSettings

torch.set_num_threads(1)
SIZES = settings_of(66, d_model=16, n_heads=2, lower=2, upper=2, window=16, crystal=CrystalSettings(dimension=16))
EASY = TaskTraining((recall_stage(203, (UNIT, CLUSTER, ATOM)),), tokens=100)
TOKENS = 8_700  # 5 steps
COMMAND = Command("agentmem train it", {"what": "it", "seed": 0})


def run(folder: Path, tokens: int = TOKENS, report_every: int = 1, checkpoint_blocks: bool = False) -> Run:
    model = seeded(SIZES, 0)
    model.transformer.checkpoint_blocks = checkpoint_blocks
    trainer = Trainer(model, EASY, TrainSettings(tokens=tokens, warmup=1, report_every=report_every))
    return Run(folder, COMMAND, trainer, lambda path: model.save(path, COMMAND.line))


def finished(it: Run) -> bool:
    with it:
        return it.go()


def after(steps: int, it: Run) -> bool:
    """Stops after so many steps."""
    with it:
        return not it.go(stop=lambda: it.progress.step >= steps)


def steps_in(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_that_was_stopped_ends_with_the_same_bytes_as_one_that_was_not(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert finished(run(whole))
    assert after(2, run(parts))
    assert after(3, run(parts))
    assert finished(run(parts))
    assert (parts / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert steps_in(parts) == steps_in(whole) == list(range(1, 6))


def test_steps_after_the_last_save_are_taken_again_and_told_once(tmp_path: Path) -> None:
    assert after(2, run(tmp_path / "run"))
    with run(tmp_path / "run") as killed:
        killed.trainer.train(steps=1)  # and no save
    assert steps_in(tmp_path / "run") == [1, 2, 3]
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('[4]\n{"note": "somebody\'s"}\n{"step": 4, "sta')  # cut off by the kill
    again = run(tmp_path / "run")
    assert (again.progress.step, again.last["step"]) == (2, 2)
    assert finished(again)
    assert steps_in(tmp_path / "run") == list(range(1, 6))


class Cheap:
    """An objective that costs nothing: every weight is to be 1. wrong: from this call on the loss is no number."""

    def __init__(self, wrong: int = 10**9) -> None:
        self.left = wrong

    def step(self, model: TokenModel, stage: int, generator: torch.Generator) -> Step:
        self.left -= 1
        size = (model.bias - 1).square().sum()
        return Step({"size": size if self.left > 0 else size * torch.nan, "other": size}, 0.0, 1)

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return False


def cheap(folder: Path, tokens: int = 10**9, wrong: int = 10**9) -> Run:
    model = seeded(SIZES, 0)
    settings = TrainSettings(tokens=tokens, warmup=1, report_every=10)
    return Run(folder, COMMAND, Trainer(model, Cheap(wrong), settings), model.save)


def test_it_saves_every_so_often(tmp_path: Path) -> None:
    made = cheap(tmp_path)
    saved: list[int] = []

    def watch(run: Run) -> None:
        if (tmp_path / TRAINING).is_file():
            saved.append(load(tmp_path / TRAINING, "Training").settings["step"])

    with made:
        made.go(watch, stop=lambda: made.progress.step >= 2 * EVERY + 1)
    assert saved == [EVERY] * EVERY + [2 * EVERY] * 2
    assert load(tmp_path / TRAINING, "Training").settings["step"] == 2 * EVERY + 1


@pytest.mark.parametrize("written", [True, False])
def test_a_kill_in_the_last_save_does_not_leave_an_older_model_for_a_trained_one(tmp_path: Path, written: bool) -> None:
    def killed(run: Run, save: Any, path: Path) -> None:
        if run.trainer.done < 1 or written:
            save(path)
        if run.trainer.done == 1:
            raise KeyboardInterrupt

    made = cheap(tmp_path, tokens=EVERY + 10)
    made._save_model = partial(killed, made, made._save_model)
    with pytest.raises(KeyboardInterrupt):
        finished(made)
    again = cheap(tmp_path, tokens=EVERY + 10)
    assert finished(again)
    model = load(tmp_path / MODEL, "TokenModel").weights
    assert all(torch.equal(each, model[name]) for name, each in again.trainer.model.state_dict().items())


def test_a_loss_that_is_no_number_ends_training_and_leaves_what_was_saved(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"step 66 .*: size nan, gradient nan\. What was last saved"):
        finished(cheap(tmp_path, wrong=66))
    assert load(tmp_path / TRAINING, "Training").settings["step"] == EVERY
    assert load(tmp_path / MODEL, "TokenModel").weights["bias"].mean() > 0
    assert steps_in(tmp_path) == [1, 10, 20, 30, 40, 50, 60]
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()
    assert cheap(tmp_path).progress.step == EVERY


def hold(folder: Path, pipe: Any) -> None:
    """What a child does until it is killed."""
    with cheap(folder):
        pipe.send("in it")
        signal.pause()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_folder_has_one_training_at_a_time_until_its_end_or_a_kill(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=hold, args=(tmp_path, there))
    child.start()
    assert here.recv() == "in it"
    with pytest.raises(SettingsError, match=f"{tmp_path} is in use by another training, .*: wait for it, or name"):
        cheap(tmp_path)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with cheap(tmp_path), pytest.raises(SettingsError, match="in use by another training"):
        cheap(tmp_path)
    assert after(1, cheap(tmp_path))


def test_a_kill_leaves_a_folder_that_can_be_begun_in_and_no_halves_for_ever(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    assert after(1, cheap(tmp_path))
    (tmp_path / f"{MODEL}.0123abcd.part").write_bytes(b"half")
    (tmp_path / "notes.part").write_text("somebody's")
    assert after(2, cheap(tmp_path))
    assert sorted(each.name for each in tmp_path.glob("*.part")) == ["notes.part"]


def test_the_first_and_the_final_metrics_are_told_whatever_the_report_interval(tmp_path: Path) -> None:
    made = run(tmp_path / "run", report_every=1_000)
    assert finished(made)
    assert steps_in(tmp_path / "run") == [1, 5]
    assert (made.last["step"], made.last["done"]) == (5, 1.0)


def test_each_step_is_watched_with_its_own_metrics_and_the_one_it_stops_at_is_told(tmp_path: Path) -> None:
    made, watched = cheap(tmp_path, tokens=24), []
    with made:
        made.go(lambda run: watched.append(run.last["step"]), stop=lambda: made.progress.step >= 13)
    assert watched == list(range(1, 14))
    assert steps_in(tmp_path) == [1, 10, 13]
    again = cheap(tmp_path, tokens=24)
    assert again.last == made.last
    assert finished(again)
    assert steps_in(tmp_path) == [1, 10, 13, 20, 24]


def test_blocks_worked_out_twice_train_the_same_model(tmp_path: Path) -> None:
    for name, twice in (("kept", False), ("twice", True)):
        assert finished(run(tmp_path / name, tokens=3_000, checkpoint_blocks=twice))
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
    with claim(tmp_path / "run", COMMAND):
        check(tmp_path / "run", COMMAND, resume=True)
    said = r"was begun by `agentmem train it`, and this is `agentmem train it --seed 1` \(seed 0, now 1\): go on with"
    other = claim(tmp_path / "run", Command("agentmem train it --seed 1", {"what": "it", "seed": 1}))
    with pytest.raises(SettingsError, match=said), other:
        pass
    (tmp_path / "run" / RUN).write_text("[]")
    with pytest.raises(SettingsError, match="does not say what began the folder"):
        check(tmp_path / "run", COMMAND)
    with pytest.raises(NotFoundError, match="has nothing to resume"):
        check(tmp_path / "new", COMMAND, resume=True)


def test_a_folder_of_before_which_keeps_no_digests_of_texts_is_gone_on_with(tmp_path: Path) -> None:
    now = Command(COMMAND.line, COMMAND.asked, {"/books": {"a.txt": "0123"}})
    with claim(tmp_path / "run", COMMAND):
        check(tmp_path / "run", now, resume=True)
    begun = {"command": COMMAND.line, "asked": COMMAND.asked}
    (tmp_path / "run" / RUN).write_text(json.dumps(begun))
    check(tmp_path / "run", now, resume=True)
    (tmp_path / "run" / RUN).write_text(json.dumps({**begun, "texts": ["a.txt"]}))
    with pytest.raises(SettingsError, match="does not say what began the folder"):
        check(tmp_path / "run", now)


WITHOUT_RIGHTS = """
import os, sys
from pathlib import Path
from agentmem.errors import PathError
from agentmem.neural.runs import Command, check
if os.getuid() == 0:
    os.setuid(65534)
for inner in ("", "new", "new/in"):
    try:
        check(Path(sys.argv[1], inner), Command("agentmem train it", {}))
    except PathError as error:
        print(error)
"""


def test_a_folder_that_nothing_may_be_written_in_is_refused_with_what_to_do() -> None:
    with TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o555)
        command = [sys.executable, "-c", WITHOUT_RIGHTS, folder]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == f"{folder} cannot be written in; name another folder, or chmod u+wx it\n" * 3


def test_the_same_seed_gives_the_same_weights_and_leaves_torchs_own_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, other = seeded(SIZES, 1), seeded(SIZES, 1)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(each, other.state_dict()[name]) for name, each in one.state_dict().items())


def test_a_device_that_is_not_here_is_refused() -> None:
    assert device_of("cpu") == torch.device("cpu")
    for name in ("abacus", "meta", "mps"):
        with pytest.raises(
            InvalidInputError, match=f"device '{name}' cannot be used here .{{,170}}; use --device cpu$"
        ):
            device_of(name)


@pytest.mark.parametrize("number", [0, 2**20, 10**18])
def test_more_threads_than_processors_are_refused(number: int) -> None:
    with pytest.raises(InvalidInputError, match=f"^{number:,} threads on a machine of .* processors: give 1 to "):
        use_threads(number)


@pytest.mark.parametrize("content", [b"", b"half", None])
def test_what_was_saved_and_is_not_whole_is_told_with_how_to_begin_anew(content: bytes | None, tmp_path: Path) -> None:
    assert after(1, cheap(tmp_path))
    if content is None:
        seeded(settings_of(9, d_model=16, n_heads=2, crystal=CrystalSettings(dimension=16)), 0).save(
            tmp_path / TRAINING
        )
    else:
        (tmp_path / TRAINING).write_bytes(content)
    remedy = f"remove it and {tmp_path / MODEL} to begin anew"
    with pytest.raises(InvalidInputError, match=f"is not whole, or of another model .{{,170}}: {remedy}"):
        cheap(tmp_path)
    (tmp_path / MODEL).unlink()
    with pytest.raises(InvalidInputError, match="is not whole, or of another model .{,170}: remove it to begin anew"):
        cheap(tmp_path)
    (tmp_path / TRAINING).unlink()
    assert cheap(tmp_path).progress.step == 0


def test_a_model_of_a_finished_training_that_is_not_what_was_saved_is_written_anew(tmp_path: Path) -> None:
    assert finished(cheap(tmp_path, tokens=5))
    model = tmp_path / MODEL
    whole = model.read_bytes()
    for there in (whole[:1_000], whole[:-1] + bytes([whole[-1] ^ 1]), b"", None):
        model.unlink()
        if there is not None:
            model.write_bytes(there)
        assert finished(cheap(tmp_path, tokens=5))
        assert model.read_bytes() == whole
    before = model.stat().st_mtime_ns
    assert finished(cheap(tmp_path, tokens=5))
    assert model.stat().st_mtime_ns == before
    assert not list(tmp_path.glob("*.part"))


def test_a_model_without_its_training_is_not_replaced_by_one_begun_anew(tmp_path: Path) -> None:
    assert finished(cheap(tmp_path, tokens=5))
    (tmp_path / TRAINING).unlink()
    model = tmp_path / MODEL
    before = model.read_bytes()
    said = f"{model} is there without {TRAINING}, .*: to train anew, name another folder, or remove {model} too"
    for resume in (False, True):
        with pytest.raises(SettingsError, match=said):
            check(tmp_path, COMMAND, resume)
    with pytest.raises(SettingsError, match=said):
        cheap(tmp_path, tokens=5)
    assert model.read_bytes() == before
    model.unlink()
    assert finished(cheap(tmp_path, tokens=5))


def test_a_kill_in_the_first_save_is_gone_on_from(tmp_path: Path) -> None:
    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    made = cheap(tmp_path, tokens=EVERY + 10)
    made._save_model = killed
    with pytest.raises(KeyboardInterrupt):
        finished(made)
    again = cheap(tmp_path, tokens=EVERY + 10)
    assert again.progress.step == EVERY
    assert finished(again)
