"""A training in a folder: begun there by a command, saved every so often, gone on with by the same command.

Knows files, a lock and a trainer. Knows nothing of what is trained on, nor of terminals.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from filecmp import cmp
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import torch

from agentmem.errors import InvalidInputError, NotFoundError, PathError, SettingsError
from agentmem.neural import board
from agentmem.neural.files import held, shortened, write
from agentmem.neural.train import Progress, Trainer, to_jsonl
from agentmem.records import brief
from agentmem.store.whole import PARTS

RUN, METRICS, TRAINING, MODEL, BOARD, LOCK = (
    "run.json", "metrics.jsonl", "training.safetensors", "model.safetensors", "tensorboard", "training.lock"
)  # fmt: skip
EVERY = 50  # steps between saves
WHAT = "what"
"""What a command trains, among what it asks for; its line says it more plainly."""

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Command:
    """line: as it is typed. asked: what its result depends on, as JSON has it. texts: by each path that it reads
    and that is there, the digests of its files by their names in it. also: what else was typed, of how it is
    computed.
    """

    line: str
    asked: Mapping[str, Any]
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    also: str = ""


def check(folder: Path, command: Command, resume: bool = False) -> None:
    """Whether a command may use a folder: a new or an empty one, or one that the same command began.

    resume: only the last. Raises SettingsError for a folder with something else in it, and for one that was begun on
    other texts or has a model that it cannot go on from, NotFoundError for nothing to resume, PathError where nothing
    may be written.
    """
    _check_writable(folder)
    if (folder / RUN).is_file():
        _check_same(folder, command)
        return _check_model(folder)
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file: name a new folder, or an empty one")
    if folder.exists() and any(each.name != LOCK for each in folder.iterdir()):
        raise SettingsError(f"{folder} is there and was not begun by a training: name a new folder, or an empty one")
    if resume:
        raise NotFoundError(f"{folder} has nothing to resume; leave --resume out to begin there")
    return None


def _check_writable(folder: Path) -> None:
    there = next(each for each in (folder, *folder.absolute().parents) if os.path.exists(each))
    if os.path.isdir(there) and not os.access(there, os.W_OK | os.X_OK):
        raise PathError(f"{there} cannot be written in; name another folder, or chmod u+wx it")


@contextmanager
def claim(folder: Path, command: Command) -> Iterator[None]:
    """Make a folder this command's own, and let no other training into it until the end, or a kill.

    Raises SettingsError for the folder of another command, and for one that another training is in.
    """
    check(folder, command)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder / LOCK):
        check(folder, command)  # it may have been begun meanwhile
        for left in folder.glob(PARTS):  # by a kill in a save
            left.unlink()
        if not (folder / RUN).is_file():
            begun = {"command": command.line, "asked": dict(command.asked), "texts": dict(command.texts)}
            write(folder / RUN, (json.dumps(begun, indent=1) + "\n").encode())
        yield


class Run:
    """A trainer and its folder, which is its own until the end: use it by `with`. model: the file of the model.

    What was saved there is loaded; `last` has the metrics of the last step. save_model: writes the model alone to a
    path. Raises SettingsError as `claim`, and MissingExtraError for tensorboard that is not installed; what is refused
    leaves no folder.
    """

    def __init__(
        self,
        folder: Path,
        command: Command,
        trainer: Trainer[Any],
        save_model: Callable[[Path], None],
        tensorboard: bool = False,
    ) -> None:
        self.folder, self.command, self.trainer, self._save_model = folder, command, trainer, save_model
        self.last: dict[str, Any] = {}
        self._reports: list[Report] = [to_jsonl(folder / METRICS)]
        if tensorboard:
            board.writer()
        with ExitStack() as stack:
            stack.enter_context(claim(folder, command))
            self._take_up()
            if tensorboard:
                self._reports.append(board.to_tensorboard(folder / BOARD, trainer.progress.step))
            self._held = stack.pop_all()
        trainer.report = self._report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def model(self) -> Path:
        return self.folder / MODEL

    @property
    def progress(self) -> Progress:
        return self.trainer.progress

    def go(self, watch: Callable[[Run], None] = lambda run: None, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train until the budget is used up or `stop` says so, and save. Says whether it is used up.

        watch: called after each step. The step that it stops at has a line of metrics too.
        """
        began = self.progress.step
        while self.trainer.done < 1 and not stop():
            self.trainer.train(steps=1)
            self.last = self.trainer.line
            if self.progress.step % EVERY == 0:
                self.save()
            watch(self)
        if self.progress.step != began or not self._is_saved():
            self.save()
        if self.progress.step != began and not self.trainer.due:
            self._report(self.last)
        return self.trainer.done == 1

    def save(self) -> None:
        """All that is needed to go on, and then the model alone: after a kill in between, `go` writes it again."""
        self.trainer.save(self.folder / TRAINING)
        self._save_model(self.model)

    def _is_saved(self) -> bool:
        """Whether the file of the model is there, and byte for byte what would be saved."""
        if not self.model.is_file():
            return False
        with TemporaryDirectory() as folder:
            fresh = Path(folder) / MODEL
            self._save_model(fresh)
            return cmp(fresh, self.model, shallow=False)

    def _report(self, line: dict[str, Any]) -> None:
        for report in self._reports:
            report(line)

    def _take_up(self) -> None:
        """What was saved. The metrics of steps after the last save are forgotten: they will be taken again."""
        if (self.folder / TRAINING).is_file():
            self.trainer.load(self.folder / TRAINING, f"it and {self.model}" if self.model.is_file() else "it")
        file = self.folder / METRICS
        if not file.is_file():
            return
        written = file.read_text().splitlines()
        lines = [line for line in written if _step_of(line) <= self.progress.step]
        write(file, "".join(f"{line}\n" for line in lines).encode())
        self.last = json.loads(lines[-1]) if lines else {}


