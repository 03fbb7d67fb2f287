"""A graph as a picture: time from left to right, episodes below, what was made of them above. Knows attributes alone.

matplotlib is imported when a picture is drawn. Colours are Okabe and Ito's, which colour-blind people tell apart, and
every kind has a shape of its own. Log positions at which nothing of the graph stands take no room.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import networkx
import numpy as np

from agentmem.errors import InvalidInputError, MissingExtraError
from agentmem.graph.labels import Board, drawable
from agentmem.graph.names import check_graph

INSTALL = "a picture of a memory needs matplotlib: pip install 'agentmem-crystal[plot]'"
DRAWN = 1_500  # nodes that a picture can hold before nobody can read it
SAID = 60  # steps, at most, that a picture says the words of
COLOURS = {
    "step": "#3a93c9",
    "unit": "#0072B2",
    "cluster": "#E69F00",
    "atom": "#D55E00",
    "recall": "#CC79A7",
    "episode": "#222222",
    "entity": "#009E73",
}
SHAPES = {"unit": "s", "cluster": "h", "atom": "D", "recall": "v", "episode": "|", "entity": "p"}
STEPS = {"observation": "o", "action": ">", "message": "P"}
SIZES = {"step": 42, "unit": 50, "cluster": 100, "atom": 46, "recall": 42, "episode": 150, "entity": 80}
LINES = {
    "sources": ("made from", "#8c8c8c", "-"),
    "sealed_with": ("sealed with", COLOURS["atom"], "-"),
    "about": ("about", COLOURS["entity"], ":"),
    "supersedes": ("retired", "#222222", "--"),
    "recalled_by": ("recalled", COLOURS["recall"], "-"),
    "shown_to": ("", COLOURS["recall"], "-"),
    "next": ("", "#bbbbbb", "-"),
}
"""Edges: what the legend calls them, if it does."""
NAMED = ("episode", "entity", "cluster", "atom", "unit", "recall", "step")  # in the order in which labels find room
LANES = {"unit": "units", "cluster": "clusters", "atom": "atoms", "entity": "entities"}
TRACK = 0.62  # of a lane's height
FONT = 8.0
MANY = 150  # edges of a kind from which on they are drawn fainter, and words may lie on them
DEEP = 2.0  # how far below its ends an arc is bent, if it goes through all of the picture
POINTS = 40  # of an arc, on which no word is to lie

Places = dict[str, tuple[float, float]]


def draw(graph: networkx.DiGraph, format: str = "png") -> bytes:
    """The bytes of a PNG or SVG; the same graph gives the same.

    Raises MissingExtraError without matplotlib, InvalidInputError for more than 1,500 nodes.
    """
    if len(check_graph(graph)) > DRAWN:
        raise InvalidInputError(
            f"a picture of {len(graph):,} nodes is over the limit of {DRAWN:,}; choose fewer by newest, around or "
            "limit, or another format, such as gexf for Gephi"
        )
    if find_spec("matplotlib") is None:
        raise MissingExtraError(INSTALL)
    figure, _ = _drawn(graph)
    out = io.BytesIO()
    made_by = {"Software": None} if format == "png" else {"Date": None, "Creator": None}
    with import_module("matplotlib").rc_context({"svg.hashsalt": "agentmem", "svg.fonttype": "none"}):
        figure.savefig(out, format=format, dpi=150, bbox_inches="tight", metadata=made_by)
    return out.getvalue()


def _drawn(graph: networkx.DiGraph) -> tuple[Any, Any]:
    places = _places(graph)
    figure, axis = _frame(places, any(kind == "recalled_by" for *_, kind in graph.edges(data="kind")))
    _draw_edges(axis, graph, places)
    _draw_nodes(axis, graph, places)
    _label(figure, axis, graph, places)
    _furnish(figure, axis, graph, places)
    return figure, axis


def _places(graph: networkx.DiGraph) -> Places:
    """Node -> (x, y) in the picture: log positions one after another, tracks closer than lanes, and a crystal over what
    is shown of its sources.
    """
    logged = {name: node["x"] for name, node in graph.nodes.items() if node["kind"] not in LANES}
    taken = np.unique(list(logged.values()) or [node["x"] for node in graph.nodes.values()] or [0.0])
    squeezed = {name: float(np.interp(node["x"], taken, np.arange(len(taken)))) for name, node in graph.nodes.items()}
    for kind in ("unit", "cluster"):
        for name in (name for name, node in graph.nodes.items() if node["kind"] == kind):
            under = [squeezed[to] for _, to, edge in graph.out_edges(name, data="kind") if edge == "sources"]
            squeezed[name] = sum(under) / len(under) if under else squeezed[name]
    lanes = _lanes(graph)
    return {name: (squeezed[name], _height(node, lanes)) for name, node in graph.nodes.items()}


def _lanes(graph: networkx.DiGraph) -> dict[str, float]:
    """Kind -> where its lane begins; kinds that are not there have none."""
    present = {node["kind"] for node in graph.nodes.values()}
    return {kind: 1.0 + number for number, kind in enumerate(kind for kind in LANES if kind in present)}


def _height(node: Mapping[str, Any], lanes: Mapping[str, float]) -> float:
    kind, y = node["kind"], float(node["y"])
    return lanes[kind] + y % 1 if kind in lanes else TRACK * y


def _frame(places: Places, arcs: bool) -> tuple[Any, Any]:
    """A figure as large as there is to show, and its axis. arcs: some hang below."""
    xs, ys = (np.array([place[at] for place in places.values()] or [0.0]) for at in (0, 1))
    columns = float(xs.max()) + 1
    bottom, top = float(ys.min()) - (0.75 if arcs else 0.45), max(float(ys.max()), 0.3) + 0.5
    width, height = float(np.clip(0.3 * columns, 10, 18)), float(np.clip(1.15 * (top - bottom), 2.5, 22))
    figure = import_module("matplotlib.figure").Figure(figsize=(width, height))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(-0.03 * columns - 0.2, 1.1 * columns + 0.5), ylim=(bottom, top))
    return figure, axis


def _draw_edges(axis: Any, graph: networkx.DiGraph, places: Places) -> None:
    lines = import_module("matplotlib.collections").LineCollection
    arcs = import_module("matplotlib.collections").PathCollection
    for kind, (_, colour, dashes) in LINES.items():
        ends = [(places[u], places[v]) for u, v, edge in graph.edges(data="kind") if edge == kind]
        faint = 1.0 if kind == "next" else 0.55 if len(ends) < MANY else 0.25
        look = {"linewidths": 1.6 if kind == "next" else 0.9, "alpha": faint, "linestyles": dashes, "zorder": 1}
        if kind == "recalled_by":
            curves = [_arc(*two, _deep(axis)) for two in ends]
            axis.add_collection(arcs(curves, facecolors="none", edgecolors=colour, **look))
        else:
            axis.add_collection(lines(ends, colors=colour, **look))


def _deep(axis: Any) -> float:
    """How much lower an arc hangs for each column from one end to the other."""
    return float(DEEP / max(1.0, axis.get_xlim()[1]))


def _arc(begin: tuple[float, float], end: tuple[float, float], deep: float) -> Any:
    """A curve that hangs below both ends, the deeper the further they are apart, so that it is no track."""
    path = import_module("matplotlib.path").Path
    return path([begin, _bend(begin, end, deep), end], [path.MOVETO, path.CURVE3, path.CURVE3])


def _bend(begin: tuple[float, float], end: tuple[float, float], deep: float) -> tuple[float, float]:
    low = min(begin[1], end[1]) - 0.12 - deep * abs(begin[0] - end[0])
    return (begin[0] + end[0]) / 2, low


def _along(begin: tuple[float, float], end: tuple[float, float], deep: float) -> np.ndarray:
    """Points of that curve: [POINTS, 2]."""
    t = np.linspace(0, 1, POINTS)[:, None]
    one, bend, other = map(np.array, (begin, _bend(begin, end, deep), end))
    return np.asarray((1 - t) ** 2 * one + 2 * t * (1 - t) * bend + t**2 * other)


def _draw_nodes(axis: Any, graph: networkx.DiGraph, places: Places) -> None:
    """Those of a kind together; what is retired is hollow."""
    marks: dict[tuple[str, str, bool], list[str]] = {}
    for name, node in sorted(graph.nodes.items(), key=lambda one: NAMED.index(one[1]["kind"]), reverse=True):
        said = node.get("step_kind", "step") if node["kind"] == "step" else node["kind"]
        marks.setdefault((node["kind"], said, "retired" in node), []).append(name)
    for (kind, said, retired), names in marks.items():
        xs, ys = zip(*(places[name] for name in names), strict=True)
        shape = STEPS.get(said, "o") if kind == "step" else SHAPES[kind]
        inside, outside = ("white", COLOURS[kind]) if retired else (COLOURS[kind], "white")
        look = {"c": COLOURS[kind]} if kind == "episode" else {"facecolors": inside, "edgecolors": outside}
        width = 2.0 if kind == "episode" else 1.2 if retired else 0.5
        label = f"{said}{', retired' if retired else ''} ({len(names):,})"
        axis.scatter(xs, ys, s=SIZES[kind], marker=shape, zorder=3, linewidths=width, label=label, **look)


def _label(figure: Any, axis: Any, graph: networkx.DiGraph, places: Places) -> None:
    """As many as find room, without one over another, over a mark or over an arc."""
    board = Board(figure, axis, FONT)
    for name, (x, y) in places.items():
        board.take(x, y, SIZES[graph.nodes[name]["kind"]] ** 0.5)
    arcs = [(places[u], places[v]) for u, v, edge in graph.edges(data="kind") if edge == "recalled_by"]
    for two in arcs if len(arcs) < MANY else ():
        for x, y in _along(*two, _deep(axis)):
            board.take(x, y, 2)
    quiet = sum(node["kind"] == "step" for node in graph.nodes.values()) > SAID
    for name in sorted(places, key=lambda name: _importance(name, graph.nodes[name])):
        node, kind = graph.nodes[name], graph.nodes[name]["kind"]
        if not (quiet and kind == "step") and node["label"] != name:
            colour = COLOURS[kind] if kind in ("episode", "atom", "entity") else "#444444"
            bold = "bold" if kind in ("episode", "entity") else "normal"
            text = drawable(node["label"])
            board.write(text, *places[name], SIZES[kind] ** 0.5, color=colour, fontweight=bold)


def _importance(name: str, node: Mapping[str, Any]) -> tuple[Any, ...]:
    return NAMED.index(node["kind"]), -node.get("recalled", 0), -node.get("salience", 0.0), name


def _furnish(figure: Any, axis: Any, graph: networkx.DiGraph, places: Places) -> None:
    """Lanes, an axis, a title and a legend."""
    present = {node["kind"] for node in graph.nodes.values()}
    lanes = [(LANES[kind], y) for kind, y in _lanes(graph).items()]
    for _, y in lanes:
        axis.axhspan(y - 0.12, y + 0.86, color="#f5f5f5", zorder=0, linewidth=0)
    below = [("steps", 0.0)] if {"step", "episode", "recall"} & present else []
    axis.set_yticks([y for _, y in (*below, *lanes)], [name for name, _ in (*below, *lanes)], fontsize=9.5)
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    at = {places[name][0]: node["position"] for name, node in graph.nodes.items() if node["kind"] not in LANES}
    columns = sorted(at)[:: max(1, -(-len(at) // 12))]
    axis.set_xticks(columns, [f"{at[column]:,}" for column in columns], fontsize=8.5)
    axis.set_xlabel("position in the log (positions at which nothing is shown are left out)", fontsize=9)
    axis.set_title(_title(graph), fontsize=11.5, loc="left", fontweight="bold")
    _legend(figure, axis, {kind for *_, kind in graph.edges(data="kind")})


def _legend(figure: Any, axis: Any, drawn: set[str]) -> None:
    line = import_module("matplotlib.lines").Line2D
    handles, names = axis.get_legend_handles_labels()
    for kind, (said, colour, dashes) in LINES.items():
        if said and kind in drawn:
            handles.append(line([], [], color=colour, linewidth=1.2, linestyle=dashes))
            names.append(said)
    if handles:
        height = figure.get_size_inches()[1]
        columns = min(len(handles), 7)
        look = {"ncols": columns, "frameon": False, "fontsize": 9, "columnspacing": 1.4, "handletextpad": 0.5}
        axis.legend(handles, names, loc="upper left", bbox_to_anchor=(0, -0.55 / height), **look)


def _title(graph: networkx.DiGraph) -> str:
    left = graph.graph.get("left_out", 0)
    more = f", {left:,} more left out" if left else ""
    return f"Memory as of position {graph.graph.get('as_of', 0):,}: {len(graph):,} nodes{more}"
