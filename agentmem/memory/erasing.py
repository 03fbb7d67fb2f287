"""Erasing: what goes with the steps that are asked for, and that it goes, stays gone, and is looked for afterwards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.index import begin_key, import_key, step_id
from agentmem.memory import certificates, residual
from agentmem.memory.core import Core
from agentmem.memory.expired import expired
from agentmem.memory.holding import check_holds, drop_rules, held, naming
from agentmem.memory.recalling import shown_by
from agentmem.memory.removal import about, chosen, steps_under
from agentmem.records import canonical
from agentmem.store import mark, subject_bars, subjects_of
from agentmem.telemetry import traced
from agentmem.transfer import recall_key
from agentmem.types import Certificate, EraseReport, Namespace, Record, Rule

Again = Callable[[Namespace], object]


@dataclass(frozen=True)
class Request:
    """What is to be erased: a subject, an episode, steps by their ids, all of a namespace, or what has expired there.

    now: as of when it has, in seconds since 1970; by `rules` that are not in force, where they are given. bars:
    subjects that an earlier erasure barred, as its events write them, who are barred again.
    """

    what: Literal["subject", "episode", "steps", "namespace", "expired"]
    name: str | None = None
    steps: Sequence[str] = ()
    bars: tuple[str, ...] = ()
    rules: Sequence[Rule] | None = None
    now: float | None = None


@dataclass(frozen=True)
class Going:
    """What goes: steps asked for, further events, and the namespaces that held or showed it; crystals by id.

    quoting: of the events, the recalls that showed or repeat it.
    """

    steps: list[Record]
    events: list[Record]
    touched: list[Namespace]
    crystals: set[str]
    quoting: Sequence[Record] = ()

    @property
    def records(self) -> list[Record]:
        return sorted({one.position: one for one in (*self.steps, *self.events)}.values(), key=lambda one: one.position)


def going(core: Core, namespace: Namespace, request: Request) -> Going:
    """What a request takes with it. HeldError where a hold is on a step of it. Hold `core.lock`."""
    index = core.index(namespace)
    positions = _asked(core, namespace, request)
    made = {crystal.id for crystal in index.crystals if steps_under(index, crystal.id).intersection(positions)}
    asked = core.store.read(positions)
    steps, events = ([one for one in asked if (one.type == "step") is is_step] for is_step in (True, False))
    quoting = quoting_records(core, set(positions), made) if positions else []
    events += quoting
    if request.what == "episode":
        events += core.store.scan(namespace, episode=request.name)
    if request.what == "subject":
        events += [*_consents(core, namespace, request), *naming(core, namespace, request.name)]
    check_holds(core, namespace, steps, events)
    touched = [namespace, *(record.namespace for record in quoting)] if positions or request.what == "namespace" else []
    return Going(steps, events, list(dict.fromkeys(touched)), made, quoting)


def _asked(core: Core, namespace: Namespace, request: Request) -> list[int]:
    if request.what == "namespace":
        return [record.position for record in core.store.scan(namespace) if record.type != "erased"]
    if request.what == "subject":
        return about(core, namespace, request.name or "")
    if request.what == "expired":
        index = core.index(namespace)
        rules = index.ruled.rules if request.rules is None else request.rules
        return expired(core.store, index, rules, request.now).tolist() if rules else []
    return chosen(core, namespace, request.steps if request.what == "steps" else None, request.name)


def _consents(core: Core, namespace: Namespace, request: Request) -> list[Record]:
    """What was said of a subject's consent; the erasure bars it from here on."""
    own = set(subject_bars(core.store.salts(namespace), request.name or ""))
    records = core.store.scan(namespace, types=["consent"])
    return [record for record in records if own.intersection(json.loads(record.body)["bars"])]


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
    texts, marks = {record.text.strip() for record in steps} - {""}, residual.needles(steps)
    whole = "\n".join(sorted(texts)).encode()

    def repeats(cue: str) -> bool:
        said = cue.encode()
        if cue.strip() in texts or any(one in said for one in marks):
            return True
        return any(one in whole for one in residual.lines_of([cue]))

    return repeats


# ---- what is said of it ----------------------------------------------------------------------------------------------


