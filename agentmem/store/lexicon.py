"""The lexical index: an FTS5 table of terms, in the file or in memory. Knows no texts and no ranking.

A row is position << PASSAGE_BITS | passage and holds the passage's terms, each prefixed with the number of its
namespace, so that no search of one namespace can meet another. The table stores terms only: no text, no sizes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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
CREATE_PENDING = "CREATE TABLE pending(position INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, terms TEXT NOT NULL)"
PENDING = 16
TRIED = 1000
LONG_WORD, ENDING, LONGEST = 16, 4, 60  # of words as terms: what a stemmer may change, and how long a term may be
_WORD = 1 << 64
_NONE = np.empty(0, np.int64)
Terms = tuple[int, int, Sequence[tuple[int, str]]]  # position, number of the namespace, cleaned passages
_TERM = re.compile(r'[^\x00-\x20"\x7f]+')


def create(connection: Connection) -> None:
    connection.execute(CREATE)
    connection.execute(CREATE_PENDING)
    for option, number in (("secure-delete", 1), ("automerge", 8)):
        connection.execute("INSERT INTO lexicon(lexicon, rank) VALUES(?, ?)", (option, number))
    # The first secure delete raises the table's version, which connections that have read it already do not notice.
    connection.execute("SAVEPOINT first_delete")
    connection.execute(INSERT, (0, "0x"))
    connection.execute("RELEASE first_delete")
    connection.execute(DELETE, (0, "0x"))


def clear(connection: Connection) -> None:
    connection.execute("INSERT INTO lexicon(lexicon) VALUES('delete-all')")
    connection.execute("DELETE FROM pending")


def add(connection: Connection, records: Sequence[Terms]) -> None:
    """Index records, or, since FTS5 is quick only with many at a time, keep them pending until there are many."""
    if len(records) < PENDING:
        rows = [(position, namespace, _lines(passages)) for position, namespace, passages in records]
        connection.executemany("INSERT INTO pending VALUES(?, ?, ?)", rows)
        if connection.execute("SELECT count(*) FROM pending").fetchone()[0] < PENDING:
            return
        records = pending(connection)
        connection.execute("DELETE FROM pending")
    connection.executemany(INSERT, [row for record in records for row in rows_of(*record)])


def _lines(passages: Sequence[tuple[int, str]]) -> str:
    lines = [""] * (passages[-1][0] + 1)
    for number, text in passages:
        lines[number] = text
    return "\n".join(lines)


def pending(connection: Connection, namespace: int | None = None, after: int = 0) -> list[Terms]:
    where = "" if namespace is None else "AND namespace=?2"
    sql = f"SELECT position, namespace, terms FROM pending WHERE position > ?1 {where} ORDER BY position"
    found = connection.execute(sql, (after,) if namespace is None else (after, namespace)).fetchall()
    return [(position, number, _passages(lines)) for position, number, lines in found]


def _passages(lines: str) -> list[tuple[int, str]]:
    return [(number, text) for number, text in enumerate(lines.split("\n")) if text]


def row_of(position: int, passage: int) -> int:
    return position << PASSAGE_BITS | passage


def rows_of(position: int, namespace: int, passages: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """(index row, prefixed terms) of a record's cleaned passages."""
    prefix = f"{namespace}x"
    part = f" {prefix}"
    return [(row_of(position, number), prefix + text.replace(" ", part)) for number, text in passages]


def postings(connection: Connection, namespace: int, terms: Iterable[str], after: int) -> dict[str, np.ndarray]:
    """term -> sorted index rows after a position; terms that are in none are left out."""
    bound = row_of(after + 1, 0) - 1
    found: dict[str, np.ndarray] = {}
    terms = list(dict.fromkeys(terms))
    for term in terms:
        rows = _find(connection, namespace, term, bound)
        if rows is not None:
            found[term] = rows
    for term, rows in _pending_postings(connection, namespace, set(terms), after).items():
        found[term] = np.sort(np.concatenate((found.get(term, _NONE), rows)))
    return found


def _find(connection: Connection, namespace: int, term: str, bound: int) -> np.ndarray | None:
    """Index rows above a bound."""
    if not _TERM.fullmatch(term):
        return None
    (text,) = connection.execute(FIND, (f'"{namespace}x{term}"', bound)).fetchone()
    return None if text is None else np.fromstring(text, np.int64, sep=",")


