"""LangGraph's store in a memory: items put, got, searched by words and filters, deleted for good, expiring.

Knows LangGraph's operations; how items stand in the log is known to `items`. Decision 14 says why.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    ensure_embeddings,
    get_text_at_path,
)

from agentmem.encode import DEFAULT
from agentmem.errors import NotFoundError, SettingsError
from agentmem.index import step_id
from agentmem.langchain.items import (
    ITEMS,
    MINUTE,
    Entry,
    Place,
    Tables,
    ended,
    lines_of,
    put_records,
    read_records,
    time_of,
)
from agentmem.langchain.matching import lets_through, matches
from agentmem.langchain.operations import check_index, check_operation, check_ttl
from agentmem.memory import Memory
from agentmem.memory.redacting import SETTING
from agentmem.records import to_json
from agentmem.telemetry import traced
from agentmem.types import Namespace, Record

SWEEP = 5  # minutes between sweeps
READ = 64  # values that are read at once
Found = tuple[Place, Entry, float | None]  # an item, where it stands, its score


class EpisodicStore(BaseStore):
    """A `langgraph.store.base.BaseStore` in a memory's file; from any thread, and from several processes.

    memory: a Memory, or the path of one, which `close` then closes. index: as LangGraph's IndexConfig; `fields` are
    what items are found by (by default all that is in them), `embed` the encoder of a memory given as a path. ttl: as
    its TTLConfig, but that what has ended is told only with omit_expired=False, and is erased by default, at a call
    that comes `sweep_interval_minutes` (5; None for never) after the last sweep. Raises InvalidInputError, which is a
    ValueError, for what cannot be stored, before anything is written; and what Memory raises for its file.
    """

    supports_ttl = True

    def __init__(
        self, memory: Memory | str | Path, *, index: IndexConfig | None = None, ttl: TTLConfig | None = None
    ) -> None:
        check_index(index)
        check_ttl(ttl)
        embed = (index or {}).get("embed")
        self._owned = not isinstance(memory, Memory)
        if isinstance(memory, Memory):
            if embed is not None:
                raise SettingsError("index has an 'embed', but the memory its own encoder; give it to Memory.open")
            self.memory = memory
        else:
            self.memory = Memory.open(memory, encoder=DEFAULT if embed is None else ensure_embeddings(embed))
        self._fields = (index or {}).get("fields")
        self.ttl_config = ttl
        self._core, self._tables, self._lock = self.memory._core, Tables(self.memory), threading.RLock()
        self._swept = -math.inf

    # ---- LangGraph's two methods ---------------------------------------------------------------------------------

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Reads first, as of now; then all puts in one transaction, the last of each key; then deletions.

        A key that is deleted and put again is erased before it is put.
        """
        asked = list(ops)
        for op in asked:
            check_operation(op)
        self._sweep_if_due()
        puts: dict[Place, PutOp] = {}
        for op in asked:
            if isinstance(op, PutOp):
                puts.pop(place := Place(tuple(op.namespace), op.key), None)
                puts[place] = op
        deleted = {Place(tuple(op.namespace), op.key) for op in asked if isinstance(op, PutOp) and op.value is None}
        with self._lock:
            reading = _Reading(self, self._core.clock())
            results = [reading.result(op) for op in asked]
            self._erase([place for place in deleted if puts[place].value is not None])  # it is put again, as a new one
            records = [*self._put(puts), *self._kept_alive(reading, puts)]
        if records:
            tokens = sum(record.tokens for record in records)
            with traced("upsert_memory", self._core.store.path, count=len(records), tokens=tokens):
                logged = self._core.store.append(records)
            with self._lock:
                self._tables.take_own(logged)
        self._erase([place for place, op in puts.items() if op.value is None])
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """`batch` in a thread."""
        return await asyncio.to_thread(self.batch, list(ops))

    def _put(self, puts: Mapping[Place, PutOp]) -> list[Record]:
        now, records = self._core.clock(), []
        self._tables.follow(list({place.namespace for place in puts}))
        for place, op in puts.items():
            if op.value is not None:
                old = self._tables.entries.get(place.namespace, {}).get(place.key)
                text, full = self._text(op.value, op.index), self._tables.full(place.namespace)
                self._core.admission.check_name("key", place.key, full, self._core.store.inherited(SETTING, full))
                records += put_records(full, place.key, op.value, text, op.ttl, now, old)
        return records

    def _text(self, value: Mapping[str, Any], index: Any) -> str:
        """What an item is found by."""
        fields = [] if index is False else self._fields if index is None else index
        if fields is None or "$" in fields:
            return "\n".join(lines_of(value))
        return "\n".join(text for path in fields for text in get_text_at_path(dict(value), path))

    def _kept_alive(self, reading: _Reading, puts: Mapping[Place, PutOp]) -> list[Record]:
        """That items were read, but for those that are put anew."""
        records = []
        for place, entry in reading.refreshed.items():
            if place not in puts and not self._core.read_only:
                records += read_records(self._tables.full(place.namespace), place.key, entry, reading.now)
        return records

    # ---- deleting ------------------------------------------------------------------------------------------------

    def _erase(self, places: Sequence[Place], ended_by: float | None = None) -> int:
        """Erase items with all their steps, or those of them that have ended by then; returns how many there were."""
        erased = 0
        for namespace in dict.fromkeys(place.namespace for place in places):
            keys = [place.key for place in places if place.namespace == namespace]
            while found := self._steps(namespace, keys, ended_by):
                try:
                    self.scoped(*namespace).erase(steps=[step_id(step) for steps in found for step in steps])
                except NotFoundError:  # another process erased some of them first
                    continue
                erased += len(found)
                break
        return erased

    def _steps(self, namespace: Namespace, keys: Sequence[str], ended_by: float | None) -> list[list[int]]:
        """The steps of those of these items that there are."""
        with self._lock:
            self._tables.follow([namespace])
            entries = self._tables.entries.get(namespace, {})
            there = [entries[key] for key in keys if key in entries]
            return [list(entry.steps) for entry in there if ended_by is None or ended(entry, ended_by)]

    def sweep_ttl(self) -> int:
        """Erase what has ended; returns how many items."""
        with self._lock:
            namespaces, self._swept = self._tables.namespaces(), self._core.clock()
            self._tables.follow(namespaces)
            every = [place for place, _ in self._tables.newest(namespaces, -math.inf)]
        return self._erase(every, self._swept)

    def _sweep_if_due(self) -> None:
        """Sweep if it is time to, and anything can have ended."""
        minutes = (self.ttl_config or {}).get("sweep_interval_minutes", SWEEP)
        if minutes is None or self._core.read_only or not (self.ttl_config or self._tables.timed):
            return
        if self._core.clock() >= self._swept + minutes * MINUTE:
            self.sweep_ttl()

    # ---- the memory behind it ------------------------------------------------------------------------------------

    def scoped(self, *namespace: str) -> Memory:
        """The Memory of exactly this namespace's items: to be read by an agent's recall, exported or erased."""
        return self._view([self._tables.full(namespace)])

    def _view(self, full: Sequence[Namespace]) -> Memory:
        """The first of these namespaces, from which the others are read as well."""
        view = Memory(self._core, full[0], full[1:], None)
        view.who = self.memory.who
        return view

    def close(self) -> None:
        """Close the memory if it was opened here."""
        if self._owned:
            self.memory.close()

    def __enter__(self) -> EpisodicStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Reading:
    """What the reads of one batch see, and which items they keep alive."""

    def __init__(self, store: EpisodicStore, now: float) -> None:
        self.now, self.refreshed = now, dict[Place, Entry]()
        self._store, self._tables, self._core = store, store._tables, store._core
        omit = (store.ttl_config or {}).get("omit_expired", True)
        self._as_of = now if omit else -math.inf  # nothing has ended yet at the beginning of time

    def result(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            return self.get(op)
        if isinstance(op, SearchOp):
            return self.search(op)
        return self.namespaces(op) if isinstance(op, ListNamespacesOp) else None

    def get(self, op: GetOp) -> Item | None:
        place = Place(tuple(op.namespace), op.key)
        self._store.scoped(*place.namespace)._accessed("item", place.key)
        while True:
            self._tables.follow([place.namespace])
            entry = self._tables.get(place, self._as_of)
            if entry is None:
                return None
            if found := self._tables.values([entry.position]):
                break  # not erased meanwhile
        self._note(op.refresh_ttl, place, entry)
        return Item(
            value=deepcopy(found[entry.position]), key=place.key, namespace=place.namespace,
            created_at=time_of(entry.created), updated_at=time_of(entry.updated),
        )  # fmt: skip

    def _note(self, refresh: bool, place: Place, entry: Entry) -> None:
        if refresh and entry.ttl is not None:
            self.refreshed[place] = entry

    def search(self, op: SearchOp) -> list[SearchItem]:
        root = self._tables.full(tuple(op.namespace_prefix))
        query = op.query and self._core.masked(root, op.query)
        about = {"namespace": op.namespace_prefix, "query": query}
        with traced("search_memory", self._core.store.path, **about) as tell:
            found = self._search(op)
            tell(count=len(found), records=lambda: [(item.key, to_json(item.value), item.score) for item in found])
        return found

    def _search(self, op: SearchOp) -> list[SearchItem]:
        prefix = tuple(op.namespace_prefix)
        below = [one for one in self._tables.namespaces() if one[: len(prefix)] == prefix]
        self._tables.follow(below)
        most = op.offset + op.limit
        found = self._ranked(below, op.query) if op.query else self._newest(below)
        if not op.filter:
            return [self._item(op, *one) for one in self._read(islice(found, op.offset, most))]
        passed = (one for one in self._read(found) if lets_through(op.filter, one[1]))
        return [self._item(op, *one) for one in islice(passed, op.offset, most)]

    def _ranked(self, below: Sequence[Namespace], query: str) -> Iterator[Found]:
        """By how well they fit, and after them those that have no words, newest first."""
        seen = set()
        if below:
            view = self._store._view([*map(self._tables.full, below)])
            for hit in view.rank(query, weights=ITEMS, matching=False):
                place = self._tables.at.get(hit.position)
                entry = self._tables.get(place, self._as_of) if place is not None else None
                if place is not None and entry is not None and entry.found:
                    seen.add(place)
                    yield place, entry, hit.score
        for one in self._newest(below):
            if one[0] not in seen:
                yield one

    def _newest(self, below: Sequence[Namespace]) -> Iterator[Found]:
        if below:
            self._store._view([*map(self._tables.full, below)])._accessed("items", everywhere=True)
        return ((place, entry, None) for place, entry in self._tables.newest(below, self._as_of))

    def _read(self, found: Iterator[Found]) -> Iterator[tuple[Found, dict[str, Any]]]:
        """Items with their values; what was erased meanwhile is left out."""
        while some := list(islice(found, READ)):
            values = self._tables.values([entry.position for _, entry, _ in some])
            for one in some:
                if one[1].position in values:
                    yield one, values[one[1].position]

    def _item(self, op: SearchOp, found: Found, value: dict[str, Any]) -> SearchItem:
        place, entry, score = found
        self._note(op.refresh_ttl, place, entry)
        created, updated = time_of(entry.created), time_of(entry.updated)
        return SearchItem(place.namespace, place.key, deepcopy(value), created, updated, score)

    def namespaces(self, op: ListNamespacesOp) -> list[Namespace]:
        every = self._tables.namespaces()
        some = [
            one for one in every if all(matches(one, each.match_type, each.path) for each in op.match_conditions or ())
        ]
        self._tables.follow(some)
        there = [one for one in some if next(self._tables.newest([one], self._as_of), None) is not None]
        return sorted({one[: op.max_depth] for one in there})[op.offset : op.offset + op.limit]
