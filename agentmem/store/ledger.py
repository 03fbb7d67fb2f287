"""What was done with a file beside its log, row by row, each hashed with the one before. Knows no words of the log.

Unlike the log, the ledger is never rewritten: an erasure chains the log anew, and a row here witnesses how it stood.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from ..errors import DamagedError
from ..types import Namespace, Note
from .rows import namespace_of_json
from .schema import Connection, count_up, counter, value

ROWS = """SELECT ledger.id, position, at, what, who, namespace, detail, chain, name
          FROM ledger LEFT JOIN namespaces ON namespace = namespaces.id WHERE ledger.id > ? ORDER BY ledger.id"""


def add(
    connection: Connection,
    position: int,
    at: float,
    what: str,
    who: str | None,
    namespace: int | None,
    detail: Mapping[str, Any],
) -> tuple[int, bytes]:
    """Add a row; its number and its chain hash."""
    number = count_up(connection, "ledger")
    before = value(connection, "SELECT chain FROM ledger WHERE id=?", (number - 1,)) or b""
    row = (number, position, at, what, who, namespace, json.dumps(detail, sort_keys=True))
    chain = link(before, row)
    connection.execute("INSERT INTO ledger VALUES(?, ?, ?, ?, ?, ?, ?, ?)", (*row, chain))
    return number, chain


def link(before: bytes, row: tuple[Any, ...]) -> bytes:
    return sha256(before + json.dumps(row).encode()).digest()


def notes(connection: Connection, after: int = 0) -> Iterator[tuple[int | None, Note]]:
    """(number of the namespace, row), of those after a number; a namespace that is gone has no name."""
    for number, position, at, what, who, namespace, detail, chain, name in connection.execute(ROWS, (after,)):
        named: Namespace | None = None if name is None else namespace_of_json(name)
        yield namespace, Note(number, position, at, what, who, named, json.loads(detail), chain)


def check(connection: Connection, shown: str) -> int:
    """How many rows there are; DamagedError for one that was changed or is missing."""
    before, count = b"", 0
    for row in connection.execute("SELECT * FROM ledger ORDER BY id"):
        count += 1
        if row[0] != count or link(before, row[:-1]) != row[-1]:
            raise DamagedError(f"{shown}: row {count} of the ledger was changed or is missing; restore a backup")
        before = row[-1]
    if count != counter(connection, "ledger"):
        raise DamagedError(f"{shown}: the ledger ends at row {count} and had {counter(connection, 'ledger')}")
    return count
