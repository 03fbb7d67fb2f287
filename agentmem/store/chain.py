"""The hash chain over the log and its anchor outside the database. Knows no SQL and no locking of the log.

Every record's digest is sha256 over all its columns; chain[i] = sha256(chain[i-1] | digest[i]). SQLite drops the rest
of a write-ahead log without a word when one of its bits flips, so the last position and its chain hash also stand in a
small file of their own, the anchor: a database that ends before its anchor has lost something.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..types import Record
from .files import open_private

GENESIS = bytes(32)
ANCHOR_BYTES = 320
_NUMBERS = struct.Struct("<qqqd")
_SIZES = struct.Struct("<8i")


def content_hash(record: Record, namespace: bytes, length: int, postings: int) -> Any:
    """A sha256 object over every column but the position. Raises UnicodeEncodeError for a lone surrogate."""
    fields = (record.type, record.episode, record.kind, record.actor, record.key, record.text, record.body)
    raw = [None if field is None else field.encode() for field in fields]
    return fields_hash(namespace, raw, record.tokens, length, postings, record.logged_at)


def fields_hash(
    namespace: bytes, raw: Sequence[bytes | None], tokens: int, length: int, postings: int, logged_at: float
) -> Any:
    """The same over a record's type, episode, kind, actor, key, text and body as bytes."""
    sizes = [-1 if data is None else len(data) for data in raw]
    numbers = _NUMBERS.pack(tokens, length, postings, logged_at)
    return hashlib.sha256(b"".join((_SIZES.pack(len(namespace), *sizes), numbers, namespace, *filter(None, raw))))


def link(previous: bytes, content: Any, position: int) -> bytes:
    """The chain hash of a record after `previous`; `content` is its content_hash."""
    content.update(position.to_bytes(8, "little"))
    return hashlib.sha256(previous + content.digest()).digest()


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the log ends. `durable` is the last position known to be on the disk itself.

    `rechained` counts how often the chain was recomputed (erasures and rewrites): hashes of two marks can be compared
    only if it is equal. `attached` counts what was attached and detached, which the chain knows nothing of.
    """

    position: int = 0
    hash: bytes = GENESIS
    rechained: int = 0
    erasures: int = 0
    durable: int = 0
    attached: int = 0

    @property
    def order(self) -> tuple[int, int]:
        return (self.rechained, self.position)


def encode_mark(mark: Mark) -> bytes:
    line = (
        f"agentmem anchor 1 position={mark.position} hash={mark.hash.hex()} rechained={mark.rechained}"
        f" erasures={mark.erasures} durable={mark.durable} attached={mark.attached}"
    ).ljust(ANCHOR_BYTES - 66)
    return f"{line} {hashlib.sha256(line.encode()).hexdigest()}\n".encode()


def decode_mark(data: bytes) -> Mark | None:
    """The mark, or None for an anchor that is empty or was changed."""
    line, _, checksum = data.decode("latin-1").rstrip("\n").rpartition(" ")
    if hashlib.sha256(line.encode()).hexdigest() != checksum:
        return None
    fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
    try:
        numbers = {name: int(fields[name]) for name in ("position", "rechained", "erasures", "durable")}
        attached = int(fields.get("attached", 0))  # which older anchors do not count
        return Mark(hash=bytes.fromhex(fields["hash"]), attached=attached, **numbers)
    except (KeyError, ValueError):
        return None


class Anchor:
    """The anchor file: one line, rewritten in place. It only ever moves forward, except by `reset`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.existed = os.path.exists(path) and os.path.getsize(path) > 0
        self._fd = open_private(path)
        self._lock = threading.Lock()
        self._last, self._bytes = Mark(), b""

    def advance(self, mark: Mark) -> None:
        """Write `mark` unless the file, which other processes write too, is already further."""
        with self._lock:
            if mark.order < self._last.order or mark == self._last:
                return
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                self._merge(mark)
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _merge(self, mark: Mark) -> None:
        data = os.pread(self._fd, ANCHOR_BYTES, 0)
        there = self._last if data == self._bytes else decode_mark(data) or Mark()
        further = mark if mark.order >= there.order else there
        durable, attached = max(mark.durable, there.durable), max(mark.attached, there.attached)
        if (further.durable, further.attached) != (durable, attached):
            further = replace(further, durable=durable, attached=attached)
        if further != there:
            self._write(further)
        self._last = further

    def _write(self, mark: Mark) -> None:
        self._bytes = encode_mark(mark)
        os.pwrite(self._fd, self._bytes, 0)
        self._last = mark

    def reset(self, mark: Mark) -> None:
        with self._lock:
            self._write(mark)

    def sync(self) -> None:
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


def read_anchor(path: str) -> Mark | None:
    """The mark of an anchor file; None if it is not there or unreadable."""
    try:
        with open(path, "rb") as file:
            return decode_mark(file.read(ANCHOR_BYTES))
    except FileNotFoundError:
        return None
