"""Items of a store as steps of the log, and the tables that follow it. Knows no LangGraph.

A put is a step with the data {key, value, ttl, replaces}, in the one episode of its namespace; a read that keeps an
item alive is a step with the data {key} alone. Of several values of a key the last in the log counts.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import merge
from typing import Any, NamedTuple
from weakref import WeakSet

from agentmem.memory import Memory
from agentmem.recall import Weights
from agentmem.records import canonical, check_namespace, record_of
from agentmem.remembered import on_forget
from agentmem.types import Namespace, Record

EPISODE = "items"
ITEMS = Weights(
    neighbours=0, episode=0, best_episode=0, name=0, kind=0, user=0, speaker=0, state=0, date=0, end=0, ends=0, late=0,
    length=0.6,
)  # fmt: skip
"""By words, most by those in quotes, vectors, age and length: items do not follow one another as steps of a run do."""
ROOT = "langgraph.store"
"""The label under which all items stand; LangGraph's own labels have no dots."""
UNTOLD = ("content", "data", "memory", "text", "value")
"""Names of fields that say nothing of what is in them."""
MOST = 20_000  # values that are kept once read
SHORT = 1_000  # characters of a value that is
WORTH = 0.01  # of its time to live, by which a read has to move an item's end to be written down
MINUTE = 60.0


@dataclass(slots=True)
class Entry:
    """Where an item stands. steps: positions of all its steps; shown: of its values that are not forgotten yet;
    position: of its value; times in seconds since 1970; found: whether it has words to be found by."""

    position: int
    created: float
    updated: float
    ttl: float | None
    ends: float | None
    found: bool
    steps: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)


class Place(NamedTuple):
    """Which item: LangGraph's namespace and the key."""

    namespace: Namespace
    key: str


class Tables:
    """What there is in each namespace under a memory's, as of the end of the log when one last followed it."""

    def __init__(self, memory: Memory) -> None:
        self._core, self._root = memory._core, (*memory.namespace, ROOT)
        self.entries: dict[Namespace, dict[str, Entry]] = {}  # in the order of the log
        self.at: dict[int, Place] = {}
        self.timed = False  # whether any item was seen that ends
        self._seen: dict[Namespace, tuple[int, int, int]] = {}  # end of the log, erasures, generation
        self._listed: tuple[tuple[int, int], list[Namespace]] = (-1, -1), []
        self._values: dict[int, dict[str, Any]] = {}
        with _opening:
            _open.add(self)

    def full(self, namespace: Namespace) -> Namespace:
        """The memory's own name of a namespace."""
        return (*self._root, *namespace)

    def namespaces(self) -> list[Namespace]:
        """LangGraph's namespaces in which anything was logged."""
        head = self._core.store.head()
        if self._listed[0] != (head.position, head.erasures):
            size = len(self._root)
            found = [one[size:] for one in self._core.store.namespaces() if one[:size] == self._root]
            self._listed = (head.position, head.erasures), found
        return self._listed[1]

    def follow(self, namespaces: Sequence[Namespace]) -> None:
        """Take in what was logged and erased in these since."""
        head = self._core.store.head()
        for namespace in namespaces:
            position, erasures, generation = self._seen.get(namespace, (0, head.erasures, -1))
            if (position, erasures) == (head.position, head.erasures):
                continue
            now = self._core.store.version(self.full(namespace)).generation
            if now != generation and position and not self._drop_erased(namespace):
                position = 0
            scan = self._core.store.scan(self.full(namespace), position, head.position, EPISODE, ["step"])
            for record in scan:
                self._take(namespace, record)
            self._seen[namespace] = head.position, head.erasures, now

    def take_own(self, records: Sequence[Record]) -> None:
        """Take in what was just logged here, if nobody else logged anything since one followed."""
        if not records:
            return
        size, before = len(self._root), records[0].position - 1
        spaces = {record.namespace[size:] for record in records}
        seen = {namespace: self._seen.get(namespace, (-1, 0, 0)) for namespace in spaces}
        if all(position == before for position, _, _ in seen.values()):
            for record in records:
                if record.type == "step":
                    self._take(record.namespace[size:], record)
            for namespace, (_, erasures, generation) in seen.items():
                self._seen[namespace] = records[-1].position, erasures, generation

    def _drop_erased(self, namespace: Namespace) -> bool:
        """Drop the items all of whose steps were erased; all of them, and False, where of one only the value was."""
        self._values.clear()
        entries = self.entries.get(namespace, {})
        there = set(self._core.store.columns(self.full(namespace)).position.tolist())
        for key, entry in list(entries.items()):
            entry.steps = [step for step in entry.steps if step in there]
            if entry.position not in there:
                del entries[key], self.at[entry.position]
                if entry.steps:
                    for other in self.entries.pop(namespace).values():
                        self.at.pop(other.position, None)
                    return False
        return True

    def values(self, positions: Sequence[int]) -> dict[int, dict[str, Any]]:
        """The values put by the steps at these log positions, of those that were not erased. Not to be changed."""
        found = {position: value for position in positions if (value := self._values.get(position)) is not None}
        missing = [position for position in positions if position not in found]
        read = self._core.read_what_is_there(missing) if missing else []
        found |= {record.position: value_of(record) for record in read}
        if len(self._values) + len(read) > MOST:
            self._values.clear()
        self._values |= {one.position: found[one.position] for one in read if len(one.body) <= SHORT}
        return found

    def _take(self, namespace: Namespace, record: Record) -> None:
        data = json.loads(record.body).get("data")
        if not isinstance(data, Mapping) or "key" not in data:
            return
        entries, key = self.entries.setdefault(namespace, {}), data["key"]
        if "value" not in data:
            if (read := entries.get(key)) is not None and read.ttl is not None:
                read.steps.append(record.position)
                read.ends = record.logged_at + read.ttl * MINUTE
            return
        old = entries.pop(key, None)  # so that they stand in the order of the log
        new = entries[key] = _entry(record, data)
        self.timed = self.timed or new.ends is not None
        if old is not None:
            self.at.pop(old.position, None)
            new.steps = [*old.steps, record.position]
            new.shown = [*(one for one in old.shown if one not in data.get("replaces", ())), record.position]
            if not ended(old, record.logged_at):
                new.created = old.created
        self.at[record.position] = Place(namespace, key)

    def get(self, place: Place, now: float) -> Entry | None:
        """An item that has not ended."""
        entry = self.entries.get(place.namespace, {}).get(place.key)
        return None if entry is None or ended(entry, now) else entry

    def newest(self, namespaces: Sequence[Namespace], now: float) -> Iterator[tuple[Place, Entry]]:
        """The items of these namespaces that have not ended, what was put last first."""
        each = (self._newest(namespace, now) for namespace in namespaces)
        return merge(*each, key=lambda one: -one[1].position)

    def _newest(self, namespace: Namespace, now: float) -> Iterator[tuple[Place, Entry]]:
        for key, entry in reversed(self.entries.get(namespace, {}).items()):
            if not ended(entry, now):
                yield Place(namespace, key), entry


