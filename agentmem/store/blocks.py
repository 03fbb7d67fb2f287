"""Archived stretches of the log as two zstd frames: the packed columns, and keys, times, texts and bodies.

Knows no SQL. Like lies next to like before compression: all columns byte by byte, then all texts, then all bodies.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import zstandard

from ..errors import DamagedError
from ..types import KINDS, RECORD_TYPES, Namespace, Record
from .chain import fields_hash
from .rows import KIND_BYTES, PACKED, TYPE_BYTES, Entry

CACHE_BYTES = 32 << 20
LIMIT = 512 << 20  # bytes of a frame: what is packed together is far less


class Packing(NamedTuple):
    """How large a block grows before compression, and how hard it is compressed."""

    raw: int
    level: int


KEEP = Packing(raw=512 << 10, level=9)
CRYSTALS = Packing(raw=1 << 20, level=19)


def compress(data: bytes, level: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=len(data), write_checksum=True, write_content_size=True, enable_ldm=level >= 19
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def decompress(data: bytes, what: str) -> bytes:
    try:
        if (size := zstandard.frame_content_size(data)) > LIMIT:
            raise DamagedError(
                f"{what} says that it has {size} bytes and the limit is {LIMIT}; restore it from a backup"
            )
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as error:
        raise DamagedError(f"{what} cannot be decompressed ({error}); restore it from a backup") from error


def shuffle(array: np.ndarray) -> bytes:
    """The bytes of an array, first bytes of all items first: small numbers become runs of zeros."""
    return np.ascontiguousarray(array).view(np.uint8).reshape(len(array), array.dtype.itemsize).T.tobytes()


def unshuffle(data: bytes, dtype: np.dtype[Any], count: int) -> np.ndarray:
    turned = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, count).T
    return np.ascontiguousarray(turned).view(dtype).reshape(count)


def pack_columns(rows: np.ndarray, level: int) -> bytes:
    parts = [len(rows).to_bytes(4, "little"), int(rows["position"][0]).to_bytes(8, "little")]
    parts.append(shuffle(np.diff(rows["position"], prepend=rows["position"][0])))
    parts += [shuffle(rows[name]) for name in PACKED.names[1:]]  # type: ignore[index]
    return compress(b"".join(parts), level)


def unpack_columns(blob: bytes, what: str) -> np.ndarray:
    """The PACKED rows of a block."""
    data = decompress(blob, what)
    count, first = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:12], "little")
    rows, at = np.zeros(count, PACKED), 12
    for name in PACKED.names:  # type: ignore[union-attr]
        kind = PACKED[name]
        rows[name] = unshuffle(data[at : at + count * kind.itemsize], kind, count)
        at += count * kind.itemsize
    rows["position"] = np.cumsum(rows["position"]) + first
    return rows


def _pack_times(times: list[float]) -> tuple[bool, np.ndarray]:
    """Log times as differences in microseconds where that is exact, else as they are."""
    exact = np.array(times, np.float64)
    micro = np.round(exact * 1e6)
    if np.all(np.abs(micro) < 2**53) and np.array_equal(micro / 1e6, exact):
        return True, np.diff(micro.astype(np.int64), prepend=0)
    return False, exact.view(np.int64)


def pack_data(entries: Sequence[Entry], level: int) -> bytes:
    keys = [b"" if e.record.key is None else e.record.key.encode() for e in entries]
    texts = [e.record.text.encode() for e in entries]
    bodies = [e.record.body.encode() for e in entries]
    key_sizes = [-1 if e.record.key is None else len(k) for e, k in zip(entries, keys, strict=True)]
    micro, times = _pack_times([e.record.logged_at for e in entries])
    numbers = [times, np.array(key_sizes), np.array([len(t) for t in texts]), np.array([len(b) for b in bodies])]
    head = json.dumps([len(entries), micro]).encode()
    parts = [len(head).to_bytes(4, "little"), head, *(shuffle(n.astype(np.int64)) for n in numbers)]
    return compress(b"".join([*parts, *keys, *texts, *bodies]), level)


def block_digest(first: int, last: int, before: bytes, chain: bytes, columns: bytes, data: bytes) -> bytes:
    return sha256(b"%d %d %b%b%d " % (first, last, before, chain, len(columns)) + columns + data).digest()


class Block:
    """A decompressed block; records are made one at a time."""

    def __init__(self, rows: np.ndarray, data: bytes, what: str) -> None:
        self.rows = rows
        self._raw = raw = decompress(data, what)
        head = int.from_bytes(raw[:4], "little")
        count, micro = json.loads(raw[4 : 4 + head])
        at, numbers = 4 + head, []
        for _ in range(4):
            numbers.append(unshuffle(raw[at : at + 8 * count], np.dtype(np.int64), count))
            at += 8 * count
        self.times = np.cumsum(numbers[0]) / 1e6 if micro else numbers[0].view(np.float64)
        self._keyed = numbers[1] >= 0
        sizes = np.concatenate((np.maximum(numbers[1], 0), numbers[2], numbers[3]))
        self._ends = np.concatenate(([at], at + np.cumsum(sizes)))

    @property
    def nbytes(self) -> int:
        return len(self._raw) + self.rows.nbytes

    def places(self, positions: Sequence[int]) -> list[int]:
        """Where in the block the records of some positions are; those that are not are left out."""
        at = np.searchsorted(self.positions, positions)
        at = at[at < len(self.positions)]
        places: list[int] = at[self.positions[at] == positions[: len(at)]].tolist()
        return places

    @cached_property
    def positions(self) -> np.ndarray:
        return np.ascontiguousarray(self.rows["position"])

    def _slice(self, section: int, place: int) -> str:
        at = section * len(self.rows) + place
        return self._raw[self._ends[at] : self._ends[at + 1]].decode()

    def keyed(self) -> Iterator[tuple[int, str]]:
        """(place, key) of the records that have one."""
        for place in np.flatnonzero(self._keyed).tolist():
            yield place, self._slice(0, place)

    def texts(self, positions: Sequence[int]) -> dict[int, str]:
        """position -> text of those of some sorted positions that are here."""
        places = self.places(positions)
        return {int(self.positions[place]): self._slice(1, place) for place in places}

    def entries(
        self, positions: Sequence[int], namespace: Callable[[int], Namespace], name: Callable[[int], str | None]
    ) -> Iterator[Entry]:
        """The entries of those of some sorted positions that are here."""
        places = self.places(positions)
        rows, times = self.rows[places].tolist(), self.times[places].tolist()
        for place, row, time in zip(places, rows, times, strict=True):
            position, space, episode, actor, tokens, length, postings, type_, kind = row
            record = Record(
                type=RECORD_TYPES[type_],
                namespace=namespace(space),
                episode=name(episode),
                kind=None if kind < 0 else KINDS[kind],
                actor=name(actor),
                text=self._slice(1, place),
                body=self._slice(2, place),
                key=self._slice(0, place) if self._keyed[place] else None,
                logged_at=time,
                tokens=tokens,
                position=position,
            )
            yield Entry(record, length, postings)

    def contents(
        self, namespace: Callable[[int], bytes], name: Callable[[int], bytes | None]
    ) -> Iterator[tuple[int, Any]]:
        """(position, content hash) of the records, without making them."""
        raw, ends, count = self._raw, self._ends.tolist(), len(self.rows)
        keyed, times = self._keyed.tolist(), self.times.tolist()
        for place, row in enumerate(self.rows.tolist()):
            position, space, episode, actor, tokens, length, postings, type_, kind = row
            key, text, body = (raw[ends[at] : ends[at + 1]] for at in range(place, place + 3 * count, count))
            names = TYPE_BYTES[type_], name(episode), KIND_BYTES[kind], name(actor)
            fields = (*names, key if keyed[place] else None, text, body)
            yield position, fields_hash(namespace(space), fields, tokens, length, postings, times[place])

    def contains(self, needle: bytes) -> bool:
        return needle in self._raw


class Sized(Protocol):
    """What knows its bytes in memory."""

    @property
    def nbytes(self) -> int: ...


Item = TypeVar("Item", bound=Sized)


class Cache(Generic[Item]):
    """What was unpacked last, by its digest."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit, self._size = limit, 0
        self._items: OrderedDict[bytes, Item] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: bytes) -> Item | None:
        with self._lock:
            item = self._items.get(digest)
            if item is not None:
                self._items.move_to_end(digest)
            return item

    def put(self, digest: bytes, item: Item) -> None:
        with self._lock:
            if digest in self._items:
                return
            self._items[digest] = item
            self._size += item.nbytes
            while self._size > self._limit and len(self._items) > 1:
                self._size -= self._items.popitem(last=False)[1].nbytes

    def drop(self, digests: Iterable[bytes]) -> None:
        with self._lock:
            for item in (self._items.pop(digest, None) for digest in digests):
                self._size -= 0 if item is None else item.nbytes

    def clear(self) -> None:
        with self._lock:
            self._items.clear()
            self._size = 0
