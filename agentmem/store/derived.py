"""The tables of what was made from the log: batches of crystals, retirements and codes, watermarks and generations.

A batch is a run of serials of one kind in one namespace. Publishing adds small ones and archiving joins them. Knows
nothing of locks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from ..errors import DamagedError, InvalidInputError
from ..types import Batch, Codes, Crystal, Namespace, Outlines, Version, Watermark
from .blocks import compress, decompress
from .crystals import (
    crystal_positions,
    join_outlines,
    pack_codes,
    pack_crystals,
    pack_retired,
    pack_states,
    span_positions,
    unpack_codes,
    unpack_crystals,
    unpack_outlines,
    unpack_retired,
    unpack_states,
)
from .log import Log, namespace_id
from .rows import namespace_json
from .schema import Connection, count_up, counter, namespace_row, seal_namespace

CRYSTALS, RETIRED, STATES, CODES = "crystals", "retired", "states", "codes:"
JOIN = 512  # items up to which neighbouring batches are joined


class BatchRow(NamedTuple):
    """One row of the table of batches; `what` names it in errors."""

    first: int
    payload: bytes
    what: str


def number_of(connection: Connection, namespace: Namespace) -> int:
    """The number of a namespace that has records."""
    number = namespace_id(connection, namespace)
    if number is None:
        raise DamagedError(f"namespace {namespace} has records and no number; restore a backup")
    return number


def bump(connection: Connection, number: int) -> None:
    """Raise a namespace's generation above any there ever was, also for a namespace that went and came back."""
    raised = count_up(connection, "generation")
    connection.execute("UPDATE namespaces SET generation=? WHERE id=?", (raised, number))
    seal_namespace(connection, number)


def discard(connection: Connection, number: int) -> None:
    connection.execute("DELETE FROM batches WHERE namespace=?", (number,))
    connection.execute("UPDATE namespaces SET watermark=0, state=x'' WHERE id=?", (number,))
    bump(connection, number)


def _digest(number: int, kind: str, first: int, last: int, payload: bytes) -> bytes:
    return sha256(b"%d %d %d %b " % (number, first, last, kind.encode()) + payload).digest()[:16]


