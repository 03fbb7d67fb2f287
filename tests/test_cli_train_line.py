"""The line that a training is told by: what Ctrl-C prints of it, and how documents stand in it."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path

import torch
from typer.testing import CliRunner, Result

from agentmem.cli import app
from agentmem.cli.training import _as_typed
from agentmem.neural.runs import RUN

torch.set_num_threads(1)


def train(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", "neural", *map(str, arguments)])


def test_the_line_that_ctrl_c_prints_has_all_that_was_typed_of_how_to_train(tmp_path: Path) -> None:
    out, how = tmp_path / "out", ["--device", "cpu", "--threads", 1, "--checkpoint-blocks", "--tensorboard"]

    def stepped() -> bool:
        metrics = out / "metrics.jsonl"
        return metrics.is_file() and metrics.stat().st_size > 0

    def press() -> None:
        until = time.monotonic() + 60
        while not stepped() and time.monotonic() < until:
            time.sleep(0.01)
        if stepped():
            signal.raise_signal(signal.SIGINT)

    pressing = threading.Thread(target=press, daemon=True)
    pressing.start()
    result = train("recall", "--out", out, "--seconds", 60, *how)
    pressing.join()
    line = f"agentmem train neural recall --out {out} --seconds 60 --seed 0 --no-mixed"
    assert f"goes on: {line} {' '.join(map(str, how))}\n" in result.stderr
    assert json.loads((out / RUN).read_text())["command"] == line
    again = train("recall", "--out", out, "--seconds", 0.001, "--seed", 1).stderr
    assert f"was begun by `{line}`, and this is" in again


def test_a_folder_of_documents_stands_as_one_pattern_in_the_line_that_a_checkpoint_keeps(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.md", "d.md"):
        (tmp_path / name).touch()
    paths = [str(tmp_path / name) for name in ("a.txt", "b.txt", "c.md")]
    assert list(_as_typed(paths)) == [f"{tmp_path}/*.txt", f"{tmp_path}/c.md"]


def test_the_line_names_files_in_another_order_one_by_one_since_they_train_another_model(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", ".c.txt"):
        (tmp_path / name).touch()
    a, b, hidden = (str(tmp_path / name) for name in ("a.txt", "b.txt", ".c.txt"))
    for given in ([b, a], [a, a], [a, hidden]):
        assert list(_as_typed(given)) == given
    assert list(_as_typed([a, b, a])) == [f"{tmp_path}/*.txt", a]
    assert list(_as_typed([b, a, b])) == [b, f"{tmp_path}/*.txt"]
