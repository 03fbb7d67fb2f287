"""`agentmem train neural`: a few steps, stopped and gone on with, folders refused, what is written where."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from agentmem.bench.neural import rivals
from agentmem.bench.neural import task as bench_task
from agentmem.cli import app
from agentmem.cli.training import command_of
from agentmem.errors import InvalidInputError, as_installed
from agentmem.neural import reference
from agentmem.neural.files import load
from agentmem.neural.runs import RUN, claim
from agentmem.neural.tasks.named import NAMES, named
from agentmem.neural.text_model import TextModel
from agentmem.neural.tokens import TokenModel

torch.set_num_threads(1)
FEW = 19_000  # tokens: 3 steps of recall
ONE = 5_000


def train(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", "neural", *map(str, arguments)])


def said(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load(folder / "model.safetensors", "TokenModel").weights


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a few steps of recall were trained without a break."""
    folder = tmp_path_factory.mktemp("runs") / "recall"
    assert said(train("recall", "--out", folder, "--tokens", FEW, "--json"))["finished"]
    return folder


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one step was trained, with event files, and its tokens written in thousands."""
    folder = tmp_path_factory.mktemp("runs") / "watched"
    assert said(train("recall", "--out", folder, "--tokens", "5k", "--tensorboard", "--json"))["finished"]
    return folder


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("texts") / "story.txt"
    words = [f"{one}{other}" for one in ("ba", "do", "ki", "lu") for other in ("ra", "sen", "tul", "é")]
    told = random.Random(1).choices(words, k=13_000)
    file.write_text("\n".join(" ".join(told[i : i + 10]) for i in range(0, len(told), 10)), encoding="utf-8")
    return file


# ---- recall


def test_training_leaves_a_model_that_says_how_it_was_made(trained: Path) -> None:
    saved = load(trained / "model.safetensors", "TokenModel")
    assert saved.command == f"agentmem train neural recall --out {trained} --tokens {FEW} --seed 0 --no-mixed"
    assert saved.notes["training"]["asked"] == {"what": "neural recall", "tokens": FEW, "seed": 0, "mixed": False}
    assert saved.notes["training"]["settings"]["learning_rate"] == 0.003
    assert TokenModel.load(trained / "model.safetensors").settings == reference.RECALL


def test_metrics_are_written_at_the_end_too(trained: Path) -> None:
    last = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    assert (last["step"], last["done"], last["left"]) == (3, 1.0, 0.0)
    assert last["loss"] == pytest.approx(
        sum(last[name] for name in ("next_token", "write_read", "reconstruction", "importance"))
    )


def test_a_finished_training_is_told_again_and_not_repeated(trained: Path) -> None:
    before = (trained / "model.safetensors").stat().st_mtime_ns
    result = train("recall", "--out", trained, "--tokens", FEW, "--json", "--resume")
    assert f"trained to its end before: {trained}" in " ".join(result.stderr.split())
    told = said(result)
    assert (told["finished"], told["step"], told["done"]) == (True, 3, 1.0)
    assert (trained / "model.safetensors").stat().st_mtime_ns == before


def stepped(folder: Path) -> bool:
    """Whether a first step was taken in a folder, and told."""
    metrics = folder / "metrics.jsonl"
    return metrics.is_file() and metrics.stat().st_size > 0


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_goes_on_as_if_it_had_not_been_pressed(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    command = [
        sys.executable,
        "-m",
        "agentmem.cli",
        "train",
        "neural",
        "recall",
        "--out",
        str(out),
        "--tokens",
        str(FEW),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "300"}) as child:
        assert child.stderr is not None
        assert "Ctrl-C saves and stops" in child.stderr.readline()
        while not stepped(out):
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        told = child.stderr.read()
    assert (child.returncode, told.count("Traceback")) == (130, 0), told
    assert "stopped by Ctrl-C, and saved; the same command goes on: agentmem train neural recall" in told
    progress = load(out / "training.safetensors", "Training").settings
    stopped = progress["step"]
    assert 0 < stopped < 3
    assert load(out / "model.safetensors", "TokenModel").notes["training"]["tokens"] == progress["tokens"] < FEW
    result = train("recall", "--out", out, "--tokens", FEW)
    assert f"going on from step {stopped}" in result.stderr
    assert all(torch.equal(each, weights(trained)[name]) for name, each in weights(out).items())


def test_another_commands_folder_is_refused_by_what_differs(trained: Path) -> None:
    result = train("recall", "--out", trained, "--tokens", FEW, "--seed", 3)
    assert result.exit_code == 1
    assert f"{trained} was begun by `agentmem train neural recall --out {trained} --tokens" in result.stderr
    assert "--seed 3 --no-mixed` (seed 0, now 3): go on with the first, or name another folder" in result.stderr
    other = train("text", "a.txt", "--out", trained, "--tokens", FEW).stderr
    assert f"and this is `agentmem train neural text a.txt --out {trained} --tokens" in other
    assert "what neural" not in other


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("my only copy")
    result = train("recall", "--out", tmp_path, "--tokens", ONE)
    assert (result.exit_code, "was not begun by a training" in result.stderr) == (1, True)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["recall", "--resume"], "has nothing to resume; leave --resume out"),
        (["recall", "--seconds", 0], "--seconds 0: give a number of seconds above 0"),
        (["text", __file__, "--seconds", -1], "--seconds -1: give a number of seconds above 0"),
        (["recall", "--seconds", "nan"], "--seconds nan: give a number of seconds above 0"),
        (["recall", "--threads", 10**18], "threads on a machine of"),
        (["recall", "--device", "meta"], "device 'meta' cannot be used here"),
        (["text", "/dev/zero"], "'/dev/zero' is neither a file nor a folder"),
        (["text", ""], "'' is neither a file nor a folder"),
        (["task", "chains", "--seconds", "inf"], "--seconds inf: give a number of seconds above 0"),
        (["task", "stories"], "stories are told between the sentences of books: give text files"),
        (["recall", "--device", "nosuch"], "device 'nosuch' cannot be used here"),
        (["task", "chains", __file__], "chains has no use for text; give no text files"),
        (["text", "missing.txt"], "missing.txt is not there; name a text file, or a folder of .txt or .md files"),
    ],
)
def test_what_is_refused_leaves_no_folder_behind(arguments: list[object], why: str, tmp_path: Path) -> None:
    out = tmp_path / "new"
    result = train(*arguments, "--out", out)
    assert (result.exit_code, why in result.stderr) == (1, True), result.output
    assert not out.exists()


def test_a_value_that_is_no_number_is_named(tmp_path: Path) -> None:
    for option, value in (("--seconds", "soon"), ("--threads", "all")):
        result = train("recall", "--out", tmp_path / "new", option, value)
        said = " ".join(result.stderr.replace("│", " ").split())
        assert re.search(rf"Invalid value for '{option}': give a valid \w+, not '{value}'", said), said


@pytest.mark.parametrize("value", ["1601m", "9" * 20, "9" * 9_000])
def test_more_tokens_than_a_memory_numbers_are_refused_with_the_limit(value: str, tmp_path: Path) -> None:
    result = train("text", "a.txt", "--out", tmp_path / "new", "--tokens", value)
    said = " ".join(result.stderr.replace("│", " ").split())
    assert (result.exit_code, "is too many; 1600m are the most" in said) == (2, True), said[-300:]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "9m9"])
def test_tokens_are_written_as_measurements_take_them(value: str, tmp_path: Path) -> None:
    result = train("text", "a.txt", "--out", tmp_path / "new", "--tokens", value)
    said = " ".join(result.stderr.replace("│", " ").split())
    assert (result.exit_code, f"'{value}' is no number of 1 or more; write 100k, 1m or 2500" in said) == (2, True)
    assert not (tmp_path / "new").exists()


def test_tokens_may_be_written_in_thousands(watched: Path) -> None:
    assert "--tokens 5000 " in load(watched / "model.safetensors", "TokenModel").command


def test_a_full_disk_is_told_by_the_file_that_has_no_room(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        result = train("recall", "--out", tmp_path / "out", "--tokens", ONE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.exit_code == 1
    assert f"error: no space left for {tmp_path}/out/training.safetensors (File too large); free some" in result.stderr
    assert sorted(each.suffix for each in (tmp_path / "out").iterdir()) == [".json", ".jsonl", ".lock"]


def test_a_seed_that_no_generator_takes_is_refused(tmp_path: Path) -> None:
    for seed in (-1, 2**63):
        result = train("recall", "--out", tmp_path / "new", "--seed", seed)
        assert (result.exit_code, "--seed" in result.stderr) == (2, True), result.output
    assert not (tmp_path / "new").exists()


# ---- text


@pytest.mark.slow
def test_a_text_model_can_be_used_alone_and_its_training_gone_on_with_without_the_text(
    story: Path, tmp_path: Path
) -> None:
    copy, out = tmp_path / "story.txt", tmp_path / "out"
    copy.write_bytes(story.read_bytes())
    arguments = ["text", copy, "--out", out, "--tokens", ONE, "--vocabulary", 300, "--json"]
    told = said(train(*arguments))
    assert (told["step"], told["tokens"], told["finished"]) == (2, 8_000, True)
    assert rivals.ours(out / "model.safetensors")[0].tokens == 8_000  # that were read
    whole = TextModel.load(out / "model.safetensors")
    assert whole.vocabulary.json == (out / "vocabulary.json").read_text("utf-8")
    tokens = whole.tokens("bara dosen é ☂")
    assert whole.vocabulary.decode(tokens[0].tolist()) == "bara dosen é ☂"
    assert whole.model(tokens).logits.shape == (1, tokens.shape[1], whole.vocabulary.size)
    copy.unlink()
    assert said(train(*arguments)) == told


@pytest.mark.slow
@pytest.mark.parametrize(("ends", "steps"), [(["--seconds", 0.01], 1), (["--seconds", 500, "--tokens", "4k"], 1)])
def test_a_training_on_text_ends_after_processor_time_too_and_at_what_comes_first(
    ends: list[object], steps: int, story: Path, tmp_path: Path
) -> None:
    told = said(train("text", story, "--out", tmp_path / "out", "--vocabulary", 300, "--json", *ends))
    assert (told["step"], told["finished"]) == (steps, True)


def test_a_training_on_text_reads_three_million_tokens_where_nothing_else_ends_it(tmp_path: Path) -> None:
    out, asked = tmp_path / "out", {"vocabulary": 300, "seed": 0, "mixed": False}
    for given, ends in (([], {"tokens": 3_000_000}), (["--seconds", 60], {"seconds": 60.0})):
        with claim(out / str(len(given)), command_of("neural text", [], ["a.txt"], out, **ends, **asked)):
            pass
        told = train("text", "a.txt", "--out", out / str(len(given)), "--vocabulary", 300, "--no-mixed", *given).stderr
        assert "a.txt is not there" in told  # it is the same training


def test_too_little_text_is_refused_with_how_much_there_was(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("A short one. " * 20)
    result = train("text", tmp_path / "short.txt", "--out", tmp_path / "out", "--vocabulary", 300)
    assert "no document has 12,001 tokens; the longest of 1 has" in result.stderr
    assert not (tmp_path / "out").exists()


def go_on(folder: Path, texts: Path) -> str:
    """With a training on texts that is begun in a folder, where it is not yet; what is told of it."""
    if not (folder / RUN).is_file():
        asked = {"tokens": ONE, "vocabulary": 300, "seed": 0, "mixed": False}
        with claim(folder, command_of("neural text", [], [str(texts)], folder, **asked)):
            pass
    return train("text", texts, "--out", folder, "--tokens", ONE, "--vocabulary", 300, "--no-mixed").stderr


@pytest.mark.parametrize(
    ("name", "text", "done"), [("b.md", "Another.", "changed"), ("c.txt", "More.", "added"), ("b.md", None, "removed")]
)
def test_a_training_does_not_go_on_with_other_texts_than_it_was_begun_with(
    name: str, text: str | None, done: str, tmp_path: Path
) -> None:
    books, out, too_short = tmp_path / "books", tmp_path / "out", "no document has 12,001 tokens"
    books.mkdir()
    for each in ("a.txt", "b.md"):
        (books / each).write_bytes(b"A short one.\r\n")
    assert too_short in go_on(out, books)
    (books / "a.txt").write_bytes(b"A short one.\n")  # what is read of it is the same
    (books / "notes.csv").write_text("not read")
    assert too_short in go_on(out, books)
    (books / name).unlink(missing_ok=True)
    if text:
        (books / name).write_text(text)
    told = go_on(out, books)
    assert f"{books / name} was {done} since the training in {out} was begun: go on with the texts as they were" in told


def test_a_single_file_that_was_edited_is_named_and_one_that_is_gone_is_not_compared(tmp_path: Path) -> None:
    file, out = tmp_path / "a.txt", tmp_path / "out"
    file.write_text("A short one.")
    go_on(out, file)
    file.write_text("Another one.")
    assert f"error: {file} was changed since the training in {out} was begun" in go_on(out, file)
    file.unlink()
    assert "is not there; name a text file" in go_on(out, file)  # no tokens were kept yet


# ---- other tasks


def test_books_too_short_for_stories_are_refused_before_a_folder_is_claimed(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("word")
    result = train("task", "stories", tmp_path / "w.txt", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "between 1,000 words and marks of books at least, and these have 1: give longer text files" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ("stories", "counting") else pytest.mark.slow) for name in NAMES]
)
@pytest.mark.slow
def test_every_task_is_trained_and_its_model_says_which_it_knows(name: str, story: Path, tmp_path: Path) -> None:
    books, out = [story] if name == "stories" else [], tmp_path / "out"
    said(train("task", name, *books, "--out", out, "--seconds", 0.1, "--json"))
    told = measured("--checkpoint", out / "model.safetensors", *(["--text", *books] if books else []))
    assert told["settings"]["task"] == name
    assert [row["tokens"] for row in told["rows"]] == [1_003, 2_000]
    assert all(0 <= row["exact"] <= min(row["by_place"]) and "exact_deviation" in row for row in told["rows"])
    assert [one["asked"] > 0 for one in told["runs"]] == [True] * 4


def test_a_size_without_room_is_refused_before_any_stream_is_written(tmp_path: Path) -> None:
    model = reference.seeded(reference.task_settings(named("counting").vocabulary), 0)
    model.save(tmp_path / "model", notes={"task": "counting", "words": []})
    options = argparse.Namespace(tokens=[1_003, 31], text=[], questions=1, seed=[0])
    written: list[str] = []
    with pytest.raises(InvalidInputError, match="8 marks of 4 tokens do not fit evenly into a horizon of 31 tokens"):
        bench_task.measure(bench_task.load(tmp_path / "model"), options, lambda doing, _: written.append(doing))
    assert written == []


def measured(*arguments: object) -> dict[str, Any]:
    few = ("--tokens", "1003,2k", "--questions", "3", "--seed", "0,1", "--json")
    return said(CliRunner().invoke(app, ["bench", "neural", "task", *map(str, arguments), *few]))


def test_a_model_of_something_else_and_an_unknown_task_are_refused(trained: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["bench", "neural", "task", "--checkpoint", str(trained / "model.safetensors")])
    assert "was not made by `agentmem train neural task`" in told.stderr
    assert "--checkpoint is missing" in CliRunner().invoke(app, ["bench", "neural", "task"]).stderr
    told = " ".join(CliRunner().invoke(app, ["bench", "neural", "task", "--help"]).stdout.split())
    assert "--checkpoint FILE a model that `agentmem train neural task` made; needed" in told
    assert "'juggling' is no task" in train("task", "juggling", "--out", tmp_path / "out").stderr
    assert not (tmp_path / "out").exists()


# ---- TensorBoard


def test_event_files_hold_the_metrics(watched: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(watched / "tensorboard")).Reload()
    line = json.loads((watched / "metrics.jsonl").read_text())
    assert {"loss", "right", "next_token"} <= set(events.Tags()["scalars"])
    assert [(each.step, each.value) for each in events.Scalars("loss")] == [(1, pytest.approx(line["loss"]))]


def test_without_tensorboard_the_line_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    result = train("recall", "--out", tmp_path / "out", "--tokens", ONE, "--tensorboard")
    assert (result.exit_code, as_installed("pip install 'agentmem-crystal[tensorboard]'") in result.stderr) == (1, True)
    assert not (tmp_path / "out").exists()
