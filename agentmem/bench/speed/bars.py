"""The figures of sizes as rows, each with its bar where it has one. Knows what `measure` gives; shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

MB = 1e6
MILLION = 1_000_000
Figures = Mapping[str, Any]
Sizes = Sequence[Figures]


class Row(NamedTuple):
    """A value for each size; `bar` in words; whether each passes it, None where it does not apply."""

    name: str
    unit: str
    values: tuple[float, ...]
    bar: str = ""
    passed: tuple[bool | None, ...] = ()

    @property
    def verdict(self) -> str:
        told = [one for one in self.passed if one is not None]
        return "" if not told else "ok" if all(told) else "MISSED"


def rows(sizes: Sizes, fast: bool) -> Iterator[Row]:
    """Those of one retention, smallest size first. fast: whether faiss was there, which recall's bar depends on."""
    keep = sizes[0]["retain"] == "keep"
    yield _row(sizes, "log_many of 100, process", "steps/s", lambda one: one["log_many_steps_s"])
    yield _row(sizes, "log_many of 100, process", "tokens/s", lambda one: one["log_many_tokens_s"])
    yield _row(sizes, "observe, process, p50", "ms", lambda one: one["observe_ms"]["p50"])
    yield _row(sizes, "observe, process, p99", "ms", lambda one: one["observe_ms"]["p99"])
    yield _over(_row(sizes, "crystallize", "tokens/s", lambda one: one["crystallize_tokens_s"]), 20_000)
    yield _row(sizes, "recall, p50", "ms", lambda one: one["recall_ms"]["p50"])
    yield _recall(_row(sizes, "recall, p99", "ms", lambda one: one["recall_ms"]["p99"]), sizes, fast)
    yield _row(sizes, "recall, CPU, p50", "ms", lambda one: one["recall_cpu_ms"]["p50"])
    yield _row(sizes, "recall, CPU, p99", "ms", lambda one: one["recall_cpu_ms"]["p99"])
    first = _row(sizes, "open and first recall", "s", lambda one: one["first_recall_s"])
    yield _under(first, [2.0] * len(sizes), "< 2 s") if keep else first
    yield _row(sizes, "open and first recall, CPU", "s", lambda one: one["first_recall_cpu_s"])
    yield _stored(_row(sizes, "all files, per million tokens", "MB", lambda one: _each(one, one["files"])), sizes, keep)
    for part in dict.fromkeys(part for one in sizes for part in one["bytes"]):
        yield Row(f"- {part}", "MB", tuple(_each(one, one["bytes"].get(part, 0)) for one in sizes))
    held = _row(sizes, "resident", "MB", lambda one: one["resident"] / MB)
    yield _under(held, [100 + 2 * millions(one) for one in sizes], "<= 100 + 2 a million tokens")
    grown = _row(sizes, "- more than for one step", "MB", _grown)
    yield _under(grown, [2 * millions(one) for one in sizes], "<= 2 a million tokens")


def millions(one: Figures) -> float:
    return float(one["tokens"]) / MILLION


def _grown(one: Figures) -> float:
    return float(one["resident"] - one["resident_of_one_step"]) / MB


def _each(one: Figures, size: float) -> float:
    """MB per million tokens."""
    return size / MB / millions(one)


def _row(sizes: Sizes, name: str, unit: str, value: Callable[[Figures], float]) -> Row:
    return Row(name, unit, tuple(value(one) for one in sizes))


def _over(row: Row, bar: float) -> Row:
    return row._replace(bar=f">= {bar:,.0f}", passed=tuple(value >= bar for value in row.values))


def _under(row: Row, bars: Sequence[float | None], said: str) -> Row:
    passed = (None if bar is None else value <= bar for value, bar in zip(row.values, bars, strict=True))
    return row._replace(bar=said, passed=tuple(passed))


def _recall(row: Row, sizes: Sizes, fast: bool) -> Row:
    """30 ms up to a million tokens; above, 1.3 of what a million took with faiss, and 60 ms without."""
    known = [value for value, one in zip(row.values, sizes, strict=True) if one["size"] == MILLION]
    larger = 60.0 if not fast else 1.3 * known[0] if known else None
    bars = [30.0 if one["size"] <= MILLION else larger for one in sizes]
    said = "< 1.3 of 1m's" if fast else "< 60 ms"
    return _under(row, bars, f"< 30 ms to 1m, {said} above")


def _stored(row: Row, sizes: Sizes, keep: bool) -> Row:
    """`keep` has a bar for chat and a lower one for tool logs; of a mixture only the first is asked."""
    if keep:
        return _under(row, [3.0 if one["tokens"] > 200_000 else None for one in sizes], "<= 3.0 (tool logs 2.0)")
    return _under(row, [1.0 + 0.2 / millions(one) for one in sizes], "<= 1.0 and 0.2 in all")
