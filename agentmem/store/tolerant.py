"""Reading the rows of a table whose pages may be damaged: those that can be read, whatever stands between them.

Tables are read by their rows alone, never through an index of them, which may be what is damaged. Knows no tables.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import apsw

from ..errors import DamagedError
from .schema import Connection

UNREADABLE = (apsw.Error, UnicodeDecodeError)
SCHEMALESS = (apsw.SQLError, apsw.NotADBError, apsw.CorruptError, UnicodeDecodeError)
MOST = 1_000_000  # rows that are tried one by one between the last that was read from below and from above
BLIND = 2_000  # as many after the last from below, where from above none could be read
POINTERS = ("ptrmap", "ptr map")  # in what a check says of pages that only tell where others are; no rows are on them


@contextlib.contextmanager
def schema_errors(shown: str) -> Iterator[None]:
    """DamagedError where a file does not even say what tables it has."""
    try:
        yield
    except SCHEMALESS as error:
        raise DamagedError(
            f"{shown}: its schema, in the first pages, cannot be read ({error}); restore it from a backup"
        ) from error


def rows(connection: Connection, table: str, key: str, columns: str) -> list[tuple[Any, ...]]:
    """(key, columns) of every row that can be read, by key. Raises DamagedError where the table is not in the schema.

    Read from below up to the first row that cannot be, then from above; what is between, if keys are numbers, one by
    one. Where the last page cannot be read, rows more than BLIND after the first that cannot are not found.
    """
    return read(connection, table, key, columns)[0]


def read(
    connection: Connection, table: str, key: str, columns: str, index: str = ""
) -> tuple[list[tuple[Any, ...]], bool]:
    """`rows`, and whether there is none that cannot be read. index: one that has all of the columns, to be read in the
    table's place."""
    by = f"INDEXED BY {index}" if index else "NOT INDEXED"
    sql = f"SELECT {key}, {columns} FROM {table} {by}"
    with schema_errors(connection.filename):
        below, whole = _until_damage(lambda: connection.execute(f"{sql} ORDER BY {key}"))
        if whole:
            return below, True
        above, _ = _until_damage(lambda: connection.execute(f"{sql} ORDER BY {key} DESC"))
        known = dict.fromkeys((*below, *above))
        first = below[-1][0] if below else 0
        last = above[-1][0] if above else (first + BLIND if isinstance(first, int) else None)
        if isinstance(first, int) and isinstance(last, int):
            for number in range(first + 1, min(last, first + MOST)):
                known |= dict.fromkeys(one(connection, f"{sql} WHERE {key}=?", number))
    return sorted(known, key=lambda row: (str(type(row[0])), row[0] if row[0] is not None else 0)), False


def one(connection: Connection, sql: str, number: int) -> list[tuple[Any, ...]]:
    """What a query for one number gives, as far as it can be read."""
    return _until_damage(lambda: connection.execute(sql, (number,)))[0]


def fits(connection: Connection, table: str) -> bool:
    """Whether the pages of a table and of its indexes are as SQLite writes them, so that no row dropped out unseen."""
    try:
        told = connection.execute(f"PRAGMA quick_check({table})").fetchall()
    except UNREADABLE:
        return False
    lines = [line for (text,) in told if isinstance(text, str) for line in text.splitlines()]
    return all(line == "ok" or line.startswith("***") or any(one in line for one in POINTERS) for line in lines)


def _until_damage(read: Callable[[], Iterator[Any]]) -> tuple[list[tuple[Any, ...]], bool]:
    """Rows up to the first that cannot be read, and whether there was none such. apsw.SQLError where it is not the rows
    that are damaged, but the schema: not all of them are lost then.
    """
    found: list[tuple[Any, ...]] = []
    try:
        for row in read():
            found.append(tuple(row))
    except apsw.SQLError:
        raise
    except UNREADABLE:
        return found, False
    return found, True
