"""The arguments of `agentmem bench fit`, its progress on standard error, and where results go."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentmem.bench.arguments import bars, new_folder, number, parser_of, path_of, positive
from agentmem.bench.fit.ready import PARTS, Ready, memory_of, questions_of
from agentmem.bench.fit.report import markdown
from agentmem.bench.fit.search import LEAST, Aim, State, search
from agentmem.bench.fit.summary import summarize
from agentmem.bench.printed import json_of
from agentmem.bench.recall.command import check_asked
from agentmem.bench.recall.counting import Counter, best
from agentmem.bench.recall.memories import SIGNALS
from agentmem.bench.recall.reading import Dataset, load
from agentmem.errors import InvalidInputError
from agentmem.recall import Weights
from agentmem.store.whole import replaced

if TYPE_CHECKING:
    from rich.progress import Progress

STARTS = {"current": Weights(), "equal": Weights(**{field.name: 1.0 for field in fields(Weights)})}

NOTES = """\
Part A has the even histories of each file, or every other type of question; part B the rest. The search is made on
each from the same start, and its weights are scored on both. `equal` starts with every weight at 1, as if nobody had
ever chosen one. DIR keeps the memories and how far each search is: the same command goes on from there. Delete it
when agentmem itself has changed.
"""


def parser() -> argparse.ArgumentParser:
    made = parser_of(
        "fit", "Fit the weights of recall on one part of labelled histories, and score them on the other.", NOTES
    )
    add = made.add_argument
    add("data", nargs="+", metavar="DATA", help="histories, as `agentmem bench recall` reads them")
    add("--questions", type=number, default=0, metavar="N", help="of each history, spread over its list")
    add("--histories", type=number, default=0, metavar="N", help="of each file, the first")
    add("--budget", type=positive, default=1024, metavar="N", help="tokens of a planning context; 1024")
    add("--by", choices=("history", "type"), default="history", help="what the two parts do not share")
    add("--start", choices=tuple(STARTS), default="current", help="the weights that the search begins with")
    add("--rounds", type=positive, default=4, metavar="R", help="over all signals, at most; 4")
    add("--json", action="store_true", help="print results as JSON")
    add(
        "--out", type=path_of, metavar="DIR", help="write results.json and results.md here after each weight that moves"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, then print Markdown, or JSON. Raises what `load` raises; InvalidInputError where a part has no questions."""
    options = parser().parse_args(arguments)
    files = [load(path, most=options.histories) for path in options.data]
    check_asked(files)
    with ExitStack() as stack:
        folder = options.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(new_folder(folder, "memories"))
        progress = stack.enter_context(bars())
        results = _fitted(options, best(), files, folder, stack, progress)
    sys.stdout.write(json_of(results, indent=1) + "\n" if options.json else markdown(results))


def _fitted(
    options: argparse.Namespace,
    counter: Counter,
    files: Sequence[Dataset],
    folder: Path,
    stack: ExitStack,
    progress: Progress,
) -> dict[str, Any]:
    """stack: closes the memories."""
    settings, start = _settings(options, counter), STARTS[options.start]
    aims = parted(list(_ready(options, counter, files, folder / "memories", stack, progress)))
    kept = _Kept(folder / "search.json", [settings, asdict(start), _asked(aims)])
    for part in PARTS:
        total = options.rounds * len(SIGNALS)
        task = progress.add_task(f"fitting on {part}, at most", total=total, completed=kept.tried(part))
        for state in search(aims[part], start, options.rounds, kept.states.get(part)):
            changed = state.over or state.weights != kept.weights(part, start)
            kept.keep(part, state)
            progress.advance(task)
            if changed:
                _write(summarize(settings, start, aims, kept.states), folder)
    results = summarize(settings, start, aims, kept.states)
    _write(results, folder)
    return results


def _settings(options: argparse.Namespace, counter: Counter) -> dict[str, Any]:
    names = ("budget", "questions", "histories", "by", "start", "rounds")
    return {"counter": counter.name} | {name: getattr(options, name) for name in names}


def _asked(aims: Mapping[str, Aim]) -> list[list[Any]]:
    return [[part, *one.place] for part, aim in aims.items() for one in aim.questions]


def _ready(
    options: argparse.Namespace,
    counter: Counter,
    files: Sequence[Dataset],
    folder: Path,
    stack: ExitStack,
    progress: Progress,
) -> Iterator[Ready]:
    """Every question, each memory opened until the stack is left."""
    for file in files:
        task = progress.add_task(file.name, total=len(file.histories))
        for place, history in enumerate(file.histories):
            logged = stack.enter_context(memory_of(history, folder, counter.count))
            yield from questions_of(file, place, logged, options.questions, options.budget, options.by)
            progress.advance(task)


def parted(questions: Sequence[Ready]) -> dict[str, Aim]:
    """Both parts; InvalidInputError where one has too few questions."""
    aims = {part: Aim([one for one in questions if one.place.part == part]) for part in PARTS}
    for part, aim in aims.items():
        if not aim.files:
            raise InvalidInputError(
                f"no file has {LEAST} questions in part {part}; give more histories, or more of their questions"
            )
    return aims


class _Kept:
    """How far each search is, in a file: taken up again by the same command on the same questions."""

    def __init__(self, path: Path, of: Any) -> None:
        self._path, self._of = path, json.loads(json.dumps(of))
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        same = found.get("of") == self._of
        self.states = {part: _state(*state) for part, state in found["states"].items()} if same else {}

    def tried(self, part: str) -> int:
        return self.states[part].tried if part in self.states else 0

    def weights(self, part: str, start: Weights) -> Weights:
        return self.states[part].weights if part in self.states else start

    def keep(self, part: str, state: State) -> None:
        self.states[part] = state
        told = {name: [asdict(one.weights), *one[1:]] for name, one in self.states.items()}
        _replace(self._path, json.dumps({"of": self._of, "states": told}))


def _state(weights: Mapping[str, float], tried: int, moved: bool, over: bool) -> State:
    return State(Weights(**weights), tried, moved, over)


def _write(results: Mapping[str, Any], folder: Path) -> None:
    _replace(folder / "results.json", json_of(results, indent=1) + "\n")
    _replace(folder / "results.md", markdown(results))


def _replace(path: Path, text: str) -> None:
    """Write a file so that whoever is interrupted leaves the old one or the new."""
    with replaced(path) as out:
        out.write(text.encode())
