"""Evidence against bytes, a point for each peer, as one PNG. matplotlib is imported when it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentmem.bench.recall.pictures import figure_of

NAME = "integrations.png"
OURS = "#0b5fa5"
OTHERS = "#8d6e63"


def draw(results: Mapping[str, Any], folder: Path) -> Path:
    """Write integrations.png into a folder: what is stored on a disk left to right, what is in memory hollow."""
    figure, (axis,) = figure_of(8, 4.4)
    axis.set(xscale="log", xlabel="bytes a text: on the disk, or (hollow) resident", ylabel="evidence recalled")
    axis.set_title(f"evidence at {results['settings']['budget']:,} tokens, by what is stored", fontsize=11)
    for row in results["rows"]:
        size = row.get("bytes") or row.get("resident")
        if size and row.get("evidence"):
            _point(axis, row, size)
    axis.set_ylim(-0.03, 1.03)
    axis.margins(x=0.25)
    figure.savefig(folder / NAME, dpi=150, bbox_inches="tight", metadata={"Software": None})
    return folder / NAME


def _point(axis: Any, row: Mapping[str, Any], size: float) -> None:
    colour = OURS if row["name"].startswith("agentmem") else OTHERS
    at = size, row["evidence"]["mean"]
    axis.plot(*[[value] for value in at], "o", color=colour, markersize=8, fillstyle="full" if row["bytes"] else "none")
    axis.annotate(row["title"], at, textcoords="offset points", xytext=(0, 8), ha="center", fontsize=8)
