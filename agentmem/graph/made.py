"""From a memory to its graph: arguments checked, an outline made, nodes chosen, and only then steps read.

Knows a memory's core and index. Knows no format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import networkx

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.graph.chosen import around as near
from agentmem.graph.chosen import kept, ranked
from agentmem.graph.entities import Subjects, entities, tied_to
from agentmem.graph.filled import Attributes, entity, filled
from agentmem.graph.layout import places
from agentmem.graph.names import KINDS, entity_id, episode_id, plain
from agentmem.graph.outline import Asked, Link, Node, Outline, outline
from agentmem.memory import Memory, check_memory, checks, recalling
from agentmem.records import brief, check_flag, check_id, check_name, check_whole

HOPS = 2


def memory_graph(
    memory: Memory,
    as_of: recalling.AsOf = None,
    *,
    layers: Sequence[str] | str | None = None,
    episode: str | None = None,
    agent: str | None = None,
    newest: int | None = None,
    around: str | None = None,
    hops: int = HOPS,
    limit: int | None = None,
    retired: bool = False,
) -> networkx.DiGraph:
    """The graph of a memory's namespace as of a step or a time of logging: see `agentmem.graph` for what is in it.

    layers: the kinds of nodes that are wanted. episode, agent, newest: only these steps, and what is tied to them.
    around: the id of a node, or the name of an episode or an entity: what is at most `hops` edges away; episodes and
    entities on the way are reached and not gone through. limit: that many nodes at most, the nearest and newest; the
    graph's `left_out` says how many are not in it, but for entities of steps that were not read. retired: also crystals
    that a newer one has retired by then.

    Texts are read of the steps that are shown alone. Raises InvalidInputError for a value of the wrong kind,
    NotFoundError for an episode, agent, as_of or node that is not there.
    """
    check_memory(memory)
    kinds = _kinds(layers)
    for what, value, least in (("newest", newest, 0), ("hops", hops, 1), ("limit", limit, 1)):
        if value is not None or what == "hops":
            check_whole(what, value, least)
    if around is not None:
        check_name("around", check_id("around", around))
    check_flag("retired", retired)
    namespace = memory.namespace
    checks.check_asked(memory._core, [namespace], as_of, None, episode, agent)
    core = memory._accessed("graph", episode, around)
    while True:
        generation = core.store.version(namespace).generation
        try:
            with core.lock:
                position = recalling.position_of(core, [namespace], as_of)
                made = outline(core, namespace, Asked(position, kinds, episode, agent, newest))
            shown = {name: node for name, node in made.nodes.items() if retired or node.retired is None}
            far = None if around is None else _far(memory, made, shown, around, hops)
            graph = _graph(memory, made, shown, _Part(kinds, far, hops, limit))
        except NotFoundError:
            if core.unchanged({namespace: generation}):
                raise
            continue  # something was erased while it was read
        if core.unchanged({namespace: generation}):
            return graph


def _kinds(layers: Sequence[str] | str | None) -> tuple[str, ...]:
    if layers is None:
        return KINDS
    given = [layers] if isinstance(layers, str) else list(checks.check_several("layers", layers, "layers"))
    if wrong := [layer for layer in given if layer not in KINDS]:
        raise InvalidInputError(f"layers has {brief(wrong[0])}; use some of {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in given)


def _far(memory: Memory, made: Outline, shown: Mapping[str, Node], around: str, hops: int) -> dict[str, int]:
    """Node -> how far it is from `around`, which may be an entity, and then is no node of the outline."""
    links = [link for link in made.links if link.source in shown and link.target in shown]
    for name in (around, episode_id(around)):
        if name in shown:
            return near(shown, links, {name: 0}, hops)
    ids = [around] if around.startswith("entity:") else []  # an id first: in one a name is escaped
    for name in dict.fromkeys([*ids, entity_id(around), entity_id(around.removeprefix("entity:"))]):
        if tied := tied_to(memory._core, memory.namespace, made, shown, name):
            return near(shown, links, dict.fromkeys(tied, 1), hops) | {name: 0}
    known = "the id of a step, crystal or recall, or the name of an episode or entity"
    raise NotFoundError(f"around {brief(around)} is nothing in this graph; give {known} that is")


class _Part(NamedTuple):
    """Which of the nodes are shown: those that are in `far`, if it is not None, and no more than `limit`."""

    kinds: Sequence[str]
    far: Mapping[str, int] | None
    hops: int
    limit: int | None


def _graph(memory: Memory, made: Outline, shown: Mapping[str, Node], part: _Part) -> networkx.DiGraph:
    order = ranked((node for node in shown.values() if part.far is None or node.id in part.far), part.far)
    few = order[: part.limit]
    told, subjects = filled(memory._core, made, few)
    found, about = _entities(made, subjects, few, part)
    told |= {name: entity(node, written) for name, (node, written) in found.items()}
    named = {name: node for name, (node, _) in found.items()}
    nodes = {name: shown[name] for name in few} | named
    links = [link for link in chain(made.links, about) if link.source in nodes and link.target in nodes]
    left = len(order) - len(few)
    if part.limit is not None and len(nodes) > part.limit:
        left += len(nodes) - part.limit
        centre = [name for name in named if (part.far or {}).get(name) == 0]
        stay = kept([*centre, *few], _ties(links), part.limit)
        nodes = {name: node for name, node in nodes.items() if name in stay}
    whole: Attributes = {"as_of": made.view.as_of, "left_out": left}
    if memory.namespace:
        whole["namespace"] = plain("/".join(memory.namespace))
    stand = places(chain(made.nodes.values(), named.values()), made.turns)
    ids = sorted(nodes, key=lambda name: (nodes[name].position, nodes[name].born, name))
    return _built(whole, {name: told[name] | dict(zip("xy", stand[name], strict=True)) for name in ids}, links)


def _entities(
    made: Outline, subjects: Subjects, few: Sequence[str], part: _Part
) -> tuple[dict[str, tuple[Node, str]], list[Link]]:
    if "entity" not in part.kinds:
        return {}, []
    far = part.far
    close = few if far is None else [name for name in few if far[name] < part.hops]
    centre = next((name for name, distance in (far or {}).items() if not distance), None)
    return entities(made, subjects, few, close, centre)


def _ties(links: Sequence[Link]) -> dict[str, list[str]]:
    """Node -> its episode, and the entities that it is about."""
    found: dict[str, list[str]] = {}
    for source, target, kind in links:
        if kind in ("part_of", "about"):
            found.setdefault(source, []).append(target)
    return found


def _built(whole: Attributes, nodes: Mapping[str, Attributes], links: Sequence[Link]) -> networkx.DiGraph:
    graph = networkx.DiGraph(**whole)
    graph.add_nodes_from(nodes.items())
    place = {name: number for number, name in enumerate(nodes)}
    there = [link for link in links if link.source in place and link.target in place]
    for source, target, kind in sorted(there, key=lambda link: (place[link.source], place[link.target])):
        graph.add_edge(source, target, kind=kind, born=max(nodes[source]["born"], nodes[target]["born"]))
    return graph
