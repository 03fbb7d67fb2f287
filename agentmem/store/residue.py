"""What an erasure may have left behind: where byte strings stand in the files, in what is compressed in them, and in
what SQLite or the lexical index keeps in pieces. Knows where bytes can hide, and nothing of what is looked for.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence

import apsw

from .blocks import decompress
from .files import Files
from .lexicon import Lexicon
from .log import Log
from .schema import Connection
from .sealing import Sealing, key_of

PART = 4 << 20
AT_ONCE = 500  # records
# Rows that do not fit a page go on in other pages, not always the next ones.
LONG_ROWS = {
    "record at position": """SELECT position, ifnull(key, '') || char(10) || text || char(10) || body FROM log
                            WHERE octet_length(text) + octet_length(body) > 2000""",
    "attachment": "SELECT name, data FROM attachments WHERE octet_length(data) > 2000",
    "blob": "SELECT hex(digest), data FROM blobs WHERE octet_length(data) > 2000",
}


def residue(
    paths: Files, log: Log, connection: Connection, needles: Sequence[bytes], lexicon: Lexicon | None
) -> list[str]:
    """Where a needle stands: in the files as they are, or in what is compressed or in pieces in them."""
    wanted = list(dict.fromkeys(form for needle in needles if needle for form in (needle, _in_json(needle))))
    names: tuple[str, ...] = (paths.database, paths.wal, paths.anchor)
    if paths.cipher is not None:  # what stands in the files themselves is not to be told from noise
        pages, names = connection.serialize("main"), ()
        places = [f"{paths.database}, deciphered" for needle in wanted if needle in pages]
    else:
        places = []
    places += [f"{name} at byte {at}" for name in names for at in _in_file(name, wanted)]
    for row in log.block_rows(connection):
        block = log.block(connection, row)
        if any(block.contains(needle) for needle in wanted):
            places.append(f"the block of positions {row.first} to {row.last}")
    places += [what for what, data in _pieces(connection) if any(needle in data for needle in wanted)]
    if log.sealing is not None:
        opened = _opened(log, log.sealing, connection)
        places += [what for what, data in opened if any(needle in data for needle in wanted)]
    if lexicon is not None:
        words = [needle.decode(errors="ignore") for needle in needles]
        places += [f"the index, as {term}" for term in lexicon.terms_like(connection, words)]
    return places


def _opened(log: Log, sealing: Sealing, connection: Connection) -> Iterator[tuple[str, bytes]]:
    """What is sealed, as it was."""
    positions = log.select(connection, None, 0, None, None, None)
    for at in range(0, len(positions), AT_ONCE):
        for position, entry in log.entries(connection, positions[at : at + AT_ONCE]).items():
            if key_of(entry.record) is not None:
                record = sealing.opened(entry.record)
                yield f"the sealed record at position {position}", f"{record.text}\n{record.body}".encode()
    for digest, data in connection.execute("SELECT digest, data FROM blobs"):
        yield f"the sealed blob {digest.hex()}", sealing.open_blob(digest, data)


def _in_json(needle: bytes) -> bytes:
    text = json.dumps(needle.decode(errors="surrogateescape"), ensure_ascii=False)[1:-1]
    return text.encode(errors="surrogateescape")


def _pieces(connection: Connection) -> Iterator[tuple[str, bytes]]:
    """What is not found whole in the files, whole."""
    for what, frame in _frames(connection):
        yield what, decompress(frame, what)
    for what, sql in LONG_ROWS.items():
        for name, data in connection.execute(sql):
            yield f"the {what} {name}", data.encode() if isinstance(data, str) else data


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
