"""Results as PNG pictures: recall against budget, bytes and age of the evidence. Knows the value that `summary` makes.

matplotlib is imported here alone, when a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentmem.bench.recall.report import budget_of, stored, whole
from agentmem.bench.recall.summary import ABOVE_LUCK
from agentmem.errors import MissingExtraError

PANELS = {"evidence": "evidence recalled", "all": "all evidence recalled", ABOVE_LUCK: "exact answers, less luck"}
LUCK_GROWS = "\n(luck grows with the budget)"
"""A longer context says the answer of another question more often too."""
ROOM = 0.03
COLOURS = {
    "agentmem": "#0b5fa5",
    "agentmem crystals": "#d1495b",
    "newest": "#8d6e63",
    "bm25": "#2e7d32",
    "fts5": "#7cb342",
    "dense": "#8e24aa",
    "hybrid": "#f39c12",
    "random": "#546e7a",
    "random10": "#78909c",
    "random2": "#90a4ae",
    "random1": "#b0bec5",
}
MARKERS = {
    "unit": "s",
    "cluster": "D",
    "atom": "^",
    "newest": "v",
    "bm25": "P",
    "fts5": "X",
    "dense": "<",
    "hybrid": ">",
}
LEAST = 10
"""Evidence steps of an age that are drawn as a point."""


def check() -> None:
    """MissingExtraError, with the line that installs it, where matplotlib is missing."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError("pictures need matplotlib: pip install 'agentmem-crystal[plot]', or leave out --out")


def draw(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write recall-budget.png, recall-bytes.png and recall-age.png into a folder."""
    check()
    made = {"recall-budget.png": _budget, "recall-bytes.png": _bytes, "recall-age.png": _age}
    for name, picture in made.items():
        picture(results).savefig(folder / name, dpi=150, bbox_inches="tight", metadata={"Software": None})
    return [folder / name for name in made]


def figure_of(width: float, height: float, panels: int = 1) -> tuple[Any, Sequence[Any]]:
    """A figure of so many inches with panels side by side, and these."""
    figure = import_module("matplotlib.figure").Figure(figsize=(width, height))
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis in axes:
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _to_shares(axis: Any) -> None:
    """From 0 to 1, with room for markers; further down only where a share less luck lies there."""
    lowest = min((value for line in axis.get_lines() for value in line.get_ydata()), default=0.0)
    axis.set_ylim(min(0.0, lowest) - ROOM, 1 + ROOM)


def _style(name: str) -> dict[str, Any]:
    """How a system looks in every picture: agentmem is bold, a layer of it has its colour, random text is dashed."""
    whole_name, last = (name.rpartition(" ")[0], name.rpartition(" ")[2]) if name not in COLOURS else (name, name)
    bold = name.startswith("agentmem") and name in COLOURS
    dashes = ":" if name not in COLOURS else "--" if name.startswith("random") else "-"
    return {
        "color": COLOURS[whole_name],
        "marker": MARKERS.get(last, "o"),
        "linewidth": 2.6 if bold else 1.4,
        "linestyle": dashes,
        "markersize": 6 if bold else 5,
        "zorder": 3 if bold else 2,
        "label": name,
    }


def mean_of(results: Mapping[str, Any], name: str, metric: str, budget: int) -> Mapping[str, Any] | None:
    """The macro mean; where no file has questions enough for one, the mean of the files that have any."""
    macro = results["macro"][name]["scores"][metric].get(str(budget))
    if macro is not None:
        return dict(macro)
    files = [file["systems"][name]["scores"][metric].get(str(budget)) for file in results["files"]]
    means = [mean["mean"] for mean in files if mean is not None]
    return {"mean": sum(means) / len(means), "low": None, "high": None} if means else None


def _budget(results: Mapping[str, Any]) -> Any:
    budgets = [int(budget) for budget in results["settings"]["budgets"]]
    figure, axes = figure_of(13, 4.2, len(PANELS))
    for axis, (metric, title) in zip(axes, PANELS.items(), strict=True):
        axis.set_title(title + (LUCK_GROWS if metric == ABOVE_LUCK else ""), fontsize=11)
        axis.set_xscale("log", base=2)
        axis.set_xticks(budgets, [f"{budget:,}" for budget in budgets])
        axis.set_xlabel("budget, tokens")
        for name in whole(results):
            _budget_line(axis, results, name, metric, budgets)
        _to_shares(axis)
    axes[0].set_ylabel("mean over files")
    _legend(figure, axes[0])
    return figure


def _budget_line(axis: Any, results: Mapping[str, Any], name: str, metric: str, budgets: Sequence[int]) -> None:
    known = [(budget, mean) for budget in budgets if (mean := mean_of(results, name, metric, budget))]
    style = _style(name)
    axis.plot([budget for budget, _ in known], [mean["mean"] for _, mean in known], **style)
    sure = [(budget, mean["low"], mean["high"]) for budget, mean in known if mean["low"] is not None]
    if sure and style["zorder"] > 2:
        axis.fill_between(*zip(*sure, strict=True), color=style["color"], alpha=0.12, linewidth=0)


def _bytes(results: Mapping[str, Any]) -> Any:
    budget = budget_of(results)
    figure, axes = figure_of(10, 4.2, 2)
    for axis, metric in zip(axes, ("evidence", ABOVE_LUCK), strict=True):
        axis.set_title(f"{PANELS[metric]}, at {budget:,} tokens", fontsize=11)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
        axis.xaxis.set_minor_formatter(lambda size, _: f"{size:g}")
        axis.set_xlabel("MB stored per million tokens logged")
        for name in whole(results):
            mean, size = mean_of(results, name, metric, budget), stored(results["macro"][name]) / 1e6
            if mean and size:
                axis.plot([size], [mean["mean"]], **_style(name) | {"linestyle": "", "markersize": 9})
        _to_shares(axis)
    axes[0].set_ylabel("mean over files")
    _legend(figure, axes[0])
    return figure


def _age(results: Mapping[str, Any]) -> Any:
    budget = budget_of(results)
    figure, (axis,) = figure_of(8, 4.4)
    ages = sorted({age["upto"] for name in whole(results) for age in _ages(results, name, budget)})
    axis.set_title(f"evidence recalled at {budget:,} tokens, by its age", fontsize=11)
    axis.set_xticks(range(len(ages)), [f"≤ {_thousands(age)}" for age in ages])
    axis.set_xlabel("tokens logged since, up to the question")
    axis.set_ylabel("share of evidence steps, all files together")
    for name in whole(results):
        found = _ages(results, name, budget)
        axis.plot([ages.index(age["upto"]) for age in found], [a["mean"] for a in found], **_style(name))
    _to_shares(axis)
    _legend(figure, axis)
    return figure


def _ages(results: Mapping[str, Any], name: str, budget: int) -> list[Mapping[str, Any]]:
    """The ages with steps enough for a point; all of them where none has."""
    ages = results["macro"][name]["ages"].get(str(budget), [])
    return [age for age in ages if age["n"] >= LEAST] or ages


def _thousands(tokens: int) -> str:
    return f"{tokens // 1000:,}k" if tokens < 1_000_000 else f"{tokens / 1e6:.0f}M"


def _legend(figure: Any, axis: Any) -> None:
    """Beside the panels, so that it hides nothing."""
    figure.tight_layout()
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
