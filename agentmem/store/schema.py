"""The tables of a memory file, their numbered migrations, and how a connection to it is set up. Knows no records."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import apsw

from ..errors import (
    AgentMemError,
    ClosedError,
    DamagedError,
    FullError,
    LockedError,
    NewerFormatError,
    NotAMemoryError,
    ReadOnlyError,
    StoreError,
    TooLargeError,
)
from .files import LOCK_SECONDS, NO_SPACE, NO_WRITING, PLAIN

Connection = Any  # apsw.Connection; apsw ships no types
NONSENSE = (AttributeError, TypeError, ValueError, LookupError, OverflowError, struct.error)

APPLICATION_ID = 0x61674D31

FORMAT_1 = """
CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE namespaces(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, generation INTEGER NOT NULL,
                        watermark INTEGER NOT NULL DEFAULT 0, state BLOB NOT NULL DEFAULT x'', seal BLOB);
CREATE TABLE seals(name TEXT PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE log(position INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, packed BLOB NOT NULL,
                 logged_at REAL NOT NULL, chain BLOB NOT NULL, key TEXT, text TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX log_columns ON log(namespace, position, packed);
CREATE TABLE blocks(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, count INTEGER NOT NULL, before BLOB NOT NULL,
                    chain BLOB NOT NULL, digest BLOB NOT NULL, columns BLOB NOT NULL, data BLOB NOT NULL);
CREATE TABLE block_namespaces(namespace INTEGER, block INTEGER, PRIMARY KEY(namespace, block)) WITHOUT ROWID;
CREATE TABLE gaps(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, why TEXT NOT NULL);
CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT NOT NULL, reported INTEGER NOT NULL DEFAULT 0);
CREATE TABLE keys(digest BLOB PRIMARY KEY, position INTEGER, content BLOB) WITHOUT ROWID;
CREATE TABLE blobs(digest BLOB PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE blob_uses(digest BLOB, position INTEGER, PRIMARY KEY(digest, position)) WITHOUT ROWID;
CREATE TABLE batches(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, count INTEGER NOT NULL,
                     namespace INTEGER NOT NULL, kind TEXT NOT NULL, digest BLOB NOT NULL,
                     payload BLOB NOT NULL);
CREATE INDEX batches_of ON batches(namespace, kind, first);
"""

FORMAT_2 = """
DROP TABLE IF EXISTS lexicon;
DROP TABLE IF EXISTS pending;
"""  # the index by FTS5, in whose place opening makes the one of today

FORMAT_3 = """
CREATE TABLE attachments(id INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL,
                         digest BLOB NOT NULL, data BLOB NOT NULL, UNIQUE(namespace, name));
"""

FORMAT_4 = """
CREATE TABLE barred(namespace INTEGER NOT NULL, digest BLOB NOT NULL, salt BLOB NOT NULL, why TEXT NOT NULL,
                    at REAL NOT NULL, PRIMARY KEY(namespace, digest)) WITHOUT ROWID;
CREATE TABLE ledger(id INTEGER PRIMARY KEY, position INTEGER NOT NULL, at REAL NOT NULL, what TEXT NOT NULL, who TEXT,
                    namespace INTEGER, detail TEXT NOT NULL, chain BLOB NOT NULL);
"""  # and the events "erased" and "consent" in the log

FORMAT_5 = "SELECT 1"  # the events "rules" and "hold" in the log

# Step n brings a file of format n to format n + 1; all of them run in the one transaction that opens the file.
MIGRATIONS: tuple[str, ...] = (FORMAT_1, FORMAT_2, FORMAT_3, FORMAT_4, FORMAT_5)
FORMAT = len(MIGRATIONS)
STRIPPED = "stripped"  # the setting of a copy without what was made of the log: "index", then "crystals", then ""
SEALED = ("settings", "counters", "gaps")
NAMESPACE_ROW = "SELECT id, name, generation, watermark, state, seal FROM namespaces WHERE id=?"


def connect(path: str, *, flags: int | None = None, cipher: str | None = None, damaged: bool = False) -> Connection:
    """A connection set up for a memory file; cipher: its key and salt in hex, if the file is encrypted. damaged: then
    pages that do not fit their tags are read too.
    """
    if flags is None:
        flags = apsw.SQLITE_OPEN_READWRITE
    connection = apsw.Connection(path, flags=flags, vfs=PLAIN if cipher is None else None)
    if cipher is not None:
        if damaged:
            connection.execute("PRAGMA hmac_check=0").fetchall()
        connection.execute(f"PRAGMA cipher='chacha20'; PRAGMA key='raw:{cipher}'").fetchall()
    connection.set_busy_timeout(int(LOCK_SECONDS * 1000))
    for pragma in (
        "foreign_keys=ON",
        "trusted_schema=OFF",
        "cell_size_check=ON",
        "secure_delete=ON",
        "temp_store=MEMORY",
        "mmap_size=0",
        "cache_size=-8000",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def has_ciphers() -> bool:
    """Whether this SQLite can encrypt whole files."""
    return hasattr(apsw, "mc_version")


def value(connection: Connection, sql: str, bindings: Sequence[Any] = ()) -> Any:
    """The first column of the first row, or None."""
    row = connection.execute(sql, bindings).fetchone()
    return None if row is None else row[0]


def format_of(connection: Connection, shown: str) -> int:
    """The format number of a file, 0 for a new one. Raises NotAMemoryError, NewerFormatError."""
    application = value(connection, "PRAGMA application_id")
    number: int = value(connection, "PRAGMA user_version")
    tables = value(connection, "SELECT count(*) FROM sqlite_schema")
    if application != APPLICATION_ID and (application or tables):
        raise NotAMemoryError(f"{shown} is an SQLite database of another application; give the path of a memory")
    if number > FORMAT:
        raise NewerFormatError(
            f"{shown} has format {number} and this agentmem reads up to {FORMAT}; upgrade agentmem to open it"
        )
    return number


def migrate(connection: Connection, number: int) -> None:
    """Bring a file of format `number` to FORMAT, inside the caller's transaction."""
    for step in MIGRATIONS[number:]:
        connection.execute(step)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={FORMAT}")


def stored_setting(connection: Connection, name: str) -> str | None:
    found: str | None = value(connection, "SELECT value FROM settings WHERE name=?", (name,))
    return found


def count_up(connection: Connection, name: str, by: int = 1) -> int:
    """Add to a counter of the file and return its new value; a counter starts at 0 and never falls."""
    sql = "INSERT INTO counters VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET value = value + ?2 RETURNING value"
    (raised,) = connection.execute(sql, (name, by)).fetchall()[0]
    reseal(connection, "counters")
    return int(raised)


def counter(connection: Connection, name: str) -> int:
    return value(connection, "SELECT value FROM counters WHERE name=?", (name,)) or 0


def put_setting(connection: Connection, name: str, text: str) -> None:
    sql = "INSERT INTO settings VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value"
    connection.execute(sql, (name, text))
    reseal(connection, "settings")


def seal(*values: object) -> bytes:
    """A digest for rows that no chain covers."""
    return sha256(repr(values).encode()).digest()[:8]


def _table_seal(connection: Connection, table: str) -> bytes:
    return seal(*connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall())


def reseal(connection: Connection, table: str) -> None:
    """After a change of one of the SEALED tables."""
    sql = "INSERT OR REPLACE INTO seals VALUES(?, ?)"
    connection.execute(sql, (table, _table_seal(connection, table)))


def check_seal(connection: Connection, table: str, shown: str) -> None:
    if value(connection, "SELECT digest FROM seals WHERE name=?", (table,)) != _table_seal(connection, table):
        raise DamagedError(f"{shown}: its table of {table} was changed; restore it from a backup")


def seal_namespace(connection: Connection, number: int) -> None:
    digest = seal(*connection.execute(NAMESPACE_ROW, (number,)).fetchone()[:-1])
    connection.execute("UPDATE namespaces SET seal=? WHERE id=?", (digest, number))


def namespace_row(connection: Connection, number: int, shown: str) -> tuple[int, int, bytes]:
    """Generation, watermark and packed state of a namespace."""
    row = connection.execute(NAMESPACE_ROW, (number,)).fetchone()
    if seal(*row[:-1]) != row[-1]:
        raise DamagedError(f"{shown}: the row of namespace {number} was changed; restore a backup")
    return int(row[2]), int(row[3]), row[4]


def translate(error: Exception, shown: str, system: int = 0) -> AgentMemError:
    """The error of the tree for what SQLite said about the file `shown`; `system` is the errno behind it."""
    shared = getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE  # the -shm file, which keeps no errno
    if isinstance(error, apsw.FullError) or shared or (isinstance(error, apsw.IOError) and system in NO_SPACE):
        return FullError(f"no space left for {shown} ({error}); free some and try again: nothing was half-written")
    if isinstance(error, apsw.NotADBError):
        return NotAMemoryError(f"{shown} is not a memory file ({error}); give the path of a memory or of a new file")
    if isinstance(error, apsw.CorruptError):
        return DamagedError(f"{shown} is damaged ({error}); restore it from a backup")
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return LockedError(f"{shown} was locked by another process for {LOCK_SECONDS:g} s ({error}); try again later")
    if isinstance(error, apsw.ReadOnlyError | apsw.PermissionsError) or system in NO_WRITING:
        return ReadOnlyError(f"{shown} cannot be written ({error}); check its permissions or open it read-only")
    if isinstance(error, apsw.TooBigError):
        return TooLargeError(f"a value is larger than {shown} can hold ({error}); split it")
    if isinstance(error, apsw.ConnectionClosedError):
        return ClosedError(f"{shown} was closed; open it again")
    return StoreError(f"{shown}: {type(error).__name__}: {error}; check the disk, then open the memory again")


class sqlite_errors:
    """Errors of SQLite in the body become those of the tree; so do those of values that no memory writes."""

    __slots__ = ("connection", "shown")

    def __init__(self, shown: str, connection: Connection = None) -> None:
        self.shown, self.connection = shown, connection

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, UnicodeDecodeError):
            raise DamagedError(f"{self.shown} holds text that is no UTF-8; restore it from a backup") from error
        if isinstance(error, NONSENSE) and not isinstance(error, AgentMemError | UnicodeEncodeError):
            raise DamagedError(
                f"{self.shown}: what is stored makes no sense ({type(error).__name__}: {error}); restore a backup"
            ) from error
        if isinstance(error, apsw.Error):
            system = 0
            if self.connection is not None and isinstance(error, apsw.IOError | apsw.CantOpenError):
                system = self.connection.system_errno
            raise translate(error, self.shown, system) from error
