"""What tests of graphs share: memories with recalls and subjects in them, and parts of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx
from strategies import CUES, Player, Said, opened

from agentmem import Memory

EVERY = 9  # steps between two recalls


def remembered(said: Sequence[Said], every: int = EVERY, **settings: Any) -> Memory:
    """A crystallized memory in which this was logged, and its episodes recalled now and then, before a step."""
    memory = opened(**settings)
    player = Player(memory)
    for number, one in enumerate(said):
        if number % every == every - 1 and one.text is not None:
            player._writer(one.episode).recall(CUES[number % len(CUES)], budget=120)
        player.play([one])
    memory.crystallize()
    return memory


def of_kind(graph: networkx.DiGraph, *kinds: str) -> dict[str, dict[str, Any]]:
    return {name: dict(node) for name, node in graph.nodes.items() if node["kind"] in kinds}


def edges(graph: networkx.DiGraph, *kinds: str) -> set[tuple[str, str]]:
    return {(source, target) for source, target, kind in graph.edges(data="kind") if kind in kinds}


def along(graph: networkx.DiGraph, *kinds: str) -> networkx.DiGraph:
    """The same nodes with the edges of these kinds alone."""
    part = networkx.DiGraph(edges(graph, *kinds))
    part.add_nodes_from(graph)
    return part


def content(graph: networkx.DiGraph) -> Any:
    """All that a graph holds, in no order."""
    return dict(graph.nodes.items()), {(u, v): data for u, v, data in graph.edges(data=True)}
