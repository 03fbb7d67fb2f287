"""Records as rows: what is checked, counted and hashed before they are written, and the packed integers of a row.

Knows no SQL and no positions to come. The same 34 bytes per record stand in a row of the log and, column by column, in
an archived block, so that `Store.columns` is one numpy view of either.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidInputError, TooLargeError
from ..types import KINDS, PASSAGE_BITS, RECORD_TYPES, Namespace, Record
from .chain import content_hash

MAX_TEXT = 64 << 20
MAX_BLOB = 256 << 20
MAX_COUNT = (1 << 32) - 1

PACKED = np.dtype(
    [
        ("position", "<i8"),
        ("namespace", "<u4"),
        ("episode", "<u4"),
        ("actor", "<u4"),
        ("tokens", "<u4"),
        ("length", "<u4"),
        ("postings", "<u4"),
        ("type", "u1"),
        ("kind", "i1"),
    ]
)
PACK = struct.Struct("<qIIIIIIBb")
TYPE_NUMBER = {name: number for number, name in enumerate(RECORD_TYPES)}
TYPE_BYTES = [name.encode() for name in RECORD_TYPES]
KIND_BYTES: list[bytes | None] = [*(name.encode() for name in KINDS), None]  # by number, -1 for none
KIND_NUMBER: dict[str | None, int] = {name: number for number, name in enumerate(KINDS)} | {None: -1}


class Entry(NamedTuple):
    """A stored record with what the lexical index holds of it: terms, and distinct terms summed over passages."""

    record: Record
    length: int
    postings: int


@lru_cache(4096)
def namespace_json(namespace: Namespace) -> str:
    return json.dumps(list(namespace), ensure_ascii=False, separators=(",", ":"))


@lru_cache(4096)
def namespace_of_json(text: str) -> Namespace:
    return tuple(json.loads(text))


@lru_cache(4096)
def setting_names(name: str, namespace: Namespace) -> tuple[str, ...]:
    """Under what a setting of a namespace is stored, and those of the ones above it, the nearest first. Digests: what
    is set for a namespace outlives its erasure, and its name may not."""
    above = (namespace_json(namespace[:size]).encode() for size in range(len(namespace), -1, -1))
    return tuple(f"{name}/{sha256(text).hexdigest()[:32]}" for text in above)


def key_digest(namespace: Namespace, key: str) -> bytes:
    """What the table of keys holds of an idempotency key, also after its erasure."""
    return sha256(namespace_json(namespace).encode() + b"\0" + key.encode()).digest()[:20]


def same_content(one: Record, other: Record) -> bool:
    """Whether a retry logs what was logged: all but position, log time and what is computed from the text."""
    return content_key(one) == content_key(other)


def content_key(record: Record) -> bytes:
    fields = [record.type, record.namespace, record.episode, record.kind, record.actor, record.text, record.body]
    return sha256(json.dumps(fields).encode()).digest()[:20]


def blob_names(body: str) -> set[str]:
    """Digests of the blobs a record's body refers to."""
    if '"blobs"' not in body:
        return set()
    try:
        blobs = json.loads(body).get("blobs") or {}
    except (ValueError, AttributeError):
        return set()
    return set(blobs.values()) if isinstance(blobs, dict) else set()


class Terms(NamedTuple):
    """What the lexical index gets of a record: its passages, of single-spaced terms, that are not empty; and counts."""

    passages: list[tuple[int, str]]
    length: int
    postings: int


def split_terms(terms: tuple[str, ...]) -> Terms:
    passages, length, postings = [], 0, 0
    for number, text in enumerate(terms):
        if words := text.split():
            passages.append((number, " ".join(words)))
            length += len(words)
            postings += len(set(words))
    return Terms(passages, length, postings)


@dataclass(slots=True)
class Prepared:
    """A record checked, measured and hashed up to its position."""

    record: Record
    passages: list[tuple[int, str]]
    length: int
    postings: int
    content: Any
    key: bytes | None
    blobs: set[str]


def prepare(record: Record) -> Prepared:
    """Raises InvalidInputError or TooLargeError for what cannot be stored."""
    check(record)
    cleaned, length, postings = split_terms(record.terms)
    try:
        content = content_hash(record, namespace_json(record.namespace).encode(), length, postings)
        key = None if record.key is None else key_digest(record.namespace, record.key)
        for text in record.terms:
            text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"a record holds a lone surrogate ({error.reason}); replace it before logging"
        ) from None
    return Prepared(record, cleaned, length, postings, content, key, blob_names(record.body))


def check(record: Record) -> None:
    if record.type not in TYPE_NUMBER:
        raise InvalidInputError(f"record type {record.type!r} is unknown; use one of {', '.join(RECORD_TYPES)}")
    if record.kind not in KIND_NUMBER:
        raise InvalidInputError(f"record kind {record.kind!r} is unknown; use one of {', '.join(KINDS)} or None")
    if not 0 <= record.tokens <= MAX_COUNT or not math.isfinite(record.logged_at):
        raise InvalidInputError(f"tokens {record.tokens} or logged_at {record.logged_at} of a record is out of range")
    for name, text in (("text", record.text), ("body", record.body)):
        if len(text) > MAX_TEXT or (4 * len(text) > MAX_TEXT and len(text.encode(errors="replace")) > MAX_TEXT):
            raise TooLargeError(f"a record's {name} is over {MAX_TEXT >> 20} MiB; split it into several steps")
    if len(record.terms) >= 1 << PASSAGE_BITS:
        raise TooLargeError(f"a record has {len(record.terms)} passages and the limit is {1 << PASSAGE_BITS}; split it")


def pack(entry: Entry, namespace: int, episode: int, actor: int) -> bytes:
    record = entry.record
    return PACK.pack(
        record.position,
        namespace,
        episode,
        actor,
        record.tokens,
        entry.length,
        entry.postings,
        TYPE_NUMBER[record.type],
        KIND_NUMBER[record.kind],
    )
