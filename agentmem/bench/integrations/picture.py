"""Evidence against bytes, a point for each peer, as one PNG. matplotlib is imported when it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from agentmem.bench.recall.pictures import figure_of

NAME = "integrations.png"
OURS = "#0b5fa5"
OTHERS = "#8d6e63"
MARKERS = "oDsv^<>PX*"


def draw(results: Mapping[str, Any], folder: Path) -> Path:
    """Write integrations.png into a folder: what is stored on a disk left to right, what is in memory hollow."""
    figure, (axis,) = figure_of(8, 4.4)
    axis.set(xscale="log", xlabel="bytes a text: on the disk, or (hollow) resident", ylabel="evidence recalled")
    axis.set_title(f"evidence at {results['settings']['budget']:,} tokens, by what is stored", fontsize=11)
    drawn = [row for row in results["rows"] if row.get("evidence") and (row["bytes"] or row["resident"])]
    for row, marker in zip(drawn, cycle(MARKERS), strict=False):
        colour = OURS if row["name"].startswith("agentmem") else OTHERS
        look = {
            "markersize": 8,
            "linestyle": "",
            "fillstyle": "full" if row["bytes"] else "none",
            "label": row["title"],
        }
        axis.plot([row["bytes"] or row["resident"]], [row["evidence"]["mean"]], marker, color=colour, **look)
    axis.set_ylim(-0.03, 1.03)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    figure.savefig(folder / NAME, dpi=150, bbox_inches="tight", metadata={"Software": None})
    return folder / NAME
