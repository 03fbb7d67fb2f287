"""Evidence against bytes, a point for each peer, as one PNG. matplotlib is imported when it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from itertools import cycle
from math import log10
from pathlib import Path
from typing import Any

from agentmem.bench.recall.pictures import figure_of

NAME = "integrations.png"
OURS = "#0b5fa5"
OTHERS = "#8d6e63"
MARKERS = "oDsv^<>PX*"
SIZE = 8.0  # points
CLOSE = 0.03  # of a tenfold of bytes, and of evidence: two marks would lie on one another


def draw(results: Mapping[str, Any], folder: Path) -> Path:
    """Write integrations.png into a folder: what is stored on a disk left to right, what is in memory hollow."""
    figure, (axis,) = figure_of(8, 4.4)
    axis.set(xscale="log", xlabel="bytes a text: on the disk, or (hollow) resident", ylabel="evidence recalled")
    axis.set_title(f"evidence at {results['settings']['budget']:,} tokens, by what is stored", fontsize=11)
    drawn = [row for row in results["rows"] if row.get("evidence") and (row["bytes"] or row["resident"])]
    places = [(row["bytes"] or row["resident"], row["evidence"]["mean"]) for row in drawn]
    for number, (row, marker) in enumerate(zip(drawn, cycle(MARKERS), strict=False)):
        under = sum(_is_close(places[number], other) for other in places[:number])
        look = {
            "color": OURS if row["name"].startswith("agentmem") else OTHERS,
            "markersize": SIZE * (1 + 1.3 * under),  # around what lies there already
            "zorder": 3 - 0.1 * under,
            "linestyle": "",
            "fillstyle": "full" if row["bytes"] else "none",
            "label": row["title"],
        }
        axis.plot(*([each] for each in places[number]), marker, **look)
    _in_words(axis.xaxis)
    axis.set_ylim(-0.03, 1.03)
    legend = axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    for mark in legend.legend_handles:
        mark.set_markersize(SIZE)
    figure.savefig(folder / NAME, dpi=150, bbox_inches="tight", metadata={"Software": None})
    return folder / NAME


def _is_close(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(log10(one[0] / other[0])) < CLOSE and abs(one[1] - other[1]) < CLOSE


def _in_words(axis: Any) -> None:
    """Numbers as they are written, at 1, 2 and 5 of each tenfold."""
    ticker = import_module("matplotlib.ticker")
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda size, _: f"{size:,.0f}")
    axis.set_minor_locator(ticker.NullLocator())
