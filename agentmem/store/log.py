"""Reading the log, hot rows and archived blocks alike, over a connection handed in. Writes nothing.

Whatever is read is checked: a hot row against the chain, a block against its digest.
"""

from __future__ import annotations

import itertools
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from ..errors import DamagedError, in_brief
from ..types import KINDS, RECORD_TYPES, Namespace, Record
from .blocks import Block, Cache, block_digest, unpack_columns
from .chain import GENESIS, Mark, content_hash, fields_hash, link
from .rows import KIND_BYTES, MAX_COUNT, PACK, PACKED, TYPE_BYTES, TYPE_NUMBER, Entry, namespace_json, namespace_of_json
from .schema import Connection, value
from .sealing import Sealing

NEAR = 3  # positions closer than this are read in one sweep
HOT = "SELECT position, packed, logged_at, chain, key, text, body FROM log WHERE position BETWEEN ? AND ? ORDER BY 1"
HEAD = """SELECT max(ifnull((SELECT max(position) FROM log), 0),
                     ifnull((SELECT last FROM blocks ORDER BY first DESC LIMIT 1), 0),
                     ifnull((SELECT last FROM gaps ORDER BY first DESC LIMIT 1), 0)),
                 coalesce((SELECT chain FROM log ORDER BY position DESC LIMIT 1),
                          (SELECT chain FROM blocks ORDER BY first DESC LIMIT 1), zeroblob(32)),
                 ifnull((SELECT value FROM counters WHERE name = 'rechained'), 0),
                 ifnull((SELECT value FROM counters WHERE name = 'erasures'), 0),
                 0,
                 ifnull((SELECT value FROM counters WHERE name = 'attached'), 0)"""


def head_mark(connection: Connection) -> Mark:
    """Where the log ends; DamagedError where somebody put something else into its counters."""
    position, chain, *counters = connection.execute(HEAD).fetchone()
    if not (isinstance(chain, bytes) and all(isinstance(one, int) for one in (position, *counters))):
        raise DamagedError(f"the counters of the log hold {in_brief(counters)}; repair the memory, or restore a backup")
    return Mark(position, chain, *counters)


def archived_upto(connection: Connection) -> int:
    return value(connection, "SELECT last FROM blocks ORDER BY first DESC LIMIT 1") or 0


def chain_before(connection: Connection, position: int) -> bytes:
    """The chain hash of the last record before a position that is in the hot rows or just behind them."""
    found = value(
        connection, "SELECT chain FROM log WHERE position < ? ORDER BY position DESC LIMIT 1", (position,)
    ) or value(connection, "SELECT chain FROM blocks WHERE last < ? ORDER BY first DESC LIMIT 1", (position,))
    return found or GENESIS


def namespace_id(connection: Connection, namespace: Namespace) -> int | None:
    found: int | None = value(connection, "SELECT id FROM namespaces WHERE name=?", (namespace_json(namespace),))
    return found


class Directory:
    """What the numbers of namespaces and names stand for. Numbers are never given twice, so it only grows; where
    something was erased another takes its place, as some thread may be reading this one.
    """

    def __init__(self) -> None:
        self.namespaces: dict[int, Namespace] = {}
        self.names: dict[int, str | None] = {0: None}

    def refresh(self, connection: Connection) -> None:
        for number, name in connection.execute("SELECT id, name FROM namespaces"):
            self.namespaces[number] = namespace_of_json(name)
        after = max(self.names)
        for number, name in connection.execute("SELECT id, name FROM names WHERE id > ?", (after,)):
            self.names[number] = name


class BlockRow(NamedTuple):
    """A block's row without its bytes."""

    first: int
    last: int
    before: bytes
    chain: bytes
    digest: bytes


