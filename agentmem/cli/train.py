"""`agentmem train neural ...`: train the reference models of the neural memory.

Knows options, a progress bar and Ctrl-C. What is trained, and how, is in agentmem.neural.
"""

from __future__ import annotations

import math
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentmem.cli import show
from agentmem.cli.options import JsonOption, example, flag

if TYPE_CHECKING:
    from agentmem.neural.corpus import Corpus
    from agentmem.neural.runs import Command, Run
    from agentmem.neural.tokens import TokenModel
    from agentmem.neural.train import Trainer, TrainSettings

SECONDS = 1200.0
REPORT = 10  # steps from one line of metrics to the next
INTERRUPTED = 130

OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Where the model goes; what is there is gone on with.")
]
SeedOption = Annotated[
    int, typer.Option(metavar="N", min=0, max=2**63 - 1, help="Of the weights and of what is trained on.")
]
ResumeOption = Annotated[bool, flag("--resume", "Only go on: do not begin anew where nothing is.")]
DeviceOption = Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda or cuda:1.")]
ThreadsOption = Annotated[int, typer.Option(metavar="N", min=1, help="Of the processor; 1 gives the same bytes again.")]
MixedOption = Annotated[bool, typer.Option("--mixed/--no-mixed", help="Multiply in bfloat16.")]
BlocksOption = Annotated[
    bool, flag("--checkpoint-blocks", "Work out blocks twice instead of keeping them: less memory, more time.")
]
BoardOption = Annotated[
    bool, flag("--tensorboard", "Also write metrics as TensorBoard event files, to DIR/tensorboard.")
]


def register(app: typer.Typer) -> None:
    train = typer.Typer(no_args_is_help=True, help="Train what agentmem can learn.")
    neural = typer.Typer(no_args_is_help=True, help="Train the reference models of the neural memory.")
    neural.command(epilog=example("agentmem train neural recall --out runs/recall"))(recall)
    neural.command(epilog=example("agentmem train neural text books/*.txt --out runs/text"))(text)
    neural.command(epilog=example("agentmem train neural task chains --out runs/chains"))(task)
    train.add_typer(neural, name="neural")
    app.add_typer(train, name="train")


