"""What of a damaged log can be proven, and what a backup has in place of the rest. Reads; writes nothing.

A record is proven by the chain: its digest and the hash before it give the hash that it, or the record after it, has.
What a backup says is believed on the same terms, so that it may be older than erasures, but never another log's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import AgentMemError
from .chain import GENESIS, Mark
from .log import BlockRow, Log
from .rows import Entry
from .schema import Connection
from .tolerant import UNREADABLE, rows

HOT = "packed, logged_at, chain, key, text, body"
BLOCK = "last, before, chain, digest"
WRONG = (AgentMemError, *UNREADABLE, ValueError, TypeError, KeyError, IndexError, ArithmeticError, OverflowError)
NOTHING = "was erased, or lost before: what says which cannot be read"
BITS = 2_000  # bits of a name that are tried, one by one, where a flipped one would explain what does not fit


@dataclass
class Stretch:
    """Neighbouring positions of the log: proven, with what they hold, or not.

    block: whether they are archived. before, after: chain hashes around it, as far as they are known. entries: by
    position; of what is not proven those that can be read, in case that what lacks is found.
    """

    first: int
    last: int
    before: bytes | None
    after: bytes | None
    block: bool = False
    proven: bool = False
    why: str = ""
    entries: dict[int, Entry] = field(default_factory=dict)
    raw: Sequence[Any] | None = None
    restored: bool = False


class Salvage:
    """The log of a damaged file as stretches in order. gaps: positions known to hold nothing. expected: the anchor."""

    def __init__(
        self, connection: Connection, log: Log, gaps: Iterable[tuple[int, int]], expected: Mark | None
    ) -> None:
        self.connection, self.log, self.expected = connection, log, expected
        self.gaps = sorted(gaps)
        self.stretches: list[Stretch] = []
        self._position, self._chain = 0, GENESIS  # up to where it is known, and the hash there; None: not known
        self._known: bytes | None = GENESIS

    def read(self) -> list[Stretch]:
        self._blocks()
        self._hot()
        self._end()
        return self.stretches

    def empty(self, position: int) -> bool:
        return any(first <= position <= last for first, last in self.gaps)

    def _missing(self, upto: int, after: bytes | None, block: bool) -> None:
        """Note positions before `upto` that should be there."""
        lacking = [at for at in range(self._position + 1, upto) if not self.empty(at)]
        if lacking:
            why = "cannot be read"
            self._add(Stretch(lacking[0], lacking[-1], self._known, after, block, why=why))

    def _add(self, stretch: Stretch) -> None:
        self.stretches.append(stretch)
        self._position = max(self._position, stretch.last)
        self._known = stretch.after

    # ---- blocks

    def _blocks(self) -> None:
        for first, last, before, chain, digest in rows(self.connection, "blocks", "first", BLOCK):
            if not (isinstance(first, int) and isinstance(last, int) and first <= last and first > self._position):
                continue
            row = BlockRow(first, last, before, chain, digest)
            self._missing(first, before, True)
            stretch = Stretch(first, last, before, chain, True, raw=row)
            try:
                stretch.entries = {one.record.position: one for one in self.log.block_entries(self.connection, row)}
                stretch.proven = self.log.chained_anew(self.connection, row, before) == chain
                stretch.why = "" if stretch.proven else "do not fit the chain"
            except WRONG as error:
                stretch.why = _short(error)
            self._add(stretch)

    # ---- hot rows

    def _hot(self) -> None:
        found = rows(self.connection, "log", "position", HOT)
        found = [row for row in found if isinstance(row[0], int) and row[0] > self._position]
        for number, row in enumerate(found):
            behind = self._known
            self._missing(row[0], None, False)
            if self._known is None and behind is not None and self._follows(row, behind):
                self._known, self.stretches[-1].why = behind, NOTHING
            self._row(row, found[number + 1] if number + 1 < len(found) else None)

    def _follows(self, row: Sequence[Any], chain: bytes) -> bool:
        """Whether nothing was between a row and what has this hash when the chain was last made."""
        entry = self._entry(row)
        return entry is not None and self.log.next_chain(chain, entry) == row[3]

    def _row(self, row: Sequence[Any], following: Sequence[Any] | None) -> None:
        position, stored = row[0], row[3] if isinstance(row[3], bytes) else None
        stretch = Stretch(position, position, self._known, stored, raw=row)
        entry = self._entry(row)
        if entry is None:
            stretch.why = "cannot be read"
        elif self._known is None:
            stretch.entries, stretch.why = {position: entry}, "cannot be proven, as the record before it is gone"
        else:
            stretch.entries = {position: entry}
            chain = self.log.next_chain(self._known, entry)
            if chain == stored or self._vouched(chain, position, following):
                stretch.proven, stretch.after = True, chain
            else:
                stretch.why = "was changed"
        self._add(stretch)

    def _entry(self, row: Sequence[Any]) -> Entry | None:
        try:
            entry = self.log.hot_entry(self.connection, row)
            return entry if entry.record.position == row[0] else None
        except WRONG:
            return None

    def _vouched(self, chain: bytes, position: int, following: Sequence[Any] | None) -> bool:
        """Whether it is the stored hash that was changed: the next record, or the anchor, follows from this one."""
        if following is None:
            return self.expected is not None and (self.expected.position, self.expected.hash) == (position, chain)
        entry = self._entry(following)
        return entry is not None and self.log.next_chain(chain, entry) == following[3]

    # ---- the end

    def _end(self) -> None:
        if self.expected is not None and self.expected.position > self._position:
            self._missing(self.expected.position + 1, self.expected.hash, False)


def _short(error: BaseException) -> str:
    return str(error).split("; ")[0].split(": ")[-1] if str(error) else type(error).__name__


# ---- names


def mend(
    failing: Callable[[], bool], names: dict[int, Any], numbers: Iterable[int], others: Mapping[int, Any]
) -> list[int]:
    """Give back to some numbers the names with which what fails does not: a backup's, or those one bit away.

    failing: whether something does still not fit. names: changed in place. Returns the numbers whose names were wrong.
    """
    for number in numbers:
        was = names.get(number)
        for name in _candidates(was, others.get(number)):
            names[number] = name
            if not failing():
                return [number]
        if was is None:
            names.pop(number, None)
        else:
            names[number] = was
    return []


def _candidates(name: Any, other: Any) -> Iterator[Any]:
    if other is not None:
        yield other
    if not isinstance(name, str):
        return
    data = bytearray(name.encode())
    for bit in range(min(8 * len(data), BITS)):
        data[bit // 8] ^= 1 << bit % 8
        try:
            yield data.decode()
        except UnicodeDecodeError:
            pass
        finally:
            data[bit // 8] ^= 1 << bit % 8


# ---- from a backup


def restore(stretches: list[Stretch], backup: Mapping[int, Entry], log: Log, empty: Callable[[int], bool]) -> None:
    """Fill what is not proven with a backup's records, where they lead from the hash before to the hash after it."""
    at = 0
    while at < len(stretches):
        if not stretches[at].proven:
            for end in range(at, len(stretches)):
                if stretches[end].proven:
                    break
                if _fits(stretches[at : end + 1], backup, log, empty):
                    at = end
                    break
        at += 1


def _fits(run: list[Stretch], backup: Mapping[int, Entry], log: Log, empty: Callable[[int], bool]) -> bool:
    chain, after = run[0].before, run[-1].after
    if chain is None or after is None:
        return False
    taken: list[dict[int, Entry]] = []
    for stretch in run:
        here: dict[int, Entry] = {}
        for position in range(stretch.first, stretch.last + 1):
            if empty(position):
                continue
            entry = backup.get(position) or stretch.entries.get(position)
            if entry is None:
                return False
            chain = log.next_chain(chain, entry)
            here[position] = entry
        taken.append(here)
    if chain != after:
        return False
    for stretch, here in zip(run, taken, strict=True):
        stretch.entries, stretch.proven, stretch.restored = here, True, True
    return True
