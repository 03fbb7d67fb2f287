"""Archiving, rewriting and erasing: what changes how, or whether, records are stored. Knows no locks.

Rewriting and erasing share one sweep: from the first changed record on, every block and row is read, edited, chained
anew and written back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..errors import DamagedError, NotFoundError
from ..types import Namespace, Record
from . import attachments, derived
from .blocks import Packing, block_digest, pack_columns, pack_data
from .chain import link
from .commit import Transaction
from .derived import Derived
from .keys import Keys
from .lexicon import Lexicon, clear
from .log import HOT, BlockRow, Log, archived_upto, chain_before, head_mark
from .rows import PACKED, Entry, blob_names, key_digest, pack, split_terms
from .schema import Connection, count_up, put_setting, reseal, value

Terms = Callable[[Record], tuple[str, ...]]
Edit = Callable[[Entry], Entry | None]
SWEEP = 500  # hot rows read and written at a time


class Piece(NamedTuple):
    """A stretch of the log ready to become a block, compressed outside any lock."""

    first: int
    last: int
    records: int
    rechained: int
    before: bytes
    chain: bytes
    columns: bytes
    data: bytes
    namespaces: tuple[int, ...]
    keys: tuple[bytes, ...]


def packed_rows(entries: Sequence[Entry], numbers: Callable[[Record], tuple[int, int, int]]) -> np.ndarray:
    return np.frombuffer(b"".join(pack(entry, *numbers(entry.record)) for entry in entries), PACKED)


class Upkeep:
    """The slow verbs of one file."""

    def __init__(
        self, log: Log, made: Derived, keys: Keys, packing: Packing, lexicon: Lexicon | None, terms: Terms | None
    ) -> None:
        self.log, self.made, self.packing, self.lexicon, self.terms = log, made, packing, lexicon, terms
        self.keys = keys

    def _numbers(self, connection: Connection) -> Callable[[Record], tuple[int, int, int]]:
        """Namespace, episode and actor of a stored record as numbers."""
        self.log.directory.refresh(connection)
        namespaces = {name: number for number, name in self.log.directory.namespaces.items()}
        names = {name: number for number, name in self.log.directory.names.items()}
        return lambda record: (namespaces[record.namespace], names[record.episode], names[record.actor])

    # ---- archiving

    def next_piece(self, connection: Connection, upto: int) -> Piece | None:
        """The next stretch of hot rows up to a position, with a last block that is still small."""
        rechained = head_mark(connection).rechained
        edge = archived_upto(connection)
        chain = chain_before(connection, edge + 1)
        small, entries = self._small_block(connection)
        known, size = len(entries), sum(_weight(entry) for entry in entries)
        before = chain if small is None else small.before
        for entry, hashed in self.log.hot(connection, edge + 1, upto):
            entries.append(entry)
            chain, size = hashed, size + _weight(entry)
            if size >= self.packing.raw:
                break
        if len(entries) == known:
            return None
        piece = self._piece(connection, entries, rechained, before, chain)
        return piece if small is None else piece._replace(first=small.first)

    def _small_block(self, connection: Connection) -> tuple[BlockRow | None, list[Entry]]:
        row = connection.execute(
            "SELECT first, last, before, chain, digest, length(data) FROM blocks ORDER BY first DESC LIMIT 1"
        ).fetchone()
        if row is None or row[5] > self.packing.raw // 8:
            return None, []
        small = BlockRow(*row[:5])
        entries = list(self.log.block_entries(connection, small))
        return (small, entries) if sum(map(_weight, entries)) <= self.packing.raw // 2 else (None, [])

    def _piece(
        self, connection: Connection, entries: list[Entry], rechained: int, before: bytes, chain: bytes
    ) -> Piece:
        rows = packed_rows(entries, self._numbers(connection))
        first, last = entries[0].record.position, entries[-1].record.position
        level = self.packing.level
        columns, data = pack_columns(rows, level), pack_data(entries, level)
        namespaces = tuple(np.unique(rows["namespace"]).tolist())
        keys = tuple(key_digest(e.record.namespace, e.record.key) for e in entries if e.record.key is not None)
        return Piece(first, last, len(entries), rechained, before, chain, columns, data, namespaces, keys)

    def move(self, transaction: Transaction, piece: Piece) -> int:
        """Put a piece in the place of its rows; 0 if another process did so, or rewrote them, first."""
        connection = transaction.connection
        edge = archived_upto(connection)
        if transaction.mark.rechained != piece.rechained or edge >= piece.last:
            return 0
        moved: int = value(connection, "SELECT count(*) FROM log WHERE position <= ?", (piece.last,))
        old: int = value(connection, "SELECT ifnull(sum(count), 0) FROM blocks WHERE first >= ?", (piece.first,))
        if moved + old != piece.records:
            return 0
        connection.execute("DELETE FROM block_namespaces WHERE block >= ?", (piece.first,))
        connection.execute("DELETE FROM blocks WHERE first >= ?", (piece.first,))
        connection.execute("DELETE FROM log WHERE position <= ?", (piece.last,))
        self._put_block(connection, piece)
        self.keys.archived(connection, piece.keys)
        return moved

    def _put_block(self, connection: Connection, piece: Piece) -> None:
        digest = block_digest(piece.first, piece.last, piece.before, piece.chain, piece.columns, piece.data)
        connection.execute(
            "INSERT OR REPLACE INTO blocks VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            (piece.first, piece.last, piece.records, piece.before, piece.chain, digest, piece.columns, piece.data),
        )
        rows = [(namespace, piece.first) for namespace in piece.namespaces]
        connection.execute("DELETE FROM block_namespaces WHERE block=?", (piece.first,))
        connection.executemany("INSERT INTO block_namespaces VALUES(?, ?)", rows)

    # ---- the sweep

    def sweep(self, transaction: Transaction, changed: set[int], edit: Edit) -> None:
        """Apply `edit` to the changed positions and chain everything from the first of them on anew."""
        connection, first = transaction.connection, min(changed)
        numbers = self._numbers(connection)
        chain = self._sweep_blocks(connection, first, changed, edit)
        edge = archived_upto(connection)
        chain = self._sweep_hot(connection, max(first, edge + 1), chain, changed, edit, numbers)
        count_up(connection, "rechained")
        transaction.mark = head_mark(connection)
        if transaction.mark.hash != chain and transaction.mark.position:
            raise DamagedError(f"{self.log.shown}: the chain did not close after a rewrite; nothing was changed")

    def _sweep_blocks(self, connection: Connection, first: int, changed: set[int], edit: Edit) -> bytes:
        chain: bytes | None = None
        for row in self.log.block_rows(connection, first - 1):
            before = row.before if chain is None else chain
            block = self.log.block(connection, row)
            if changed.isdisjoint(block.positions.tolist()):
                chain = self.log.chained_anew(connection, row, before)
                self._rechain_block(connection, row, before, chain)
            else:
                chain = self._sweep_block(connection, row, before, changed, edit)
        return chain_before(connection, first) if chain is None else chain

    def _sweep_block(self, connection: Connection, row: BlockRow, chain: bytes, changed: set[int], edit: Edit) -> bytes:
        old, before = self.log.block_entries(connection, row), chain
        new = [e for e in (edit(e) if e.record.position in changed else e for e in old) if e is not None]
        for entry in new:
            chain = self.log.next_chain(chain, entry)
        if new:
            piece = self._piece(connection, new, 0, before, chain)
            self._put_block(connection, piece._replace(first=row.first, last=row.last))
        else:
            connection.execute("DELETE FROM blocks WHERE first=?", (row.first,))
            connection.execute("DELETE FROM block_namespaces WHERE block=?", (row.first,))
        return chain

    def _rechain_block(self, connection: Connection, row: BlockRow, before: bytes, chain: bytes) -> None:
        columns, data = connection.execute("SELECT columns, data FROM blocks WHERE first=?", (row.first,)).fetchone()
        digest = block_digest(row.first, row.last, before, chain, columns, data)
        sql = "UPDATE blocks SET before=?, chain=?, digest=? WHERE first=?"
        connection.execute(sql, (before, chain, digest, row.first))

    def _sweep_hot(
        self,
        connection: Connection,
        first: int,
        chain: bytes,
        changed: set[int],
        edit: Edit,
        numbers: Callable[[Record], tuple[int, int, int]],
    ) -> bytes:
        content = self.log.hot_content(connection)
        while rows := connection.execute(f"{HOT} LIMIT {SWEEP}", (first, 1 << 62)).fetchall():
            updates, hashes = [], []
            for row in rows:
                if row[0] in changed:
                    entry = edit(self.log.hot_entry(connection, row))
                    if entry is None:
                        connection.execute("DELETE FROM log WHERE position=?", (row[0],))
                        continue
                    packed = pack(entry, *numbers(entry.record))
                    updates.append((packed, entry.record.text, entry.record.body, row[0]))
                    chain = self.log.next_chain(chain, entry)
                else:
                    chain = link(chain, content(row), row[0])
                hashes.append((chain, row[0]))
            connection.executemany("UPDATE log SET packed=?, text=?, body=? WHERE position=?", updates)
            connection.executemany("UPDATE log SET chain=? WHERE position=?", hashes)
            first = rows[-1][0] + 1
        return chain

    def _found(self, connection: Connection, positions: Iterable[int]) -> dict[int, Entry]:
        wanted = set(positions)
        found = self.log.entries(connection, wanted)
        for position in sorted(wanted - set(found)):
            sql = "SELECT 1 FROM gaps WHERE ? BETWEEN first AND last"
            if value(connection, sql, (position,)) is None:
                raise NotFoundError(f"{self.log.shown} has no record at position {position}; nothing was changed")
        return found

    def _touched(self, connection: Connection, entries: Iterable[Entry]) -> dict[int, set[int]]:
        """Namespace number -> positions."""
        numbers, touched = self._numbers(connection), dict[int, set[int]]()
        for entry in entries:
            touched.setdefault(numbers(entry.record)[0], set()).add(entry.record.position)
        return touched

    # ---- rewriting

    def rewrite(self, transaction: Transaction, texts: dict[int, tuple[str, str]]) -> None:
        connection = transaction.connection
        found = self._found(connection, texts)
        if not found:
            return
        touched = self._touched(connection, found.values())
        batches = [(n, c) for n, at in touched.items() for _, c in self.made.touching(connection, n, at)]
        new = {position: self._rewritten(entry, *texts[position]) for position, entry in found.items()}
        for position, entry in found.items():
            self.keys.rewritten(connection, entry.record)
            self._move_blobs(connection, position, entry.record.body, new[position].record.body)
        self._reindex(connection, touched, new)
        self.sweep(transaction, set(found), lambda entry: new[entry.record.position])
        for number, crystals in batches:
            self.made.refold(connection, number, crystals)
        for number in touched:
            derived.bump(connection, number)

    def _rewritten(self, entry: Entry, text: str, body: str) -> Entry:
        record = replace(entry.record, text=text, body=body)
        if self.terms is None:
            return Entry(record, entry.length, entry.postings)
        _, length, postings = split_terms(self.terms(record))
        return Entry(record, length, postings)

    def _reindex(self, connection: Connection, touched: dict[int, set[int]], new: dict[int, Entry]) -> None:
        if self.lexicon is not None and self.terms is not None:
            numbered = [(position, number) for number, positions in touched.items() for position in positions]
            records = [(at, number, split_terms(self.terms(new[at].record)).passages) for at, number in numbered]
            self.lexicon.replace(connection, records)

    def reindex(self, transaction: Transaction, version: str | None) -> None:
        """Index all of the log again, by the terms that are known now."""
        connection = transaction.connection
        clear(connection)
        everything = set(self.log.rows(connection, None, 0)["position"].tolist())
        if everything:
            numbers = self._numbers(connection)
            self.sweep(transaction, everything, lambda entry: self._indexed_anew(connection, entry, numbers))
        for (number,) in connection.execute("SELECT id FROM namespaces").fetchall():
            derived.bump(connection, number)
        if version is not None:
            put_setting(connection, "terms", version)

    def _indexed_anew(
        self, connection: Connection, entry: Entry, numbers: Callable[[Record], tuple[int, int, int]]
    ) -> Entry:
        assert self.terms is not None
        assert self.lexicon is not None
        passages, length, postings = split_terms(self.terms(entry.record))
        if passages:
            self.lexicon.add(connection, [(entry.record.position, numbers(entry.record)[0], passages)])
        return Entry(entry.record, length, postings)

    def _move_blobs(self, connection: Connection, position: int, old: str, new: str) -> None:
        gone = [bytes.fromhex(name) for name in blob_names(old) - blob_names(new)]
        sql = "DELETE FROM blob_uses WHERE digest=? AND position=?"
        connection.executemany(sql, [(digest, position) for digest in gone])
        sql = "DELETE FROM blobs WHERE digest=?1 AND NOT EXISTS(SELECT 1 FROM blob_uses WHERE digest=?1)"
        connection.executemany(sql, [(digest,) for digest in gone])

    # ---- erasing

    def erase(
        self,
        transaction: Transaction,
        positions: Sequence[int],
        emptied: set[int],
        keys: Sequence[tuple[Namespace, str]] = (),
    ) -> int:
        """Remove records, and all attachments and crystals of their namespaces, and of those numbered in `emptied`;
        returns how many records. keys: further ones that are never taken again."""
        connection = transaction.connection
        found = self._found(connection, positions)
        touched = emptied | self._touched(connection, found.values()).keys()
        if not touched:
            return 0
        for position, entry in found.items():
            self.keys.erased(connection, entry.record)
            self._move_blobs(connection, position, entry.record.body, "{}")
        self.keys.refuse(connection, keys)
        for number in touched:
            derived.discard(connection, number)
            attachments.drop(connection, number)
        if self.lexicon is not None:
            self.lexicon.remove(connection, set(found))
        count_up(connection, "erasures")
        if found:
            add_gaps(connection, set(found), "erased")
            self.sweep(transaction, set(found), lambda entry: None)
        else:
            count_up(connection, "rechained")  # so that nobody goes on with the number of a namespace that is gone
            transaction.mark = head_mark(connection)
        self._drop_names(connection, touched)
        return len(found)

    def _drop_names(self, connection: Connection, touched: set[int]) -> None:
        """Names that no record bears any more go too, and those of the touched namespaces that have nothing left."""
        rows = self.log.rows(connection, None, 0)
        used = set(rows["episode"].tolist()) | set(rows["actor"].tolist())
        names = {number for (number,) in connection.execute("SELECT id FROM names")}
        spaces = touched - set(rows["namespace"].tolist()) - attachments.numbers(connection)
        for table, gone in (("names", names - used), ("namespaces", spaces)):
            connection.executemany(f"DELETE FROM {table} WHERE id=?", [(number,) for number in gone])
        connection.execute("DELETE FROM barred WHERE namespace NOT IN (SELECT id FROM namespaces)")


def add_gaps(connection: Connection, positions: set[int], why: str) -> None:
    """Remember positions that hold no record any more, neighbours as one gap."""
    old = connection.execute("SELECT first, last FROM gaps WHERE why=?", (why,)).fetchall()
    spans = sorted([*old, *((position, position) for position in positions)])
    merged: list[list[int]] = []
    for first, last in spans:
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    connection.execute("DELETE FROM gaps WHERE why=?", (why,))
    connection.executemany("INSERT INTO gaps VALUES(?, ?, ?)", [(*span, why) for span in merged])
    reseal(connection, "gaps")


def _weight(entry: Entry) -> int:
    """Roughly the bytes of an entry in a block before compression; lengths in characters will do."""
    record = entry.record
    return 64 + len(record.text) + len(record.body) + len(record.key or "")
