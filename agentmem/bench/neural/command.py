"""`agentmem bench neural NAME`: which measurement, its progress on standard error, and where results go.

Knows measurements by one form; knows nothing of what they measure.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from agentmem.bench.arguments import bars, make_folder, parser_of
from agentmem.bench.neural import cost, decay, lm, quantisation, recall, task
from agentmem.bench.neural.checkpoint import measured
from agentmem.bench.recall import pictures
from agentmem.neural.measure import Watch


@dataclass(frozen=True)
class Measurement:
    """about: in a line; notes: below its arguments. add: declares these. check: raises what is wrong with them, before
    a model is loaded. load: the model. measure: the results; markdown: as text; draw: as pictures by name.
    """

    about: str
    notes: str
    add: Callable[[argparse.ArgumentParser], None]
    check: Callable[[argparse.Namespace], None]
    measure: Callable[[Any, argparse.Namespace, Watch], dict[str, Any]]
    markdown: Callable[[Mapping[str, Any]], str]
    draw: Callable[[Mapping[str, Any]], dict[str, Any]]
    load: Callable[[Path | None], Any] = measured


def _of(module: Any) -> Measurement:
    parts = (module.add, module.check, module.measure, module.markdown, module.draw)
    return Measurement(module.ABOUT, module.NOTES, *parts)


MEASUREMENTS = {
    "recall": _of(recall),
    "cost": _of(cost),
    "quantisation": _of(quantisation),
    "decay": _of(decay),
    "task": replace(_of(task), load=task.load),
    "lm": replace(_of(lm), load=lm.load),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print Markdown, or JSON. Raises InvalidInputError for what does not fit, before anything is run;
    MissingExtraError for --out without `plot`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0] if words[:1] and words[0] in MEASUREMENTS else _named(words)
    one = MEASUREMENTS[name]
    parser = parser_of(f"neural {name}", one.about, one.notes)
    one.add(parser)
    options = parser.parse_args(words[1:])
    if options.out:
        pictures.check()
    torch.set_num_threads(1)
    one.check(options)
    model = one.load(options.checkpoint)
    folder = make_folder(options.out) if options.out else None
    with bars() as progress:
        results = one.measure(model, options, _shown(progress))
    text = one.markdown(results)
    if folder:
        _write(results, text, one.draw(results), folder)
    sys.stdout.write(json.dumps(results, indent=1) + "\n" if options.json else text)


def _named(words: Sequence[str]) -> str:
    """What is asked for first; help or an error where that is no measurement."""
    notes = "\n".join(f"  {name:13} {one.about}" for name, one in MEASUREMENTS.items())
    notes += "\n\n`agentmem bench neural NAME --help` tells the arguments of each."
    parser = parser_of("neural", "What the neural memory recalls, costs, keeps and forgets.", notes)
    parser.add_argument("name", metavar="NAME", choices=tuple(MEASUREMENTS), help=", ".join(MEASUREMENTS))
    return str(parser.parse_args(words[:1]).name)


def _shown(bar: Any) -> Watch:
    """A line for each thing that is done."""
    tasks: dict[str, Any] = {}

    def report(doing: str, done: float) -> None:
        if doing not in tasks:
            tasks[doing] = bar.add_task(doing, total=1.0)
        bar.update(tasks[doing], completed=done, visible=done < 1)

    return report


def _write(results: Mapping[str, Any], text: str, drawn: Mapping[str, Any], folder: Path) -> None:
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(text, encoding="utf-8")
    for name, figure in drawn.items():
        figure.savefig(folder / name, dpi=150, bbox_inches="tight", metadata={"Software": None})
