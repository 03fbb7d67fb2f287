"""A store that is not written: it takes records, says where they would stand, and forgets them.

Knows what the real store, if there is one, has logged; keeps of new records only a hash for each key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from agentmem.errors import KeyConflictError, NotFoundError
from agentmem.memory.redacting import Admission
from agentmem.store.bars import check, check_episode
from agentmem.types import Head, Namespace, Record, Store

Keys = dict[tuple[Namespace, str], tuple[int, bytes]]


class DryStore:
    """What an Importer asks of a store. store: the one that is left as it is; None for an empty one."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        self._end = self.head().position
        self._keys: Keys = {}
        self._attached: dict[tuple[Namespace, str], bytes] = {}

    def head(self) -> Head:
        return self._store.head() if self._store else Head(0, b"", 0)

    def scan(self, namespace: Namespace | None = None, **only: Any) -> Iterator[Record]:
        return self._store.scan(namespace, **only) if self._store else iter(())

    def read(self, positions: Sequence[int]) -> list[Record]:
        if self._store is None:
            raise NotFoundError(f"there is no position {positions[0]}: nothing is logged")
        return self._store.read(positions)

    def keyed(self, namespace: Namespace, key: str) -> Record | None:
        if self._store and (record := self._store.keyed(namespace, key)):
            return record
        if found := self._keys.get((namespace, key)):
            return Record("step", namespace, key=key, position=found[0])
        return None

    def refuses(self, namespace: Namespace, key: str) -> bool:
        return self._store is not None and self._store.refuses(namespace, key)

    def setting(self, name: str) -> str | None:
        return self._store.setting(name) if self._store else None

    def attachments(self, namespace: Namespace) -> dict[str, int]:
        there = self._store.attachments(namespace) if self._store else {}
        return there | {name: len(data) for (space, name), data in self._attached.items() if space == namespace}

    def attachment(self, namespace: Namespace, name: str) -> bytes:
        if self._store is None or (namespace, name) in self._attached:
            return self._attached[namespace, name]
        return self._store.attachment(namespace, name)

    def attach(self, namespace: Namespace, name: str, content: bytes) -> None:
        self._attached[namespace, name] = content

    def admitted(self, records: Sequence[Record]) -> list[Record]:
        return self._store.admitted(records) if self._store else Admission()(records, lambda namespace: None)

    def append(self, records: Sequence[Record], blobs: Mapping[str, bytes] | None = None) -> list[Record]:
        """Where the records would stand; InvalidInputError, and nothing taken in, where one would be refused."""
        end, new, placed = self._end, Keys(), list[Record]()
        for record in self.admitted(records):
            position = self._known(record, new)
            if not position and self._store:
                if record.episode is not None:
                    check_episode(record.namespace, record.episode, self.refuses)
                check(record, partial(self._store.barred, record.namespace))
            if not position:
                position = end = end + 1
                if record.key is not None:
                    new[record.namespace, record.key] = position, _content(record)
            placed.append(replace(record, position=position))
        self._end = end
        self._keys |= new
        return placed

    def _known(self, record: Record, new: Keys) -> int:
        """Where a record stands already; 0 if it is new."""
        if record.key is None:
            return 0
        name = record.namespace, record.key
        if self.refuses(*name):
            raise KeyConflictError(f"key {record.key!r} in namespace {record.namespace} was erased; use a new key")
        found = new.get(name) or self._keys.get(name)
        if found is None and self._store and (logged := self._store.keyed(*name)):
            found = logged.position, _content(logged)
        if found and found[1] != _content(record):
            where = f"key {record.key!r} in namespace {record.namespace}"
            raise KeyConflictError(f"{where} stands for other content; use a new key for new content")
        return found[0] if found else 0


def _content(record: Record) -> bytes:
    said = record.type, record.episode, record.kind, record.actor, record.text, record.body
    return hashlib.blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=16).digest()
