"""A graph in other programs' formats: node-link JSON, GraphML, GEXF with times, Mermaid. Knows no memory."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx
from networkx.readwrite.gexf import GEXFWriter

from agentmem.errors import InvalidInputError
from agentmem.graph.names import check_graph
from agentmem.graph.picture import COLOURS, draw
from agentmem.records import brief, check_path
from agentmem.store import check_target
from agentmem.store.whole import put

MERMAID = 150  # nodes that such a drawing can hold before nobody can read it
_SHAPES = {
    "step": '["{}"]', "unit": '("{}")', "cluster": '{{{{"{}"}}}}', "atom": '{{"{}"}}', "recall": '>"{}"]',
    "episode": '(["{}"])', "entity": '(("{}"))',
}  # fmt: skip
_UNSAFE = re.compile(r"[^\w .,:!?+/=@-]")
_SCALE = 10.0  # of a height to a log position, for programs that draw by them


def node_link(graph: networkx.DiGraph) -> dict[str, Any]:
    """networkx's node-link form as values, which `networkx.node_link_graph(values, edges="edges")` reads."""
    return dict(networkx.node_link_data(check_graph(graph), edges="edges"))


def to_json(graph: networkx.DiGraph) -> str:
    """`node_link` as one line of JSON."""
    return json.dumps(node_link(graph), ensure_ascii=False, allow_nan=False)


def to_graphml(graph: networkx.DiGraph) -> str:
    """What `networkx.read_graphml`, Gephi, yEd and igraph read."""
    out = io.BytesIO()
    networkx.write_graphml_xml(check_graph(graph), out)
    return out.getvalue().decode()


def to_gexf(graph: networkx.DiGraph) -> str:
    """GEXF 1.2 for Gephi: nodes and edges `start` at the log position they were born, and `end` where they retired;
    with places and colours.
    """
    timed = networkx.DiGraph(mode="dynamic")
    for name, node in check_graph(graph).nodes.items():
        viz = {"position": {"x": node["x"], "y": _SCALE * node["y"], "z": 0.0}, "color": _rgb(COLOURS[node["kind"]])}
        timed.add_node(name, **node, **_times(node["born"], node.get("retired")), viz=viz)
    for source, target, edge in graph.edges(data=True):
        ends = [graph.nodes[one]["retired"] for one in (source, target) if "retired" in graph.nodes[one]]
        gone = None if edge["kind"] == "supersedes" else min(ends, default=None)
        timed.add_edge(source, target, **edge, **_times(edge["born"], gone))
    writer = GEXFWriter(version="1.2draft")
    writer.add_graph(timed)
    for meta in writer.xml.iter("meta"):
        meta.attrib.pop("lastmodifieddate", None)  # the same graph gives the same bytes
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(writer.xml, encoding="unicode")


def to_mermaid(graph: networkx.DiGraph) -> str:
    """A flowchart of at most 150 nodes; InvalidInputError for more."""
    if len(check_graph(graph)) > MERMAID:
        raise InvalidInputError(
            f"a Mermaid flowchart of {len(graph):,} nodes is over the limit of {MERMAID}; choose fewer by newest, "
            "around or limit, or another format"
        )
    number = {name: f"n{at}" for at, name in enumerate(graph)}
    lines = ["flowchart LR"]
    for name, node in graph.nodes.items():
        lines.append(f"  {number[name]}{_SHAPES[node['kind']].format(_escaped(node['label']))}:::{node['kind']}")
    for source, target, kind in graph.edges(data="kind"):
        arrow = "-->" if kind in ("next", "shown_to") else f"-. {kind.replace('_', ' ')} .->"
        lines.append(f"  {number[source]} {arrow} {number[target]}")
    lines += [f"  classDef {kind} fill:{colour}22,stroke:{colour}" for kind, colour in COLOURS.items()]
    return "\n".join(lines) + "\n"


FORMATS: dict[str, Callable[[networkx.DiGraph], str]] = {
    "json": to_json, "graphml": to_graphml, "gexf": to_gexf, "mermaid": to_mermaid,
}  # fmt: skip
PICTURES = ("png", "svg")


def write(graph: networkx.DiGraph, path: str | Path, format: str | None = None) -> None:
    """Write a graph into a file, in the format that its name ends with, or this one: json, graphml, gexf, mermaid (or
    .mmd), png, svg. Nothing is written where the format cannot hold the graph. StoreError where it cannot be written:
    then what was there still is.
    """
    file = check_path("path", path)
    chosen = format or {"mmd": "mermaid"}.get(file.suffix[1:].lower(), file.suffix[1:].lower())
    check_target(file)
    if not chosen:
        endings = ", ".join(f".{each}" for each in (*FORMATS, *PICTURES))
        raise InvalidInputError(f"{file} does not say its format; give a name with an ending ({endings}), or a format")
    content = drawn(graph, chosen)
    with put(file, "graph") as out:
        out.write(content)


def drawn(graph: networkx.DiGraph, format: str) -> bytes:
    """The content of such a file."""
    if format in PICTURES:
        return draw(graph, format)
    if format not in FORMATS:
        raise InvalidInputError(f"format {brief(format)} is unknown; use one of {', '.join((*FORMATS, *PICTURES))}")
    return FORMATS[format](graph).encode()


def _times(start: int, end: int | None) -> dict[str, int]:
    return {"start": start} if end is None else {"start": start, "end": end}


def _rgb(colour: str) -> dict[str, Any]:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return {"r": red, "g": green, "b": blue}


def _escaped(text: str) -> str:
    """Mermaid's own entities for what has a meaning in it."""
    return _UNSAFE.sub(lambda found: f"#{ord(found[0])};", text)
