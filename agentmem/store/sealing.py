"""Records about subjects, sealed under a data key of their own: what a shredded key leaves behind cannot be read.

The text and body of a step with subjects become one box in a body of another form, and each of its blobs a box under a
name that only the key gives. AES-SIV (RFC 5297) needs no nonce; the record's namespace, type, episode and kind are
bound to the box, so that it cannot stand in for another. Everything below the store's verbs sees sealed records alone.
"""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from ..errors import DamagedError, InvalidInputError, NotFoundError
from ..types import Record
from .keyfile import KeyFile
from .rows import blob_names, content_key
from .schema import Connection, value

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

MARK = '{"sealed":"'  # begins the body of a sealed record
KEY = slice(len(MARK), len(MARK) + 16)  # where the id of its key stands in it
BLOB = b"agentmem sealed "  # begins a sealed blob; then its key's id, a digest, and the box
LEVEL = 3


class _Zstd(threading.local):
    """Making one takes longer than using it, and each belongs to a thread."""

    def __init__(self) -> None:
        self.shorter = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False)
        self.longer = zstandard.ZstdDecompressor()


_zstd = _Zstd()


class StaleKeyError(Exception):
    """A key was shredded while something was being sealed by it and stored."""


class Secret(NamedTuple):
    """What a data key gives."""

    box: AESSIV
    names: bytes
    retries: bytes


class Sealed(NamedTuple):
    """Records and blobs as they are stored, and the ids of the keys that sealed them."""

    records: list[Record]
    blobs: dict[str, bytes]
    keys: frozenset[str]


class Sealing:
    """Seals and opens by the keys of one file. shown: the memory's path, for messages."""

    def __init__(self, keys: KeyFile, shown: str) -> None:
        self.keys, self.shown = keys, shown
        self._marks = keys.derived(b"marks")

    # ---- records

    def seal(
        self,
        records: Sequence[Record],
        blobs: Mapping[str, bytes],
        stored: Callable[[str], bytes],
        add: Callable[[list[bytes]], None],
    ) -> Sealed:
        """stored: gives a blob that is not among `blobs`, NotFoundError for none. add: makes keys for sets of subjects
        that have none."""
        groups = [group_of(record) for record in records]
        if new := [group for group in groups if group is not None and self.keys.key_of(group) is None]:
            add(new)
        sealed, boxes, used = [], dict[str, bytes](), set[str]()
        for record, group in zip(records, groups, strict=True):
            if group is None:
                sealed.append(record)
                boxes |= {name: blobs[name] for name in blob_names(record.body) if name in blobs}
                continue
            if (key := self.keys.key_of(group)) is None:
                raise StaleKeyError
            used.add(key)
            for name in blob_names(record.body):
                there, box = self._seal_blob(key, name, blobs, stored)
                boxes[there] = box
            sealed.append(self._seal(record, key))
        return Sealed(sealed, boxes, frozenset(used))

    def _seal(self, record: Record, key: str) -> Record:
        names = {str(n): self._blob_name(key, name).hex() for n, name in enumerate(sorted(blob_names(record.body)))}
        try:
            text, body = record.text.encode(), record.body.encode()
        except UnicodeEncodeError as error:
            raise InvalidInputError(
                f"a record holds a lone surrogate ({error.reason}); replace it before logging"
            ) from None
        data = len(text).to_bytes(4, "little") + text + body
        box = self._secret(key).box.encrypt(_pack(data), _bound(record))
        there = ',"blobs":' + json.dumps(names, separators=(",", ":")) if names else ""
        sealed = f'{MARK}{key}"{there},"box":"{base64.b64encode(box).decode()}"}}'
        return _with(record, "", sealed)

    def again(self, old: Record, text: str, body: str) -> tuple[str, str]:
        """Another text and body for a stored record, sealed as it is."""
        if (key := key_of(old)) is None:
            return text, body
        new = self._seal(_with(old, text, body), key)
        return new.text, new.body

    def opened(self, record: Record) -> Record:
        """A stored record as it was logged. Raises NotFoundError if its key was shredded."""
        if (key := key_of(record)) is None:
            return record
        try:
            data = _unboxed(self._secret(key), base64.b64decode(json.loads(record.body)["box"]), _bound(record))
            size = int.from_bytes(data[:4], "little")
            return _with(record, data[4 : 4 + size].decode(), data[4 + size :].decode())
        except (ValueError, KeyError) as error:
            raise DamagedError(
                f"{self.shown}: the record at position {record.position} was changed or moved; restore it from a backup"
            ) from error

    def as_logged(self, given: Record, sealed: Record, stored: Record) -> Record:
        """What an append gives back: a new record as it was given, or the one that a retry found."""
        if stored.body is not sealed.body:
            return self.opened(stored)
        return _with(stored, given.text, given.body)

    def content(self, record: Record) -> bytes:
        """`content_key` of a stored record, by which a retry is known; under the data key where there is one."""
        plain = content_key(self.opened(record))
        if (key := key_of(record)) is None:
            return plain
        return hmac.digest(self._secret(key).retries, plain, "sha256")[:20]

    # ---- blobs

    def _blob_name(self, key: str, name: str) -> bytes:
        return hmac.digest(self._secret(key).names, name.encode(), "sha256")

    def _seal_blob(
        self, key: str, name: str, blobs: Mapping[str, bytes], stored: Callable[[str], bytes]
    ) -> tuple[str, bytes]:
        there = self._blob_name(key, name)
        try:
            data = blobs[name] if name in blobs else stored(name)
        except NotFoundError:
            raise InvalidInputError(f"blob {name} is neither stored nor given; pass its bytes in blobs") from None
        box = self._secret(key).box.encrypt(_pack(data), [there])
        return there.hex(), BLOB + key.encode() + sha256(there + box).digest() + box

    def blob_names(self, digest: str) -> list[bytes]:
        """The names that a blob may have, by its digest: one for each data key."""
        self.keys.refresh()
        return [self._blob_name(key, digest) for key in list(self.keys.content.data)]

    def find_blob(self, connection: Connection, digest: str) -> bytes | None:
        """The content of a blob that a sealed record has; None if there is none under any data key."""
        for there in self.blob_names(digest):
            data = value(connection, "SELECT data FROM blobs WHERE digest=?", (there,))
            if data is not None:
                return self.open_blob(there, data)
        return None

    def open_blob(self, there: bytes, data: bytes) -> bytes:
        """The content of a blob, sealed or not."""
        if not data.startswith(BLOB):
            return data
        at = len(BLOB)
        try:
            return _unboxed(self._secret(data[at : at + 16].decode("ascii", "replace")), data[at + 48 :], [there])
        except ValueError as error:
            raise DamagedError(f"{self.shown}: a sealed blob was changed; restore it from a backup") from error

    # ---- small things

    def _secret(self, key: str) -> Secret:
        data = self.keys.data_key(key)
        if data is None:
            raise NotFoundError(f"{self.shown}: the key {key} was shredded, and what it sealed is erased")
        return _secrets(data)

    def mark(self, record: Record) -> str:
        """A digest by which a stored record is known again in any copy of the file, whatever of its text is left."""
        fields = [record.position, record.logged_at, record.namespace, record.type, record.episode, record.key]
        return hmac.digest(self._marks, json.dumps(fields).encode(), "sha256")[:16].hex()


