"""What a memory tells of itself: consent, changes, and, where it keeps a log of them, accesses.

Consent stands in the log, beside the events of episodes; what is no event of the log stands in the ledger.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from agentmem.errors import InvalidInputError, ReadOnlyError
from agentmem.memory.certificates import salt_of
from agentmem.memory.core import Core
from agentmem.memory.removal import about
from agentmem.records import canonical
from agentmem.store import subject_bars
from agentmem.types import RECORD_TYPES, Change, Namespace, Note, Record

ACCESS = "access: "
EVENTS = [name for name in RECORD_TYPES if name not in ("step", "recall")]
_TOLD = ("request", "counts", "given", "id", "name", "held")  # of an event's body


def consent(core: Core, namespace: Namespace, subject: str, given: bool, note: str | None, who: str | None) -> int:
    """Log that consent was given or withdrawn; returns how many steps are about the subject. Hold `core.lock`."""
    salts = dict.fromkeys((salt_of(core), *core.store.salts(namespace)))
    positions = about(core, namespace, subject)
    body = {"bars": subject_bars(salts, subject), "given": given, "steps": positions}
    said = body if note is None else body | {"note": note}
    # However the clock was set, what is said last counts.
    at = max(core.clock(), (core.store.barred(namespace, subject) or ("", 0.0))[1])
    core.store.append([Record("consent", namespace, actor=who, body=canonical(said), logged_at=at)])
    return len(positions)


def note(core: Core, what: str, who: str | None, namespace: Namespace | None, **detail: Any) -> None:
    """Note a change that is no event of the log; a memory that is opened to read notes nothing."""
    if not core.read_only:
        core.store.note(core.clock(), what, who, namespace, detail)


def access(core: Core, what: str, who: str | None, spaces: Sequence[Namespace | None], *told: str | None) -> None:
    """Note an access to each of these namespaces (None: the whole file), if this memory keeps a log of them.

    Of what was asked no more than a digest. ReadOnlyError where it keeps one and nothing can be noted.
    """
    if not core.keeps_accesses:
        return
    if core.read_only:
        raise ReadOnlyError(
            f"{core.store.path} keeps a log of accesses and is open to read only, where none can be noted; open it "
            "without read_only to read what was logged"
        )
    asked = {"asked": digest_of(core, *told)} if told else {}
    for namespace in spaces:
        core.store.note(core.clock(), ACCESS + what, who, namespace, asked)


def digest_of(core: Core, *told: str | None) -> str:
    """What stands for a cue, an id or a path: who knows it can find it again."""
    return hmac.digest(salt_of(core), json.dumps(told).encode(), hashlib.sha256).hex()[:24]


def changes(core: Core, namespaces: Sequence[Namespace] | None) -> list[Change]:
    """Events of the log and rows of the ledger that are no accesses, in order. None: of all namespaces."""
    spaces = core.store.namespaces() if namespaces is None else namespaces
    found = [_event(core, record) for space in spaces for record in core.store.scan(space, types=EVENTS)]
    rows = {row.number: row for row in _rows(core, namespaces) if row.what != "erased"}
    found += [_row(row) for row in rows.values() if not row.what.startswith(ACCESS)]
    return sorted((one for one in found if one is not None), key=lambda change: (change.position, change.at))


def accesses(core: Core, namespaces: Sequence[Namespace] | None) -> list[Change]:
    """Rows of the ledger that are accesses, in order; InvalidInputError unless the memory keeps a log of them."""
    if not core.keeps_accesses:
        raise InvalidInputError("this memory keeps no log of accesses; a new one does, with access_log=True")
    rows = {row.number: row for row in _rows(core, namespaces) if row.what.startswith(ACCESS)}
    return [_row(row) for _, row in sorted(rows.items())]


def _rows(core: Core, namespaces: Sequence[Namespace] | None) -> list[Note]:
    each: Sequence[Namespace | None] = [None] if namespaces is None else namespaces
    return [row for namespace in each for row in core.store.notes(namespace)]


def _row(row: Note) -> Change:
    at = datetime.fromtimestamp(row.at, UTC)
    what = row.what.removeprefix(ACCESS)
    return Change(
        position=row.position, at=at, what=what, who=row.who, namespace=row.namespace, detail=dict(row.detail)
    )


def _event(core: Core, record: Record) -> Change | None:
    body = json.loads(record.body)
    if record.type == "erased" and "request" not in body:
        return None  # what was found after the erasure before it
    agent = _agent(core, record) if record.type in ("begin", "end") else None
    return Change(
        position=record.position,
        at=datetime.fromtimestamp(record.logged_at, UTC),
        what=record.type,
        who=record.actor or agent,
        namespace=record.namespace,
        episode=record.episode,
        detail=_detail(body),
    )


def _detail(body: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: body[name] for name in _TOLD if name in body}
    return told | {name: len(body[name]) for name in ("steps", "rules") if name in body}


def _agent(core: Core, record: Record) -> str | None:
    with core.lock:
        episode = core.index(record.namespace).episodes.get(record.episode or "")
    return episode.agent if episode is not None else None
