"""The arguments of `agentmem bench integrations`, its progress on standard error, and where results go."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

from agentmem.bench.arguments import bars, new_folder, number, parser_of, path_of, some_of
from agentmem.bench.integrations import picture, report
from agentmem.bench.integrations.race import MOST, Race
from agentmem.bench.peers.entries import ENTRIES
from agentmem.bench.peers.peer import BUDGET
from agentmem.bench.peers.racer import missing, started
from agentmem.bench.printed import json_of
from agentmem.bench.recall import pictures
from agentmem.bench.recall.command import check_asked
from agentmem.bench.recall.counting import Counter, best
from agentmem.bench.recall.histories import History
from agentmem.bench.recall.measure import measure
from agentmem.bench.recall.reading import Dataset, load
from agentmem.bench.recall.summary import summarize
from agentmem.bench.speed.command import histories_of

BASE = "agentmem"
ROWS = {
    "agentmem": ("agentmem", "agentmem plain", "agentmem store"),
    "langgraph-memory": ("langgraph-memory",),
    "langgraph-sqlite": ("langgraph-sqlite",),
    "langgraph-postgres": ("langgraph-postgres",),
    "langchain-memory": ("langchain-memory",),
    "chroma": ("chroma",),
    "mem0": ("mem0",),
    "summarization": ("summarization", "summarization extractive"),
}
"""What is asked for -> its entries, in the order of the table; agentmem's always run."""
PEERS = tuple(name for name in ROWS if name != BASE)
METRICS = ("evidence", "all")
RATIOS: dict[str, Callable[[Any], float]] = {
    "append_us": lambda value: float(value["p50"]),
    "batch_us": lambda value: float(value["p50"]),
    "search_ms": lambda value: float(value["p50"]),
    "bytes": float,
    "evidence": lambda value: float(value["mean"]),
}
"""What of a figure is divided by the base's."""

NOTES = """\
Each history goes into a new store of every peer: the same texts in the same order, a step each, its speaker in front of
it; the same encoder; 1,024 tokens by one counter. Questions that are asked before their history's end are left
out, since only agentmem answers as of then.
"""


def parser() -> argparse.ArgumentParser:
    made = parser_of(
        "integrations", "agentmem beside LangChain's, LangGraph's, Chroma's and mem0's memory, in one run.", NOTES
    )
    add = made.add_argument
    add("data", nargs="*", metavar="DATA", help="histories, as `agentmem bench recall` reads them; BFCL's if none")
    add("--histories", type=number, default=0, metavar="N", help="of each file, the first")
    add("--questions", type=number, default=0, metavar="N", help="of each history, spread over its list")
    add("--peers", type=some_of(PEERS), default=list(PEERS), metavar="NAME,NAME", help=f"all; {', '.join(PEERS)}")
    add("--json", action="store_true", help="print results as JSON")
    add("--out", type=path_of, metavar="DIR", help="write results and a picture here")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print Markdown, or JSON. Raises what `load` raises; MissingExtraError for --out without `plot`."""
    options = parser().parse_args(arguments)
    if options.out:
        pictures.check()
    with new_folder(options.out) if options.out else nullcontext() as folder:
        results = _run(options, _data(options), best())
        if folder:
            (folder / "results.json").write_text(json_of(results, indent=1) + "\n", encoding="utf-8")
            (folder / "results.md").write_text(report.markdown(results), encoding="utf-8")
            picture.draw(results, folder)
    sys.stdout.write(json_of(results, indent=1) + "\n" if options.json else report.markdown(results))


def _data(options: argparse.Namespace) -> list[Dataset]:
    """The histories of all files, with the questions that every peer can answer."""
    if options.data:
        files = [load(path, most=options.histories) for path in options.data]
    else:
        files = [Dataset("BFCL memory", "history", histories_of([])[: options.histories or None])]
    files = [file._replace(histories=[at_end(history) for history in file.histories]) for file in files]
    check_asked(files)
    return files


def at_end(history: History) -> History:
    """With the questions that are asked when all its steps are known; sessions are no target."""
    asked = [question for question in history.questions if question.upto == len(history.steps)]
    return history._replace(questions=asked, answer_sessions=None)


def _run(options: argparse.Namespace, files: Sequence[Dataset], counter: Counter) -> dict[str, Any]:
    wanted = [entry for name in (BASE, *options.peers) for entry in ROWS[name]]
    notes = missing(wanted)
    here = [name for name in wanted if name not in notes]
    total = sum(_size(options, history) for file in files for history in file.histories)
    with ExitStack() as stack:
        progress = stack.enter_context(bars())
        starting = progress.add_task("peers", total=len(here))
        racers = stack.enter_context(started(here, lambda: progress.advance(starting)))
        task = progress.add_task("texts and questions", total=total)
        race = Race(racers, options.questions, lambda done: progress.advance(task, done))
        measured = [measure(file, [race.build], [BUDGET], options.questions, counter.count) for file in files]
        figures = {name: took.figures() for name, took in race.took.items()}
    notes |= {name: racer.note for name, racer in racers.items() if not racer.running}
    names = ("questions", "histories")
    settings = {"counter": counter.name, "budget": BUDGET, "most": MOST, "base": BASE}
    settings |= {name: getattr(options, name) for name in names}
    return results_of(wanted, notes, figures, summarize(settings, measured, [BUDGET]))


def _size(options: argparse.Namespace, history: History) -> int:
    return len(history.steps) + len({question.text for question in history.asked(options.questions)})


def results_of(
    wanted: Sequence[str], notes: Mapping[str, str], figures: Mapping[str, Any], scores: Mapping[str, Any]
) -> dict[str, Any]:
    """JSON: a row of each entry, with figures or a note of why there are none; `x` are ratios to the base."""
    rows: list[dict[str, Any]] = []
    for name in wanted:
        row: dict[str, Any] = {"name": name, "title": ENTRIES[name].title, "note": notes.get(name, "")}
        rows.append(row if row["note"] else row | figures[name] | _scored(scores, name))
    base = next(row for row in rows if row["name"] == BASE)
    for row in rows:
        if not row["note"]:
            row["x"] = {key: _ratio(row, base, key) for key in RATIOS}
    sizes = ("data", "histories", "questions", "tokens")
    files = [{key: file[key] for key in sizes} for file in scores["files"]]
    return {"settings": scores["settings"], "files": files, "rows": rows}


def _scored(scores: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Means over files, the number of questions, and of texts over the budget; nothing of what is not scored."""
    if name not in scores["macro"]:
        return dict.fromkeys((*METRICS, "n", "overruns"))
    per_file = [file["systems"][name]["scores"]["evidence"].get(str(BUDGET)) for file in scores["files"]]
    told: dict[str, Any] = {metric: pictures.mean_of(scores, name, metric, BUDGET) for metric in METRICS}
    overruns = scores["macro"][name]["overruns"]
    return told | {"n": sum(mean["n"] for mean in per_file if mean), "overruns": overruns}


def _ratio(row: Mapping[str, Any], base: Mapping[str, Any], key: str) -> float | None:
    own, other = (RATIOS[key](one[key]) if one.get(key) else None for one in (row, base))
    return own / other if own and other else None
