"""What is told of a node: flat attributes that every format can hold. Reads the steps and recalls that are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from agentmem.graph.names import label, plain
from agentmem.graph.outline import SLICE, Node, Outline
from agentmem.memory.core import Core
from agentmem.memory.recalling import shown_by
from agentmem.records import step_of
from agentmem.types import Crystal, Record, Step

Attributes = dict[str, str | int | float | bool]


def filled(core: Core, made: Outline, names: Sequence[str]) -> tuple[dict[str, Attributes], dict[str, tuple[str, ...]]]:
    """(attributes by node, subjects by step) of the nodes with these ids.

    NotFoundError for one that was erased since the outline was made.
    """
    nodes = [made.nodes[name] for name in names]
    told = {node.id: _crystal(made.crystals[node.id], made, node) for node in nodes if node.id in made.crystals}
    told |= {node.id: _episode(made, node) for node in nodes if node.kind == "episode"}
    subjects: dict[str, tuple[str, ...]] = {}
    pinned = set(made.view.position[made.view.pinned].tolist())
    for node, record in _read(core, [node for node in nodes if node.kind in ("step", "recall")]):
        if node.kind == "recall":
            told[node.id] = _recall(record)
            continue
        step = step_of(record)
        told[node.id] = _step(step) | {"recalled": made.recalled[step.id], "pinned": step.position in pinned}
        subjects[step.id] = step.subjects
    return {node.id: _common(node) | told[node.id] for node in nodes}, subjects


def subjects_of(core: Core, nodes: Iterable[Node]) -> dict[str, tuple[str, ...]]:
    """Step -> whom it is about, of the steps among some nodes; NotFoundError as `filled`."""
    read = _read(core, [node for node in nodes if node.kind == "step"])
    return {node.id: step_of(record).subjects for node, record in read}


def entity(node: Node, name: str) -> Attributes:
    return _common(node) | _told(label=label(name) or label(node.id), text=plain(name))


def _read(core: Core, nodes: Sequence[Node]) -> Iterator[tuple[Node, Record]]:
    for start in range(0, len(nodes), SLICE):
        few = nodes[start : start + SLICE]
        yield from zip(few, core.store.read([node.position for node in few]), strict=True)


def _told(**values: Any) -> Attributes:
    """Without what does not apply."""
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _common(node: Node) -> Attributes:
    return _told(kind=node.kind, position=node.position, born=node.born, retired=node.retired)


def _step(step: Step) -> Attributes:
    flags = {name: True for name in ("terminated", "truncated", "lost") if getattr(step, name)}
    return flags | _told(
        label=label(step.text) or step.id,
        text=plain(step.text),
        step_kind=step.kind,
        episode=plain(step.episode),
        actor=plain(step.actor or ""),
        tokens=step.tokens,
        reward=step.reward,
        trust=step.trust,
        at=step.at.isoformat() if step.at else None,
        logged_at=step.logged_at.isoformat(),
    )


def _crystal(crystal: Crystal, made: Outline, node: Node) -> Attributes:
    said = f"{crystal.key}: {crystal.value}" if crystal.value else crystal.key if crystal.layer == "cluster" else None
    return _told(
        label=label(said or crystal.text) or crystal.id,
        text=plain(crystal.text),
        first=crystal.covers[0],
        tokens=crystal.tokens,
        source_tokens=crystal.source_tokens,
        salience=round(crystal.salience, 4),
        episode=plain(node.episode or ""),
        about=plain(crystal.key or ""),  # not `key`, which GEXF renames
        value=plain(crystal.value or ""),
        support=crystal.support if crystal.layer == "atom" else None,
        recalled=made.recalled[crystal.id],
    )


def _episode(made: Outline, node: Node) -> Attributes:
    known = made.episodes[node.episode or ""]
    goal, agent = plain(known.goal or ""), plain(known.agent or "")
    return _told(
        label=label(known.id) or label(node.id), text=goal, agent=agent, ended=known.ended, steps=made.steps[known.id]
    )


def _recall(record: Record) -> Attributes:
    shown = shown_by(record)
    return _told(
        label=label(record.text) or "(no cue)",
        text=plain(record.text),
        episode=plain(record.episode or ""),
        tokens=shown.tokens,
        budget=shown.budget,
        hits=len(shown.hits),
        logged_at=datetime.fromtimestamp(record.logged_at, UTC).isoformat(),
    )
