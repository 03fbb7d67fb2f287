"""Choosing steps, and taking them out of recall: forget, reversible, in the log. What is erased: `erasing`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.index import STEP, Index, step_id, step_position, steps_beneath
from agentmem.memory.checks import check_filters, check_ids, check_trust
from agentmem.memory.core import Core
from agentmem.records import brief, canonical, check_id, check_name
from agentmem.store import subjects_of
from agentmem.telemetry import traced
from agentmem.trust import trust_of
from agentmem.types import Layer, Namespace, Record, Trust


def chosen(core: Core, namespace: Namespace, steps: Sequence[str] | str | None, episode: str | None) -> list[int]:
    """Log positions of the steps with these ids, or of an episode; NotFoundError names what is not there."""
    if steps is not None:
        ids = [steps] if isinstance(steps, str) else list(steps)
        positions = [step_position(step) for step in ids]
        columns = core.index(namespace).columns
        mine = np.isin(positions, columns.position[columns.type == STEP])
        for step, there in zip(ids, mine.tolist(), strict=True):
            if not there:
                raise NotFoundError(
                    f"there is no step {brief(step)} in namespace {namespace}; ids look like {step_id(1)}"
                )
        return sorted(set(positions))
    if episode not in core.index(namespace).episodes:
        raise NotFoundError(f"there is no episode {brief(episode)} in namespace {namespace}")
    return [record.position for record in core.store.scan(namespace, episode=episode, types=["step"])]


def forget(
    core: Core,
    namespace: Namespace,
    given: Mapping[str, Any],
    undo: bool,
    reason: str | None,
    who: str | None = None,
) -> int:
    """See `Memory.forget`; given: its criteria, of which one is not None."""
    by = one_of(**given)
    check_filters(core, [namespace], given["episode"])
    reason = None if reason is None else check_name("reason", reason)
    with core.lock:
        positions = _chosen_by(core, namespace, by, given[by])
    note(core, namespace, "restore" if undo else "forget", positions, who, by == "derived_from", reason)
    return len(positions)


def _chosen_by(core: Core, namespace: Namespace, by: str, value: Any) -> list[int]:
    """Log positions of the steps that one criterion says."""
    if by == "derived_from":
        return lineage(core, namespace, check_id(by, value))
    if by == "trust":
        return trusted(core, namespace, check_trust(value))
    return chosen(core, namespace, *((check_ids(by, value), None) if by == "steps" else (None, value)))


def forgotten(core: Core, namespace: Namespace) -> dict[str, str | None]:
    """See `Memory.forgotten`."""
    with core.lock:
        return {step_id(at): why for at, why in core.index(namespace).held_out.reasons.items()}


def trusted(core: Core, namespace: Namespace, trust: Trust) -> list[int]:
    """Log positions of the steps of a trust, or that repeat no more than that."""
    steps = core.store.scan(namespace, types=["step"])
    return [one.position for one in steps if 'trust"' in one.body and trust_of(json.loads(one.body)) == trust]


def lineage(core: Core, namespace: Namespace, origin: str) -> list[int]:
    """A step, or the steps that a crystal was condensed from, and every step that repeats one of them."""
    found = set(behind(core, namespace, origin))
    for record in core.store.scan(namespace, after=min(found), types=["step"]):
        if '"recalled_from"' in record.body and found & set(json.loads(record.body).get("recalled_from", ())):
            found.add(record.position)
    return sorted(found)


def behind(core: Core, namespace: Namespace, id: str) -> list[int]:
    """The steps a crystal was condensed from, or the step with this id."""
    index = core.holding(namespace, id)
    return chosen(core, namespace, [id], None) if index is None else sorted(steps_under(index, id))


def steps_under(index: Index, crystal_id: str) -> set[int]:
    """Log positions of the steps that a crystal condenses: of an atom those that it quotes."""
    crystal = index.crystal(crystal_id)
    if crystal.layer is Layer.ATOM:
        return {span.position for span in crystal.spans}
    return steps_beneath(crystal, index.crystal)


def one_of(**criteria: object) -> str:
    """The name of the one criterion that was given."""
    given = [name for name, value in criteria.items() if value is not None]
    if len(given) != 1:
        raise InvalidInputError(f"give exactly one of {', '.join(criteria)}, not {given or 'none'}")
    return given[0]


def about(core: Core, namespace: Namespace, subject: str, after: int = 0) -> list[int]:
    """Log positions of the steps about a subject."""
    records = core.store.scan(namespace, after, types=["step"])
    return [record.position for record in records if subject in subjects_of(record.body)]


def note(
    core: Core,
    namespace: Namespace,
    event: Literal["forget", "restore", "pin"],
    positions: Sequence[int],
    who: str | None = None,
    rollback: bool = False,
    reason: str | None = None,
) -> None:
    """Log what is done with steps that stay in the log. rollback: with all that derives from one, see `HeldOut`."""
    with traced("update_memory", core.store.path, namespace=namespace, what=event, count=len(positions)):
        if positions:
            said = {"steps": list(positions), "rollback": rollback or None, "reason": reason}
            body = canonical({name: value for name, value in said.items() if value is not None})
            core.store.append([Record(event, namespace, actor=who, body=body, logged_at=core.clock())])
