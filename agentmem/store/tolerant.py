"""Reading the rows of a table whose pages may be damaged: those that can be read, whatever stands between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apsw

from .schema import Connection

UNREADABLE = (apsw.Error, UnicodeDecodeError)
MOST = 1_000_000  # rows that are tried one by one between the last that was read from below and from above


def rows(connection: Connection, table: str, key: str, columns: str) -> list[tuple[Any, ...]]:
    """(key, columns) of every row that can be read, by key.

    Read from below up to the first row that cannot be, then from above; what is between, if keys are numbers, one by
    one.
    """
    sql = f"SELECT {key}, {columns} FROM {table} ORDER BY {key}"
    below, whole = _until_damage(lambda: connection.execute(sql))
    if whole:
        return below
    above, _ = _until_damage(lambda: connection.execute(f"{sql} DESC"))
    known = {row[0]: row for row in (*above, *below)}
    first, last = (below[-1][0] if below else 0), (above[-1][0] if above else None)
    if isinstance(first, int) and isinstance(last, int):
        one = f"SELECT {key}, {columns} FROM {table} WHERE {key}=?"
        for number in range(first + 1, min(last, first + MOST)):
            for row in _until_damage(lambda number=number: connection.execute(one, (number,)))[0]:  # type: ignore[misc]
                known[row[0]] = row
    return [known[one] for one in sorted(known, key=lambda key: (str(type(key)), key))]


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
