"""Entities: subjects of steps, and what the keys of atoms name. Knows the form of a key, which names its subject first
(`alice: favorite color`, see `agentmem.claims`), and extracts nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from agentmem.graph.names import entity_id
from agentmem.graph.outline import Link, Node, Outline
from agentmem.memory.core import Core
from agentmem.types import Crystal, Namespace

Subjects = Mapping[str, tuple[str, ...]]


def entities(
    made: Outline, subjects: Subjects, chosen: Iterable[str], near: Iterable[str], centre: str | None
) -> tuple[dict[str, tuple[Node, str]], list[Link]]:
    """(id -> node and name as first written, links to them) of the entities that the chosen nodes are about.

    Those that one of `near` is about, or that is the centre. One is born with the first atom that names it, though that
    is retired by now, or the first of the chosen steps.
    """
    names = {name: _named(made.nodes[name], made, subjects) for name in chosen}
    found = _first(made, names)
    links = dict[Link, None]()
    for node, mine in names.items():
        ids = [entity_id(name) for name in mine]
        links.update(dict.fromkeys(Link(node, entity, "about") for entity in ids))
        if node in made.crystals and len(ids) > 1:
            links[Link(ids[0], ids[1], "about")] = None
    reached = {entity_id(name) for node in near for name in names[node]} | {centre}
    tied = {link.target for link in links} & reached
    kept = {entity: one for entity, one in found.items() if entity in tied}
    return kept, [link for link in links if link.target in kept and (link.source in kept or link.source in names)]


def _first(made: Outline, names: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[Node, str]]:
    """Entity -> its node, and its name as first written."""
    named = {**names, **{name: _keyed(crystal) for name, crystal in made.crystals.items()}}
    found: dict[str, tuple[Node, str]] = {}
    for node in sorted(map(made.nodes.__getitem__, named), key=_age):
        for name in named[node.id]:
            entity = entity_id(name)
            found.setdefault(entity, (Node(entity, "entity", node.born, node.born, node.born), name))
    return found


def tied_to(core: Core, namespace: Namespace, made: Outline, shown: Mapping[str, Node], entity: str) -> list[str]:
    """The steps and atoms among those shown that are about the entity of an id. Looks through the log."""
    atoms = (made.crystals[node] for node in shown if node in made.crystals)
    found = [atom.id for atom in atoms if entity in map(entity_id, _keyed(atom))]
    steps = {node.position: node.id for node in shown.values() if node.kind == "step"}
    for record in core.store.scan(namespace, upto=made.view.as_of, types=["step"]):
        subjects = json.loads(record.body).get("subjects", ()) if record.position in steps else ()
        if entity in map(entity_id, subjects):
            found.append(steps[record.position])
    return found


def _age(node: Node) -> tuple[int, str]:
    return node.born, node.id


def _named(node: Node, made: Outline, subjects: Subjects) -> tuple[str, ...]:
    crystal = made.crystals.get(node.id)
    return _keyed(crystal) if crystal is not None else subjects.get(node.id, ())


def _keyed(crystal: Crystal) -> tuple[str, ...]:
    """An atom's key, and the subject that it names, if it does."""
    if crystal.layer != "atom" or not crystal.key:
        return ()
    subject, _, rest = crystal.key.partition(": ")
    return (crystal.key, subject) if subject and rest else (crystal.key,)