def preview(core: Core, namespace: Namespace, request: Request, going: Going) -> EraseReport:
    """All that goes, counted."""
    index, gone = core.index(namespace), {record.position for record in going.records}
    layers = Counter(index.crystal(id).layer for id in going.crystals)
    subjects = {name for step in going.steps for name in subjects_of(step.body)}
    return EraseReport(
        dry_run=True,
        steps=len(going.steps),
        crystals=len(going.crystals),
        episodes=len({step.episode for step in going.steps}),
        layers=dict(sorted(layers.items())),
        states=sum(state.position in gone for _, state in core.store.states(namespace)),
        recalls=sum(event.type == "recall" for event in {one.position: one for one in going.events}.values()),
        keys=sum(record.key is not None for record in going.steps),
        blobs=len(_own_blobs(core, going)),
        attachments=tuple((one, name) for one in going.touched for name in core.store.attachments(one)),
        others=tuple(sorted(subjects - {request.name})) if request.what == "subject" else tuple(sorted(subjects)),
        repeats=residual.repeats(core, going.steps),
    )


def _own_blobs(core: Core, going: Going) -> set[str]:
    """Blobs that no step has but those that go."""
    own = _blobs(going.steps)
    gone = {step.position for step in going.steps}
    return own - _blobs(one for one in core.store.scan(types=["step"]) if one.position not in gone) if own else own


def _blobs(steps: Any) -> set[str]:
    bodies = (json.loads(step.body) for step in steps if '"blobs"' in step.body)
    return {digest for body in bodies for digest in body.get("blobs", {}).values()}


# ---- erasing ---------------------------------------------------------------------------------------------------------


def erase(
    core: Core, namespace: Namespace, request: Request, again: Again, who: str | None, files: Sequence[Path] = ()
) -> EraseReport:
    """Erase, have crystals made again, look for residue, and log both. Hold `core.crystallizing` and `core.lock`.

    An erasure that finds nothing logs nothing, unless it bars subjects again. files: exports and backups to look into.
    """
    while True:
        generation = core.store.version(namespace).generation
        try:
            goes = going(core, namespace, request)
            report = preview(core, namespace, request, goes)
        except NotFoundError:
            if core.unchanged({namespace: generation}):
                raise
            continue  # another process erased some of it meanwhile
        if request.what == "subject" and drop_rules(core, namespace, request.name, who):
            continue
        if not (goes.records or report.attachments or request.bars):
            return report.model_copy(update={"dry_run": False})
        with traced("delete_memory", core.store.path, namespace=namespace, what="erase", count=report.steps):
            if (done := _erase(core, namespace, request, goes, report, generation, again, who, files)) is not None:
                return done


def _erase(
    core: Core,
    namespace: Namespace,
    request: Request,
    goes: Going,
    report: EraseReport,
    generation: int,
    again: Again,
    who: str | None,
    files: Sequence[Path],
) -> EraseReport | None:
    """None, and nothing done, where something else was erased, or held, since what goes was looked for."""
    touched = goes.touched or [namespace]
    crystallized = [one for one in touched if core.store.version(one).watermark]
    act = _act(core, namespace, request, goes, report, who)
    if not _remove(core, namespace, request, goes, act, generation):
        return None
    late = _late(core, namespace, request, json.loads(act.body)["before"]["position"])
    if late.records:
        _remove(core, namespace, request, late)
    for one in crystallized if goes.records else ():
        again(one)
    found = residual.scan(core, [*goes.records, *late.records], touched, files)
    surfaces = {surface: len(places) for surface, places in found.items()}
    after = {**certificates.moment(core, touched), "late": len(late.steps)}
    certificate = certificates.conclude(core, act, after, surfaces)
    residue = tuple(place for places in found.values() for place in places)
    told = {"dry_run": False, "residue": residue, "surfaces": surfaces, "certificate": certificate}
    return report.model_copy(update=told)


def _remove(
    core: Core,
    namespace: Namespace,
    request: Request,
    goes: Going,
    act: Record | None = None,
    generation: int | None = None,
) -> bool:
    gone = [record.position for record in goes.records]
    expected, keys = None if generation is None else (namespace, generation), _keys(core, namespace, request, goes)
    if not core.store.erase(gone, goes.touched or [namespace], act, keys, expected):
        return False
    core.archived = 0
    core.forget(gone)
    return True


def _late(core: Core, namespace: Namespace, request: Request, after: int) -> Going:
    """What another process logged about a subject after it was looked for and before it was barred."""
    late = about(core, namespace, request.name, after) if request.what == "subject" and request.name else []
    late = sorted(set(late) - held(core, namespace)) if late else []
    if not late:
        return Going([], [], [], set())
    return Going(core.store.read(late), quoting_records(core, set(late), set()), [namespace], set())