def use_threads(number: int) -> None:
    """Of the processor, for what torch computes in this process; with 1 the same command gives the same bytes.

    Raises InvalidInputError for more than there are processors, which is no quicker, and of far more a process dies.
    """
    most = os.cpu_count() or 1
    if not 1 <= number <= most:
        raise InvalidInputError(f"{number:,} threads on a machine of {most} processors: give 1 to {most}")
    torch.set_num_threads(number)


def device_of(name: str) -> torch.device:
    """A device by its name, as "cuda:1". Raises InvalidInputError for one that is not here or computes nothing."""
    try:
        device = torch.device(name)
        torch.zeros((), device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = shortened(str(error).partition(". ")[0])
        raise InvalidInputError(f"device {name!r} cannot be used here ({reason}); use --device cpu") from error
    return device


def _step_of(line: str) -> float:
    """Of a line of metrics; of one that a kill cut off, or that is none, it never came."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _check_same(folder: Path, command: Command) -> None:
    try:
        begun = json.loads((folder / RUN).read_text())
        before, line = dict(begun["asked"]), begun["command"]
        texts = {path: dict(files) for path, files in begun.get("texts", {}).items()}  # older folders have none
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{folder / RUN} does not say what began the folder; name another folder") from error
    now = json.loads(json.dumps(dict(command.asked)))
    differing = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if differing:
        told = [f"{name} {_given(before, name)}, now {_given(now, name)}" for name in differing if name != WHAT]
        what = f" ({'; '.join(told)})" if told else ""
        raise SettingsError(
            f"{folder} was begun by `{line}`, and this is `{command.line}`{what}: "
            "go on with the first, or name another folder"
        )
    for path in texts.keys() & command.texts.keys():  # what is not there any more cannot be compared
        _check_texts(folder, Path(path), texts[path], command.texts[path])


def _check_model(folder: Path) -> None:
    """A model without what is needed to go on would be replaced by one that is begun anew."""
    model, training = folder / MODEL, folder / TRAINING
    if model.is_file() and not training.is_file():
        raise SettingsError(
            f"{model} is there without {training.name}, from which its training would go on: to train anew, name "
            f"another folder, or remove {model} too"
        )


def _check_texts(folder: Path, path: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    for name in sorted({**before, **now}):
        if before.get(name) != now.get(name):
            done = "added" if name not in before else "removed" if name not in now else "changed"
            raise SettingsError(
                f"{path / name} was {done} since the training in {folder} was begun: go on with the texts as they were "
                "then, or name another folder"
            )


def _given(asked: Mapping[str, Any], name: str) -> str:
    return brief(asked[name]) if name in asked else "not given"
