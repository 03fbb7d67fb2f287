"""The lexical index: an FTS5 table of terms, in the file or in memory. Knows no texts and no ranking.

A row is position << PASSAGE_BITS | passage and holds the passage's terms, each prefixed with the number of its
namespace, so that no search of one namespace can meet another. The table stores terms only: no text, no sizes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from zlib import crc32

import numpy as np

from ..types import PASSAGE_BITS
from .schema import Connection

# The ascii tokenizer takes every character from U+0080 on into a token; with these only space, quote and controls part.
_INSIDE = "".join(chr(c) for c in range(33, 127) if not chr(c).isalnum() and chr(c) != '"').replace("'", "''''")
CREATE = f"""CREATE VIRTUAL TABLE lexicon USING fts5(terms, content='', detail=none, columnsize=0,
             tokenize="ascii tokenchars '{_INSIDE}'")"""
INSERT = "INSERT INTO lexicon(rowid, terms) VALUES(?, ?)"
DELETE = "INSERT INTO lexicon(lexicon, rowid, terms) VALUES('delete', ?, ?)"
FIND = "SELECT group_concat(rowid) FROM lexicon WHERE lexicon MATCH ? AND rowid > ?"
_WORD = 1 << 64
_TERM = re.compile(r'[^\x00-\x20"\x7f]+')


def create(connection: Connection) -> None:
    connection.execute(CREATE)
    connection.execute("INSERT INTO lexicon(lexicon, rank) VALUES('secure-delete', 1)")
    # The first secure delete raises the table's version, which connections that have read it already do not notice.
    connection.execute("SAVEPOINT first_delete")
    connection.execute(INSERT, (0, "0x"))
    connection.execute("RELEASE first_delete")
    connection.execute(DELETE, (0, "0x"))


def row_of(position: int, passage: int) -> int:
    return position << PASSAGE_BITS | passage


def rows(namespace: int, position: int, passages: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """(index row, prefixed terms) of a record's cleaned passages."""
    prefix = f"{namespace}x"
    part = f" {prefix}"
    return [(row_of(position, number), prefix + text.replace(" ", part)) for number, text in passages]


def postings(connection: Connection, namespace: int, terms: Iterable[str], after: int) -> dict[str, np.ndarray]:
    """term -> sorted index rows after a position; terms that are in none are left out."""
    bound = row_of(after + 1, 0) - 1
    found = {}
    for term in dict.fromkeys(terms):
        if not _TERM.fullmatch(term):
            continue
        (text,) = connection.execute(FIND, (f'"{namespace}x{term}"', bound)).fetchone()
        if text is not None:
            found[term] = np.fromstring(text, np.int64, sep=",")
    return found


def terms_of(connection: Connection, namespace: int, positions: set[int]) -> dict[int, list[str]]:
    """index row -> its terms, for records whose terms are known no more: a sweep of the namespace's vocabulary."""
    _vocabulary(connection, "instance")
    found: dict[int, list[str]] = {}
    sql = "SELECT term, doc FROM temp.lexicon_instance WHERE term >= ? AND term < ?"
    for term, row in connection.execute(sql, (f"{namespace}x", f"{namespace}y")):
        if row >> PASSAGE_BITS in positions:
            found.setdefault(row, []).append(term)
    return found


def remove(connection: Connection, namespace: int, positions: set[int]) -> None:
    """Physically remove the rows of records."""
    found = terms_of(connection, namespace, positions)
    connection.executemany(DELETE, [(row, " ".join(terms)) for row, terms in found.items()])


def count(connection: Connection, namespace: int) -> int:
    """Postings of a namespace: what its records' `postings` must sum to."""
    _vocabulary(connection, "row")
    sql = "SELECT coalesce(sum(doc), 0) FROM temp.lexicon_row WHERE term >= ? AND term < ?"
    (total,) = connection.execute(sql, (f"{namespace}x", f"{namespace}y")).fetchone()
    return int(total)


def checksum(connection: Connection, namespace: int) -> int:
    """A sum over every (term, row) of a namespace; `weight` gives the same for what should be there."""
    _vocabulary(connection, "row")
    sql = "SELECT term FROM temp.lexicon_row WHERE term >= ? AND term < ?"
    total, skip = 0, len(f"{namespace}x")
    for (term,) in connection.execute(sql, (f"{namespace}x", f"{namespace}y")).fetchall():
        for rows in postings(connection, namespace, [term[skip:]], 0).values():
            total += crc32(term[skip:].encode()) * int(_mix(rows).sum(dtype=np.uint64))
    return total % _WORD


def weight(position: int, passages: Sequence[tuple[int, str]]) -> int:
    rows = np.array([row_of(position, number) for number, _ in passages], np.int64)
    sums = [sum(crc32(word.encode()) for word in set(text.split(" "))) for _, text in passages]
    total: int = sum(a * b for a, b in zip(_mix(rows).tolist(), sums, strict=True))
    return total % _WORD


def _mix(rows: np.ndarray) -> np.ndarray:
    spread = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return spread ^ (spread >> np.uint64(31))


def _vocabulary(connection: Connection, kind: str) -> None:
    connection.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.lexicon_{kind} USING fts5vocab(main, lexicon, {kind})")
