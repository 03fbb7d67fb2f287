"""A lexical index in memory, for files that store none: filled from the log at its first use and kept up to date.

Knows where the log is read from and nothing of the file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ..types import Namespace, Record
from .postings import Growing, Postings, newer
from .rows import split_terms

BATCH = 4_096  # rows that are packed
Terms = Callable[[Record], tuple[str, ...]]


class MemoryLexicon:
    """scan: the records after a position. changes: a number that differs when records were rewritten or erased."""

    def __init__(self, scan: Callable[[int], Iterator[Record]], changes: Callable[[], int], terms: Terms) -> None:
        self._scan, self._changes, self._terms = scan, changes, terms
        self._lock = threading.Lock()
        self._seen = -1
        self._start()

    def _start(self) -> None:
        self._packed: list[Postings] = []
        self._growing = Growing()
        self._numbers: dict[Namespace, int] = {}
        self._upto = 0

    def postings(self, namespace: Namespace, terms: Iterable[str], after: int) -> dict[str, np.ndarray]:
        with self._lock:
            self._catch_up()
            number = self._numbers.get(namespace)
            found = {} if number is None else {term: self._find(f"{number}x{term}") for term in terms}
        return newer(found, after)

    def _find(self, term: str) -> list[np.ndarray]:
        packed = [rows for rows in (packed.find(term.encode()) for packed in self._packed) if rows is not None]
        return [*packed, self._growing.find(term)]

    def _catch_up(self) -> None:
        changes = self._changes()
        if changes != self._seen:
            self._start()
            self._seen = changes
        for record in self._scan(self._upto):
            number = self._numbers.setdefault(record.namespace, len(self._numbers) + 1)
            self._growing.add(record.position, number, split_terms(self._terms(record)).passages)
            self._upto = record.position
            if len(self._growing.rows) >= BATCH:
                self._packed.append(self._growing.pack())
                self._growing = Growing()
