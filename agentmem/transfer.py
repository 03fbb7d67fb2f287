"""Export and import: the log as lines of JSON, and back.

One line per record, UTF-8, in log order. A step has `id`, `episode`, `kind`, `text`, those other keywords of `log` that
are not at their defaults (blobs as base64), and `logged_at`. A line with a `type` is an event:

    {"type": "begin", "episode": "e1", "goal": "open the red door", "logged_at": "2026-01-01T00:00:00+00:00"}
    {"id": "s00000000002", "episode": "e1", "kind": "observation", "text": "It is locked.", "logged_at": "..."}
    {"type": "forget", "steps": ["s00000000002"], "logged_at": "..."}

Ids: where a log has gaps (something was erased, or one namespace is exported alone) an import cannot give the same step
ids. So a line's `id` is the step's key if it has one, and else its step id, which an import makes part of the key. That
is why an import can be repeated, continued, and exported again to the same bytes. `reply_to`, and the steps of events,
are such ids.

Crystals are written with `derived` only, and not read back: they are made again from the steps.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from agentmem.errors import InvalidInputError, NotFoundError, StoreError
from agentmem.index import STEP, step_id, step_position
from agentmem.records import canonical, check_name, check_namespace, digest, record_of
from agentmem.types import RECORD_TYPES, Namespace, Record, RecordType, Store

EVENTS = tuple(name for name in RECORD_TYPES if name != "step")
POSITIONS = ("steps", "recalled_from")
"""Fields that are lists of log positions in a record, and of line ids in a line."""
KEYWORDS = ("actor", "at", "data", "blobs", "reward", "terminated", "truncated", "key", "reply_to", "subjects", "trust")
EVENT_FIELDS = ("type", "namespace", "episode", "text", "logged_at")
STEP_FIELDS = ("id", *EVENT_FIELDS, "kind", *KEYWORDS, "recalled", "recalled_from", "lost")
BATCH = 500


def dump(value: Mapping[str, Any]) -> str:
    """One line of JSON, without its line break."""
    return json.dumps(value, ensure_ascii=False)


def import_key(episode: str | None, line_id: str) -> str:
    """The key of a step that came without one: the same line of the same episode always gets the same."""
    return f"import:{episode}/{line_id}"


# ---- out ---------------------------------------------------------------------------------------------------------


class Exporter:
    """The log of some namespaces as lines."""

    def __init__(self, store: Store, namespaces: Sequence[Namespace]) -> None:
        self.store = store
        self.namespaces = frozenset(namespaces)
        self._end = store.head().position  # what is logged from here on stays out, and so do references to it
        self._steps = {namespace: _step_positions(store, namespace) for namespace in namespaces}
        self._ids: dict[int, str] = {}

    def lines(self, derived: bool = False) -> Iterator[str]:
        """JSON documents of one line each, without line breaks. derived: then every crystal, too."""
        for record in self.store.scan(upto=self._end):
            if record.namespace in self.namespaces:
                yield dump(self._line(record))
        for namespace in sorted(self.namespaces) if derived else ():
            for _, crystal in self.store.crystals(namespace):
                yield dump({"type": "crystal", **crystal.model_dump(mode="json")})

    def _line(self, record: Record) -> dict[str, Any]:
        line: dict[str, Any] = {"id": self._id_of(record)} if record.type == "step" else {"type": record.type}
        line |= {name: value for name in ("namespace", "episode", "kind", "actor") if (value := getattr(record, name))}
        if record.type == "step" or record.text:
            line["text"] = record.text
        if record.key is not None and record.key == line.get("id"):
            line["key"] = record.key
        return line | self._portable(record) | {"logged_at": _iso(record.logged_at)}

    def _id_of(self, record: Record) -> str:
        if record.key is None:
            return step_id(record.position)
        line_id = record.key.removeprefix(import_key(record.episode, ""))
        self._ids[record.position] = line_id
        return line_id

    def _portable(self, record: Record) -> dict[str, Any]:
        """A record's body with blobs as base64, and line ids for log positions."""
        body: dict[str, Any] = json.loads(record.body)
        if "blobs" in body:
            read = self.store.blob
            body["blobs"] = {name: base64.b64encode(read(digest)).decode() for name, digest in body["blobs"].items()}
        for name in POSITIONS:
            if name in body:
                body[name] = [line_id for position in body[name] if (line_id := self._known(record, position))]
        if replied := self._known(record, step_position(body.pop("reply_to", ""))):
            body["reply_to"] = replied
        if record.type == "recall":
            body["hits"] = [self._named(hit) for hit in body["hits"]]
            body["as_of"] = body["as_of"] and self._named(body["as_of"])
        return body

    def _named(self, name: str) -> str:
        """The line id for a step id; other names as they are."""
        return self._ids.get(step_position(name), name)

    def _known(self, record: Record, position: int) -> str | None:
        """The line id of a step before a record, None if it was erased."""
        steps = self._steps[record.namespace]
        at = int(np.searchsorted(steps, position))
        there = at < len(steps) and steps[at] == position < record.position
        return self._ids.get(position, step_id(position)) if there else None


