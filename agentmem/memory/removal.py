"""Taking steps out: of recall (forget, reversible, in the log) or out of the file for good (erase)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.index import STEP, Index, step_id, step_position
from agentmem.memory.core import Core
from agentmem.types import EraseReport, Layer, Namespace, Record


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
        return sorted(_steps_under(index, origin))
    found = set(chosen(core, namespace, [origin], None))
    for record in core.store.scan(namespace, after=min(found), types=["step"]):
        if found & set(json.loads(record.body).get("recalled_from", ())):
            found.add(record.position)
    return sorted(found)


def _steps_under(index: Index, crystal_id: str) -> set[int]:
    crystal = index.crystals[index.by_id[crystal_id]]
    if crystal.layer is Layer.UNIT:
        return {step_position(step) for step in crystal.sources}
    if crystal.layer is Layer.ATOM:
        return {span.position for span in crystal.spans}
    return {position for source in crystal.sources for position in _steps_under(index, source)}


def one_of(**criteria: object) -> str:
    """The name of the one criterion that was given."""
    given = [name for name, value in criteria.items() if value is not None]
    if len(given) != 1:
        raise InvalidInputError(f"give exactly one of {', '.join(criteria)}, not {given or 'none'}")
    return given[0]


def erasable(core: Core, namespaces: Sequence[Namespace], subject: str) -> list[int]:
    """Steps about a subject, in these namespaces."""
    found = []
    for namespace in namespaces:
        for record in core.store.scan(namespace, types=["step"]):
            if subject in json.loads(record.body).get("subjects", ()):
                found.append(record.position)
    return found


def with_events(core: Core, namespace: Namespace, positions: Sequence[int], episode: str | None) -> list[int]:
    """Positions with the records that quote them: recalls that showed them and, of a whole episode, its own."""
    gone = set(positions)
    for record in core.store.scan(namespace, types=["recall"]):
        if (record.episode == episode and episode is not None) or gone & set(json.loads(record.body)["steps"]):
            gone.add(record.position)
    if episode is not None:
        events = core.store.scan(namespace, episode=episode, types=["begin", "end"])
        gone |= {record.position for record in events}
    return sorted(gone)


def report(core: Core, namespace: Namespace, positions: Sequence[int], dry_run: bool) -> EraseReport:
    """What erasing these steps takes with it."""
    index = core.index(namespace)
    gone = set(positions)
    touched = [c for c in index.crystals if gone & _steps_under(index, c.id)]
    records = core.store.read(list(positions))
    return EraseReport(
        dry_run=dry_run,
        steps=sum(record.type == "step" for record in records),
        crystals=len(touched),
        episodes=len({record.episode for record in records if record.type == "step"}),
    )


def needles(records: Sequence[Record]) -> list[bytes]:
    """Byte strings by which the erased steps would be known again: their longer lines."""
    lines = {line.strip() for record in records for line in record.text.splitlines()}
    return [line.encode()[:200] for line in sorted(lines) if len(line) >= 24]


def erase(
    core: Core,
    namespace: Namespace,
    subject: str | None,
    episode: str | None,
    steps: Sequence[str] | str | None,
    whole: bool,
    dry_run: bool,
    again: Callable[[Namespace], None],
) -> EraseReport:
    """See `Memory.erase`; `again` makes a namespace's crystals again. Hold `core.lock`."""
    if whole:
        positions = core.index(namespace).positions().tolist()
    elif subject is not None:
        positions = erasable(core, [namespace], subject)
    else:
        positions = chosen(core, namespace, steps, episode)
    found = report(core, namespace, positions, dry_run)
    if dry_run or not positions:
        return found
    everything = positions if whole else with_events(core, namespace, positions, episode)
    marks = needles(core.store.read(positions))
    core.store.erase(everything)
    core.forget([namespace])
    again(namespace)
    return found.model_copy(update={"residue": tuple(core.store.residue(marks))})
