"""`agentmem train neural ...`: train the reference models of the neural memory.

Knows options. What is trained, and how, is in agentmem.neural.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentmem.cli import show
from agentmem.cli.app import Commands
from agentmem.cli.options import JsonOption, example
from agentmem.cli.stopping import ended
from agentmem.cli.train_policy import policy
from agentmem.cli.training import (
    REPORT,
    TOKENS,
    BlocksOption,
    BoardOption,
    DeviceOption,
    MixedOption,
    OutOption,
    ResumeOption,
    SeedOption,
    ThreadsOption,
    check_seconds,
    command_of,
    go,
    notes_of,
)  # fmt: skip

if TYPE_CHECKING:
    from agentmem.neural.corpus import Corpus
    from agentmem.neural.runs import Command
    from agentmem.neural.tokens import TokenModel
    from agentmem.neural.train import Trainer, TrainSettings

SECONDS = 1200.0
MILLIONS = 3


def register(app: typer.Typer) -> None:
    train = typer.Typer(cls=Commands, no_args_is_help=True, help="Train what agentmem can learn.")
    neural = typer.Typer(cls=Commands, no_args_is_help=True, help="Train the reference models of the neural memory.")
    neural.command(epilog=example("agentmem train neural recall --out runs/recall"))(recall)
    neural.command(epilog=example("agentmem train neural text books/*.txt --out runs/text"))(text)
    neural.command(epilog=example("agentmem train neural task chains --out runs/chains"))(task)
    train.add_typer(neural, name="neural")
    train.command(epilog=example("agentmem train policy --env agentmem/ShiftShop-Drift-v0 --out runs/shift"))(policy)
    app.add_typer(train, name="train")


def recall(
    ctx: typer.Context,
    out: OutOption,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help=f"Of processor time; {SECONDS:g} if nothing else ends it.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(**TOKENS, help="End after so many, such as 5m, whatever the time.")
    ] = None,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
    mixed: MixedOption = False,
    checkpoint_blocks: BlocksOption = False,
    tensorboard: BoardOption = False,
    json: JsonOption = False,
) -> None:
    """Train the small model that recalls facts among filler, as long as the stream may be.

    Ctrl-C saves and stops; the same command goes on. DIR gets model.safetensors and metrics.jsonl.
    """
    from agentmem.neural import reference
    from agentmem.neural.runs import Run
    from agentmem.neural.train import TrainSettings

    check_seconds(seconds)
    if seconds is None and tokens is None:
        seconds = SECONDS
    command = command_of("neural recall", [], [], out, ctx, seconds=seconds, tokens=tokens, seed=seed, mixed=mixed)
    _check(out, command, resume, threads)
    settings = TrainSettings(seed, _end(seconds), _end(tokens), mixed=mixed, report_every=REPORT)
    trainer = _trainer(reference.RECALL, reference.recall_training(), settings, device, checkpoint_blocks)

    def save(path: Path) -> None:
        trainer.model.save(path, command.line, notes_of(command, trainer))

    with Run(out, command, trainer, save, tensorboard) as run:
        go(run, json)


def text(
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Documents: a text file is one, and a folder of them.", show_default=False),
    ],
    out: OutOption,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="End after so much processor time, whatever was read.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(**TOKENS, help=f"To read in training; {MILLIONS}m if nothing else ends it.")
    ] = None,
    vocabulary: Annotated[int, typer.Option(metavar="N", help="Pieces of text that are tokens.")] = 2048,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
    mixed: Annotated[
        bool | None, typer.Option("--mixed/--no-mixed", help="Multiply in bfloat16; where a device is quick at it.")
    ] = None,
    checkpoint_blocks: BlocksOption = False,
    tensorboard: BoardOption = False,
    json: JsonOption = False,
) -> None:
    """Train a small language model with memory on text.

    A folder is one document, of its .txt and .md files; the longest document must have more than 12,000 tokens.

    Ctrl-C saves and stops; the same command goes on.
    """
    from agentmem.neural import reference
    from agentmem.neural.corpus import keep
    from agentmem.neural.mixed import is_quick
    from agentmem.neural.runs import Run, device_of
    from agentmem.neural.text_model import TextModel
    from agentmem.neural.train import TrainSettings

    check_seconds(seconds)
    if seconds is None and tokens is None:
        tokens = MILLIONS * 1_000_000
    mixed = is_quick(device_of(device)) if mixed is None else mixed
    asked = {"seconds": seconds, "tokens": tokens, "vocabulary": vocabulary, "seed": seed, "mixed": mixed}
    command = command_of("neural text", [], paths, out, ctx, **asked)
    _check(out, command, resume, threads)
    settings = TrainSettings(seed, _end(seconds), _end(tokens), mixed=mixed, report_every=REPORT)
    read = _corpus(out, paths, vocabulary)
    sizes = reference.text_settings(read.vocabulary.size)
    trainer = _trainer(sizes, reference.text_training(read.tokens), settings, device, checkpoint_blocks)
    whole = TextModel(trainer.model, read.vocabulary)

    def save(path: Path) -> None:
        whole.save(path, command.line, notes_of(command, trainer))

    with Run(out, command, trainer, save, tensorboard) as run:
        keep(out, read)
        go(run, json)


def task(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="chains, counting, copying or stories.", show_default=False)
    ],
    out: OutOption,
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH]...", help="Books that stories are told in: files or folders.")
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="S", help="Of processor time.")] = SECONDS,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
    mixed: MixedOption = False,
    checkpoint_blocks: BlocksOption = False,
    tensorboard: BoardOption = False,
    json: JsonOption = False,
) -> None:
    """Train a small model on another task than recall.

    chains are facts that lead to facts, counting is of keys that are marked again and again, copying of a passage, and
    stories are told sentence by sentence between those of books, of 1,000 words and marks or more.

    Ctrl-C saves and stops; the same command goes on.
    """
    from agentmem.neural import reference
    from agentmem.neural.runs import Run
    from agentmem.neural.tasks.named import named
    from agentmem.neural.text import documents
    from agentmem.neural.train import TrainSettings

    check_seconds(seconds)
    paths = paths or []
    command = command_of("neural task", [name], paths, out, ctx, seconds=seconds, seed=seed, mixed=mixed)
    _check(out, command, resume, threads)
    made = named(name, [each.text for each in documents(paths)])
    settings = TrainSettings(seed, seconds, mixed=mixed, report_every=REPORT)
    training = reference.task_training(made.sized)
    trainer = _trainer(reference.task_settings(made.vocabulary), training, settings, device, checkpoint_blocks)

    def save(path: Path) -> None:
        notes = {**notes_of(command, trainer), "task": name, "words": made.words}
        trainer.model.save(path, command.line, notes)

    with Run(out, command, trainer, save, tensorboard) as run:
        go(run, json)


def _end(budget: float | None) -> float:
    return math.inf if budget is None else budget


def _check(out: Path, command: Command, resume: bool, threads: int) -> None:
    from agentmem.neural.runs import check, use_threads

    use_threads(threads)
    check(out, command, resume)


def _corpus(out: Path, paths: list[str], size: int) -> Corpus:
    from agentmem.neural.corpus import corpus

    try:
        with show.Waiting("reading") as waiting:
            return corpus(out, paths, size, waiting)
    except KeyboardInterrupt:
        raise ended(" before anything was trained") from None


def _trainer(
    sizes: Any, objective: Any, settings: TrainSettings, device: str, checkpoint_blocks: bool
) -> Trainer[TokenModel]:
    from agentmem.neural.reference import seeded
    from agentmem.neural.runs import device_of
    from agentmem.neural.train import Trainer

    model = seeded(sizes, settings.seed).to(device_of(device))
    model.transformer.checkpoint_blocks = checkpoint_blocks
    return Trainer(model, objective, settings)
