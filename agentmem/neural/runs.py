"""A training in a folder: begun there by a command, saved every so often, gone on with by the same command.

Knows files and a trainer. Knows nothing of what is trained on, nor of terminals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from agentmem.errors import InvalidInputError, NotFoundError, SettingsError
from agentmem.neural.board import to_tensorboard
from agentmem.neural.files import write
from agentmem.neural.train import Progress, Trainer, to_jsonl

RUN, METRICS, TRAINING, MODEL, BOARD = (
    "run.json", "metrics.jsonl", "training.safetensors", "model.safetensors", "tensorboard"
)  # fmt: skip
EVERY = 50  # steps between saves

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Command:
    """line: as it is typed. asked: what its result depends on, as JSON has it."""

    line: str
    asked: Mapping[str, Any]


def check(folder: Path, command: Command, resume: bool = False) -> None:
    """Whether a command may use a folder: a new or an empty one, or one that the same command began.

    resume: only the last. Raises SettingsError for a folder with something else in it, NotFoundError for nothing to
    resume.
    """
    if (folder / RUN).is_file():
        return _check_same(folder, command)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"{folder} is there and was not begun by a training: name a new folder, or an empty one")
    if resume:
        raise NotFoundError(f"{folder} has nothing to resume; leave --resume out to begin there")
    return None


def claim(folder: Path, command: Command) -> None:
    """Make a folder this command's own. The last thing before it is used: what is refused earlier leaves no trace."""
    check(folder, command)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / RUN).is_file():
        begun = {"command": command.line, "asked": dict(command.asked)}
        write(folder / RUN, (json.dumps(begun, indent=1) + "\n").encode())


class Run:
    """A trainer and its folder. What was saved there is loaded, and `last` has its metrics. model: its file.

    save_model: writes the model alone to a path. Raises MissingExtraError for tensorboard that is not installed.
    """

    def __init__(
        self, folder: Path, trainer: Trainer[Any], save_model: Callable[[Path], None], tensorboard: bool = False
    ) -> None:
        self.folder, self.trainer, self._save_model = folder, trainer, save_model
        self.last: dict[str, Any] = {}
        if (folder / TRAINING).is_file():
            trainer.load(folder / TRAINING)
        self._cut_metrics()
        self._reports: list[Report] = [to_jsonl(folder / METRICS)]
        if tensorboard:
            self._reports.append(to_tensorboard(folder / BOARD, trainer.progress.step))
        trainer.report = self._report

    @property
    def model(self) -> Path:
        return self.folder / MODEL

    @property
    def progress(self) -> Progress:
        return self.trainer.progress

    def go(self, watch: Callable[[Run], None] = lambda run: None, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train until the budget is used up or `stop` says so, and save. Says whether it is used up.

        watch: called after each step.
        """
        began = self.progress.step
        while self.trainer.done < 1 and not stop():
            self.trainer.train(steps=1)
            if self.progress.step % EVERY == 0:
                self.save()
            watch(self)
        if self.progress.step != began or not self.model.is_file():
            self.save()
        return self.trainer.done == 1

    def save(self) -> None:
        """All that is needed to go on, and the model alone. A kill in between leaves the save before."""
        self.trainer.save(self.folder / TRAINING)
        self._save_model(self.model)

    def _report(self, line: dict[str, Any]) -> None:
        self.last = line
        for report in self._reports:
            report(line)

    def _cut_metrics(self) -> None:
        """Forget the metrics of steps that were taken after the last save: they will be taken again."""
        file = self.folder / METRICS
        if not file.is_file():
            return
        written = file.read_text().splitlines()
        lines = [line for line in written if line.endswith("}") and json.loads(line)["step"] <= self.progress.step]
        write(file, "".join(f"{line}\n" for line in lines).encode())
        self.last = json.loads(lines[-1]) if lines else {}


def use_threads(number: int) -> None:
    """Of the processor, for what torch computes in this process; with 1 the same command gives the same bytes."""
    torch.set_num_threads(number)


def device_of(name: str) -> torch.device:
    """ "cpu", "cuda" or "cuda:1" as a device. Raises InvalidInputError for one that is not here."""
    try:
        device = torch.device(name)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInputError(f"device {name!r} cannot be used here ({reason}); use --device cpu") from error
    return device


def _check_same(folder: Path, command: Command) -> None:
    try:
        begun = json.loads((folder / RUN).read_text())
        before, line = dict(begun["asked"]), begun["command"]
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{folder / RUN} does not say what began the folder; name another folder") from error
    now = json.loads(json.dumps(dict(command.asked)))
    differing = [
        f"{name} {before.get(name, 'not given')}, and this is with {now.get(name, 'none given')}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    if differing:
        raise SettingsError(
            f"{folder} was begun with {'; '.join(differing)}: go on with `{line}`, or name another folder"
        )
