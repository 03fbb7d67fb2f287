"""The lexical index in the file: packed stretches of the log, and the newest records' terms as they came.

Knows no texts and no ranking. The stretches lie side by side, each in a row of its own; a few hundred records become a
new one, and archiving joins neighbours so that their sizes fall off as those of a log-structured merge tree do
(O'Neil et al. 1996, doi:10.1007/s002360050048).
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from hashlib import sha256
from itertools import starmap
from typing import NamedTuple
from zlib import crc32

import numpy as np

from ..errors import DamagedError
from ..types import PASSAGE_BITS
from .blocks import Cache
from .postings import Growing, Postings, find_all, merged, newer
from .schema import Connection, counter, value

TABLES = """
CREATE TABLE postings(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, count INTEGER NOT NULL, digest BLOB NOT NULL,
                      data BLOB NOT NULL);
CREATE TABLE pending(position INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, terms TEXT NOT NULL);
"""
PENDING = 512  # log positions that become a stretch
AT_ONCE = 4_096  # records of one stretch at first
GROWTH = 2  # a stretch is joined with one before it that is not so many times as large
LARGE = 1 << 20  # postings of a stretch that is not joined any more
SMALL = 8  # stretches of PENDING positions that are joined while appending
LONG_WORD, ENDING, LONGEST = 16, 4, 60  # of words as terms: what a stemmer may change, and how long a term may be
_WORD = 1 << 64
_NONE = np.empty(0, np.int64)
Terms = tuple[int, int, Sequence[tuple[int, str]]]  # position, number of the namespace, cleaned passages


class Stretch(NamedTuple):
    """The row of a packed stretch without its bytes."""

    first: int
    last: int
    size: int
    digest: bytes


# What all files of this process have unpacked. A search reads all stretches: past this size each is unpacked anew.
_UNPACKED: Cache[Postings] = Cache(256 << 20)


class Lexicon:
    """The index of one file, through any of its connections."""

    def __init__(self, shown: str, level: int) -> None:
        self.shown, self.level = shown, level
        self._lock = threading.Lock()
        self._unpacked: set[bytes] = set()
        self._begin()

    def _begin(self) -> None:
        self._tail, self._tail_of, self._upto = Growing(), (-1, -1), 0

    def forget(self) -> None:
        """Drop what was cached: something was erased, or the file is closed."""
        mine, self._unpacked = self._unpacked, set()
        _UNPACKED.drop(mine)
        with self._lock:
            self._begin()

    # ---- writing

    def add(self, connection: Connection, records: Sequence[Terms]) -> None:
        """Index records that come after all the others."""
        if len(records) < PENDING:
            rows = [(position, namespace, _lines(passages)) for position, namespace, passages in records]
            connection.executemany("INSERT INTO pending VALUES(?, ?, ?)", rows)
            if records[-1][0] - value(connection, "SELECT min(position) FROM pending") < PENDING:
                return
            records = ()
        self.seal(connection, records)

    def seal(self, connection: Connection, more: Sequence[Terms] = ()) -> None:
        """Pack what is pending, and more records after it."""
        records = [*pending(connection), *more]
        connection.execute("DELETE FROM pending")
        for at in range(0, len(records), AT_ONCE):
            growing = Growing()
            for record in records[at : at + AT_ONCE]:
                growing.add(*record)
            self._put(connection, growing.pack())
        newest = stretches(connection)[-SMALL:]
        if len(newest) == SMALL and all(stretch.last - stretch.first < 2 * PENDING for stretch in newest):
            self._replace(connection, newest, merged([self._packed(connection, stretch) for stretch in newest]))

    def _put(self, connection: Connection, postings: Postings) -> None:
        if len(postings):
            first, last = (int(row) >> PASSAGE_BITS for row in (postings.rows[0], postings.rows[-1]))
            data = postings.pack(self.level)
            row = (first, last, len(postings), _digest(first, last, data), data)
            connection.execute("INSERT INTO postings VALUES(?, ?, ?, ?, ?)", row)

    def _replace(self, connection: Connection, old: Iterable[Stretch], new: Postings) -> None:
        connection.executemany("DELETE FROM postings WHERE first=?", [(stretch.first,) for stretch in old])
        self._put(connection, new)

    def joined(self, connection: Connection) -> tuple[list[Stretch], Postings] | None:
        """The newest neighbours that should be one stretch, with that one; None where sizes fall off already."""
        group: list[Stretch] = []
        for stretch in reversed(stretches(connection)):
            total = sum(other.size for other in group)
            if group and (stretch.size > GROWTH * total or stretch.size + total > LARGE):
                if len(group) > 1:
                    break
                group = []
            group.insert(0, stretch)
        if len(group) < 2:
            return None
        return group, merged([self._packed(connection, stretch) for stretch in group])

    def join(self, connection: Connection, old: list[Stretch], new: Postings) -> bool:
        """Put one stretch in the place of others; False if they were changed meanwhile."""
        same = old == [stretch for stretch in stretches(connection) if stretch in old]
        if same:
            self._replace(connection, old, new)
        return same

    def remove(self, connection: Connection, positions: Set[int]) -> None:
        """Physically remove records."""
        connection.executemany("DELETE FROM pending WHERE position=?", [(position,) for position in positions])
        for stretch in _holding(connection, positions):
            self._replace(connection, [stretch], merged([self._packed(connection, stretch)], positions))

    def replace(self, connection: Connection, records: Sequence[Terms]) -> None:
        """Index records again that need not be the newest."""
        self.seal(connection)
        growing, positions = Growing(), {position for position, _, _ in records}
        for record in sorted(records):
            growing.add(*record)
        old = [s for s in stretches(connection, min(positions) - 1) if s.first <= max(positions)]
        parts = [merged([self._packed(connection, stretch)], positions) for stretch in old]
        self._replace(connection, old, merged([*parts, growing.pack()]))

    # ---- reading

    def postings(
        self, connection: Connection, namespace: int, terms: Iterable[str], after: int
    ) -> dict[str, np.ndarray]:
        """term -> sorted index rows after a position; terms that are in none are left out."""
        prefixed = {term: f"{namespace}x{term}" for term in dict.fromkeys(terms)}
        packed = [self._packed(connection, stretch) for stretch in stretches(connection, after)]
        found = find_all(packed, [name.encode() for name in prefixed.values()])
        waiting = self._waiting(connection)
        joined = zip(prefixed.items(), found, strict=True)
        return newer({term: [*rows, waiting.find(name)] for (term, name), rows in joined}, after)

    def _waiting(self, connection: Connection) -> Growing:
        """What is pending; where it begins tells whether it is what was read before."""
        first = value(connection, "SELECT min(position) FROM pending") or 0
        with self._lock:
            if (first, counter(connection, "rechained")) != self._tail_of:
                self._tail_of = first, counter(connection, "rechained")
                self._tail, self._upto = Growing(), 0
            for record in pending(connection, self._upto):
                self._tail.add(*record)
                self._upto = record[0]
            return self._tail

    def _packed(self, connection: Connection, stretch: Stretch) -> Postings:
        postings = _UNPACKED.get(stretch.digest)
        if postings is None:
            what = f"{self.shown}: the index of positions {stretch.first} to {stretch.last}"
            data = value(connection, "SELECT data FROM postings WHERE first=?", (stretch.first,))
            if _digest(stretch.first, stretch.last, data) != stretch.digest:
                raise DamagedError(f"{what} was changed; restore it from a backup")
            postings = Postings.unpack(data, what)
            self._unpacked.add(stretch.digest)
            _UNPACKED.put(stretch.digest, postings)
        return postings

    # ---- checking

    def weights(self, connection: Connection) -> dict[int, tuple[int, int]]:
        """Namespace number -> its postings, and a sum over every (term, row); see `weight`."""
        _UNPACKED.drop([stretch.digest for stretch in stretches(connection)])  # what is checked is what the file holds
        found: dict[int, tuple[int, int]] = {}
        for postings in self._all(connection):
            counts, numbers = postings.numbers()
            sums = np.add.reduceat(_mix(postings.rows)[numbers], np.cumsum(counts) - counts) if len(counts) else _NONE
            for term, number, mixed in zip(postings.terms(), counts.tolist(), sums.tolist(), strict=True):
                namespace, _, word = term.partition(b"x")
                count, total = found.get(int(namespace), (0, 0))
                found[int(namespace)] = count + number, (total + crc32(word) * mixed) % _WORD
        return found

    def _all(self, connection: Connection) -> Iterator[Postings]:
        for stretch in stretches(connection):
            postings = self._packed(connection, stretch)
            if len(postings) != stretch.size:
                raise DamagedError(f"{self.shown}: the index from position {stretch.first} on has another size")
            yield postings
        growing = Growing()
        for record in pending(connection):
            growing.add(*record)
        yield growing.pack()

    def terms_like(self, connection: Connection, words: Iterable[str]) -> set[str]:
        """Indexed terms, of any namespace, that long single words may have become."""
        folded = [word.casefold() for word in words]
        begins = tuple({word[:-ENDING][:LONGEST] for word in folded if len(word) >= LONG_WORD and word.isalnum()})
        if not begins:
            return set()
        found = {term for _, _, passages in pending(connection) for _, text in passages for term in text.split(" ")}
        for stretch in stretches(connection):
            found |= {term.decode().partition("x")[2] for term in self._packed(connection, stretch).terms()}
        return {term for term in found if term.startswith(begins)}


def create(connection: Connection) -> None:
    connection.execute(TABLES)


def clear(connection: Connection) -> None:
    connection.execute("DELETE FROM postings")
    connection.execute("DELETE FROM pending")


def pending(connection: Connection, after: int = 0) -> list[Terms]:
    """Records that are in no stretch yet."""
    sql = "SELECT position, namespace, terms FROM pending WHERE position > ? ORDER BY position"
    found = connection.execute(sql, (after,)).fetchall()
    return [(position, number, _passages(lines)) for position, number, lines in found]


def weight(position: int, passages: Sequence[tuple[int, str]]) -> int:
    """What a record adds to the sum of its namespace."""
    rows = np.array([position << PASSAGE_BITS | number for number, _ in passages], np.int64)
    sums = [sum(crc32(word.encode()) for word in set(text.split(" "))) for _, text in passages]
    total: int = sum(a * b for a, b in zip(_mix(rows).tolist(), sums, strict=True))
    return total % _WORD


def stretches(connection: Connection, after: int = 0) -> list[Stretch]:
    sql = "SELECT first, last, count, digest FROM postings WHERE last > ? ORDER BY first"
    return list(starmap(Stretch, connection.execute(sql, (after,))))


def _holding(connection: Connection, positions: Set[int]) -> list[Stretch]:
    """The stretches that reach over some of these positions."""
    wanted, known = sorted(positions), stretches(connection)
    return [s for s in known if bisect_left(wanted, s.first) < bisect_right(wanted, s.last)]


def _digest(first: int, last: int, data: bytes) -> bytes:
    return sha256(b"%d %d " % (first, last) + data).digest()[:16]


def _lines(passages: Sequence[tuple[int, str]]) -> str:
    lines = [""] * (passages[-1][0] + 1)
    for number, text in passages:
        lines[number] = text
    return "\n".join(lines)


def _passages(lines: str) -> list[tuple[int, str]]:
    return [(number, text) for number, text in enumerate(lines.split("\n")) if text]


def _mix(rows: np.ndarray) -> np.ndarray:
    spread = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return spread ^ (spread >> np.uint64(31))
