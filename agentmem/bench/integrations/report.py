"""Results as Markdown. Knows the value that `command` makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentmem.bench.integrations.race import TURN
from agentmem.bench.recall.tables import short, wrapped
from agentmem.bench.speed.report import figure, table

SUMMARIES = (
    "SummarizationMiddleware keeps one text of at most 1,024 tokens, whatever is asked, the newest half of it as it "
    "was; it has no search. Its scripted model, from agentmem.testing, repeats the first eight words of every message. "
    "No language model writes so, and evidence counts words that stand as they were said, not a paraphrase, so a score "
    "would say nothing of it and there is none; its times leave a model out. Our summarizer keeps the messages' own "
    "words, and is scored."
)
MEM0 = (
    "mem0 is as `pip install mem0ai` brings it: its keyword search and its entities need models that are downloaded, "
    "and infer=True needs a language model. Chroma has our encoder too, since its own is a download."
)
LEAST_US = 1.0
"""Microseconds a text below which nothing was done afterwards."""


def markdown(results: Mapping[str, Any]) -> str:
    parts = (_head, _quality, _costs, _notes)
    return "\n".join(line for part in parts for line in part(results)) + "\n"


def _head(results: Mapping[str, Any]) -> Iterator[str]:
    settings, files = results["settings"], results["files"]
    yield from ("# Beside other memories", "")
    yield from wrapped(
        f"{_data(files)}. Tokens: {settings['counter']}. Searches ask for {settings['most']} items; whole ones are "
        f"packed into {settings['budget']:,} tokens in the order they were found, passing over what does not fit. "
        f"x: over {settings['base']}. ± is half the width of a 95 % interval, by bootstrap over histories."
    )


def _data(files: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(
        f"{file['data']}: {file['histories']} histories, {file['tokens']:,} tokens, {file['questions']:,} questions"
        for file in files
    )


def _quality(results: Mapping[str, Any]) -> Iterator[str]:
    columns = ["evidence in the context", "evidence", "x", "all of it", "n", "over budget"]
    yield ""
    yield from table(columns, [[row["title"], *_scores(row)] for row in results["rows"]])


def _scores(row: Mapping[str, Any]) -> list[str]:
    if row["note"] or row["n"] is None:
        return ["-"] * 5
    means = [_mean(row["evidence"]), figure(row["x"]["evidence"]), _mean(row["all"])]
    return [*means, f"{row['n']:,}", str(row["overruns"])]


def _mean(mean: Mapping[str, Any] | None) -> str:
    if mean is None:
        return "-"
    half = "" if mean["low"] is None else f" ±{short((mean['high'] - mean['low']) / 2)}"
    return short(mean["mean"]) + half


def _costs(results: Mapping[str, Any]) -> Iterator[str]:
    columns = ["append one, µs p50 / p95", "x", f"{TURN} at once, µs a text", "x", "afterwards, µs a text"]
    columns += ["search, ms p50 / p95", "x", "bytes a text", "x", "resident"]
    yield ""
    yield from table(["", *columns], [[row["title"], *_cost(row)] for row in results["rows"]])


def _cost(row: Mapping[str, Any]) -> list[str]:
    if row["note"]:
        return ["-"] * 10
    settled = row["settle_us"] if row["settle_us"] >= LEAST_US else None
    sizes = map(figure, (row["bytes"], row["x"]["bytes"], row["resident"]))
    return [*_timed(row, "append_us"), *_timed(row, "batch_us"), figure(settled), *_timed(row, "search_ms"), *sizes]


def _timed(row: Mapping[str, Any], key: str) -> list[str]:
    took = row[key]
    return ["-", "-"] if took is None else [f"{figure(took['p50'])} / {figure(took['p95'])}", figure(row["x"][key])]


def _notes(results: Mapping[str, Any]) -> Iterator[str]:
    names = {row["name"] for row in results["rows"]}
    yield ""
    yield from wrapped(
        "agentmem, plain texts: it gets what the others get, all in one episode; in the first row it gets time, "
        "speaker and session as such. afterwards: what crystallizing costs; nobody else has anything to do then. "
        "agentmem's search includes choosing and counting tokens, the others' does not. bytes: of all files once "
        "closed; of PostgresStore, tables and indexes without the server's own. resident: bytes a text by which the "
        "process grew, where all is in memory."
    )
    yield from ("", *wrapped(MEM0)) if {"mem0", "chroma"} & names else ()
    yield from ("", *wrapped(SUMMARIES)) if "summarization" in names else ()
    noted = [f"- {row['title']}: {row['note']}" for row in results["rows"] if row["note"]]
    yield from ("", *noted) if noted else ()