def _step_positions(store: Store, namespace: Namespace) -> np.ndarray:
    columns = store.columns(namespace)
    positions: np.ndarray = columns.position[columns.type == STEP]
    return positions


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def export(store: Store, namespaces: Sequence[Namespace], path: str | Path, derived: bool = False) -> None:
    """Write the log of these namespaces to a file, gzipped if its name ends in .gz; it appears whole, or not at all.

    An older export is replaced. InvalidInputError where a memory or directory stands; StoreError if it fails.
    """
    path = Path(path)
    _check_target(path, store.path)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as raw, _packed(raw) if path.suffix == ".gz" else nullcontext(raw) as out:
            for line in Exporter(store, namespaces).lines(derived):
                out.write(line.encode() + b"\n")
        part.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write the export {path}: {error.strerror}; choose another place") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _check_target(path: Path, memory: str) -> None:
    if path.is_dir():
        raise InvalidInputError(f"{path} is a directory; give the path of a file in it")
    own = path.resolve().name.startswith(Path(memory).name) and path.resolve().parent == Path(memory).resolve().parent
    if path.is_file() and (own or path.open("rb").read(len(SQLITE)) == SQLITE):
        raise InvalidInputError(f"{path} is a memory, or belongs to one; an export needs a path of its own")


def _packed(raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=raw, mtime=0))


SQLITE = b"SQLite format 3"


# ---- and back ----------------------------------------------------------------------------------------------------

