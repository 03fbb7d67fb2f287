"""Records that recall reads again and again, by log position. Knows no store: whoever holds them says how to read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from agentmem.types import Record

MOST = 4_000_000  # characters of what is held, oldest given up first
SHARE = 16  # no record has more than such a part of that
FRAME = 500  # characters that a record counts for beside its own


class Held:
    """The records read last, of at most MOST characters. Safe in threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._times = 0
        self.clear()

    def clear(self) -> None:
        """Something was erased or rewritten: what is being read now may have been read before that."""
        with self._lock:
            self._times += 1
            self._size, self._records = 0, dict[int, Record]()

    def positions(self) -> list[int]:
        """Log positions of what is held."""
        with self._lock:
            return list(self._records)

    def read(self, positions: Sequence[int], read: Callable[[Sequence[int]], Sequence[Record]]) -> list[Record]:
        """The records at these log positions; read: gives those that are not held, or raises."""
        times, records = self._times, self._records
        found = {position: record for position in positions if (record := records.get(position)) is not None}
        if missing := [position for position in positions if position not in found]:
            new = {record.position: record for record in read(missing)}
            self._hold(new, times)
            found |= new
        return [found[position] for position in positions]

    def _hold(self, new: dict[int, Record], times: int) -> None:
        with self._lock:
            if times != self._times:
                return
            for position, record in new.items():
                if position not in self._records and _size(record) <= self._most // SHARE:
                    self._records[position] = record
                    self._size += _size(record)
            while self._size > self._most:
                self._size -= _size(self._records.pop(next(iter(self._records))))


def _size(record: Record) -> int:
    return FRAME + len(record.text) + len(record.body)
