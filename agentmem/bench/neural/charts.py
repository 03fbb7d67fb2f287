"""Results as pictures: recall against age, bytes and rules of eviction, cost against size.

Knows the values that measurements make. matplotlib is imported when a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from agentmem.bench.recall.pictures import figure_of

BLUE, RED, GREEN, ORANGE, GREY = "#0b5fa5", "#d1495b", "#2e7d32", "#f39c12", "#78909c"
FACTS = (RED, BLUE, GREEN, ORANGE)
WIDE = 4.5
RULES = {
    "random": (GREY, "v", 2.0),
    "surprise, mean": (ORANGE, "s", 2.0),
    "surprise, most": (GREEN, "D", 2.0),
    "learned": (BLUE, "o", WIDE),
    "read": (RED, "^", 1.6),
}
"""Colour, marker and width: what often falls together is drawn wide below narrow."""
CALLED = {"read": "learned, and raised\nby reading"}
MARKERS = {"1 bit": "o", "int8": "s", "fp32": "D"}
COSTS = {"write": "written, µs a token", "read": "read, µs a token", "step": "stepped alone, µs"}
DOTTED = {"linestyle": ":", "markerfacecolor": "white", "zorder": 1}
MARKS = "osD^vP*X<>hp"
COLOURS = (*range(0, 20, 2), *range(1, 20, 2))
"""Of a palette of ten, and of each of them a light one."""
APART = 3
"""Pixels between labels, at least."""
UNITS = ((1_000_000, "M"), (1_000, "k"))
WORDS = 80
"""Characters of a title, at most."""
STEEP = 5
"""Growth from which on a picture of costs is logarithmic."""


def by_age(model: str, told: Mapping[str, Any]) -> Any:
    """Exact answers against how many tokens before the question a fact was said. model: its name or file."""
    figure, (axis,) = figure_of(7, 4)
    named = model if len(model) <= WORDS else f"…{model[1 - WORDS :]}"
    axis.set_title(f"{named}\nafter {told['tokens']:,} tokens with {told['facts']:,} facts", fontsize=11)
    _ages(axis, told["groups"], BLUE, "o", 2.0, "")
    _share(axis)
    _labels_apart(figure)
    return figure


def by_tokens(title: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Exact answers against tokens of a stream."""
    figure, (axis,) = figure_of(6, 4)
    axis.set_title(title, fontsize=11)
    tokens = [row["tokens"] for row in rows]
    spread = [row.get("exact_deviation", 0.0) for row in rows]
    axis.errorbar(tokens, [row["exact"] for row in rows], spread, color=BLUE, marker="o", linewidth=2, capsize=3)
    axis.set_xscale("log")
    axis.set_xticks(tokens, [_tokens(each) for each in tokens])
    axis.minorticks_off()
    axis.set_xlabel("tokens of a stream")
    _share(axis)
    _labels_apart(figure)
    return figure


def by_rule(rows: Sequence[Mapping[str, Any]], decays: Sequence[str]) -> Any:
    """Exact answers against age: a panel for each decay, a line for each importance."""
    figure, axes = figure_of(13, 4.2, len(decays))
    titles = {"none": "no decay", "fixed": "decay as set", "fitted": "decay as fitted"}
    for axis, decay in zip(axes, decays, strict=True):
        axis.set_title(titles[decay], fontsize=11)
        for row in rows:
            if row["decay"] == decay:
                _ages(axis, row["ages"], *RULES[row["importance"]], CALLED.get(row["importance"], row["importance"]))
        _share(axis, "exact answers" if axis is axes[0] else "")
    _beside(figure, axes[0])
    _labels_apart(figure)
    return figure


