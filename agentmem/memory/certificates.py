"""Certificates of erasures: what the log keeps of one, and whether it still stands there.

An erasure is two events of the log: the first is logged with it, in the same transaction, and bars its subjects; the
second says what a look for residue found afterwards, and is witnessed by a row of the ledger. Neither holds content.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.index import import_key, step_id
from agentmem.memory.core import Core
from agentmem.records import brief, canonical, why_of
from agentmem.store import mark, subjects_of
from agentmem.types import Certificate, Namespace, Note, Record, Verification

SALT = "salt"


def salt_of(core: Core) -> bytes:
    """The salt of this memory's digests, made when it is first needed."""
    known = core.store.setting(SALT)
    if known is None:
        core.store.put_setting(SALT, known := os.urandom(16).hex())
    return bytes.fromhex(known)


def scope_of(salt: bytes, namespace: Namespace) -> str:
    return mark(salt, "namespace", *namespace).hex()


def step_mark(salt: bytes, record: Record) -> str:
    """A step wherever it was exported or copied to."""
    return mark(salt, "step", record.key or import_key(record.episode, step_id(record.position))).hex()[:16]


def moment(core: Core, namespaces: Sequence[Namespace]) -> dict[str, Any]:
    """Where the log ends, and the generations of namespaces."""
    head = core.store.head()
    generations = [core.store.version(namespace).generation for namespace in namespaces]
    return {"position": head.position, "hash": head.hash.hex(), "erasures": head.erasures, "generations": generations}


def conclude(core: Core, act: Record, after: Mapping[str, Any], surfaces: Mapping[str, int]) -> Certificate:
    """Log what was found after an erasure, and witness it; returns the certificate."""
    id = json.loads(act.body)["id"]
    body = canonical({"bars": [], "id": id, "after": after, "surfaces": surfaces})
    (record,) = core.store.append([Record("erased", act.namespace, body=body, logged_at=core.clock())])
    chain, rechained = core.store.chain_at(record.position)
    told = {"id": id, "chain": (chain or b"").hex(), "rechained": rechained}
    core.store.note(record.logged_at, "erased", act.actor, act.namespace, told)
    return next(one for one in certificates(core, [act.namespace]) if one.id == id)


def certificates(core: Core, namespaces: Iterable[Namespace]) -> list[Certificate]:
    """The certificates that the logs of these namespaces keep, in their order."""
    witnessed = {note.detail["id"]: note for note in core.store.notes() if note.what == "erased"}
    found = dict[str, list[Record]]()
    for namespace in namespaces:
        for record in core.store.scan(namespace, types=["erased"]):
            found.setdefault(json.loads(record.body)["id"], []).append(record)
    made = (_made(core, records, witnessed.get(id)) for id, records in found.items())
    return sorted((one for one in made if one is not None), key=lambda one: one.position)


def _made(core: Core, records: Sequence[Record], note: Note | None) -> Certificate | None:
    """The certificate in the events of one erasure; an import may have brought no more than the second."""
    act, last = records[0], records[-1]
    body = json.loads(act.body)
    if "request" not in body:
        return None
    if note is None:  # imported: as the log stands here
        chain, rechained = core.store.chain_at(last.position)
        witness: dict[str, Any] = {"chain": (chain or b"").hex(), "rechained": rechained}
    else:
        named = {name: note.detail[name] for name in ("chain", "rechained")}
        witness = {**named, "note": note.number, "note_chain": note.chain.hex()}
    told: dict[str, Any] = {**body, **json.loads(last.body), **witness, "who": act.actor, "position": last.position}
    told["at"] = datetime.fromtimestamp(act.logged_at, UTC)
    return Certificate(**{name: told[name] for name in Certificate.model_fields if name in told})


def confirm(core: Core, certificate: Certificate) -> Verification:
    """Whether a memory's log and ledger say what a certificate says."""
    problems = list(_against(core, certificate))
    return Verification(ok=not problems, problems=tuple(problems), checked={"certificates": 1})


def _against(core: Core, given: Certificate) -> Iterator[str]:
    known = {one.id: one for one in certificates(core, core.store.namespaces())}
    if (own := known.get(given.id)) is None:
        yield f"the log has no erasure {given.id}; the memory is another, or a copy from before: erase_again() with it"
        return
    for name in Certificate.model_fields:
        if getattr(own, name) != getattr(given, name):
            said, there = brief(getattr(given, name)), brief(getattr(own, name))
            yield f"{name} is {said} in the certificate and {there} in the log"
    chain, rechained = core.store.chain_at(given.position)
    if rechained == given.rechained and (chain or b"").hex() != given.chain:  # else only the ledger can tell
        yield f"the log at position {given.position} has another hash than {given.chain[:16]}"


def read_certificate(given: Certificate | str | bytes | Mapping[str, Any]) -> Certificate:
    """A certificate as it is, or from its JSON; InvalidInputError for what is none."""
    if isinstance(given, Certificate):
        return given
    try:
        if isinstance(given, str | bytes):
            return Certificate.model_validate_json(given)
        return Certificate.model_validate(given)
    except ValidationError as error:
        why, given = why_of(error), given.decode(errors="replace").strip() if isinstance(given, bytes) else given
        raise InvalidInputError(f"{brief(given)} is no certificate of an erasure ({why}); give one whole") from None


def named(core: Core, certificate: Certificate) -> list[tuple[Namespace, list[str]]]:
    """The namespaces that a certificate means, each with the subjects, episodes or step ids of it that are there."""
    salt, found = bytes.fromhex(certificate.salt), []
    for namespace in core.store.namespaces():
        if scope_of(salt, namespace) == certificate.scope:
            found.append((namespace, sorted(_meant(core, namespace, salt, certificate))))
    if not found:
        raise NotFoundError("no namespace of this memory is the certificate's; open the memory that it is of")
    return found


def _meant(core: Core, namespace: Namespace, salt: bytes, certificate: Certificate) -> set[str]:
    wanted = set(certificate.marks)
    if certificate.request == "episode":
        names = core.index(namespace).episodes
        return {name for name in names if mark(salt, "episode", name).hex() in wanted}
    steps = list(core.store.scan(namespace, types=["step"]))
    if certificate.request == "steps":
        return {step_id(step.position) for step in steps if step_mark(salt, step) in wanted}
    if certificate.request == "namespace":
        return {step_id(step.position) for step in steps}
    subjects = {subject for step in steps for subject in subjects_of(step.body)}
    return {subject for subject in subjects if mark(salt, "subject", subject).hex() in wanted}