_open: WeakSet[Tables] = WeakSet()
_opening = threading.Lock()


def _forget_values() -> None:
    with _opening:
        for tables in _open:
            tables._values.clear()


on_forget(_forget_values)


def _entry(record: Record, data: Mapping[str, Any]) -> Entry:
    ttl, at = data.get("ttl"), record.logged_at
    ends = at + ttl * MINUTE if ttl is not None else None
    return Entry(record.position, at, at, ttl, ends, bool(record.text.strip()), [record.position], [record.position])


def ended(entry: Entry, now: float) -> bool:
    return entry.ends is not None and now >= entry.ends


def put_records(
    full: Namespace, key: str, value: Mapping[str, Any], text: str, ttl: float | None, now: float, old: Entry | None
) -> list[Record]:
    """A value as a step, and the forgetting of those it takes the place of."""
    data = {"key": key, "value": dict(value), "ttl": ttl, "replaces": old.shown if old is not None else []}
    data = {name: inner for name, inner in data.items() if name in ("key", "value") or inner not in (None, [])}
    records = [record_of(check_namespace(full), EPISODE, text, "observation", now, 0, data=data)]
    if old is not None and old.shown:
        records.append(Record("forget", full, body=canonical({"steps": old.shown}), logged_at=now))
    return records


def read_records(full: Namespace, key: str, entry: Entry, now: float) -> list[Record]:
    """That an item was read, where it makes a difference to when it ends."""
    if entry.ttl is None or entry.ends is None or now + entry.ttl * MINUTE - entry.ends < WORTH * entry.ttl * MINUTE:
        return []
    return [record_of(full, EPISODE, "", "observation", now, 0, data={"key": key})]


def value_of(record: Record) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(record.body)["data"]["value"]
    return value


def time_of(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def lines_of(value: Any, path: str = "") -> Iterator[str]:
    """What is in a value, a line for each: `address.city: Bern`; a text alone where its field says nothing of it."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from lines_of(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(inner, Mapping | list | tuple) for inner in value):
        for inner in value:
            yield from lines_of(inner, path)
    elif value is not None and (said := _said(value)):
        yield said if path.rsplit(".", 1)[-1] in UNTOLD else f"{path}: {said}"


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_said(inner) for inner in value if inner is not None)
    return json.dumps(value) if isinstance(value, bool) else str(value)
