"""Growth curves as one PNG: recall, bytes and resident memory against tokens, on logarithmic axes.

matplotlib is imported when a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from agentmem.bench.speed.report import short

NAME = "speed.png"
COLOURS = {"keep": "#0b5fa5", "crystals": "#d1495b"}
Value = Callable[[Mapping[str, Any]], float]
BARS: Mapping[str, Value] = {
    "recall, ms": lambda one: 30.0,
    "all files, MB": lambda one: 3.0 * one["tokens"] / 1e6,
    "resident memory of a reader, MB": lambda one: 100 + 2 * one["tokens"] / 1e6,
}
LINES: Mapping[str, Mapping[str, Value]] = {
    "recall, ms": {"p50": lambda one: one["recall_ms"]["p50"], "p99": lambda one: one["recall_ms"]["p99"]},
    "all files, MB": {"": lambda one: one["files"] / 1e6},
    "resident memory of a reader, MB": {"": lambda one: one["resident"] / 1e6},
}


def draw(sizes: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Write speed.png into a folder."""
    figure = import_module("matplotlib.figure").Figure(figsize=(13, 4.2))
    axes = figure.subplots(1, len(LINES))
    for axis, (title, lines) in zip(axes, LINES.items(), strict=True):
        _prepare(axis, title, sorted({one["size"] for one in sizes}))
        for retain in dict.fromkeys(one["retain"] for one in sizes):
            _lines(axis, retain, [one for one in sizes if one["retain"] == retain], lines)
        _bar(axis, title, sizes)
        axis.legend(frameon=False, fontsize=9, handlelength=3)
    figure.tight_layout()
    figure.savefig(folder / NAME, dpi=150, bbox_inches="tight", metadata={"Software": None})
    return folder / NAME


def _prepare(axis: Any, title: str, sizes: Sequence[int]) -> None:
    axis.set_title(title, fontsize=11)
    axis.set(xscale="log", yscale="log", xlabel="tokens logged")
    axis.set_xticks(sizes, [short(size) for size in sizes])
    axis.minorticks_off()
    axis.yaxis.set_major_locator(import_module("matplotlib.ticker").LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def _lines(axis: Any, retain: str, sizes: Sequence[Mapping[str, Any]], lines: Mapping[str, Value]) -> None:
    for name, value in lines.items():
        axis.plot(
            [one["tokens"] for one in sizes],
            [value(one) for one in sizes],
            color=COLOURS[retain],
            linestyle="--" if name == "p99" else "-",
            marker="o",
            linewidth=2,
            label=" ".join(filter(None, (retain, name))),
        )


def _bar(axis: Any, title: str, sizes: Sequence[Mapping[str, Any]]) -> None:
    known = sorted(sizes, key=lambda one: int(one["tokens"]))
    heights = [BARS[title](one) for one in known]
    axis.plot([one["tokens"] for one in known], heights, color="#78909c", linewidth=1, linestyle=":", label="bar")