def over_stored(
    terms: Callable[[Record], tuple[str, ...]] | None, sealing: Sealing
) -> Callable[[Record], tuple[str, ...]] | None:
    """`terms` of a record as it is stored, by the same version."""
    if terms is None:
        return None

    def of(record: Record) -> tuple[str, ...]:
        return terms(sealing.opened(record))

    of.version = getattr(terms, "version", None)  # type: ignore[attr-defined]
    return of


@lru_cache(4096)
def _secrets(data: bytes) -> Secret:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    box, names, retries = (hmac.digest(data, what, "sha512") for what in (b"box", b"names", b"retries"))
    return Secret(AESSIV(box), names, retries)


def _unboxed(secret: Secret, box: bytes, bound: list[bytes]) -> bytes:
    """What is in a box; ValueError for one that was changed or is bound to something else."""
    from cryptography.exceptions import InvalidTag

    try:
        data = secret.box.decrypt(box, bound)
        return data[1:] if data[:1] == b"\0" else _zstd.longer.decompress(data[1:])
    except (InvalidTag, zstandard.ZstdError) as error:
        raise ValueError(f"a box cannot be opened ({type(error).__name__})") from error


def _with(record: Record, text: str, body: str) -> Record:
    return Record(
        record.type, record.namespace, record.episode, record.kind, record.actor, text, body, record.key,
        record.logged_at, record.tokens, record.terms, record.position,
    )  # fmt: skip


def group_of(record: Record) -> bytes | None:
    """A namespace and the set of subjects of a step, as bytes; None where there are none, or it is sealed."""
    if record.type != "step" or '"subjects"' not in record.body:
        return None
    try:
        subjects = json.loads(record.body).get("subjects")
    except (ValueError, AttributeError):
        return None
    if not subjects:
        return None
    return json.dumps([list(record.namespace), sorted(set(subjects))]).encode()


def key_of(record: Record) -> str | None:
    """The id of the key that a stored record is sealed by."""
    return record.body[KEY] if record.body.startswith(MARK) else None


def check_unsealed(records: Iterable[Record]) -> None:
    """InvalidInputError for a body that would be taken for a sealed one."""
    if any(record.body.startswith(MARK) for record in records):
        raise InvalidInputError(f"a record's body begins with {MARK}, as sealed ones do; begin it otherwise")


def sealed_is_whole(digest: bytes, data: bytes) -> bool:
    """Whether a sealed blob is what was stored under this name; needs no key."""
    at = len(BLOB) + 16
    return data.startswith(BLOB) and sha256(digest + data[at + 32 :]).digest() == data[at : at + 32]


def keyed_by(data: bytes, key: str | None) -> bytes:
    """A sealed blob with the id of its key, which nothing else in it proves, given back."""
    at = len(BLOB)
    return data if key is None or not data.startswith(BLOB) else data[:at] + key.encode() + data[at + 16 :]


def _bound(record: Record) -> list[bytes]:
    fields = [record.namespace, record.type, record.kind, record.episode]
    return [json.dumps(fields).encode()]


def _pack(data: bytes) -> bytes:
    small = _zstd.shorter.compress(data)
    return b"\1" + small if len(small) < len(data) else b"\0" + data
