"""Which nodes of an outline are shown: a neighbourhood, no more than a limit. Knows ids, links and log positions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from agentmem.graph.outline import Link, Node

HUBS = frozenset({"episode", "entity"})


def around(nodes: Mapping[str, Node], links: Iterable[Link], seeds: Mapping[str, int], hops: int) -> dict[str, int]:
    """Node -> how many links away, of those at most `hops` away. seeds: where to begin, and how far that is already.

    Episodes and entities are reached and not gone through, or all would be near to all; unless one begins there.
    """
    beside = defaultdict(list)
    for source, target, _ in links:
        beside[source].append(target)
        beside[target].append(source)
    far = dict(seeds)
    for distance in range(hops):
        there = [name for name, known in far.items() if known == distance]
        if not there and distance > max(seeds.values(), default=0):
            break
        for name in there:
            if name in seeds or nodes[name].kind not in HUBS:
                for other in beside[name]:
                    far.setdefault(other, distance + 1)
    return far


def ranked(nodes: Iterable[Node], far: Mapping[str, int] | None = None) -> list[str]:
    """Ids of nodes, those first that stay where there is no room for all: the nearest, and of these the newest."""
    known = far or {}
    return [node.id for node in sorted(nodes, key=lambda node: (known.get(node.id, 0), -node.position, node.id))]


def kept(order: Iterable[str], ties: Mapping[str, Iterable[str]], limit: int) -> set[str]:
    """As many as there is room for, in order, each followed by the episode and the entities that it is tied to."""
    found: dict[str, None] = {}
    for name in order:
        found[name] = None
        found.update(dict.fromkeys(ties.get(name, ())))
        if len(found) >= limit:
            break
    return set(list(found)[:limit])
