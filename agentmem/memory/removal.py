"""Choosing steps, and taking them out of recall: forget, reversible, in the log. What is erased: `erasing`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import numpy as np

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.index import STEP, Index, step_id, step_position
from agentmem.memory.core import Core
from agentmem.records import canonical
from agentmem.telemetry import traced
from agentmem.types import Layer, Namespace, Record


def chosen(core: Core, namespace: Namespace, steps: Sequence[str] | str | None, episode: str | None) -> list[int]:
    """Log positions of the steps with these ids, or of an episode; NotFoundError names what is not there."""
    if steps is not None:
        ids = [steps] if isinstance(steps, str) else list(steps)
        positions = [step_position(step) for step in ids]
        columns = core.index(namespace).columns
        mine = np.isin(positions, columns.position[columns.type == STEP])
        for step, there in zip(ids, mine.tolist(), strict=True):
            if not there:
                raise NotFoundError(f"there is no step {step!r} in namespace {namespace}; ids look like {step_id(1)}")
        return sorted(set(positions))
    if episode not in core.index(namespace).episodes:
        raise NotFoundError(f"there is no episode {episode!r} in namespace {namespace}")
    return [record.position for record in core.store.scan(namespace, episode=episode, types=["step"])]


def lineage(core: Core, namespace: Namespace, origin: str) -> list[int]:
    """What is derived from a step (itself, and steps that repeat it), or the steps a crystal was condensed from."""
    index = core.index(namespace)
    if origin in index.by_id:
        return sorted(steps_under(index, origin))
    found = set(chosen(core, namespace, [origin], None))
    for record in core.store.scan(namespace, after=min(found), types=["step"]):
        if found & set(json.loads(record.body).get("recalled_from", ())):
            found.add(record.position)
    return sorted(found)


def behind(core: Core, namespace: Namespace, id: str) -> list[int]:
    """The steps a crystal was condensed from, or the step with this id."""
    return chosen(core, namespace, [id], None) if step_position(id) >= 0 else lineage(core, namespace, id)


def steps_under(index: Index, crystal_id: str) -> set[int]:
    crystal = index.crystals[index.by_id[crystal_id]]
    if crystal.layer is Layer.UNIT:
        return {step_position(step) for step in crystal.sources}
    if crystal.layer is Layer.ATOM:
        return {span.position for span in crystal.spans}
    return {position for source in crystal.sources for position in steps_under(index, source)}


def one_of(**criteria: object) -> str:
    """The name of the one criterion that was given."""
    given = [name for name, value in criteria.items() if value is not None]
    if len(given) != 1:
        raise InvalidInputError(f"give exactly one of {', '.join(criteria)}, not {given or 'none'}")
    return given[0]


def about(core: Core, namespace: Namespace, subject: str, after: int = 0) -> list[int]:
    """Log positions of the steps about a subject."""
    records = core.store.scan(namespace, after, types=["step"])
    return [record.position for record in records if subject in json.loads(record.body).get("subjects", ())]


def note(
    core: Core,
    namespace: Namespace,
    event: Literal["forget", "restore", "pin"],
    positions: Sequence[int],
    who: str | None = None,
) -> None:
    """Log what is done with steps that stay in the log."""
    with traced("update_memory", core.store.path, namespace=namespace, what=event, count=len(positions)):
        if positions:
            body = canonical({"steps": list(positions)})
            core.store.append([Record(event, namespace, actor=who, body=body, logged_at=core.clock())])
