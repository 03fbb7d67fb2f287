"""What stands in a memory's files as bytes: copies of them, their sizes, and what an erasure may have left behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

import apsw

from ..errors import DamagedError
from .blocks import decompress
from .chain import encode_mark
from .files import Files, os_errors
from .log import Log, head_mark
from .schema import Connection, sqlite_errors

PART = 4 << 20
PARTS = {
    "log": "log",
    "log_columns": "log",
    "blocks": "archive",
    "block_namespaces": "archive",
    "batches": "crystals",
    "batches_of": "crystals",
    "keys": "keys",
    "blobs": "blobs",
    "sqlite_autoindex_blobs_1": "blobs",
    "blob_uses": "blobs",
}


def sizes(paths: Files, connection: Connection) -> dict[str, int]:
    """Bytes by part. `codes` are within `crystals`; `total` is of all files."""
    found = dict.fromkeys(("log", "archive", "lexicon", "crystals", "keys", "blobs", "other"), 0)
    for name, size in connection.execute("SELECT name, sum(pgsize) FROM dbstat WHERE aggregate=TRUE GROUP BY name"):
        part = "lexicon" if name.startswith("lexicon") else PARTS.get(name, "other")
        found[part] += size
    sql = "SELECT ifnull(sum(length(payload)), 0) FROM batches WHERE kind LIKE 'codes:%'"
    found["codes"] = connection.execute(sql).fetchone()[0]
    for part, name in (("wal", paths.wal), ("anchor", paths.anchor)):
        found[part] = paths.size(name)
    files = (paths.database, paths.wal, paths.database + "-shm", paths.anchor, paths.lock)
    found["total"] = sum(map(paths.size, files))
    return found


# ---- copies


def copy(connection: Connection, path: str, shown: str) -> None:
    """Copy the connection's snapshot to a new file at `path`, and its anchor beside it, both on the disk on return."""
    mark = head_mark(connection)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    with os_errors(path), sqlite_errors(path), contextlib.closing(apsw.Connection(path, flags=flags)) as target:
        with target.backup("main", connection, "main") as backup:
            backup.step(-1)
        target.execute("PRAGMA synchronous=FULL")
        if head_mark(target).hash != mark.hash:
            raise DamagedError(f"the copy of {shown} does not end as it does; copy again")
    with os_errors(path):
        with open(path + "-anchor", "wb") as file:
            file.write(encode_mark(replace(mark, durable=mark.position)))
            file.flush()
            os.fsync(file.fileno())
        for name in (path, os.path.dirname(os.path.abspath(path))):
            fd = os.open(name, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)


def remove_copy(path: str) -> None:
    for end in ("", "-wal", "-shm", "-anchor", "-lock"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(path + end)


# ---- residue


def residue(paths: Files, log: Log, connection: Connection, needles: Sequence[bytes]) -> list[str]:
    """Where a needle stands: in the files as they are, or in what is compressed in them."""
    wanted = [needle for needle in needles if needle]
    places = [
        f"{name} at byte {at}" for name in (paths.database, paths.wal, paths.anchor) for at in _in_file(name, wanted)
    ]
    for row in log.block_rows(connection):
        block = log.block(connection, row)
        if any(block.contains(needle) for needle in wanted):
            places.append(f"the block of positions {row.first} to {row.last}")
    for what, frame in _frames(connection):
        data = decompress(frame, what)
        if any(needle in data for needle in wanted):
            places.append(what)
    return places


def _frames(connection: Connection) -> Iterator[tuple[str, bytes]]:
    for first, last, kind, payload in connection.execute("SELECT first, last, kind, payload FROM batches"):
        yield f"the batch of {kind} with serials {first} to {last}", payload
    for number, state in connection.execute("SELECT id, state FROM namespaces WHERE length(state)"):
        yield f"the state of namespace {number}", state


def _in_file(name: str, needles: list[bytes]) -> Iterator[int]:
    """Byte offsets; each part is read with as much of the one before as a needle could begin in."""
    if not needles or not os.path.exists(name):
        return
    overlap, before, at = max(map(len, needles)) - 1, b"", 0
    with contextlib.closing(_Reader(name)) as reader:
        while part := reader.read(at):
            data = before + part
            for needle in needles:
                if (found := data.find(needle)) >= 0:
                    yield at - len(before) + found
            before = data[len(data) - overlap :] if overlap else b""
            at += len(part)


class _Reader:
    """Bytes of a file, read through SQLite's file system: closing a plain descriptor would drop the locks that this
    process holds on the database."""

    def __init__(self, name: str) -> None:
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_MAIN_DB
        self._file = apsw.VFSFile("", name, [flags, 0])
        self._size = self._file.xFileSize()

    def read(self, at: int) -> bytes:
        size = min(PART, self._size - at)
        return bytes(self._file.xRead(size, at)) if size > 0 else b""

    def close(self) -> None:
        self._file.xClose()