def recall(
    out: OutOption,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help=f"Of processor time; {SECONDS:g} if nothing else ends it.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(metavar="N", help="End after so many, whatever the time.")] = None,
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

    if seconds is None and tokens is None:
        seconds = SECONDS
    command = _command("recall", [], [], out, seconds=seconds, tokens=tokens, seed=seed, mixed=mixed)
    _check(out, command, resume, threads)
    settings = TrainSettings(seed, _end(seconds), _end(tokens), mixed=mixed, report_every=REPORT)
    trainer = _trainer(reference.RECALL, reference.recall_training(), settings, device, checkpoint_blocks)
    notes = _notes(command, trainer)
    with Run(out, command, trainer, lambda path: trainer.model.save(path, command.line, notes), tensorboard) as run:
        _go(run, json)


def text(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Documents: a text file is one, and a folder of them.", show_default=False),
    ],
    out: OutOption,
    tokens: Annotated[int, typer.Option(metavar="N", help="To read in training.")] = 3_000_000,
    vocabulary: Annotated[int, typer.Option(metavar="N", help="Pieces of text that are tokens.")] = 2048,
    seed: SeedOption = 0,
    resume: ResumeOption = False,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 1,
    mixed: MixedOption = True,
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
    from agentmem.neural.runs import Run
    from agentmem.neural.text_model import TextModel
    from agentmem.neural.train import TrainSettings

    command = _command("text", [], paths, out, tokens=tokens, vocabulary=vocabulary, seed=seed, mixed=mixed)
    _check(out, command, resume, threads)
    settings = TrainSettings(seed, tokens=tokens, mixed=mixed, report_every=REPORT)
    read = _corpus(out, paths, vocabulary)
    sizes = reference.text_settings(read.vocabulary.size)
    trainer = _trainer(sizes, reference.text_training(read.tokens), settings, device, checkpoint_blocks)
    whole, notes = TextModel(trainer.model, read.vocabulary), _notes(command, trainer)
    with Run(out, command, trainer, lambda path: whole.save(path, command.line, notes), tensorboard) as run:
        keep(out, read)
        _go(run, json)


def task(
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
    stories are told sentence by sentence between those of books.

    Ctrl-C saves and stops; the same command goes on.
    """
    from agentmem.neural import reference
    from agentmem.neural.runs import Run
    from agentmem.neural.tasks.named import named
    from agentmem.neural.text import documents
    from agentmem.neural.train import TrainSettings

    paths = paths or []
    command = _command("task", [name], paths, out, seconds=seconds, seed=seed, mixed=mixed)
    _check(out, command, resume, threads)
    made = named(name, [each.text for each in documents(paths)])
    settings = TrainSettings(seed, seconds, mixed=mixed, report_every=REPORT)
    training = reference.task_training(made.sized)
    trainer = _trainer(reference.task_settings(made.vocabulary), training, settings, device, checkpoint_blocks)
    notes = {**_notes(command, trainer), "task": name, "words": made.words}
    with Run(out, command, trainer, lambda path: trainer.model.save(path, command.line, notes), tensorboard) as run:
        _go(run, json)


# ---- what all do


def _end(budget: float | None) -> float:
    return math.inf if budget is None else budget


def _check(out: Path, command: Command, resume: bool, threads: int) -> None:
    from agentmem.neural.runs import check, use_threads

    use_threads(threads)
    check(out, command, resume)


def _corpus(out: Path, paths: list[str], size: int) -> Corpus:
    from agentmem.neural.corpus import corpus

    try:
        with show.Waiting("encoding") as waiting:
            return corpus(out, paths, size, waiting)
    except KeyboardInterrupt:
        show.line("stopped before anything was trained")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _pressed() -> Iterator[Callable[[], bool]]:
    """Gives what tells whether Ctrl-C was pressed, to be looked at between steps; pressed again, it stops at once."""
    pressed: list[int] = []

    def press(number: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    except KeyboardInterrupt:
        show.line("stopped at once; the same command goes on from the last save")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _command(what: str, named: list[str], paths: list[str], out: Path, **options: Any) -> Command:
    from agentmem.neural.runs import Command

    words = ["agentmem train neural", what, *named, *_as_typed(paths), "--out", shlex.quote(str(out))]
    for name, value in options.items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        elif value is not None:
            words += [f"--{name}", str(value).removesuffix(".0")]
    places = {"paths": [str(Path(each).resolve()) for each in paths]} if paths else {}
    given = {name: value for name, value in options.items() if value is not None}
    return Command(" ".join(words), {"what": " ".join((what, *named)), **places, **given})


def _as_typed(paths: list[str]) -> Iterator[str]:
    """Paths, with `folder/*.txt` for those that are all it stands for: 500 names say less."""
    left = [Path(each) for each in dict.fromkeys(paths)]
    while left:
        folder, suffix = left[0].parent, left[0].suffix
        all_of_it = set(folder.glob(f"*{suffix}")) if suffix else set()
        if len(all_of_it) > 1 and all_of_it <= set(left):
            yield f"{shlex.quote(str(folder))}/*{suffix}"
            left = [each for each in left if each not in all_of_it]
        else:
            yield shlex.quote(str(left.pop(0)))


def _trainer(
    sizes: Any, objective: Any, settings: TrainSettings, device: str, checkpoint_blocks: bool
) -> Trainer[TokenModel]:
    from agentmem.neural.reference import seeded
    from agentmem.neural.runs import device_of
    from agentmem.neural.train import Trainer

    model = seeded(sizes, settings.seed).to(device_of(device))
    model.transformer.checkpoint_blocks = checkpoint_blocks
    return Trainer(model, objective, settings)


def _notes(command: Command, trainer: Trainer[TokenModel]) -> dict[str, Any]:
    """How a model was trained: what the command asked for, and the numbers that it left as they were."""
    objective, settings = (_numbers(each) for each in (trainer.objective, trainer.settings))
    asked = {name: each for name, each in command.asked.items() if name != "paths"}  # nobody's folders
    return {"training": {"asked": asked, "objective": objective, "settings": settings}}


def _numbers(settings: Any) -> dict[str, float]:
    return {name: each for name, each in vars(settings).items() if isinstance(each, int | float) and each != math.inf}


def _go(run: Run, json: bool) -> None:
    began = f"going on from step {run.progress.step}" if run.progress.step else "training"
    with _pressed() as stop, show.Waiting("training") as waiting:
        show.line(f"{began} in {show.path(run.folder)}; Ctrl-C saves and stops")
        finished = run.go(lambda run: _watch(run, waiting), stop)
    _tell(run, finished, json)
    if not finished:
        show.line(f"stopped by Ctrl-C, and saved; the same command goes on: {run.command.line}")
        raise typer.Exit(INTERRUPTED)


def _tell(run: Run, finished: bool, json: bool) -> None:
    said = {**run.last, **vars(run.progress), "done": run.trainer.done, "finished": finished, "model": str(run.model)}
    if json:
        show.as_json(said)
    else:
        what = f"{run.trainer.done:.0%} at step {show.number(run.progress.step)}  {_measured(run)}"
        show.say("trained" if finished else "stopped", what, show.path(run.model))


def _watch(run: Run, waiting: show.Waiting) -> None:
    waiting(run.trainer.done, 1.0, f"step {run.progress.step}  {_measured(run)}")
    if run.progress.step % 50 == 0 and not waiting.shown:
        show.line(f"step {run.progress.step}  {run.trainer.done:.1%}  {_measured(run)}")


def _measured(run: Run) -> str:
    loss = f"loss {run.last['loss']:.3f}  " if run.last else ""
    return f"{loss}{run.progress.exact:.1%} right"
