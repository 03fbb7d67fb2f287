"""Results as pictures: recall against age, bytes and rules of eviction, cost against size.

Knows the values that measurements make. matplotlib is imported when a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

BLUE, RED, GREEN, ORANGE, GREY = "#0b5fa5", "#d1495b", "#2e7d32", "#f39c12", "#78909c"
FACTS = (RED, BLUE, GREEN, ORANGE)
RULES = {
    "random": (GREY, "v"),
    "surprise, mean": (ORANGE, "s"),
    "surprise, most": ("#8d6e63", "D"),
    "learned": (BLUE, "o"),
    "read": (RED, "^"),
}
MARKERS = {"1 bit": "o", "int8": "s", "fp32": "D"}
COSTS = {"write": "written, µs a token", "read": "read, µs a token", "step": "stepped alone, µs"}


def by_age(told: Mapping[str, Any]) -> Any:
    """Exact answers against how many tokens before the question a fact was said."""
    figure, (axis,) = _figure(7, 4)
    axis.set_title(f"after {told['tokens']:,} tokens with {told['facts']:,} facts", fontsize=11)
    _ages(axis, told["groups"], BLUE, "o", "")
    _share(axis)
    return figure


def by_rule(rows: Sequence[Mapping[str, Any]], decays: Sequence[str]) -> Any:
    """Exact answers against age: a panel for each decay, a line for each importance."""
    figure, axes = _figure(13, 4.2, len(decays))
    titles = {"none": "no decay", "fixed": "decay as set", "fitted": "decay as fitted"}
    for axis, decay in zip(axes, decays, strict=True):
        axis.set_title(titles[decay], fontsize=11)
        for row in rows:
            if row["decay"] == decay:
                _ages(axis, row["ages"], *RULES[row["importance"]], row["importance"])
        _share(axis, "exact answers" if axis is axes[0] else "")
    _beside(figure, axes[0])
    return figure


def by_bytes(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Exact answers against bytes of atoms: budgets as lines, precisions as marks."""
    figure, (axis,) = _figure(8, 4.4)
    for colour, facts in zip(FACTS, dict.fromkeys(row["facts"] for row in rows), strict=False):
        of = [row for row in rows if row["facts"] == facts]
        cut = [row for row in of if row["kind"] == "budget"]
        points = [row["atom_bytes"] for row in cut], [row["exact"] for row in cut]
        axis.plot(*points, color=colour, marker="o", linewidth=2, label=f"{facts:,} facts, 1 bit, evicted to a budget")
        for row in of:
            if row["kind"] == "precision" and row["name"] != "1 bit":
                style = {"color": colour, "marker": MARKERS[row["name"]], "markersize": 8, "linestyle": ""}
                axis.plot([row["atom_bytes"]], [row["exact"]], label=f"{facts:,} facts, {row['name']}, all", **style)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda size, _: _bytes(size))
    axis.minorticks_off()
    axis.set_xlabel("bytes of atoms, all of one stream")
    _share(axis)
    _beside(figure, axis)
    return figure


def by_size(sizes: Sequence[Mapping[str, Any]]) -> Any:
    """Microseconds of processor time against tokens before."""
    figure, axes = _figure(13, 3.8, len(COSTS))
    for axis, (kind, title) in zip(axes, COSTS.items(), strict=True):
        axis.set_title(title, fontsize=11)
        costs = [one[f"{kind}_us"] for one in sizes]
        axis.plot([one["tokens"] for one in sizes], costs, color=BLUE, marker="o", linewidth=2)
        axis.set_xscale("log")
        axis.set_xticks([one["tokens"] for one in sizes], [_tokens(one["tokens"]) for one in sizes])
        axis.minorticks_off()
        axis.set_ylim(0, 1.25 * max(costs))
        axis.set_xlabel("tokens before")
        for one, cost in zip(sizes, costs, strict=True):
            place = {"textcoords": "offset points", "xytext": (0, 7), "ha": "center", "fontsize": 9, "color": GREY}
            axis.annotate(f"x {one[f'{kind}_ratio']:.2f}", (one["tokens"], cost), **place)
    figure.tight_layout()
    return figure


def _figure(width: float, height: float, panels: int = 1) -> tuple[Any, Sequence[Any]]:
    figure = import_module("matplotlib.figure").Figure(figsize=(width, height))
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis in axes:
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _ages(axis: Any, groups: Sequence[Mapping[str, Any]], colour: str, marker: str, label: str) -> None:
    upto = [one["upto"] for one in groups]
    style = {"color": colour, "marker": marker, "linewidth": 2, "markersize": 5, "label": label}
    axis.plot(upto, [one["exact"] for one in groups], **style)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda size, _: _tokens(size))
    axis.minorticks_off()
    axis.set_xlabel("tokens from a fact to its question, at most")


def _share(axis: Any, label: str = "exact answers") -> None:
    axis.set_ylim(-0.04, 1.04)
    axis.set_ylabel(label)


def _beside(figure: Any, axis: Any) -> None:
    """A legend beside the panels, so that it hides nothing."""
    figure.tight_layout()
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)


def _tokens(number: float) -> str:
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= unit:
            return f"{number / unit:g}{letter}"
    return f"{number:g}"


def _bytes(size: float) -> str:
    for unit, name in ((1e6, "MB"), (1e3, "KB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size:g} B"