def _act(
    core: Core, namespace: Namespace, request: Request, goes: Going, report: EraseReport, who: str | None
) -> Record:
    """The event that is logged with an erasure."""
    salt, bars = certificates.salt_of(core), _bars(core, namespace, request)
    at = core.clock()
    if request.what == "subject":  # whatever a clock that was set back says, it is later than a consent
        at = max(at, (core.store.barred(namespace, request.name or "") or ("", at))[1])
    counts = {name: getattr(report, name) for name in ("steps", "crystals", "episodes", "states", "recalls", "keys")}
    counts |= {"blobs": report.blobs, "attachments": len(report.attachments)}
    counts |= {str(layer): number for layer, number in report.layers.items()}
    before = certificates.moment(core, goes.touched or [namespace])
    body = {
        "bars": bars,
        "before": before,
        "counts": counts,
        "id": mark(salt, "erasure", before["hash"], str(at), request.what).hex()[:16],
        "marks": _marks(salt, request, goes),
        "request": request.what,
        "salt": salt.hex(),
        "scope": certificates.scope_of(salt, namespace),
    }
    where = _where(core, namespace, request, bars)
    return Record("erased", where, actor=who, body=canonical(body), logged_at=at)


def _where(core: Core, namespace: Namespace, request: Request, bars: Sequence[str]) -> Namespace:
    """Where an erasure is logged: in its namespace, unless nothing is left there that would keep its name."""
    if request.what != "namespace" or bars or any(core.store.scan(namespace, types=["erased"])):
        return namespace
    return ()


def _marks(salt: bytes, request: Request, goes: Going) -> list[str]:
    if request.what == "steps":
        return [certificates.step_mark(salt, step) for step in goes.steps]
    return [mark(salt, request.what, request.name).hex()] if request.name is not None else []


def _bars(core: Core, namespace: Namespace, request: Request) -> list[str]:
    """The subjects that are not logged about from here on: the one that is erased, and in a namespace all of which goes
    those whose consent was withdrawn.
    """
    if request.what == "subject" and request.name is not None:
        salts = dict.fromkeys((certificates.salt_of(core), *core.store.salts(namespace)))
        return sorted({*subject_bars(salts, request.name), *request.bars})
    if request.what == "namespace":
        withdrawn = core.index(namespace).withdrawn
        return sorted({bar for bar, (_, held) in withdrawn.items() if held is not None}.union(request.bars))
    return list(request.bars)


def _keys(core: Core, namespace: Namespace, request: Request, goes: Going) -> list[tuple[Namespace, str]]:
    """Keys that were none, and by which a line of an older export would come back."""
    salt = certificates.salt_of(core).hex()
    keys = [
        (step.namespace, import_key(step.episode, step_id(step.position))) for step in goes.steps if step.key is None
    ]
    keys += [(one.namespace, recall_key(one, salt)) for one in goes.events if one.type == "recall"]
    if request.what in ("episode", "namespace"):
        # what never began, as the items of a store, may be gone on with
        begun = {one.episode for one in goes.records if one.type == "begin" and one.namespace == namespace}
        keys += [(namespace, begin_key(episode)) for episode in sorted(filter(None, begun))]
    return keys


def erase_again(
    core: Core, certificate: Certificate, again: Again, who: str | None, dry_run: bool = False
) -> list[EraseReport]:
    """Do to a restored copy what a certificate says was done. Hold `core.crystallizing` and `core.lock`."""

    def do(namespace: Namespace, request: Request) -> EraseReport:
        if dry_run:
            return preview(core, namespace, request, going(core, namespace, request))
        return erase(core, namespace, request, again, who)

    bars = tuple(f"{certificate.salt}:{one}" for one in certificate.marks) if certificate.request == "subject" else ()
    done = []
    for namespace, names in certificates.named(core, certificate):
        if certificate.request == "expired":
            requests = [_by_rules(core, namespace)]
        elif certificate.request in ("steps", "namespace"):
            requests = [Request(certificate.request, steps=names)] if names else []
        else:
            requests = [Request(certificate.request, name, bars=bars) for name in names]
        if not requests and bars:
            requests = [Request("subject", bars=bars)]
        done += [do(namespace, request) for request in requests]
    return done


def _by_rules(core: Core, namespace: Namespace) -> Request:
    """A certificate of what expired names no steps: in a copy the rules tell again what has."""
    if not core.index(namespace).ruled.rules:
        raise InvalidInputError(
            f"the certificate is of what expired, and namespace {namespace} of this copy has no rules: retain() them "
            "there, then expire()"
        )
    return Request("expired", now=core.clock())
