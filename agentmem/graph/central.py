"""What stands out in a graph: what was recalled most, what most leans on, and what belongs together. Needs no scipy."""

from __future__ import annotations

import networkx
import numpy as np

from agentmem.errors import InvalidInputError
from agentmem.graph.names import check_graph
from agentmem.records import brief, check_whole

FORWARD = frozenset({"sources", "sealed_with", "supersedes"})  # from what leans to what it leans on
BACKWARD = frozenset({"recalled_by", "shown_to"})
ROUNDS, ENOUGH = 200, 1e-10


def most_recalled(graph: networkx.DiGraph, n: int = 10) -> list[tuple[str, int]]:
    """(id, recalls that showed it) of the steps and crystals that were recalled, most often and newest first."""
    check_whole("n", n, 0)
    nodes = check_graph(graph).nodes.items()
    counts = [(name, node["recalled"], node["position"]) for name, node in nodes if node.get("recalled")]
    return [(name, count) for name, count, _ in sorted(counts, key=lambda one: (-one[1], -one[2], one[0]))[:n]]


def pagerank(graph: networkx.DiGraph, damping: float = 0.85) -> dict[str, float]:
    """How much leans on each node, in all 1: a crystal leans on its sources, a recall on what it showed, a step on the
    recall that it was shown, a newer atom on what it retired. PageRank (Page et al. 1998) along these edges.
    """
    if isinstance(damping, bool) or not isinstance(damping, int | float) or not 0 <= damping <= 1:
        raise InvalidInputError(f"damping {brief(damping)} must be a number from 0 to 1")
    names = list(check_graph(graph))
    number = {name: at for at, name in enumerate(names)}
    leaning = [edge for edge in graph.edges(data="kind") if edge[2] in FORWARD | BACKWARD]
    pairs = [(source, target) if kind in FORWARD else (target, source) for source, target, kind in leaning]
    ends = np.array([(number[u], number[v]) for u, v in pairs], np.int64).reshape(-1, 2)
    return dict(zip(names, _ranks(ends, len(names), damping).tolist(), strict=True))


def _ranks(ends: np.ndarray, n: int, damping: float) -> np.ndarray:
    """float [n] of the nodes of a graph whose edges are int [m, 2]."""
    out = np.bincount(ends[:, 0], minlength=n)
    ranks = np.full(n, 1 / max(1, n))
    for _ in range(ROUNDS):
        given = np.bincount(ends[:, 1], (ranks / np.maximum(out, 1))[ends[:, 0]], n)
        new = damping * (given + ranks[out == 0].sum() / n) + (1 - damping) / n if n else ranks
        if np.abs(new - ranks).sum() < ENOUGH:
            return np.asarray(new)
        ranks = new
    return ranks


def communities(graph: networkx.DiGraph, seed: int = 0) -> list[list[str]]:
    """Nodes that belong together, by Louvain's method, the largest group first; the same seed gives the same groups.

    Edges count in both directions. Ids are sorted.
    """
    check_whole("seed", seed, 0)
    found = networkx.community.louvain_communities(check_graph(graph).to_undirected(), seed=seed)
    return sorted((sorted(group) for group in found), key=lambda group: (-len(group), group))
