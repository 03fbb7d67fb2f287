"""Taking steps out: of recall (forget, reversible, in the log) or out of the file for good (erase)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.index import STEP, Index, step_id, step_position
from agentmem.memory.checks import check_filters, check_ids, check_trust
from agentmem.memory.core import Core
from agentmem.memory.recalling import shown_by
from agentmem.records import canonical, check_id, check_name
from agentmem.telemetry import traced
from agentmem.trust import trust_of
from agentmem.types import EraseReport, Layer, Namespace, Record, Trust


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


def forget(core: Core, namespace: Namespace, given: Mapping[str, Any], undo: bool, reason: str | None) -> int:
    """See `Memory.forget`; given: its criteria, of which one is not None."""
    by = one_of(**given)
    check_filters(core, [namespace], given["episode"])
    reason = None if reason is None else check_name("reason", reason)
    with core.lock:
        positions = _chosen_by(core, namespace, by, given[by])
    note(core, namespace, "restore" if undo else "forget", positions, by == "derived_from", reason)
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


def about(core: Core, namespace: Namespace, subject: str) -> list[int]:
    """Log positions of the steps about a subject."""
    records = core.store.scan(namespace, types=["step"])
    return [record.position for record in records if subject in json.loads(record.body).get("subjects", ())]


def quoting_records(core: Core, positions: set[int], crystals: set[str]) -> list[Record]:
    """Recall records that showed what is at these positions or these crystals, of any namespace; and those of their own
    whose cue repeats it.
    """
    erased = core.store.read(sorted(positions))
    namespace, repeats = erased[0].namespace, _repeating(erased)
    ids = crystals.union(map(step_id, positions))

    def quotes(record: Record) -> bool:
        shown = shown_by(record)
        quoted = not (positions.isdisjoint(shown.steps) and ids.isdisjoint(shown.hits))
        return quoted or (record.namespace == namespace and repeats(record.text))

    return [one for one in core.store.scan(types=["recall"]) if one.position not in positions and quotes(one)]


def _repeating(erased: Sequence[Record]) -> Callable[[str], bool]:
    """Whether a cue is a text of these, or has a longer line of them, or they one of it."""
    steps = [record for record in erased if record.type == "step"]
    texts, marks = {record.text.strip() for record in steps} - {""}, needles(steps)
    whole = "\n".join(sorted(texts)).encode()

    def repeats(cue: str) -> bool:
        said = cue.encode()
        return cue.strip() in texts or any(mark in said for mark in marks) or any(one in whole for one in _lines([cue]))

    return repeats


def _report(
    core: Core, erased: Sequence[Record], crystals: int, touched: Sequence[Namespace], dry_run: bool
) -> EraseReport:
    """What erasing these records takes with it. touched: the namespaces whose attachments may hold some of them."""
    steps = [record for record in erased if record.type == "step"]
    return EraseReport(
        dry_run=dry_run,
        steps=len(steps),
        crystals=crystals,
        episodes=len({record.episode for record in steps}),
        attachments=tuple((one, name) for one in touched for name in core.store.attachments(one)),
    )


def needles(records: Sequence[Record]) -> list[bytes]:
    """Byte strings by which erased steps would be known again: keys, and longer lines of text and strings of data.

    Of a recall its cue alone: how it was put, such as by which encoder, stands in many other places too.
    """
    told = [value for record in records if record.type != "recall" for value in _strings(json.loads(record.body))]
    return _lines([*told, *(text for record in records for text in (record.text, record.key) if text)])


def _lines(texts: Iterable[str]) -> list[bytes]:
    """The beginnings of the longer lines of texts."""
    lines = {line.strip() for text in texts for line in text.splitlines()}
    return [line.encode()[:200] for line in sorted(lines) if len(line) >= 24]


def _strings(value: Any) -> Iterator[str]:
    """The strings in JSON values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(inner)


def note(
    core: Core,
    namespace: Namespace,
    event: Literal["forget", "restore", "pin"],
    positions: Sequence[int],
    rollback: bool = False,
    reason: str | None = None,
) -> None:
    """Log what is done with steps that stay in the log. rollback: with all that derives from one, see `HeldOut`."""
    with traced("update_memory", core.store.path, namespace=namespace, what=event, count=len(positions)):
        if positions:
            said = {"steps": list(positions), "rollback": rollback or None, "reason": reason}
            body = canonical({name: value for name, value in said.items() if value is not None})
            core.store.append([Record(event, namespace, body=body, logged_at=core.clock())])


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
    """See `Memory.erase`; `again` makes a namespace's crystals again. Hold `core.crystallizing` and `core.lock`."""
    index = core.index(namespace)
    if whole:
        positions = index.positions().tolist()
    else:
        positions = about(core, namespace, subject) if subject else chosen(core, namespace, steps, episode)
    made = {crystal.id for crystal in index.crystals if steps_under(index, crystal.id).intersection(positions)}
    erased = core.store.read(positions)
    quoting = quoting_records(core, set(positions), made) if positions else []
    touched = [namespace, *(record.namespace for record in quoting)] if positions or whole else []
    touched = list(dict.fromkeys(touched))
    report = _report(core, erased, len(made), touched, dry_run)
    if dry_run or not (positions or report.attachments):
        return report
    with traced("delete_memory", core.store.path, namespace=namespace, what="erase", count=report.steps):
        marks = needles(erased)
        events = core.store.scan(namespace, episode=episode) if episode is not None else ()
        gone = sorted({*positions, *(record.position for record in (*quoting, *events))})
        crystallized = [one for one in touched if core.store.version(one).watermark]
        core.store.erase(gone, touched)
        core.archived = 0
        core.forget(gone)
        for one in crystallized if positions else ():
            again(one)
        return report.model_copy(update={"residue": tuple(core.store.residue(marks))})
