"""`agentmem graph`: a memory as a graph, in numbers or in a file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from agentmem.cli import show
from agentmem.cli.app import open_memory
from agentmem.cli.options import (
    AsOfOption,
    JsonOption,
    MemoryPath,
    NamespaceOption,
    OneAgentOption,
    OneEpisodeOption,
    example,
    flag,
)
from agentmem.errors import InvalidInputError

Format = Literal["json", "graphml", "gexf", "mermaid", "png", "svg"]
SHOWN = 5  # nodes of each list
HOPS = 2


def register(app: typer.Typer) -> None:
    app.command(
        epilog=example(
            "agentmem graph agent.mem",
            "agentmem graph agent.mem --newest 60 --out memory.png",
            "agentmem graph agent.mem --around s00000000012 --hops 3 --format mermaid",
            "agentmem graph agent.mem --retired --out memory.gexf",
        )
    )(graph)


def graph(
    path: MemoryPath,
    as_of: AsOfOption = None,
    episode: OneEpisodeOption = None,
    agent: OneAgentOption = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER", help="Only these nodes: step, unit, cluster, atom, recall, episode, entity."),
    ] = None,
    newest: Annotated[int | None, typer.Option(metavar="N", help="Only the newest N steps.")] = None,
    around: Annotated[
        str | None, typer.Option(metavar="ID", help="Only what is near a node, an episode or an entity.")
    ] = None,
    hops: Annotated[int | None, typer.Option(metavar="N", help=f"How many edges from it; {HOPS}.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Nodes, at most: the nearest and newest.")] = None,
    retired: Annotated[bool, flag("--retired", "Also crystals that newer ones retired.")] = False,
    format: Annotated[Format | None, typer.Option(help="What to write; by default what --out ends with.")] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write it here, in the place of what is there.")
    ] = None,
    namespace: NamespaceOption = "",
    json: JsonOption = False,
) -> None:
    """Show a memory as a graph: what was logged, what was made of it, and what was recalled.

    Without --out and --format, a summary. With --format alone, the graph on standard output.
    """
    from agentmem.graph import memory_graph, write

    _check(format, out, json, around, hops)
    with open_memory(path, namespace, read_only=True) as memory:
        made = memory_graph(
            memory, as_of, layers=layer or None, episode=episode, agent=agent, newest=newest, around=around,
            hops=HOPS if hops is None else hops, limit=limit, retired=retired,
        )  # fmt: skip
    if out is not None:
        write(made, out, format)
        show.say("wrote", show.path(out), f"{_size(made)}, {show.size(Path(out).stat().st_size)}")
    elif format is not None:
        from agentmem.graph import FORMATS

        show.text(FORMATS[format](made).rstrip("\n"))
    elif json:
        show.as_json(_summary(made))
    else:
        _tell(path, made)
    if made.graph["left_out"] and not json:
        show.line(f"{show.count(made.graph['left_out'], 'nodes')} left out by --limit {limit}")


def _check(format: Format | None, out: str | None, json: bool, around: str | None, hops: int | None) -> None:
    """InvalidInputError for options that do not go together."""
    if format in ("png", "svg") and out is None:
        raise InvalidInputError(f"a {format} is not for a terminal; give a file with --out memory.{format}")
    if json and (format or out):
        raise InvalidInputError("--json prints the summary and --format and --out write the graph; give one of them")
    if hops is not None and around is None:
        raise InvalidInputError(f"--hops {hops} is from a node; name it with --around ID")


def _size(made: Any) -> str:
    return f"{show.count(len(made), 'nodes')}, {show.count(made.number_of_edges(), 'edges')}"


def _summary(made: Any) -> dict[str, Any]:
    """Counts, and what stands out, as values."""
    from agentmem.graph import most_recalled, pagerank

    ranks = pagerank(made)
    central = sorted(ranks, key=lambda name: (-ranks[name], name))[:SHOWN]
    return {
        **made.graph,
        "nodes": dict(Counter(node["kind"] for node in made.nodes.values())),
        "edges": dict(Counter(kind for *_, kind in made.edges(data="kind"))),
        "most_recalled": [_entry(made, name) | {"recalled": count} for name, count in most_recalled(made, SHOWN)],
        "most_leaned_on": [_entry(made, name) | {"pagerank": ranks[name]} for name in central],
    }


def _entry(made: Any, name: str) -> dict[str, Any]:
    return {"id": name, "kind": made.nodes[name]["kind"], "label": made.nodes[name]["label"]}


def _tell(path: str, made: Any) -> None:
    found = _summary(made)
    show.say(show.path(path), f"{_size(made)}, as of position {show.number(made.graph['as_of'])}")
    for what in ("nodes", "edges"):
        table = show.table(what, "number", right=("number",))
        for kind, number in found[what].items():
            table.add_row(kind.replace("_", " "), show.number(number))
        show.out().print(table)
    lists = {"most recalled": "most_recalled", "most leaned on": "most_leaned_on"}
    for title, name in ((title, name) for title, name in lists.items() if found[name]):
        show.say(title)
        show.out().print(show.entries((_figure(one), _head(one), [], show.safe(one["label"])) for one in found[name]))


def _figure(entry: dict[str, Any]) -> str:
    return show.number(entry["recalled"]) if "recalled" in entry else f"{entry['pagerank']:.4f}"


def _head(entry: dict[str, Any]) -> Text:
    return Text.assemble(f"{entry['kind']} ", (show.safe(entry["id"]), show.ACCENT))
