"""Import: lines back into a log, each once, in batches."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from agentmem.errors import ErasedError, InvalidInputError, NotFoundError
from agentmem.index import begin_key, import_key, runs_of, step_id, step_position
from agentmem.records import brief, canonical, check_name, check_namespace, digest, record_of
from agentmem.terms import terms_of
from agentmem.transfer.line import EVENT_FIELDS, EVENTS, KEYWORDS, check_event, check_fields, iso
from agentmem.types import Namespace, Record, RecordType, Store

BATCH = 500
_RECALLED = ("asked", "hits", "steps")

Bad = Callable[[int, str], None]
"""Called with a line's number and what is wrong with it; raises LineError, or takes note."""


class LineError(InvalidInputError):
    """A line was refused, and is named in the message."""


class Waiting(NamedTuple):
    number: int
    record: Record
    blobs: dict[str, bytes]
    line_id: str


class Importer:
    """Logs lines, each once, in batches; `flush` logs the last one.

    namespace: where lines go that name none; unless it is (), where all lines go. steps, known: steps that are new, and
    steps that were logged before. episodes: those met.
    """

    def __init__(self, store: Store, namespace: Namespace, now: Callable[[], float], bad: Bad) -> None:
        self.store, self.namespace, self.now, self.bad = store, namespace, now, bad
        self.end = store.head().position
        self.steps = self.known = 0
        self.episodes: set[tuple[Namespace, str]] = set()
        self._open: dict[tuple[Namespace, str | None], bool] = {}
        self._events: set[tuple[Any, ...]] = set()
        self._ids: dict[tuple[Namespace, str], int] = {}
        self._waiting: list[Waiting] = []
        for record in store.scan(types=EVENTS):
            self._note(record)

    def add(self, number: int, line: Mapping[str, Any]) -> None:
        """Take in one line; `number` is for messages."""
        try:
            self._add(number, line)
        except LineError:  # of one that was waiting, and is logged before this one
            raise
        except InvalidInputError as error:
            self.bad(number, str(error))

    def end_episode(self, number: int, episode: str) -> None:
        """End an episode that has not ended."""
        if self._open.get((self.namespace, episode)):
            self._wait(number, Record("end", self.namespace, episode, logged_at=self.now()))

    def flush(self) -> None:
        """Log what is waiting. Where a batch is refused, its records are logged one by one, to find which is bad."""
        waiting, self._waiting = self._waiting, []
        try:
            self._append(waiting)
        except InvalidInputError:
            for one in waiting:
                try:
                    self._append([one])
                except InvalidInputError as error:
                    self.bad(one.number, str(error))

    def _append(self, waiting: Sequence[Waiting]) -> None:
        blobs = {name: data for one in waiting for name, data in one.blobs.items()}
        records = self.store.append([one.record for one in waiting], blobs) if waiting else []
        for one, record in zip(waiting, records, strict=True):
            if record.type == "step":
                self._count(one.line_id, record)

    def _count(self, line_id: str, record: Record) -> None:
        self._ids[record.namespace, line_id] = record.position
        self.steps += record.position > self.end
        self.known += record.position <= self.end

    def _add(self, number: int, line: Mapping[str, Any]) -> None:
        type = line.get("type", "step")
        if type == "step":
            self._step(number, line)
        elif type in EVENTS:
            self._event(number, type, line)
        elif type == "attachment":
            self._attachment(line)
        elif type != "crystal":
            known = ", ".join(("crystal", "attachment", *EVENTS))
            raise InvalidInputError(f"type {brief(type)} is unknown; it is step (or left out), {known}")

    def _step(self, number: int, line: Mapping[str, Any]) -> None:
        namespace, episode = self._place(line), check_name("episode", line.get("episode", ""))
        line_id = check_name("id", line.get("id") or line.get("key", ""))
        record, blobs = self._record(namespace, episode, line_id, line)
        known = self._as_it_is(line_id, record)
        if known:
            self.episodes.add((namespace, episode))
            self._count(line_id, known)
            return
        self._check_episode(namespace, episode)
        if (namespace, episode) not in self._open:
            self._wait(number, Record("begin", namespace, episode, logged_at=record.logged_at))
        self.episodes.add((namespace, episode))
        self._wait(number, record, blobs, line_id)

    def _record(
        self, namespace: Namespace, episode: str, line_id: str, line: Mapping[str, Any]
    ) -> tuple[Record, dict[str, bytes]]:
        """A line as a record, and its blobs by digest."""
        check_fields(line)
        given = {name: line[name] for name in (*KEYWORDS, "recalled", "recalled_trust") if name in line}
        given["key"] = line.get("key") or import_key(episode, line_id)
        given["blobs"] = {name: _bytes(f"blob {brief(name)}", text) for name, text in line.get("blobs", {}).items()}
        replied = self._position(namespace, episode, line["reply_to"]) if line.get("reply_to") is not None else 0
        given["reply_to"] = step_id(replied) if replied else None
        given["recalled_from"] = self._positions(namespace, line.get("recalled_from", ()))
        kind, at = line.get("kind", "observation"), self._logged_at(line)
        record = record_of(namespace, episode, line["text"], kind, at, replied, **given)
        if said := {name: line[name] for name in ("lost", "masked") if name in line}:
            record = replace(record, body=canonical({**json.loads(record.body), **said}))
            record = replace(record, terms=terms_of(record))
        return record, {digest(data): data for data in given["blobs"].values()}

    def _as_it_is(self, line_id: str, record: Record) -> Record | None:
        """The logged step that a line was exported from, when it is read back into the same memory."""
        position = step_position(line_id)
        if not 0 < position <= self.end:
            return None
        try:
            (logged,) = self.store.read([position])
        except NotFoundError:
            return None
        (admitted,) = self.store.admitted([record])
        there = replace(admitted, key=None, position=position, logged_at=logged.logged_at, terms=logged.terms)
        return logged if there == logged else None

    def _attachment(self, line: Mapping[str, Any]) -> None:
        """Attach what a line holds, unless it is there already."""
        namespace, name = self._place(line), check_name("name", line.get("name", ""))
        content = _bytes(f"the content of attachment {name!r}", line.get("content"))
        if name not in self.store.attachments(namespace):
            self.store.attach(namespace, name, content)
        elif self.store.attachment(namespace, name) != content:
            where = f"attachment {name!r} of namespace {namespace}"
            raise InvalidInputError(f"{where} is there with other content; detach it first, or leave the line out")

    def _event(self, number: int, type: RecordType, line: Mapping[str, Any]) -> None:
        check_event(type, line)
        self.flush()  # what it refers to has its position then
        namespace, episode = self._place(line), line.get("episode")
        body = {name: value for name, value in line.items() if name not in EVENT_FIELDS}
        if "steps" in body:
            body["steps"] = self._positions(namespace, body["steps"])
        if type == "recall":
            body["hits"] = self._hits(namespace, body)
            body["as_of"] = body.get("as_of") and self._named(namespace, body["as_of"])
            if "without" in body.get("asked", {}):
                there = self._positions(namespace, body["asked"]["without"])
                body["asked"] = {**body["asked"], "without": runs_of(there, np.arange(max(there, default=0) + 1))}
        record = Record(
            type,
            namespace,
            check_name("episode", episode) if episode is not None else None,
            actor=line.get("actor"),
            text=line.get("text", ""),
            body=canonical(body),
            logged_at=self._logged_at(line),
        )
        (record,) = self.store.admitted([record])
        if _event_key(record) not in self._events:
            if record.episode is not None:
                self._check_episode(namespace, record.episode)
            self._check_subjects(namespace, body)
            if type == "recall" and self.store.refuses(namespace, recall_key(record, self.store.setting("salt"))):
                raise ErasedError("the recall showed, or repeats, what was erased, and was erased with it")
            self._wait(number, record)
            if type in ("erased", "consent"):
                self.flush()  # it bars, or lets in, what comes after it

    def _check_episode(self, namespace: Namespace, episode: str) -> None:
        if self.store.refuses(namespace, begin_key(episode)):
            raise ErasedError(f"episode {episode!r} was erased; nothing of it is taken in again")

    def _check_subjects(self, namespace: Namespace, body: Mapping[str, Any]) -> None:
        """ErasedError for rules or a hold that name a subject who was erased."""
        for said in (body, *body.get("rules", ())):
            subject = said.get("subject")
            if subject is not None and (self.store.barred(namespace, subject) or ("", 0))[0] == "erased":
                raise ErasedError(f"it names subject {subject!r}, who was erased; consent({subject!r}) lets it in")

    def _wait(self, number: int, record: Record, blobs: dict[str, bytes] | None = None, line_id: str = "") -> None:
        self._waiting.append(Waiting(number, record, blobs or {}, line_id))
        if record.type != "step":
            self._note(record)
        if len(self._waiting) >= BATCH:
            self.flush()

    def _note(self, record: Record) -> None:
        self._events.add(_event_key(record))
        if record.type in ("begin", "end"):
            self._open[record.namespace, record.episode] = record.type == "begin"

    def _place(self, line: Mapping[str, Any]) -> Namespace:
        return self.namespace or check_namespace(line.get("namespace", ()))

    def _position(self, namespace: Namespace, episode: str, line_id: str) -> int:
        """Where the step of a line stands in this log."""
        if any(one.line_id == line_id and one.record.namespace == namespace for one in self._waiting):
            self.flush()
        if (namespace, line_id) in self._ids:
            return self._ids[namespace, line_id]
        for key in (line_id, import_key(episode, line_id)):
            if found := self.store.keyed(namespace, key):
                return found.position
        raise InvalidInputError(f"reply_to {brief(line_id)} is the id of no line before this one")

    def _positions(self, namespace: Namespace, line_ids: Sequence[str]) -> list[int]:
        """Where the steps of lines stand in this log; ids of no line so far are left out."""
        if line_ids and self._waiting:
            self.flush()
        return [self._ids[namespace, line_id] for line_id in line_ids if (namespace, line_id) in self._ids]

    def _named(self, namespace: Namespace, name: str) -> str:
        position = self._ids.get((namespace, name))
        return name if position is None else step_id(position)

    def _hits(self, namespace: Namespace, body: Mapping[str, Any]) -> list[str]:
        """The hits of a recall by their ids in this log; steps of no line so far are left out: here such an id is
        another step's.
        """
        read = [namespace, *map(tuple, body.get("asked", {}).get("read", ()))]
        named = []
        for hit in body.get("hits", ()):
            place = next((place for place in read if (place, hit) in self._ids), None)
            if place is not None:
                named.append(step_id(self._ids[place, hit]))
            elif step_position(hit) < 0:  # a crystal
                named.append(hit)
        return named

    def _logged_at(self, line: Mapping[str, Any]) -> float:
        if "logged_at" not in line:
            return self.now()
        try:
            moment = datetime.fromisoformat(line["logged_at"])
            at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            iso(at.timestamp())  # which has no year 10000
            return at.timestamp()
        except (TypeError, ValueError):
            raise InvalidInputError(f"logged_at {brief(line['logged_at'])} is no ISO time") from None


def _bytes(what: str, text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{what} is not base64") from None


def recall_key(record: Record, salt: str | None) -> str:
    """What stands for a recall record that was erased, so that it is not imported again: no more than a digest."""
    said = json.dumps(_event_key(record), ensure_ascii=False).encode()
    return f"\x00recall/{hmac.digest(bytes.fromhex(salt or ''), said, 'sha256').hex()[:32]}"


def _event_key(record: Record) -> tuple[Any, ...]:
    """What two lines of the same event have in common; not how a recall was put nor what it showed, of which an erasure
    or an export may take some.
    """
    body = record.body
    if record.type == "recall":
        body = canonical({name: value for name, value in json.loads(body).items() if name not in _RECALLED})
    return record.type, record.namespace, record.episode, record.text, body, iso(record.logged_at)