class Derived:
    """Reads and writes batches over connections handed in."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def watermark(self, connection: Connection, namespace: Namespace) -> Watermark:
        number = namespace_id(connection, namespace)
        if number is None:
            return Watermark(0, b"")
        _, position, state = namespace_row(connection, number, self.log.shown)
        return Watermark(position, decompress(state, f"{self.log.shown}: the state of {namespace}") if state else b"")

    def version(self, connection: Connection, namespace: Namespace) -> Version:
        """Read at every recall, so without the seal, which `watermark` and verifying check."""
        sql = "SELECT generation, watermark FROM namespaces WHERE name=?"
        row = connection.execute(sql, (namespace_json(namespace),)).fetchone()
        return Version(counter(connection, "generation"), 0) if row is None else Version(*row)

    # ---- rows

    def _add(self, connection: Connection, number: int, kind: str, items: Sequence[Any]) -> None:
        last = count_up(connection, "serial", len(items))
        self._put(connection, number, kind, list(enumerate(items, last - len(items) + 1)))

    def _put(self, connection: Connection, number: int, kind: str, items: Sequence[tuple[int, Any]]) -> None:
        first, last = items[0][0], items[-1][0]
        payload = self._encode(connection, kind, items)
        digest = _digest(number, kind, first, last, payload)
        sql = "INSERT OR REPLACE INTO batches VALUES(?, ?, ?, ?, ?, ?, ?)"
        connection.execute(sql, (first, last, len(items), number, kind, digest, payload))

    def _encode(self, connection: Connection, kind: str, items: Sequence[tuple[int, Any]]) -> bytes:
        serials, values = [serial for serial, _ in items], [item for _, item in items]
        if kind == CRYSTALS:
            return pack_crystals(serials, values, self.log.texts(connection, span_positions(values)))
        if kind == STATES:
            return pack_states(serials, values)
        return pack_retired(serials, values) if kind == RETIRED else pack_codes(serials, values)

    def rows(self, connection: Connection, number: int, kind: str, after: int = 0) -> Iterator[BatchRow]:
        """Batches with serials after `after`; raises DamagedError for one that was changed."""
        sql = """SELECT first, last, digest, payload FROM batches WHERE namespace=? AND kind=? AND last > ?
                 ORDER BY first"""
        for first, last, digest, payload in connection.execute(sql, (number, kind, after)).fetchall():
            what = f"{self.log.shown}: the batch of {kind} with serials {first} to {last}"
            if _digest(number, kind, first, last, payload) != digest:
                raise DamagedError(f"{what} does not match its digest; discard the namespace and crystallize again")
            yield BatchRow(first, payload, what)

    def decoder(
        self, connection: Connection, namespace: Namespace, kind: str
    ) -> Callable[[BatchRow], list[tuple[int, Any]]]:
        if kind == CRYSTALS:

            def read(positions: set[int]) -> dict[int, str]:
                return self.log.texts(connection, positions)

            return lambda row: unpack_crystals(row.payload, namespace, read, row.what)
        if kind == STATES:
            return lambda row: unpack_states(row.payload, row.what)
        if kind == RETIRED:
            return lambda row: unpack_retired(row.payload, row.what)
        return lambda row: unpack_codes(row.payload, row.what)

    def items(
        self, connection: Connection, namespace: Namespace, kind: str, after: int = 0
    ) -> Iterator[tuple[int, Any]]:
        """(serial, item) with serial > after, by serial."""
        number = namespace_id(connection, namespace)
        if number is not None:
            decode = self.decoder(connection, namespace, kind)
            for row in self.rows(connection, number, kind, after):
                yield from (item for item in decode(row) if item[0] > after)

    def outlines(self, connection: Connection, namespace: Namespace, after: int) -> Outlines:
        """Those of the crystals with serial > after, by serial."""
        number = namespace_id(connection, namespace)
        rows = [] if number is None else self.rows(connection, number, CRYSTALS, after)
        return join_outlines([unpack_outlines(row.payload, row.what) for row in rows], after)

    def encoders(self, connection: Connection, number: int) -> list[str]:
        sql = "SELECT DISTINCT kind FROM batches WHERE namespace=? AND kind >= ? ORDER BY kind"
        return [kind[len(CODES) :] for (kind,) in connection.execute(sql, (number, CODES)) if kind.startswith(CODES)]

    # ---- publishing

    def publish(self, connection: Connection, number: int, batch: Batch) -> None:
        kinds: list[tuple[str, Sequence[Any]]] = [(CRYSTALS, batch.crystals), (RETIRED, list(batch.retired.items()))]
        kinds.append((STATES, batch.states))
        if batch.codes:
            if batch.encoder is None:
                raise InvalidInputError("a batch has codes and no encoder; name the encoder they were made with")
            kinds.append((CODES + batch.encoder, batch.codes))
        for kind, items in kinds:
            self._add_all(connection, number, kind, items)
        state = compress(batch.state, 9) if batch.state else b""
        sql = "UPDATE namespaces SET watermark=?, state=? WHERE id=?"
        connection.execute(sql, (batch.watermark, state, number))
        seal_namespace(connection, number)

    def _add_all(self, connection: Connection, number: int, kind: str, items: Sequence[Any]) -> None:
        for at in range(0, len(items), JOIN):
            self._add(connection, number, kind, items[at : at + JOIN])

    def replace_codes(
        self, connection: Connection, namespace: Namespace, number: int, encoder: str, codes: Sequence[Codes]
    ) -> None:
        kind, replaced = CODES + encoder, {code.crystal for code in codes}
        decode = self.decoder(connection, namespace, kind)
        for row in self.rows(connection, number, kind):
            items = decode(row)
            kept = [(serial, item) for serial, item in items if item.crystal not in replaced]
            if len(kept) < len(items):
                connection.execute("DELETE FROM batches WHERE first=?", (row.first,))
                if kept:
                    self._put(connection, number, kind, kept)
        self._add_all(connection, number, kind, codes)

    # ---- upkeep

    def join(self, connection: Connection) -> None:
        """Join neighbouring small batches; nothing read changes."""
        small: dict[tuple[int, str], list[list[int]]] = {}
        sql = "SELECT namespace, kind, first, count FROM batches ORDER BY first"
        sizes: dict[tuple[int, str], int] = {}
        for number, kind, first, count in connection.execute(sql).fetchall():
            runs = small.setdefault((number, kind), [[]])
            large = count > JOIN // 2
            sizes[number, kind] = sizes.get((number, kind), 0) + count
            if large or sizes[number, kind] > JOIN:
                runs.append([])
                sizes[number, kind] = 0 if large else count
            if not large:
                runs[-1].append(first)
        for (number, kind), runs in small.items():
            for run in runs:
                self._join_run(connection, number, kind, run)

    def _join_run(self, connection: Connection, number: int, kind: str, run: list[int]) -> None:
        if len(run) < 2:
            return
        decode = self.decoder(connection, self.log.namespace(connection, number), kind)
        rows = [row for row in self.rows(connection, number, kind, run[0] - 1) if row.first in run]
        items = [item for row in rows for item in decode(row)]
        connection.executemany("DELETE FROM batches WHERE first=?", [(first,) for first in run])
        self._put(connection, number, kind, items)

    def touching(
        self, connection: Connection, number: int, positions: set[int]
    ) -> list[tuple[BatchRow, list[tuple[int, Crystal]]]]:
        """Crystals whose spans point to these positions, by batch, decoded as long as the old texts stand."""
        decode = self.decoder(connection, self.log.namespace(connection, number), CRYSTALS)
        rows = list(self.rows(connection, number, CRYSTALS))
        return [(row, decode(row)) for row in rows if crystal_positions(row.payload, row.what) & positions]

    def refold(self, connection: Connection, number: int, crystals: Sequence[tuple[int, Crystal]]) -> None:
        """Encode a batch again after the texts under it changed: its crystals' own text stays what it was."""
        self._put(connection, number, CRYSTALS, crystals)