def _pending_postings(connection: Connection, namespace: int, terms: set[str], after: int) -> dict[str, np.ndarray]:
    rows: dict[str, list[int]] = {}
    for position, _, passages in pending(connection, namespace, after):
        for number, text in passages:
            for term in terms.intersection(text.split(" ")):
                rows.setdefault(term, []).append(row_of(position, number))
    return {term: np.array(found, np.int64) for term, found in rows.items()}


def remove(connection: Connection, namespace: int, records: Mapping[int, Sequence[tuple[int, str]] | None]) -> None:
    """Physically remove records: position -> its passages, or None where they are not known for certain.

    A row goes only if all its terms are named. Passages are tried first; where they are not what was indexed, and for
    more records than can be tried, a sweep of the namespace's vocabulary finds the terms.
    """
    swept = set()
    for position, passages in records.items():
        connection.execute("DELETE FROM pending WHERE position=?", (position,))
        if connection.changes():
            continue
        if passages is not None and not passages:
            continue
        rows = rows_of(position, namespace, passages or ())
        if rows and len(records) <= TRIED and all(_holds(connection, *row) for row in rows):
            connection.executemany(DELETE, rows)
        else:
            swept.add(position)
    if swept:
        connection.executemany(DELETE, [(row, " ".join(terms)) for row, terms in _sweep(connection, namespace, swept)])


def _holds(connection: Connection, row: int, terms: str) -> bool:
    sql = "SELECT 1 FROM lexicon WHERE lexicon MATCH ? AND rowid = ?"
    words = set(terms.split(" "))
    return all(connection.execute(sql, (f'"{word}"', row)).fetchone() for word in words)


def _sweep(connection: Connection, namespace: int, positions: set[int]) -> list[tuple[int, list[str]]]:
    _vocabulary(connection, "instance")
    found: dict[int, list[str]] = {}
    sql = "SELECT term, doc FROM temp.lexicon_instance WHERE term >= ? AND term < ?"
    for term, row in connection.execute(sql, (f"{namespace}x", f"{namespace}y")):
        if row >> PASSAGE_BITS in positions:
            found.setdefault(row, []).append(term)
    return list(found.items())


def terms_like(connection: Connection, words: Iterable[str]) -> set[str]:
    """Indexed terms, of any namespace, that long single words may have become. The table keeps terms as differences."""
    folded = [word.casefold() for word in words]
    begins = {word[:-ENDING][:LONGEST] for word in folded if len(word) >= LONG_WORD and word.isalnum()}
    if not begins:
        return set()
    found = {term for _, _, passages in pending(connection) for _, text in passages for term in text.split(" ")}
    _vocabulary(connection, "row")
    sql = "SELECT term FROM temp.lexicon_row WHERE term >= ?1 AND term < ?1 || char(1114111)"
    for (number,) in connection.execute("SELECT id FROM namespaces").fetchall():
        for begin in begins:
            found |= {term.partition("x")[2] for (term,) in connection.execute(sql, (f"{number}x{begin}",))}
    return {term for term in found if term.startswith(tuple(begins))}


def count(connection: Connection, namespace: int) -> int:
    """Postings of a namespace: what its records' `postings` must sum to."""
    _vocabulary(connection, "row")
    sql = "SELECT coalesce(sum(doc), 0) FROM temp.lexicon_row WHERE term >= ? AND term < ?"
    (total,) = connection.execute(sql, (f"{namespace}x", f"{namespace}y")).fetchone()
    waiting = pending(connection, namespace)
    return int(total) + sum(len(set(text.split(" "))) for _, _, passages in waiting for _, text in passages)


def checksum(connection: Connection, namespace: int) -> int:
    """A sum over every (term, row) of a namespace; `weight` gives the same for what should be there."""
    waiting = sum(weight(position, passages) for position, _, passages in pending(connection, namespace))
    _vocabulary(connection, "row")
    sql = "SELECT term FROM temp.lexicon_row WHERE term >= ? AND term < ?"
    total, skip = waiting, len(f"{namespace}x")
    for (term,) in connection.execute(sql, (f"{namespace}x", f"{namespace}y")).fetchall():
        rows = _find(connection, namespace, term[skip:], 0)
        if rows is not None:
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
