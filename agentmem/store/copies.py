"""A memory's files as a whole: copies of them, and their sizes."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

import apsw

from ..errors import DamagedError, StoreError
from . import derived, lexicon
from .chain import encode_mark
from .files import Files, open_private, os_errors, sync
from .log import head_mark
from .schema import STRIPPED, Connection, connect, put_setting, sqlite_errors, value

PARTS = {
    "log": "log",
    "log_columns": "log",
    "postings": "lexicon",
    "pending": "lexicon",
    "blocks": "archive",
    "block_namespaces": "archive",
    "batches": "crystals",
    "batches_of": "crystals",
    "keys": "keys",
    "blobs": "blobs",
    "sqlite_autoindex_blobs_1": "blobs",
    "blob_uses": "blobs",
    "attachments": "attachments",
    "sqlite_autoindex_attachments_1": "attachments",
    "ledger": "ledger",
}


def sizes(paths: Files, connection: Connection) -> dict[str, int]:
    """Bytes by part, each counted once, and their `total`: of all files but -shm, which is shared memory of those that
    have the memory open.

    An empty table is in `other`. `free` is what a table let go of: room for whatever is written next. `wal` is what the
    write-ahead log takes beyond the pages that are still only in it, which their parts count. `reserve` is what is kept
    free where the disk is nearly full.
    """
    found = dict.fromkeys(
        ("log", "archive", "lexicon", "crystals", "keys", "blobs", "attachments", "ledger", "other"), 0
    )
    for name, size in connection.execute("SELECT name, sum(pgsize) FROM dbstat WHERE aggregate=TRUE GROUP BY name"):
        found[PARTS.get(name, "other")] += size
    if value(connection, "SELECT 1 FROM attachments LIMIT 1") is None:
        found["attachments"] = 0
    if value(connection, "SELECT 1 FROM ledger LIMIT 1") is None:
        found["ledger"] = 0
    page = value(connection, "PRAGMA page_size")
    pages = value(connection, "PRAGMA page_count") * page
    found["free"] = value(connection, "PRAGMA freelist_count") * page
    found["other"] += pages - sum(found.values())  # where pages of others point to
    sql = "SELECT ifnull(sum(length(payload)), 0) FROM batches WHERE kind LIKE 'codes:%'"
    found["codes"] = connection.execute(sql).fetchone()[0]
    found["crystals"] -= found["codes"]
    found["wal"] = max(0, paths.size(paths.database) + paths.size(paths.wal) - pages)
    for part, name in (("anchor", paths.anchor), ("reserve", paths.reserve)):
        found[part] = paths.size(name)
    found["total"] = sum(found.values())
    return found


# ---- copies


def copy(connection: Connection, path: str, shown: str, cipher: str | None = None) -> None:
    """Copy the connection's snapshot to a new file at `path`, and its anchor beside it, both on the disk on return.

    cipher: as the memory's own; the copy then leaves out all that was made of the log.
    """
    mark = head_mark(connection)
    _begin(path)
    flags = apsw.SQLITE_OPEN_READWRITE
    with os_errors(path), sqlite_errors(path), contextlib.closing(connect(path, flags=flags, cipher=cipher)) as target:
        target.execute(f"PRAGMA page_size={value(connection, 'PRAGMA page_size')}")
        with target.backup("main", connection, "main") as backup:
            backup.step(-1)
        target.execute("PRAGMA synchronous=FULL")
        if cipher is not None:
            _strip(target)
        if head_mark(target).hash != mark.hash:
            raise DamagedError(f"the copy of {shown} does not end as it does; copy again")
    with os_errors(path):
        with open(open_private(path + "-anchor"), "wb") as file:
            file.write(encode_mark(replace(mark, durable=mark.position)))
            file.flush()
            os.fsync(file.fileno())
        for name in (path, os.path.dirname(os.path.abspath(path))):
            sync(name)


def _begin(path: str) -> None:
    """An empty file, made so that what forbids it is told as it is; SQLite would only say that it cannot open it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        folder = os.path.dirname(os.path.abspath(path))
        raise StoreError(
            f"{path} cannot be made in the directory {folder} ({error.strerror}); choose one where files can be written"
        ) from error


def _strip(target: Connection) -> None:
    """Leave out what was made of the log: it would tell in a copy what a shredded key no longer tells."""
    target.execute("PRAGMA journal_mode=DELETE").fetchall()
    target.execute("BEGIN IMMEDIATE")
    if value(target, "SELECT 1 FROM sqlite_schema WHERE name='postings'"):
        lexicon.clear(target)
    for (number,) in target.execute("SELECT id FROM namespaces").fetchall():
        derived.discard(target, number)
    put_setting(target, STRIPPED, "index")
    target.execute("COMMIT")
    target.execute("VACUUM")
    target.execute("PRAGMA journal_mode=WAL").fetchall()


def remove_copy(path: str) -> None:
    for end in ("", "-wal", "-shm", "-anchor", "-lock", "-reserve"):
        with contextlib.suppress(OSError):  # what cannot be removed could not be written
            os.remove(path + end)
