"""Results as Markdown, at most 120 columns where names allow. Knows the values `measure` and `race` make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agentmem.bench.speed.bars import rows


def markdown(results: Mapping[str, Any]) -> str:
    return "\n".join([*_head(results), *_sizes(results), *_peers(results)]) + "\n"


def short(tokens: int) -> str:
    """100_000 -> 100k, 10_000_000 -> 10m"""
    for unit, letter in ((1_000_000, "m"), (1_000, "k")):
        if tokens >= unit and tokens % (unit // 10) == 0:
            return f"{tokens / unit:g}{letter}"
    return str(tokens)


def _head(results: Mapping[str, Any]) -> Iterator[str]:
    settings = results["settings"]
    yield from ("# Speed as a memory grows", "")
    yield f"Grown from {settings['histories']} histories ({', '.join(settings['data'])}), seed {settings['seed']}."
    yield f"Tokens: {settings['counter']}. faiss (extra `fast`): {'yes' if settings['fast'] else 'no'}."
    yield f"Recall: {settings['cues']} cues, each once, {settings['budget']:,} tokens, default encoder, warm."


def _sizes(results: Mapping[str, Any]) -> Iterator[str]:
    for retain in dict.fromkeys(one["retain"] for one in results["sizes"]):
        sizes = [one for one in results["sizes"] if one["retain"] == retain]
        columns = [f"retain={retain}", *(short(one["size"]) for one in sizes), "bar", ""]
        lines = [
            [f"{row.name}, {row.unit}", *map(figure, row.values), row.bar, row.verdict]
            for row in rows(sizes, results["settings"]["fast"])
        ]
        yield ""
        yield from table(columns, [*lines, *_words(sizes)])


def _words(sizes: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
    told = {"steps": "steps", "stems": "distinct stems", "by_heaps": "- by Heaps' law of the histories"}
    for name, title in told.items():
        values = [one["steps"] if name == "steps" else one["vocabulary"][name] for one in sizes]
        yield [title, *(f"{value:,}" for value in values), "", ""]


def _peers(results: Mapping[str, Any]) -> Iterator[str]:
    peers = results["peers"]
    if peers:
        yield from ("", "## Beside others, the same steps and encoder", "")
        first, last = (short(n) for n in peers["at"])
        columns = ["", "log p50 ms", "p99", "items/s", "x", f"search {first} p50 ms", "p99", f"{last} p50", "p99"]
        yield from table([*columns, "x", "MB", "items"], [_peer(one, peers["at"]) for one in peers["rows"]])
        yield ""
        yield from table(["bar", "measured", "bar", ""], [_bar(bar) for bar in peers["bars"]])
        notes = [f"- {one['name']}: {one['note']}" for one in peers["rows"] if one.get("note")]
        yield from ("", *notes)


def _peer(one: Mapping[str, Any], at: Sequence[int]) -> list[str]:
    if "add_ms" not in one:
        return [one["name"], *["-"] * 11]
    searched = [one["search_ms"].get(str(n), {}) for n in at]
    figures = [one["add_ms"]["p50"], one["add_ms"]["p99"], one["items_s"], one["log_x"]]
    figures += [took.get(share) for took in searched for share in ("p50", "p99")]
    stored = one["bytes"] / 1e6 if one["bytes"] else None
    return [one["name"], *map(figure, [*figures, one.get("search_x"), stored]), f"{one['items']:,}"]


def _bar(bar: Mapping[str, Any]) -> list[str]:
    verdict = "" if bar["value"] is None else "ok" if bar["value"] >= bar["bar"] else "MISSED"
    return [bar["name"], "-" if bar["value"] is None else f"{figure(bar['value'])} x", f">= {bar['bar']:g} x", verdict]


def figure(value: float | None) -> str:
    """Three digits that tell something."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """Names to the left, figures to the right, aligned in the source too."""
    cells = [list(columns), *map(list, lines)]
    widths = [max(2, *(len(line[n]) for line in cells)) for n in range(len(columns))]
    left = [n == 0 or not any(line[n][:1].isdigit() for line in cells[1:]) for n in range(len(columns))]
    rule = ["-" * width if is_left else "-" * (width - 1) + ":" for width, is_left in zip(widths, left, strict=True)]
    for line in (cells[0], rule, *cells[1:]):
        padded = (c.ljust(w) if is_left else c.rjust(w) for c, w, is_left in zip(line, widths, left, strict=True))
        yield f"| {' | '.join(padded)} |"