class Log:
    """The records of one file, through any of its connections. sealing: of an encrypted one."""

    def __init__(self, shown: str, sealing: Sealing | None = None) -> None:
        self.shown, self.sealing = shown, sealing
        self.cache: Cache[Block] = Cache()
        self.directory = Directory()

    def forget(self) -> None:
        """Drop what was cached: something was erased."""
        self.cache.clear()
        self.directory = Directory()

    # ---- numbers to words

    def namespace(self, connection: Connection, number: int) -> Namespace:
        directory = self.directory
        if number not in directory.namespaces:
            directory.refresh(connection)
        try:
            return directory.namespaces[number]
        except KeyError:
            raise DamagedError(f"{self.shown}: namespace number {number} is not there; restore a backup") from None

    def name(self, connection: Connection, number: int) -> str | None:
        directory = self.directory
        if number not in directory.names:
            directory.refresh(connection)
        try:
            return directory.names[number]
        except KeyError:
            raise DamagedError(f"{self.shown}: name number {number} is not there; restore a backup") from None

    # ---- columns

    def rows(self, connection: Connection, namespace: int | None, after: int, upto: int | None = None) -> np.ndarray:
        """PACKED rows with after < position <= upto in log order, of one namespace or of all."""
        upto = (1 << 62) if upto is None else upto
        parts = [self._block_rows(blob, first, namespace) for first, blob in _blocks_of(connection, namespace, after)]
        where = "" if namespace is None else "namespace=?3 AND"
        sql = f"SELECT packed FROM log INDEXED BY log_columns WHERE {where} position > ?1 AND position <= ?2"
        bindings = (after, upto) if namespace is None else (after, upto, namespace)
        parts.append(np.frombuffer(b"".join([blob for (blob,) in connection.execute(sql, bindings)]), PACKED))
        rows = np.concatenate(parts)
        if namespace is None:
            rows = rows[np.argsort(rows["position"], kind="stable")]
        return rows[(rows["position"] > after) & (rows["position"] <= upto)]

    def select(
        self,
        connection: Connection,
        namespace: Namespace | None,
        after: int,
        upto: int | None,
        episode: str | None,
        types: Sequence[str] | None,
    ) -> list[int]:
        """Positions of the records that a scan is to give."""
        number = None if namespace is None else namespace_id(connection, namespace)
        if namespace is not None and number is None:
            return []
        rows = self.rows(connection, number, after, upto)
        if episode is not None:
            name = value(connection, "SELECT id FROM names WHERE name=?", (episode,))
            rows = rows[rows["episode"] == (name or MAX_COUNT)]
        if types is not None:
            rows = rows[np.isin(rows["type"], [TYPE_NUMBER.get(name, 255) for name in types])]
        positions: list[int] = rows["position"].tolist()
        return positions

    def _block_rows(self, blob: bytes, first: int, namespace: int | None) -> np.ndarray:
        rows = unpack_columns(blob, f"{self.shown}: the block at position {first}")
        return rows if namespace is None else rows[rows["namespace"] == namespace]

    def times(self, connection: Connection, namespace: int, after: int) -> np.ndarray:
        """When each of `rows` was logged, float64."""
        sql = """SELECT first, last, before, chain, digest FROM block_namespaces JOIN blocks ON block = first
                 WHERE namespace = ? AND last > ? ORDER BY block"""
        parts = [np.zeros(0)]
        for row in itertools.starmap(BlockRow, connection.execute(sql, (namespace, after)).fetchall()):
            block = self.block(connection, row)
            parts.append(block.times[(block.rows["namespace"] == namespace) & (block.rows["position"] > after)])
        sql = "SELECT logged_at FROM log INDEXED BY log_columns WHERE namespace=? AND position > ? ORDER BY position"
        return np.concatenate([*parts, [at for (at,) in connection.execute(sql, (namespace, after))]])

    def tokens(self, connection: Connection, after: int) -> int:
        """Tokens of all records after a position."""
        parts = [self._block_rows(blob, first, None) for first, blob in _blocks_of(connection, None, after)]
        hot = connection.execute("SELECT packed FROM log WHERE position > ?", (after,))
        parts.append(np.frombuffer(b"".join([blob for (blob,) in hot]), PACKED))
        return sum(int(rows["tokens"][rows["position"] > after].sum(dtype=np.int64)) for rows in parts)

    # ---- records

    def block(self, connection: Connection, row: BlockRow) -> Block:
        block = self.cache.get(row.digest)
        if block is None:
            what = f"{self.shown}: the block of positions {row.first} to {row.last}"
            columns, data = connection.execute(
                "SELECT columns, data FROM blocks WHERE first=?", (row.first,)
            ).fetchone()
            if block_digest(row.first, row.last, row.before, row.chain, columns, data) != row.digest:
                raise DamagedError(f"{what} does not match its digest; restore it from a backup")
            block = Block(unpack_columns(columns, what), data, what)
            self.cache.put(row.digest, block)
        return block

    def block_rows(self, connection: Connection, after: int = 0) -> Iterator[BlockRow]:
        sql = "SELECT first, last, before, chain, digest FROM blocks WHERE last > ? ORDER BY first"
        return itertools.starmap(BlockRow, connection.execute(sql, (after,)).fetchall())

    def block_entries(self, connection: Connection, row: BlockRow) -> Iterator[Entry]:
        block = self.block(connection, row)
        positions: list[int] = block.positions.tolist()
        yield from block.entries(positions, partial(self.namespace, connection), partial(self.name, connection))

    def hot(self, connection: Connection, first: int, last: int) -> Iterator[tuple[Entry, bytes]]:
        """Hot entries with their chain hashes, each checked against the one before."""
        chain = chain_before(connection, first)
        for row in connection.execute(HOT, (first, last)):
            entry = self.hot_entry(connection, row)
            chain = self.next_chain(chain, entry)
            if chain != row[3]:
                raise DamagedError(f"{self.shown}: the record at position {row[0]} was changed; restore a backup")
            yield entry, chain

    def next_chain(self, chain: bytes, entry: Entry) -> bytes:
        name = namespace_json(entry.record.namespace).encode()
        return link(chain, content_hash(entry.record, name, entry.length, entry.postings), entry.record.position)

    def chained_anew(self, connection: Connection, row: BlockRow, chain: bytes) -> bytes:
        """The chain hash at the end of a block that follows `chain`."""
        names = self._encoded(connection)
        for position, content in self.block(connection, row).contents(*names):
            chain = link(chain, content, position)
        return chain

    def hot_content(self, connection: Connection) -> Callable[[Sequence[Any]], Any]:
        """HOT row -> its content hash, without making the record."""
        namespace, name = self._encoded(connection)

        def content(row: Sequence[Any]) -> Any:
            _, space, episode, actor, tokens, length, postings, type_, kind = PACK.unpack(row[1])
            names = TYPE_BYTES[type_], name(episode), KIND_BYTES[kind], name(actor)
            texts = [None if text is None else text.encode() for text in row[4:]]
            return fields_hash(namespace(space), (*names, *texts), tokens, length, postings, row[2])

        return content

    def _encoded(self, connection: Connection) -> tuple[Callable[[int], bytes], Callable[[int], bytes | None]]:
        """Number -> namespace, and number -> name, as they are hashed."""

        @cache
        def namespace(number: int) -> bytes:
            return namespace_json(self.namespace(connection, number)).encode()

        @cache
        def name(number: int) -> bytes | None:
            found = self.name(connection, number)
            return None if found is None else found.encode()

        return namespace, name

    def hot_entry(self, connection: Connection, row: Sequence[Any]) -> Entry:
        position, packed, logged_at, _, key, text, body = row
        try:
            where, namespace, episode, actor, tokens, length, postings, type_, kind = PACK.unpack(packed)
            if not (isinstance(text, str) and isinstance(body, str) and isinstance(key, str | None)):
                raise TypeError("a text that is none")
            record = Record(
                type=RECORD_TYPES[type_],
                namespace=self.namespace(connection, namespace),
                episode=self.name(connection, episode),
                kind=None if kind < 0 else KINDS[kind],
                actor=self.name(connection, actor),
                text=text,
                body=body,
                key=key,
                logged_at=float(logged_at),
                tokens=tokens,
                position=where,
            )
        except (ValueError, IndexError, TypeError, struct.error) as error:
            raise DamagedError(f"{self.shown}: the record at position {position} was changed: {error}") from error
        return Entry(record, length, postings)

    def entries(self, connection: Connection, positions: Iterable[int]) -> dict[int, Entry]:
        """The entries at these positions that are there."""
        found: dict[int, Entry] = {}
        wanted = sorted(set(positions))
        edge = archived_upto(connection)
        self._from_blocks(connection, [p for p in wanted if p <= edge], found)
        for run in _runs([p for p in wanted if p > edge]):
            keep = set(run)
            for entry, _ in self.hot(connection, run[0], run[-1]):
                if entry.record.position in keep:
                    found[entry.record.position] = entry
        return found

    def _from_blocks(self, connection: Connection, wanted: list[int], found: dict[int, Entry]) -> None:
        namespace, name = partial(self.namespace, connection), partial(self.name, connection)
        for block, here in self._holding(connection, wanted):
            for entry in block.entries(here, namespace, name):
                found[entry.record.position] = entry

    def _holding(self, connection: Connection, wanted: list[int]) -> Iterator[tuple[Block, list[int]]]:
        """The blocks that have some of these sorted positions, with those that each may have."""
        if not wanted:
            return
        sql = """SELECT first, last, before, chain, digest FROM blocks
                 WHERE first BETWEEN (SELECT max(first) FROM blocks WHERE first <= ?1) AND ?2 ORDER BY first"""
        least = value(connection, "SELECT min(first) FROM blocks")
        rows = connection.execute(sql, (max(wanted[0], least), wanted[-1])).fetchall()
        for row in itertools.starmap(BlockRow, rows):
            here = wanted[bisect_left(wanted, row.first) : bisect_right(wanted, row.last)]
            if here:
                yield self.block(connection, row), here

    def texts(self, connection: Connection, positions: Iterable[int]) -> dict[int, str]:
        """Texts only, unchecked where hot: for callers that have a digest of what they make from them."""
        wanted = sorted(set(positions))
        if self.sealing is not None:
            entries = self.entries(connection, wanted).items()
            return {position: self.sealing.opened(entry.record).text for position, entry in entries}
        edge = archived_upto(connection)
        found: dict[int, str] = {}
        for block, here in self._holding(connection, [p for p in wanted if p <= edge]):
            found.update(block.texts(here))
        for run in _runs([p for p in wanted if p > edge]):
            sql = "SELECT position, text FROM log WHERE position BETWEEN ? AND ?"
            found.update(connection.execute(sql, (run[0], run[-1])))
        return found


def _blocks_of(connection: Connection, namespace: int | None, after: int) -> Iterator[tuple[int, bytes]]:
    if namespace is None:
        sql = "SELECT first, columns FROM blocks WHERE last > ? ORDER BY first"
        return iter(connection.execute(sql, (after,)))
    sql = """SELECT first, columns FROM block_namespaces JOIN blocks ON block = first
             WHERE namespace = ? AND last > ? ORDER BY block"""
    return iter(connection.execute(sql, (namespace, after)))


def _runs(positions: list[int]) -> Iterator[list[int]]:
    """Neighbours together."""
    run: list[int] = []
    for position in positions:
        if run and position - run[-1] > NEAR:
            yield run
            run = []
        run.append(position)
    if run:
        yield run
