"""What all trainings on the command line have in common: options, a progress bar, Ctrl-C, and what they say."""

from __future__ import annotations

import math
import shlex
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentmem.cli import show
from agentmem.cli.options import flag, path_of, typed
from agentmem.cli.stopping import ended, pressed
from agentmem.errors import InvalidInputError

if TYPE_CHECKING:
    from agentmem.neural.runs import Command, Run
    from agentmem.neural.train import Trainer


def _seed(text: str | int) -> int:
    """A seed that every generator takes; by itself, since help would print an option's bounds in full."""
    if not str(text).isdecimal() or not int(text) < 2**63:
        raise typer.BadParameter(f"{text} is no seed; give a whole number from 0 to 2 ** 63 - 1")
    return int(text)


def _tokens(text: str | int) -> int:
    """A number of tokens, as measurements take it."""
    from agentmem.bench.neural.options import tokens

    try:
        return tokens(str(text))
    except ArgumentTypeError as error:
        raise typer.BadParameter(str(error)) from error


REPORT = 10  # steps from one line of metrics to the next
HOW = ("device", "threads", "checkpoint_blocks", "tensorboard")
"""Options of how something is trained: the same command goes on with others of them."""

OutOption = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", parser=path_of, help="Where the model goes; what is there is gone on with."),
]
SeedOption = Annotated[int, typer.Option(metavar="N", parser=_seed, help="Of the weights and of what is trained on.")]
TOKENS = {"metavar": "N", "parser": _tokens}
"""Of an option that takes 3m or 100k."""
ResumeOption = Annotated[bool, flag("--resume", "Only go on: do not begin anew where nothing is.")]
DeviceOption = Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda or cuda:1.")]
ThreadsOption = Annotated[
    int, typer.Option(metavar="N", min=1, help="Of the processor; with 1 the same steps give the same bytes.")
]
MixedOption = Annotated[bool, typer.Option("--mixed/--no-mixed", help="Multiply in bfloat16.")]
BlocksOption = Annotated[
    bool, flag("--checkpoint-blocks", "Work out blocks twice instead of keeping them: less memory, more time.")
]
BoardOption = Annotated[
    bool, flag("--tensorboard", "Also write metrics as TensorBoard event files, to DIR/tensorboard.")
]

Train = Callable[[Callable[["Run"], None], Callable[[], bool], show.Waiting], bool]
"""Trains, given what watches each step, what tells whether to stop, and a progress bar."""


def go(run: Run, json: bool, train: Train | None = None) -> None:
    """Train to the end, or to Ctrl-C, and say what came of it. train: how; by default step after step."""
    began = f"going on from step {run.progress.step}" if run.progress.step else "training"
    over, folder = run.trainer.done == 1, show.path(run.folder)
    with (
        pressed("the same command goes on from the last save") as stop,
        show.Waiting("training") as waiting,
    ):
        show.line(f"trained to its end before: {folder}" if over else f"{began} in {folder}; Ctrl-C saves and stops")
        watching = partial(_watch, waiting=waiting)
        finished = run.go(watching, stop) if over or train is None else train(watching, stop, waiting)
    _tell(run, finished, json)
    if not finished:
        saved = ", and saved" if run.model.is_file() else ", before anything was trained"
        raise ended(f"{saved}; the same command goes on: {run.command.line}{run.command.also}")


def command_of(
    what: str, named: list[str], paths: list[str], out: Path, ctx: typer.Context | None = None, **options: Any
) -> Command:
    """options: what its result depends on. ctx: of what was typed, for what it does not."""
    from agentmem.neural.runs import Command

    words = ["agentmem train", what, *named, *_as_typed(paths), "--out", shlex.quote(str(out))]
    for name, value in options.items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        elif value is not None:
            words += [f"--{name}", str(value).removesuffix(".0")]
    places = {"paths": [str(Path(each).resolve()) for each in paths]} if paths else {}
    given = {name: value for name, value in options.items() if value is not None}
    asked = {"what": " ".join((what, *named)), **places, **given}
    return Command(" ".join(words), asked, _texts(paths), "".join(_how(ctx)) if ctx else "")


def _how(ctx: typer.Context) -> Iterator[str]:
    """Those of HOW that were typed, with a space before each."""
    for name in HOW:
        for option in typed(ctx, name):
            value = ctx.params[name]
            yield f" {option}" if value is True else f" {option} {shlex.quote(str(value))}"


def _texts(paths: list[str]) -> dict[str, dict[str, str]]:
    if not paths:
        return {}
    from agentmem.neural.text import digests

    return digests(paths)


def _as_typed(paths: list[str]) -> Iterator[str]:
    """Paths, with `folder/*.txt` for those that are all it stands for, in its order: 500 names say less."""
    left = [Path(each) for each in paths]
    while left:
        folder, suffix = left[0].parent, left[0].suffix
        listed = sorted(each for each in folder.glob(f"*{suffix}") if not each.name.startswith("."))
        if suffix and len(listed) > 1 and left[: len(listed)] == listed:
            yield f"{shlex.quote(str(folder))}/*{suffix}"
            left = left[len(listed) :]
        else:
            yield shlex.quote(str(left.pop(0)))


def check_seconds(seconds: float | None) -> None:
    """InvalidInputError for a budget that is no number above 0."""
    if seconds is not None and not 0 < seconds < math.inf:
        raise InvalidInputError(f"--seconds {seconds:g}: give a number of seconds above 0, such as 600")


def notes_of(command: Command, trainer: Trainer[Any]) -> dict[str, Any]:
    """How a model was trained so far: what the command asked for, the numbers that it left as they were, and the tokens
    that were read, which are fewer where it was stopped and more where the last step read beyond what was asked.
    """
    objective, settings = (_numbers(each) for each in (trainer.objective, trainer.settings))
    asked = {name: each for name, each in command.asked.items() if name != "paths"}  # nobody's folders
    tokens = trainer.progress.tokens
    return {"training": {"asked": asked, "objective": objective, "settings": settings, "tokens": tokens}}


def _numbers(settings: Any) -> dict[str, float]:
    return {name: each for name, each in vars(settings).items() if isinstance(each, int | float) and each != math.inf}


def _tell(run: Run, finished: bool, json: bool) -> None:
    model = str(run.model) if run.model.is_file() else None
    if json:
        told = {"done": run.trainer.done, "finished": finished, "model": model}
        show.as_json({**run.last, **vars(run.progress), **told})
    else:
        what = f"{run.trainer.done:.0%} at step {show.number(run.progress.step)}  {_measured(run)}"
        show.say("trained" if finished else "stopped", what, show.path(model or ""))


def _watch(run: Run, waiting: show.Waiting) -> None:
    waiting(run.trainer.done, 1.0, f"step {run.progress.step}  {_measured(run)}")
    if run.progress.step % 50 == 0 and not waiting.shown:
        show.line(f"step {run.progress.step}  {run.trainer.done:.1%}  {_measured(run)}")


def _measured(run: Run) -> str:
    """How good the model was at the newest batch."""
    if not run.last:
        return ""
    said = getattr(run.trainer.objective, "said", None)  # where it is judged by something else than right answers
    return f"loss {run.last['loss']:.3f}  " + (said(run.last) if said else f"{run.last['right']:.1%} right")
