"""`agentmem bench neural NAME`: which measurement, its progress on standard error, and where results go.

Knows measurements by one form; knows nothing of what they measure.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentmem.bench.arguments import bars, chosen_of, new_folder, parser_of
from agentmem.bench.neural.options import MEASUREMENTS
from agentmem.bench.printed import json_of, timed
from agentmem.bench.recall import pictures
from agentmem.errors import InvalidInputError

if TYPE_CHECKING:
    from agentmem.neural.measure import Watch


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print Markdown, or JSON. Raises InvalidInputError for what does not fit, before anything is run;
    MissingExtraError without torch, and for --out without `plot`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    about = "What the neural memory recalls, costs, keeps and forgets."
    name = chosen_of("neural", about, MEASUREMENTS, words)
    asked = MEASUREMENTS[name]
    parser = parser_of(f"neural {name}", asked.about, asked.notes)
    asked.add(parser)
    options = parser.parse_args(words[1:])
    if options.out:
        pictures.check()
    one = _measurement(name)
    one.check(options)
    model = _loaded(one, options.checkpoint)
    with new_folder(options.out) if options.out else nullcontext() as folder:
        with bars() as progress, _enough_memory():
            results = timed(one.measure(model, options, _shown(progress)))
        text = one.markdown(results)
        if folder:
            _write(results, text, one.draw(results), folder)
    sys.stdout.write(json_of(results, indent=1) + "\n" if options.json else text)


def _measurement(name: str) -> Any:
    """A module with
    check      raises what is wrong with options, before a model is loaded
    measure    the results, of model, options and Watch; markdown: as text; draw: as pictures by name
    and load, of a path or None, where the model is not the one of the recall task.
    """
    from agentmem.neural.runs import use_threads  # without torch it says the line that installs it

    use_threads(1)
    return import_module(f"agentmem.bench.neural.{name}")


@contextmanager
def _enough_memory() -> Iterator[None]:
    """InvalidInputError where the machine has not enough: torch has no class of its own for it on processors."""
    try:
        yield
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise InvalidInputError("this machine has too little memory for it: give fewer tokens") from error


def _loaded(one: Any, file: Path | None) -> Any:
    from agentmem.bench.neural.checkpoint import measured

    return getattr(one, "load", measured)(file)


def _shown(bar: Any) -> Watch:
    """A line for each thing that is done."""
    tasks: dict[str, Any] = {}

    def report(doing: str, done: float) -> None:
        if doing not in tasks:
            tasks[doing] = bar.add_task(doing, total=1.0)
        bar.update(tasks[doing], completed=done, visible=done < 1)

    return report


def _write(results: Mapping[str, Any], text: str, drawn: Mapping[str, Any], folder: Path) -> None:
    (folder / "results.json").write_text(json_of(results, indent=1) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(text, encoding="utf-8")
    for name, figure in drawn.items():
        figure.savefig(folder / name, dpi=150, bbox_inches="tight", metadata={"Software": None})