Bad = Callable[[int, str], None]
"""Called with a line's number and what is wrong with it; raises, or takes note."""


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
        elif type != "crystal":
            raise InvalidInputError(f"type {type!r} is unknown; it is step (or left out), crystal, {', '.join(EVENTS)}")

    def _step(self, number: int, line: Mapping[str, Any]) -> None:
        namespace, episode = self._place(line), check_name("episode", line.get("episode", ""))
        line_id = check_name("id", line.get("id") or line.get("key", ""))
        record, blobs = self._record(namespace, episode, line_id, line)
        known = self._as_it_is(line_id, record)
        if known:
            self.episodes.add((namespace, episode))
            self._count(line_id, known)
            return
        if (namespace, episode) not in self._open:
            self._wait(number, Record("begin", namespace, episode, logged_at=record.logged_at))
        self.episodes.add((namespace, episode))
        self._wait(number, record, blobs, line_id)

    def _record(
        self, namespace: Namespace, episode: str, line_id: str, line: Mapping[str, Any]
    ) -> tuple[Record, dict[str, bytes]]:
        """A line as a record, and its blobs by digest."""
        check_fields(line)
        given = {name: line[name] for name in (*KEYWORDS, "recalled") if name in line}
        given["key"] = line.get("key") or import_key(episode, line_id)
        given["blobs"] = {name: _bytes(name, text) for name, text in line.get("blobs", {}).items()}
        replied = self._position(namespace, episode, line["reply_to"]) if line.get("reply_to") is not None else 0
        given["reply_to"] = step_id(replied) if replied else None
        given["recalled_from"] = self._positions(namespace, line.get("recalled_from", ()))
        kind, at = line.get("kind", "observation"), self._logged_at(line)
        record = record_of(namespace, episode, line["text"], kind, at, replied, **given)
        if "lost" in line:
            record = replace(record, body=canonical({**json.loads(record.body), "lost": line["lost"]}))
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
        there = replace(record, key=None, position=position, logged_at=logged.logged_at, terms=logged.terms)
        return logged if there == logged else None

    def _event(self, number: int, type: RecordType, line: Mapping[str, Any]) -> None:
        check_event(type, line)
        self.flush()  # what it refers to has its position then
        namespace, episode = self._place(line), line.get("episode")
        body = {name: value for name, value in line.items() if name not in EVENT_FIELDS}
        if "steps" in body:
            body["steps"] = self._positions(namespace, body["steps"])
        if type == "recall":
            body["hits"] = [self._named(namespace, hit) for hit in body.get("hits", ())]
            body["as_of"] = body.get("as_of") and self._named(namespace, body["as_of"])
        record = Record(
            type,
            namespace,
            check_name("episode", episode) if episode is not None else None,
            text=line.get("text", ""),
            body=canonical(body),
            logged_at=self._logged_at(line),
        )
        if _event_key(record) not in self._events:
            self._wait(number, record)

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
        if (namespace, line_id) not in self._ids:
            self.flush()
        if (namespace, line_id) in self._ids:
            return self._ids[namespace, line_id]
        for key in (line_id, import_key(episode, line_id)):
            if found := self.store.keyed(namespace, key):
                return found.position
        raise InvalidInputError(f"reply_to {line_id!r} is the id of no line before this one")

    def _positions(self, namespace: Namespace, line_ids: Sequence[str]) -> list[int]:
        """Where the steps of lines stand in this log; ids of no line so far are left out."""
        if line_ids and self._waiting:
            self.flush()
        return [self._ids[namespace, line_id] for line_id in line_ids if (namespace, line_id) in self._ids]

    def _named(self, namespace: Namespace, name: str) -> str:
        position = self._ids.get((namespace, name))
        return name if position is None else step_id(position)

    def _logged_at(self, line: Mapping[str, Any]) -> float:
        if "logged_at" not in line:
            return self.now()
        try:
            moment = datetime.fromisoformat(line["logged_at"])
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (TypeError, ValueError):
            raise InvalidInputError(f"logged_at {line['logged_at']!r} is no ISO time") from None


def check_fields(line: Mapping[str, Any]) -> None:
    """InvalidInputError for a field that no step has, or a missing text."""
    for name in line:
        if name not in STEP_FIELDS:
            close = get_close_matches(name, STEP_FIELDS, 1)
            meant = f"did you mean {close[0]!r}?" if close else f"the fields of a step are {', '.join(STEP_FIELDS)}"
            raise InvalidInputError(f"field {name!r} is unknown; {meant}")
    if "text" not in line:
        raise InvalidInputError("the line has no text; a step's text may be empty but must be there")
    check_shapes(line)


def check_event(type: RecordType, line: Mapping[str, Any]) -> None:
    """InvalidInputError for an event that lacks what its type needs, or has it in another shape."""
    check_shapes(line)
    if type in ("forget", "restore", "pin", "recall") and "steps" not in line:
        raise InvalidInputError(f"a {type} has no steps; give a list of step ids")
    if type in ("begin", "end", "recall") and not isinstance(line.get("episode"), str):
        raise InvalidInputError(f"a {type} has the episode {line.get('episode')!r}; give its id")
    for name in ("goal", "agent", "text"):
        if not isinstance(line.get(name, ""), str):
            raise InvalidInputError(f"{name} {line[name]!r} is not a str")
    if not all(isinstance(step, str) for step in line.get("steps", ())):
        raise InvalidInputError(f"steps {line['steps']!r} are not all step ids")


def check_shapes(line: Mapping[str, Any]) -> None:
    """InvalidInputError for a field that is no list, or object, and should be one."""
    for name in ("namespace", "subjects", "recalled", "hits", *POSITIONS):
        if not isinstance(line.get(name, []), list):
            raise InvalidInputError(f"{name} {line[name]!r} is not a list")
    if not isinstance(line.get("blobs", {}), dict):
        raise InvalidInputError(f"blobs {line['blobs']!r} is not an object of names and base64")


def _bytes(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise InvalidInputError(f"blob {name!r} is not base64") from None


def _event_key(record: Record) -> tuple[Any, ...]:
    """What two lines of the same event have in common."""
    return record.type, record.namespace, record.episode, record.text, record.body, _iso(record.logged_at)
