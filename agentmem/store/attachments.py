"""The table of attachments: named bytes of a namespace, which cannot be made again from the log.

Content stands against its sha256, and what there is in a namespace against a seal, so that neither a changed byte nor
a name that went missing is served. Knows nothing of what the bytes are, and nothing of locks.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from ..errors import DamagedError, InvalidInputError, TooLargeError
from ..types import Namespace
from .rows import MAX_BLOB
from .schema import Connection, seal, value

LISTED = "SELECT name, size, digest FROM attachments WHERE namespace=? ORDER BY name"
SEAL = "attachments "  # before the number of a namespace, in the table of seals


def checked(name: str, content: bytes) -> bytes:
    """The content as bytes, if it can be kept under this name; InvalidInputError or TooLargeError."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(f"the name {name!r} of an attachment is no text in UTF-8; choose another") from None
    if not isinstance(content, bytes | bytearray | memoryview):
        raise InvalidInputError(f"attachment {name!r} is a {type(content).__name__}; give its bytes")
    if len(data := bytes(content)) > MAX_BLOB:
        raise TooLargeError(
            f"attachment {name!r} of {len(data):,} bytes is over the limit of {MAX_BLOB:,}; attach it in parts"
        )
    return data


def put(connection: Connection, number: int, name: str, data: bytes) -> None:
    """Keep content under a name, in the place of what was there."""
    sql = """INSERT INTO attachments(namespace, name, size, digest, data) VALUES(?, ?, ?, ?, ?)
             ON CONFLICT(namespace, name)
             DO UPDATE SET size=excluded.size, digest=excluded.digest, data=excluded.data"""
    connection.execute(sql, (number, name, len(data), sha256(data).digest(), data))
    _reseal(connection, number)


def get(connection: Connection, number: int, name: str, namespace: Namespace, shown: str) -> bytes | None:
    """The content; None if there is none. Raises DamagedError for what was changed."""
    if name not in listed(connection, number, namespace, shown):
        return None
    sql = "SELECT digest, data FROM attachments WHERE namespace=? AND name=?"
    row = connection.execute(sql, (number, name)).fetchone()
    if row is None or not _is_whole(*row):
        raise DamagedError(_changed(name, namespace, shown))
    return bytes(row[1])


def listed(connection: Connection, number: int, namespace: Namespace, shown: str) -> dict[str, int]:
    """Name -> bytes, by name. Raises DamagedError if this is not what was put."""
    rows = connection.execute(LISTED, (number,)).fetchall()
    if _stored_seal(connection, number) != (seal(*rows) if rows else None):
        raise DamagedError(f"{shown}: the list of attachments of {namespace} was changed; restore it from a backup")
    return {name: size for name, size, _ in rows}


def drop(connection: Connection, number: int, name: str | None = None) -> None:
    """Remove one, or (None) all of a namespace."""
    sql = "DELETE FROM attachments WHERE namespace=?1 AND (?2 IS NULL OR name=?2)"
    connection.execute(sql, (number, name))
    _reseal(connection, number)


def numbers(connection: Connection) -> set[int]:
    """Numbers of the namespaces that have any, or should."""
    sealed = connection.execute("SELECT name FROM seals WHERE name LIKE ?", (SEAL + "%",)).fetchall()
    having = connection.execute("SELECT DISTINCT namespace FROM attachments").fetchall()
    return {int(name.removeprefix(SEAL)) for (name,) in sealed} | {number for (number,) in having}


def damaged(connection: Connection, number: int, namespace: Namespace, shown: str) -> Iterable[str]:
    """What is wrong with each of a namespace's, in words, or "" where nothing is."""
    listed(connection, number, namespace, shown)
    sql = "SELECT name, digest, data FROM attachments WHERE namespace=?"
    for name, digest, data in connection.execute(sql, (number,)):
        yield "" if _is_whole(digest, data) else _changed(name, namespace, shown)


def _is_whole(digest: object, data: object) -> bool:
    return isinstance(data, bytes) and sha256(data).digest() == digest


def _changed(name: str, namespace: Namespace, shown: str) -> str:
    where = f" of {namespace}" if namespace else ""
    return f"{shown}: attachment {name!r}{where} was changed; attach it again, or restore it from a backup"


def _stored_seal(connection: Connection, number: int) -> Any:
    return value(connection, "SELECT digest FROM seals WHERE name=?", (f"{SEAL}{number}",))


def _reseal(connection: Connection, number: int) -> None:
    rows = connection.execute(LISTED, (number,)).fetchall()
    connection.execute("DELETE FROM seals WHERE name=?", (f"{SEAL}{number}",))
    if rows:
        connection.execute("INSERT INTO seals VALUES(?, ?)", (f"{SEAL}{number}", seal(*rows)))
