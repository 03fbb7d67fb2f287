"""A lexical index in memory, for files that store none: filled from the log at its first use and kept up to date.

Knows where the log is read from and nothing of the file.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

import apsw
import numpy as np

from ..types import Namespace, Record
from . import lexicon
from .rows import split_terms

BATCH = 1000
Terms = Callable[[Record], tuple[str, ...]]


class MemoryLexicon:
    """scan: the records after a position. changes: a number that differs when records were rewritten or erased."""

    def __init__(self, scan: Callable[[int], Iterator[Record]], changes: Callable[[], int], terms: Terms) -> None:
        self._scan, self._changes, self._terms = scan, changes, terms
        self._lock = threading.Lock()
        self._seen = -1
        self._start()

    def _start(self) -> None:
        self._connection = apsw.Connection(":memory:")
        lexicon.create(self._connection)
        self._numbers: dict[Namespace, int] = {}
        self._upto = 0

    def postings(self, namespace: Namespace, terms: Iterable[str], after: int) -> dict[str, np.ndarray]:
        with self._lock:
            self._catch_up()
            number = self._numbers.get(namespace)
            return {} if number is None else lexicon.postings(self._connection, number, terms, after)

    def _catch_up(self) -> None:
        changes = self._changes()
        if changes != self._seen:
            self._start()
            self._seen = changes
        rows: list[tuple[int, str]] = []
        for record in self._scan(self._upto):
            number = self._numbers.setdefault(record.namespace, len(self._numbers) + 1)
            rows += lexicon.rows_of(record.position, number, split_terms(self._terms(record)).passages)
            self._upto = record.position
            if len(rows) >= BATCH:
                self._insert(rows)
                rows = []
        self._insert(rows)

    def _insert(self, rows: list[tuple[int, str]]) -> None:
        with self._connection:
            self._connection.executemany(lexicon.INSERT, rows)
