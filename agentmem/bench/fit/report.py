"""Fitted weights and what they reach as Markdown. Knows the value that `summary` makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentmem.bench.fit.ready import PARTS
from agentmem.bench.fit.search import GAIN, LEAST, METRICS, SURE
from agentmem.bench.recall.tables import short, table, wrapped


def markdown(results: Mapping[str, Any]) -> str:
    """What was held out, the weights, then each part by file."""
    parts = (_head, _reached, _weights, _files)
    return "\n".join(line for part in parts for line in part(results)) + "\n"


def _head(results: Mapping[str, Any]) -> Iterator[str]:
    told = results["settings"]
    asked = f"{told['questions']} of each history, spread over its list" if told["questions"] else "all"
    first = f" (the first {told['histories']} of each file)" if told["histories"] else ""
    split = "every other history" if told["by"] == "history" else "every other type of question"
    yield from ("# Weights of recall, fitted on one part and told by the other", "")
    yield from wrapped(
        f"At {told['budget']} tokens of {told['counter']}. Parts: {split} of each file{first}. Questions: {asked}. "
        f"From {told['start']} weights, at most {told['rounds']} rounds over all signals; a weight moves for a gain of "
        f"more than {GAIN} and {SURE} standard errors. mean: over files, of the mean of evidence, all and exact as far "
        f"as a file has {LEAST} such questions."
    )


def _reached(results: Mapping[str, Any]) -> Iterator[str]:
    for part in PARTS:
        told = results["parts"][part]
        histories = sum(told["files"].values())
        yield from ("", f"## Part {part}", "")
        counts = f"{len(told['files'])} files, {histories} histories, {told['types']} types"
        yield f"{counts}, {told['questions']} questions."
        yield ""
        rows = [
            [name_of(name, part), *(_figure(one[key]) for key in ("mean", *METRICS))]
            for name, one in told["systems"].items()
        ]
        yield from table(["weights", "mean", *METRICS], rows)
        yield from _remains(told)


def _remains(told: Mapping[str, Any]) -> Iterator[str]:
    if "gain" not in told:
        return
    gain = told["gain"]
    yield ""
    held = f"Held out, the weights fitted on {gain['to']} gain {short(gain['mean'])} ±{short(1.96 * gain['error'])}"
    share = "" if told["remains"] is None else f"; {told['remains']:.0%} of the lead over BM25 that fitting here gives"
    yield from wrapped(f"{held} over those at the start{share}.")


def name_of(name: str, part: str) -> str:
    """How a row is called in a part's table."""
    if name not in PARTS:
        return name
    return f"fitted on {name}" + (" (these questions)" if name == part else " (held out)")


def _weights(results: Mapping[str, Any]) -> Iterator[str]:
    weights = results["weights"]
    yield from ("", "## Weights", "")
    heads = [name if name == "start" else f"fitted on {name}" for name in weights]
    rows = [[signal, *(f"{one[signal]:g}" for one in weights.values())] for signal in weights["start"]]
    yield from table(["signal", *heads], rows)


def _files(results: Mapping[str, Any]) -> Iterator[str]:
    for part in PARTS:
        systems = results["parts"][part]["systems"]
        yield from ("", f"## Part {part} by file: mean of evidence, all and exact", "")
        heads = [name if name not in PARTS else f"fitted on {name}" for name in systems]
        rows = [[file, *(short(one["files"][file]) for one in systems.values())] for file in systems["bm25"]["files"]]
        yield from table(["file", *heads], rows)


def _figure(mean: float | None) -> str:
    return "-" if mean is None else short(mean)
