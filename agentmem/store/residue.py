"""What an erasure may have left behind: where byte strings stand in the files, in what is compressed in them, and in
what SQLite or the lexical index keeps in pieces. Knows where bytes can hide, and nothing of what is looked for.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence

import apsw

from ..types import SURFACES
from .blocks import decompress
from .chain import Mark, encode_mark
from .derived import CODES
from .files import Files
from .lexicon import Lexicon
from .log import Log, archived_upto
from .schema import Connection, value
from .sealing import key_of

PART = 4 << 20
AT_ONCE = 500  # records
# Rows that do not fit a page go on in other pages, not always the next ones.
LONG_ROWS = {
    "record at position": """SELECT position, ifnull(key, '') || char(10) || text || char(10) || body FROM log
                            WHERE octet_length(text) + octet_length(body) > 2000""",
    "attachment": "SELECT name, data FROM attachments WHERE octet_length(data) > 2000",
    "blob": "SELECT hex(digest), data FROM blobs WHERE octet_length(data) > 2000",
}


ON_PAGE = """SELECT ifnull(type, 'index') FROM dbstat LEFT JOIN sqlite_schema USING(name)
             WHERE pageno=? AND aggregate=FALSE"""


def traces(
    paths: Files,
    log: Log,
    connection: Connection,
    needles: Sequence[bytes],
    lexicon: Lexicon | None,
    words: Sequence[bytes] = (),
) -> dict[str, list[str]]:
    """Surface -> where a needle stands there: in the files as they are, or in what is compressed or in pieces in them.

    words: further needles, that the lexical index is not asked for.
    """
    both = filter(None, (*needles, *_uncommon(connection, words)))
    wanted = list(dict.fromkeys(form for needle in both for form in (needle, _in_json(needle))))
    places: dict[str, list[str]] = {surface: [] for surface in SURFACES[:7]}
    encrypted = paths.cipher is not None  # what stands in the files themselves is not to be told from noise
    for at in _deciphered(connection, wanted) if encrypted else _in_file(paths.database, wanted):
        places[_surface(connection, at)].append(f"{paths.database} at byte {at}")
    for name in () if encrypted else (paths.wal, paths.anchor):
        places["write-ahead log"] += [f"{name} at byte {at}" for at in _in_file(name, wanted)]
    for row in log.block_rows(connection):
        block = log.block(connection, row)
        if any(block.contains(needle) for needle in wanted):
            places["archive"].append(f"the block of positions {row.first} to {row.last}")
    for surface, what, data in _pieces(connection):
        if any(needle in data for needle in wanted):
            places[surface].append(what)
    for surface, what, data in _opened(log, connection):
        if any(needle in data for needle in wanted):
            places[surface].append(what)
    if lexicon is not None:
        single = [needle.decode(errors="ignore") for needle in needles]
        places["indices"] += [f"the index, as {term}" for term in lexicon.terms_like(connection, single)]
    return places


def _deciphered(connection: Connection, needles: list[bytes]) -> list[int]:
    """Where the pages of an encrypted file, in the clear, hold a needle first."""
    pages = connection.serialize("main")
    return [at for needle in needles if (at := pages.find(needle)) >= 0]


def _opened(log: Log, connection: Connection) -> Iterator[tuple[str, str, bytes]]:
    """What is sealed, as it was, each with its surface."""
    if log.sealing is None:
        return
    positions, edge = log.select(connection, None, 0, None, None, None), archived_upto(connection)
    for at in range(0, len(positions), AT_ONCE):
        for position, entry in log.entries(connection, positions[at : at + AT_ONCE]).items():
            if key_of(entry.record) is not None:
                record = log.sealing.opened(entry.record)
                surface = "archive" if position <= edge else "tables"
                yield surface, f"the sealed record at position {position}", f"{record.text}\n{record.body}".encode()
    for digest, data in connection.execute("SELECT digest, data FROM blobs"):
        yield "tables", f"the sealed blob {digest.hex()}", log.sealing.open_blob(digest, data)


def _uncommon(connection: Connection, words: Sequence[bytes]) -> list[bytes]:
    """Words that no memory's file has of itself."""
    rows = connection.execute("SELECT sql FROM sqlite_schema UNION ALL SELECT name || ' ' || value FROM settings")
    known = encode_mark(Mark()) + " ".join(text for (text,) in rows if text).encode()
    return [word for word in words if word not in known]


def _surface(connection: Connection, at: int) -> str:
    """What the page of the database with a byte offset is part of."""
    page = at // value(connection, "PRAGMA page_size") + 1
    kind = value(connection, ON_PAGE, (page,))
    return {"table": "tables", "index": "indices", None: "free pages"}.get(kind, "tables")


def _in_json(needle: bytes) -> bytes:
    text = json.dumps(needle.decode(errors="surrogateescape"), ensure_ascii=False)[1:-1]
    return text.encode(errors="surrogateescape")


def _pieces(connection: Connection) -> Iterator[tuple[str, str, bytes]]:
    """Surface, name and bytes of what is not found whole in the files."""
    for surface, what, frame in _frames(connection):
        yield surface, what, decompress(frame, what)
    for what, sql in LONG_ROWS.items():
        for name, data in connection.execute(sql):
            yield "tables", f"the {what} {name}", data.encode() if isinstance(data, str) else data


def _frames(connection: Connection) -> Iterator[tuple[str, str, bytes]]:
    for first, last, kind, payload in connection.execute("SELECT first, last, kind, payload FROM batches"):
        surface = "codes" if kind.startswith(CODES) else "crystals"
        yield surface, f"the batch of {kind} with serials {first} to {last}", payload
    for number, state in connection.execute("SELECT id, state FROM namespaces WHERE length(state)"):
        yield "crystals", f"the state of namespace {number}", state


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
