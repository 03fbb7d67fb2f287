"""Which record an idempotency key stands for. Knows the table of keys and the blocks; nothing of what a retry may be.

Under retain="crystals" archived records have no rows there, which would cost as much as their text: a key is found in
the blocks, through digests kept in memory from its first use on. Rows stay for what no block can tell: that a key was
erased, and what was logged under it where the text has been let go of since (of those, the first bytes are enough).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from ..types import Namespace, Record
from .log import BlockRow, Log, archived_upto
from .rows import content_key, key_digest
from .schema import Connection, counter, seal

SHORT = 8


class Keys:
    """The keys of one file. stored: whether those of archived records stand in the table. content: a stored record's
    digest by which a retry is known."""

    def __init__(self, log: Log, stored: bool, content: Callable[[Record], bytes] = content_key) -> None:
        self.log, self.stored, self.content = log, stored, content
        self._lock = threading.Lock()
        self._state = -1, -1
        self._blocks: dict[bytes, np.ndarray] = {}
        self._archived = np.empty((0, 2), np.uint64)

    def find(self, connection: Connection, namespace: Namespace, key: str) -> tuple[int | None, bytes | None] | None:
        """Position (None: erased) and digest of the content, if the text is not what it was; None for a new key."""
        digest = key_digest(namespace, key)
        sql = "SELECT position, content FROM keys WHERE digest=?"
        row: tuple[int | None, bytes | None] | None = connection.execute(sql, (digest,)).fetchone()
        if row is not None or self.stored:
            return row
        for position in self._candidates(connection, digest):
            record = self.log.entries(connection, [position])[position].record
            if (record.namespace, record.key) == (namespace, key):
                kept = connection.execute(f"{sql} AND position=?", (digest[:SHORT], position)).fetchone()
                return position, kept and kept[1]
        return None

    def refuses(self, connection: Connection, namespace: Namespace, key: str) -> bool:
        """Whether a key was erased."""
        sql = "SELECT 1 FROM keys WHERE digest=? AND position IS NULL"
        return connection.execute(sql, (key_digest(namespace, key),)).fetchone() is not None

    def _candidates(self, connection: Connection, digest: bytes) -> list[int]:
        """Positions of archived records whose key has the same first bytes."""
        wanted = np.uint64(_number(digest))
        with self._lock:
            state = counter(connection, "rechained"), archived_upto(connection)
            if state != self._state:
                self._renew(connection)
                self._state = state
            first, last = (np.searchsorted(self._archived[:, 0], wanted, side) for side in ("left", "right"))
            return [int(position) for position in self._archived[first:last, 1]]

    def _renew(self, connection: Connection) -> None:
        rows = list(self.log.block_rows(connection))
        known = self._blocks
        self._blocks = {
            row.digest: known[row.digest] if row.digest in known else self._of_block(connection, row) for row in rows
        }
        every = np.concatenate([np.empty((0, 2), np.uint64), *self._blocks.values()])
        self._archived = every[np.argsort(every[:, 0], kind="stable")]

    def _of_block(self, connection: Connection, row: BlockRow) -> np.ndarray:
        block = self.log.block(connection, row)
        pairs = []
        for place, key in block.keyed():
            namespace = self.log.namespace(connection, int(block.rows["namespace"][place]))
            pairs.append((_number(key_digest(namespace, key)), int(block.rows["position"][place])))
        return np.array(pairs, np.uint64).reshape(-1, 2)

    # ---- what happens to records

    def archived(self, connection: Connection, digests: Sequence[bytes]) -> None:
        """These keys' records are in a block now."""
        if self.stored:
            return
        sql = f"""INSERT OR IGNORE INTO keys SELECT substr(digest, 1, {SHORT}), position, substr(content, 1, {SHORT})
                  FROM keys WHERE digest=? AND position IS NOT NULL AND content IS NOT NULL"""
        connection.executemany(sql, [(digest,) for digest in digests])
        sql = "DELETE FROM keys WHERE digest=? AND position IS NOT NULL"
        connection.executemany(sql, [(digest,) for digest in digests])

    def rewritten(self, connection: Connection, record: Record) -> None:
        """Note what was logged, before its text goes: a retry of it must still be recognised."""
        if record.key is None:
            return
        digest, content = key_digest(record.namespace, record.key), self.content(record)
        connection.execute("UPDATE keys SET content=coalesce(content, ?) WHERE digest=?", (content, digest))
        if not connection.changes() and not self.stored:
            row = (digest[:SHORT], record.position, content[:SHORT])
            connection.execute("INSERT OR IGNORE INTO keys VALUES(?, ?, ?)", row)

    def erased(self, connection: Connection, record: Record) -> None:
        if record.key is not None:
            digest = key_digest(record.namespace, record.key)
            connection.execute("DELETE FROM keys WHERE digest=? AND position=?", (digest[:SHORT], record.position))
            connection.execute("INSERT OR REPLACE INTO keys VALUES(?, NULL, ?)", (digest, seal(digest)))

    def refuse(self, connection: Connection, keys: Sequence[tuple[Namespace, str]]) -> None:
        """Keys that no record has, and none is to have."""
        digests = [key_digest(namespace, key) for namespace, key in keys]
        rows = [(digest, seal(digest)) for digest in digests]
        connection.executemany("INSERT OR IGNORE INTO keys VALUES(?, NULL, ?)", rows)


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:SHORT], "big")
