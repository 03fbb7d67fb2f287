"""Results as Markdown that reads well as it stands, at most 100 columns wide. Knows the value that `summary` makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentmem.bench.recall.memories import WIDE
from agentmem.bench.recall.summary import ABOVE_LUCK, LEAST, SESSIONS
from agentmem.bench.recall.tables import short, table, wrapped

TITLES = {"evidence": "evidence", "all": "all", "exact": "exact", ABOVE_LUCK: "exact - luck"}
BOUNDS = {"evidence": "bound_evidence", "exact": "bound_exact"}
USUAL = 1024
"""The budget of tables that have room for one."""
WITH_SPREAD = 4
"""Budgets up to which a table has room for intervals."""


def markdown(results: Mapping[str, Any]) -> str:
    """Macro means, costs, files, sessions, signals: what was measured of them."""
    parts = (_head, _macro, _costs, _files, _sessions, _signals)
    return "\n".join(line for part in parts for line in part(results)) + "\n"


def budget_of(results: Mapping[str, Any]) -> int:
    """1,024 tokens, or the budget nearest to it."""
    return min((int(budget) for budget in results["settings"]["budgets"]), key=lambda budget: abs(budget - USUAL))


def whole(results: Mapping[str, Any]) -> list[str]:
    """The systems that have no signal switched off."""
    return [name for name in results["systems"] if " -" not in name]


def _head(results: Mapping[str, Any]) -> Iterator[str]:
    settings = results["settings"]
    spread = f"{settings['questions']} a history, spread over its list" if settings["questions"] else "all"
    first = f", the first {settings['histories']} of each file" if settings["histories"] else ""
    yield from ("# Recall by labelled evidence", "")
    yield from wrapped(
        f"Tokens: {settings['counter']}. Histories: {settings['split']}{first}. Questions: {spread}. "
        "± is half the width of a 95 % interval, by bootstrap over histories; none where a file has one history. "
        "bound: the score of what is kept of the evidence's own steps, so what is missing from it was lost in "
        "selection, and the rest in retrieval (what is said elsewhere too can exceed it)."
    )


def _macro(results: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## Mean over files with at least {LEAST} such questions")
    for metric, title in TITLES.items():
        figures = {name: results["macro"][name] for name in whole(results)}
        n_files = max((mean["files"] for one in figures.values() for mean in one["scores"][metric].values()), default=0)
        yield from ("", f"### {title} ({n_files} {'file' if n_files == 1 else 'files'})", "")
        if n_files:
            yield from _by_budget(figures, metric, results["settings"]["budgets"])
        else:
            yield f"No file has {LEAST} of them; each file's own means are below."


def _by_budget(figures: Mapping[str, Any], metric: str, budgets: Sequence[int]) -> Iterator[str]:
    bound = BOUNDS.get(metric)
    spread = len(budgets) <= WITH_SPREAD
    rows = [
        [name, *(_mean(one["scores"][metric].get(str(budget)), spread) for budget in budgets)]
        + ([_mean(one["bounds"].get(bound), False)] if bound else [])
        for name, one in figures.items()
    ]
    yield from table(["system", *map(str, budgets), *(["bound"] if bound else [])], rows)


def _costs(results: Mapping[str, Any]) -> Iterator[str]:
    figures = {name: results["macro"][name] for name in whole(results)}
    rows = [
        [name, f"{stored(one) / 1e6:.3f}", f"{sum(one['seconds'].values()):.1f}", *_spent(one)]
        for name, one in figures.items()
    ]
    yield from ("", "## What it costs, per million tokens logged", "")
    yield from table(["system", "MB", "write s", "recall p50 ms", "p99 ms", "over budget"], rows)
    for name, one in figures.items():
        if len(one["bytes"]) > 1:
            yield ""
            yield from wrapped(f"{name}: MB {_parts(one['bytes'], 1e6)}; s {_parts(one['seconds'], 1)}.")


def stored(figures: Mapping[str, Any]) -> float:
    """Bytes in all: of all files where there are files, else the parts together."""
    parts: Mapping[str, float] = figures["bytes"]
    return parts["files"] if "files" in parts else sum(parts.values())


def _parts(parts: Mapping[str, float], unit: float) -> str:
    return ", ".join(f"{name} {value / unit:.3f}" for name, value in parts.items())


def _spent(figures: Mapping[str, Any]) -> list[str]:
    took = ["-" if ms is None else f"{ms:.1f}" for ms in figures["recall_ms"].values()]
    return [*took, str(figures["overruns"])]


def _files(results: Mapping[str, Any]) -> Iterator[str]:
    budget = str(budget_of(results))
    yield from ("", f"## Files, at {budget} tokens")
    for file in results["files"]:
        counts = f"{file['histories']} histories, {file['questions']:,} questions, {file['tokens']:,} tokens"
        yield from ("", f"### {file['data']}", "", f"{file['format']}: {counts}.", "")
        rows = []
        for name in whole(results):
            one = file["systems"][name]
            means = [_mean(one["scores"][metric].get(budget)) for metric in TITLES]
            rows.append([name, *means, _mean(one["bounds"].get("bound_exact"), False)])
        yield from table(["system", *TITLES.values(), "bound"], rows)


def _sessions(results: Mapping[str, Any]) -> Iterator[str]:
    files = [file for file in results["files"] if any(one["sessions"] for one in file["systems"].values())]
    if files:
        yield from ("", "## Sessions, as LongMemEval's evaluator defines it", "")
        yield from wrapped(
            f"Sessions stand in the order of their best step: for agentmem, of the hits of a recall at {WIDE:,} tokens "
            "in order of score; for a floor, of all steps in its order."
        )
    for file in files:
        found = {name: file["systems"][name]["sessions"] for name in whole(results)}
        rows = [
            [name, *(_mean(one[metric]) for metric in SESSIONS), str(one[SESSIONS[0]]["n"])]
            for name, one in found.items()
        ]
        yield from ("", f"### {file['data']}", "")
        yield from table(["system", *SESSIONS, "n"], rows)


def _signals(results: Mapping[str, Any]) -> Iterator[str]:
    budget = str(budget_of(results))
    for origin in dict.fromkeys(one["difference"]["from"] for one in _ablated(results).values()):
        lost = {name: one["difference"]["scores"] for name, one in _ablated(results).items()}
        rows = [
            [name.rpartition(" -")[2], *(_mean(scores[metric].get(budget)) for metric in TITLES)]
            for name, scores in sorted(
                lost.items(), key=lambda pair: pair[1]["evidence"].get(budget, {}).get("mean", 0)
            )
            if name.startswith(f"{origin} -")
        ]
        yield from ("", f"## {origin} with one signal off, at {budget} tokens: what it changes", "")
        yield from table(["off", *TITLES.values()], rows)


def _ablated(results: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in results["macro"].items() if "difference" in one}


def _mean(mean: Mapping[str, Any] | None, spread: bool = True) -> str:
    if mean is None:
        return "-"
    half = f" ±{short((mean['high'] - mean['low']) / 2)}" if spread and mean["low"] is not None else ""
    return short(mean["mean"]) + half
