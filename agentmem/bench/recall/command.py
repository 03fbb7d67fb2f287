"""The arguments of `agentmem bench recall`, its progress on standard error, and where results go."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from agentmem.bench.arguments import bars, new_folder, number, parser_of, path_of, some_of
from agentmem.bench.printed import json_of
from agentmem.bench.recall import floors, pictures, report
from agentmem.bench.recall.counting import Counter, best
from agentmem.bench.recall.measure import Measured, measure
from agentmem.bench.recall.memories import SIGNALS, Rows
from agentmem.bench.recall.reading import Dataset, load
from agentmem.bench.recall.summary import summarize
from agentmem.bench.recall.system import Build
from agentmem.errors import InvalidInputError
from agentmem.types import Layer

SYSTEMS = ("agentmem", *floors.FLOORS)
USUAL = ("agentmem", "newest", "bm25", "fts5", "dense", "hybrid", "random")
RETAIN = ("keep", "crystals")

SCORES = """\
evidence      share of the labelled evidence steps of which 80 % of the word 3-grams are in the text
all           share of questions all of whose evidence is
exact         share of questions whose whole answer is in the text, where the evidence states it
exact - luck  less the share whose answer is in the previous question's text
bound         exact, of all that is kept of the evidence's steps: what it lacks was not selected
"""


def parser() -> argparse.ArgumentParser:
    made = parser_of(
        "recall", "What a memory keeps and finds at a token budget, by labelled evidence, beside floors.", SCORES
    )
    add = made.add_argument
    add("data", nargs="+", metavar="DATA", help="histories as JSON lines, LoCoMo's or LongMemEval's own JSON; .gz too")
    add("--budgets", type=_budgets, default=[512, 1024, 2048, 4096], metavar="N,N", help="512,1024,2048,4096")
    add("--questions", type=number, default=0, metavar="N", help="of each history, spread over its list")
    add("--histories", type=number, default=0, metavar="N", help="of each file, the first")
    add(
        "--split",
        choices=("all", "even", "odd"),
        default="all",
        help="histories by index: fit on one half, report on the other",
    )
    add("--systems", type=some_of(SYSTEMS), default=list(USUAL), metavar="NAME,NAME", help=", ".join(SYSTEMS))
    add("--retain", type=some_of(RETAIN), default=["keep"], metavar="keep,crystals", help="a row of agentmem for each")
    add(
        "--layers",
        type=some_of(tuple(Layer)),
        default=[],
        metavar="unit,cluster,atom",
        help="a row for each layer alone, and one of random text of its size",
    )
    add("--ablate", action="store_true", help="a row for each signal of recall switched off")
    add("--json", action="store_true", help="print results as JSON")
    add("--out", type=path_of, metavar="DIR", help="write results.json, results.md and pictures here, after each file")
    return made


def _budgets(text: str) -> list[int]:
    found = sorted({number(part) for part in text.split(",")})
    if not found[0]:
        raise argparse.ArgumentTypeError("a budget of 0 tokens has room for nothing; give 1 or more")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print Markdown, or JSON. Raises what `load` raises; MissingExtraError for --out without `plot`."""
    options = parser().parse_args(arguments)
    if options.out:
        pictures.check()
    results: dict[str, Any] = {}
    with new_folder(options.out) if options.out else nullcontext() as folder:
        for results in _results(options, best()):
            if folder:
                _write(results, folder)
    sys.stdout.write(json_of(results, indent=1) + "\n" if options.json else report.markdown(results))


def _results(options: argparse.Namespace, counter: Counter) -> Iterator[dict[str, Any]]:
    """What is known after each file."""
    done: list[Measured] = []
    for measured in _measured(options, counter):
        done.append(measured)
        yield summarize(_settings(options, counter), done, options.budgets)


def _settings(options: argparse.Namespace, counter: Counter) -> dict[str, Any]:
    names = ("budgets", "questions", "histories", "split", "retain", "layers", "ablate")
    return {"counter": counter.name} | {name: getattr(options, name) for name in names}


def builds(options: argparse.Namespace) -> list[Build]:
    """What answers, in the order of the report."""
    chosen = [*options.systems, *(floors.SIZED[layer] for layer in options.layers)]
    found: list[Build] = []
    for name in dict.fromkeys(chosen):
        if name == "agentmem":
            off = SIGNALS if options.ablate else ()
            layers = [Layer(layer) for layer in options.layers]
            found += [Rows(retain, layers, off).build for retain in options.retain]
        else:
            found.append(floors.builder(name))
    return found


def _measured(options: argparse.Namespace, counter: Counter) -> Iterator[Measured]:
    """Every file is read before anything is measured, so that a bad one is named at once."""
    files = [load(path, options.split, options.histories) for path in options.data]
    check_asked(files)
    wanted = builds(options)
    with bars() as progress:
        for file in files:
            asked = sum(len(history.asked(options.questions)) for history in file.histories)
            advance = partial(progress.advance, progress.add_task(file.name, total=len(wanted) * asked))
            yield measure(file, wanted, options.budgets, options.questions, counter.count, advance)


def check_asked(files: Sequence[Dataset]) -> None:
    for file in files:
        if not any(history.questions for history in file.histories):
            raise InvalidInputError(f"no question of {file.name} has labelled evidence; leave the file out")


def _write(results: dict[str, Any], folder: Path) -> None:
    (folder / "results.json").write_text(json_of(results, indent=1) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(report.markdown(results), encoding="utf-8")
    pictures.draw(results, folder)