def by_bytes(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Exact answers against bytes of atoms: budgets as lines, precisions as marks."""
    figure, (axis,) = figure_of(8, 4.4)
    for place, facts in enumerate(dict.fromkeys(row["facts"] for row in rows)):
        of = [row for row in rows if row["facts"] == facts]
        style = {"color": FACTS[place % len(FACTS)], "linewidth": WIDE if place == 0 else 1.8}
        _curve(axis, of, "budget", style | {"marker": "o"}, f"{facts:,} facts: 1 bit, evicted to a budget")
        _curve(axis, of, "precision", style | {"linestyle": ":"}, f"{facts:,} facts: 1 bit, int8, fp32, all kept")
    _named(axis, rows)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(import_module("matplotlib.ticker").LogLocator(subs=(1, 2, 5), numticks=20))
    axis.xaxis.set_major_formatter(lambda size, _: _bytes(size))
    axis.tick_params(axis="x", labelsize=8)
    axis.minorticks_off()
    axis.set_xlabel("bytes of a stream's atoms")
    _share(axis)
    _beside(figure, axis)
    return figure


def _curve(axis: Any, rows: Sequence[Mapping[str, Any]], kind: str, style: dict[str, Any], label: str) -> None:
    """A mark for each row; those of a precision have their own."""
    of = [row for row in rows if row["kind"] == kind]
    style = style | {"alpha": 0.45 if style["linewidth"] > 3 else 1.0, "markersize": 4 + style["linewidth"]}
    axis.plot([row["atom_bytes"] for row in of], [row["exact"] for row in of], label=label, **style)
    for row in of:
        if row["name"] in MARKERS:
            marked = style | {"marker": MARKERS[row["name"]], "linestyle": ""}
            axis.plot([row["atom_bytes"]], [row["exact"]], **marked)


def _named(axis: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each precision once, above the best that it reached."""
    for name in MARKERS:
        size, best = max((row["atom_bytes"], row["exact"]) for row in rows if row["name"] == name)
        place = {"textcoords": "offset points", "xytext": (0, 8), "ha": "center", "fontsize": 8}
        axis.annotate(name, (size, best), color=GREY, **place)


def by_size(sizes: Sequence[Mapping[str, Any]]) -> Any:
    """Microseconds of processor time against tokens before."""
    figure, axes = figure_of(13, 3.8, len(COSTS))
    for axis, (kind, title) in zip(axes, COSTS.items(), strict=True):
        axis.set_title(title, fontsize=11)
        costs = [one[f"{kind}_us"] for one in sizes]
        axis.plot([one["tokens"] for one in sizes], costs, color=BLUE, marker="o", linewidth=2)
        axis.set_xscale("log")
        axis.set_xticks([one["tokens"] for one in sizes], [_tokens(one["tokens"]) for one in sizes])
        axis.minorticks_off()
        axis.margins(x=0.2)  # room for the first label, which ends at its point
        axis.yaxis.set_major_formatter("{x:,.12g}")
        axis.set_xlabel("tokens before")
        if max(costs) < STEEP * min(costs):
            axis.set_ylim(0, 1.25 * max(costs))
        else:
            low, high = min(costs) / 2, 2 * max(costs)
            axis.set(yscale="log", ylim=(low, high))
            axis.set_title(f"{title}, logarithmic", fontsize=11)
            ticks = [digit * 10**zeros for zeros in range(10) for digit in (1, 2, 5) if low < digit * 10**zeros < high]
            axis.set_yticks(ticks, [f"{each:,}" for each in ticks])
            axis.minorticks_off()
        for one, cost in zip(sizes, costs, strict=True):
            place = {"textcoords": "offset points", "xytext": (2, 8), "ha": "right", "fontsize": 9, "color": GREY}
            axis.annotate(f"x {one[f'{kind}_ratio']:.2f}", (one["tokens"], cost), **place)
    figure.tight_layout()
    return figure


def by_memory(results: Mapping[str, Any]) -> Any:
    """Loss on text against tokens of memory: own text's drawn through, another's dotted. No memory is both's."""
    figure, (axis,) = figure_of(8, 4.5)
    sizes, palette = results["sizes"], import_module("matplotlib").colormaps["tab20"].colors
    for number, row in enumerate(results["means"]):
        style = {"color": palette[COLOURS[number % len(COLOURS)]], "marker": MARKS[number % len(MARKS)]}
        _losses(axis, row["own"], sizes, style | {"label": f"{row['name']}, {trained_on(row['trained_on'])}"})
        if row["shuffled"]:
            none = {0: row["own"][0]} if 0 in row["own"] else {}
            _losses(axis, {**none, **row["shuffled"]}, sizes, style | DOTTED)
    if any(row["shuffled"] for row in results["means"]):
        axis.plot([], [], color=GREY, marker="o", label="dotted: of another text", **DOTTED)
    axis.set_xticks(range(len(sizes)), [memory_size(size) for size in sizes])
    axis.set_xlabel("tokens of memory")
    axis.set_ylabel("nats a token")
    axis.set_title("loss on unseen text after so many tokens of memory", loc="left", fontsize=10)
    _beside(figure, axis)
    return figure


def _losses(axis: Any, told: Mapping[int, Any], sizes: Sequence[int], style: Mapping[str, Any]) -> None:
    known = [(place, told[size][0]) for place, size in enumerate(sizes) if size in told]
    axis.plot(*zip(*known, strict=True), markersize=5, **style)


def trained_on(tokens: int) -> str:
    """Of a training: 3M, 64k; - where it is not known."""
    return _tokens(tokens) if tokens else "-"


def memory_size(tokens: int) -> str:
    """4K for 4,096 tokens."""
    return f"{tokens // 1_024}K" if tokens and tokens % 1_024 == 0 else f"{tokens:,}"


def _ages(axis: Any, groups: Sequence[Mapping[str, Any]], colour: str, marker: str, width: float, label: str) -> None:
    upto = [one["upto"] for one in groups]
    style = {"color": colour, "marker": marker, "linewidth": width, "markersize": 4 + width, "label": label}
    style["alpha"] = 0.45 if width > 3 else 1.0
    axis.plot(upto, [one["exact"] for one in groups], **style)
    axis.set_xscale("log")
    axis.set_xticks(upto, [_tokens(each) for each in upto])
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


def _labels_apart(figure: Any) -> None:
    """Of labels below an axis that would run into one another the later one stays, from the last on."""
    figure.draw_without_rendering()
    for axis in figure.axes:
        shown, end = [], float("inf")
        for label in reversed(axis.get_xticklabels()):
            place = label.get_window_extent()
            fits = place.x1 + APART < end
            shown.append(label.get_text() if fits else "")
            end = place.x0 if fits else end
        axis.set_xticks(axis.get_xticks(), shown[::-1])
        axis.minorticks_off()


def _tokens(number: int) -> str:
    """1M, 2.5k or 1,003: with a unit where that takes one decimal at most."""
    unit, letter = next((each for each in UNITS if number >= each[0] and number * 10 % each[0] == 0), (1, ""))
    return f"{number / unit:,.12g}{letter}"


def _bytes(size: float) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size:g} B"
