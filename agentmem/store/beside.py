"""What stands beside the log of a damaged file and cannot be made again from it: blobs, attachments, keys never to be
used again. Of each what is proven, here or in a backup; what is not is named as lost.

A blob is proven by its name, the attachments of a namespace by their seal, a key that was erased by its own. Changes
nothing; knows nothing of how the log is proven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from ..types import Namespace, Record
from . import attachments
from .chain import Mark
from .log import namespace_id
from .rows import Entry, blob_names, content_key, key_digest
from .schema import Connection, seal, value
from .sealing import Sealing, key_of, keyed_by, sealed_is_whole
from .sqlite import SQLiteStore
from .tolerant import fits, one, read, rows

List = Mapping[str, tuple[int, bytes]]  # name -> (size, digest) of attachments
NAME_INDEX = "sqlite_autoindex_attachments_1"
REUSABLE = "some of the keys that are not to be used again: a late retry may log again what was erased under one"
FIRST_LOGGED = "how some steps were first logged whose text was let go of: a late retry of one may be refused"


@dataclass
class Backup:
    """What a backup holds: entries by position, and the rest by its names."""

    entries: dict[int, Entry] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    namespaces: dict[int, str] = field(default_factory=dict)
    store: SQLiteStore | None = None
    mark: Mark = field(default_factory=Mark)
    gaps: list[tuple[int, int, str]] = field(default_factory=list)

    def of_this_log(self, entries: Iterable[Entry]) -> bool:
        """Whether it is of the log of these proven entries: it shares some of them, and none that it shares differs."""
        shared = [
            (each.record, self.entries[at].record) for each in entries if (at := each.record.position) in self.entries
        ]
        return bool(shared) and all(_identity(mine) == _identity(theirs) for mine, theirs in shared)


class Known(NamedTuple):
    """What of a damaged file is known when its log has been read.

    entries: the proven ones, by position. namespaces: by number; gone: numbers of those of which something was erased
    elsewhere. erased: positions of what was erased. erasures, attached: how often anything was, None where it cannot be
    told. rewrites: whether texts are let go of.
    """

    entries: dict[int, Entry]
    namespaces: Mapping[int, Namespace]
    gone: set[int]
    erased: Callable[[int], bool]
    erasures: int | None
    attached: int | None
    rewrites: bool


class Beside:
    """`lost`: in words, what is gone. attached: by number of the namespace, and name. erased, rewritten: rows of the
    table of keys."""

    def __init__(self, connection: Connection, sealing: Sealing | None, lost: list[str]) -> None:
        self.connection, self.sealing, self.lost = connection, sealing, lost
        found = rows(connection, "blobs", "rowid", "digest, data")
        self.blobs: dict[bytes, bytes] = {digest: data for _, digest, data in found if _is_whole(digest, data)}
        self.attached: dict[tuple[int, str], bytes] = {}
        self.erased: set[bytes] = set()
        self.rewritten: dict[int, tuple[bytes, int, bytes]] = {}

    def take(self, known: Known, backup: Backup) -> None:
        ours = backup.of_this_log(known.entries.values())
        self._take_blobs(known.entries.values(), backup)
        self._take_attachments(known, backup, ours)
        self._take_keys(known, backup if ours else Backup())

    # ---- blobs

    def _take_blobs(self, entries: Iterable[Entry], backup: Backup) -> None:
        """Those that the log names."""
        needed = {
            bytes.fromhex(name): key_of(entry.record) for entry in entries for name in blob_names(entry.record.body)
        }
        for digest in needed.keys() & self.blobs.keys():
            self.blobs[digest] = keyed_by(self.blobs[digest], needed[digest])
        for digest in sorted(needed.keys() - self.blobs.keys()):
            if backup.store is not None:
                with backup.store._reading() as connection:
                    data = value(connection, "SELECT data FROM blobs WHERE digest=?", (digest,))
                if _is_whole(digest, data):
                    self.blobs[digest] = data
                    continue
            self.lost.append(f"blob {digest.hex()}")

    # ---- attachments

    def _take_attachments(self, known: Known, backup: Backup, ours: bool) -> None:
        table, whole = read(self.connection, "attachments", "id", "namespace, name, size, digest")
        index, _ = read(self.connection, "attachments", "namespace", "name, id", NAME_INDEX)
        table, index = [row for row in table if isinstance(row[2], str)], [row for row in index if _is_name(*row)]
        seals, sealed = read(self.connection, "seals", "name", "digest")
        there = {name: digest for name, digest in seals if isinstance(name, str)}
        same = ours and (backup.mark.attached, backup.mark.erasures) == (known.attached, known.erasures)
        numbers = {row[1] for row in table} | {row[0] for row in index} | _numbers(there)
        whole = whole and fits(self.connection, "attachments")
        for number in sorted(at for at in numbers if isinstance(at, int) and at not in known.gone):
            namespace, sealed_as = known.namespaces.get(number), there.get(f"{attachments.SEAL}{number}")
            here = [(at, name, (size, digest)) for at, space, name, size, digest in table if space == number]
            names = {at: name for space, name, at in index if space == number}
            mine = _Attachments(self.connection, here, names, sealed_as)
            theirs = {} if namespace is None else _list_of(backup, namespace)
            proven = theirs if same else mine.proven(theirs)
            self._take_listed(number, namespace, mine, mine.listed() if proven is None else proven, backup)
            if proven is None and not (whole and not sealed and sealed_as is None):
                self.lost.append(f"some attachments of {_named(number, namespace)}")
        if not (whole or sealed or same):
            self.lost.append("some attachments, perhaps, of namespaces that cannot be told")

    def _take_listed(
        self, number: int, namespace: Namespace | None, mine: _Attachments, listed: Mapping[str, Any], backup: Backup
    ) -> None:
        for name, pair in sorted(listed.items()):
            data = mine.data.get(name)
            if pair is not None and (data is None or sha256(data).digest() != pair[1]):
                data = _of(backup, namespace, name, pair[1])
            if data is None or pair is None or namespace is None:
                self.lost.append(f"attachment {name!r} of {_named(number, namespace)}")
            else:
                self.attached[number, name] = data

    # ---- keys

    def _take_keys(self, known: Known, backup: Backup) -> None:
        """Keys of what was erased, and what was logged under those whose text has been let go of."""
        found, whole = read(self.connection, "keys", "digest", "position, content")
        whole = whole and fits(self.connection, "keys")
        for row in found:
            whole = self._take_key(known, row) and whole
        if whole:
            return
        told = known.erasures == 0
        if backup.store is not None:
            with backup.store._reading() as connection:
                for row in connection.execute("SELECT digest, position, content FROM keys").fetchall():
                    self._take_key(known, row)
            self._take_erased_since(known, backup)
            told = told or backup.mark.erasures == known.erasures
        if not told:
            self.lost.append(REUSABLE)
        keyed = {at for at, entry in known.entries.items() if entry.record.key is not None}
        if known.rewrites and not keyed <= backup.entries.keys():
            self.lost.append(FIRST_LOGGED)

    def _take_key(self, known: Known, row: tuple[Any, ...]) -> bool:
        """Whether the row is of a key as it should be."""
        digest, position, content = row
        if position is None:
            if right := isinstance(digest, bytes) and seal(digest) == content:
                self.erased.add(digest)
            return right
        entry = known.entries.get(position) if isinstance(position, int) else None
        if entry is None or not isinstance(digest, bytes) or not digest:
            return isinstance(position, int) and not known.erased(position)  # of a step that is lost
        record = entry.record
        right = record.key is not None and key_digest(record.namespace, record.key).startswith(digest)
        if right and isinstance(content, bytes):
            self.rewritten.setdefault(position, (digest, position, content))
        return right

    def _take_erased_since(self, known: Known, backup: Backup) -> None:
        """Of steps that the backup has and this file had erased, or let go the text of."""
        for position, entry in backup.entries.items():
            record, here = entry.record, known.entries.get(position)
            if record.key is None:
                continue
            digest = key_digest(record.namespace, record.key)
            if here is None and known.erased(position):
                self.erased.add(digest)
            elif here is not None and (here.record.text, here.record.body) != (record.text, record.body):
                content = content_key(record) if self.sealing is None else self.sealing.content(record)
                self.rewritten.setdefault(position, (digest, position, content))


class _Attachments:
    """Of one namespace: rows as (id, name, (size, digest)), names by id as the index has them, and the seal of the
    list. `data`: by name, what can be read."""

    def __init__(
        self, connection: Connection, here: list[tuple[int, Any, Any]], indexed: Mapping[int, Any], sealed: Any
    ) -> None:
        self.here, self.indexed, self.sealed = here, indexed, sealed
        self.data: dict[str, bytes] = {}
        for at, name, _ in here:
            found = one(connection, "SELECT data FROM attachments NOT INDEXED WHERE id=?", at)
            if found and isinstance(found[0][0], bytes):
                self.data[name] = self.data[indexed.get(at, name)] = found[0][0]

    def listed(self) -> dict[str, tuple[int, bytes] | None]:
        """As far as it can be read; None for what only the index has."""
        known = {at for at, _, _ in self.here}
        rest = {name: None for at, name in self.indexed.items() if at not in known}
        return {**rest, **{name: pair for _, name, pair in self.here}}

    def proven(self, theirs: List) -> List | None:
        """What the list was when it was sealed."""
        return next((each for each in self._candidates(theirs) if seal(*_sorted(each)) == self.sealed), None)

    def _candidates(self, theirs: List) -> Iterator[List]:
        there = {name: pair or theirs[name] for name, pair in self.listed().items() if pair or name in theirs}
        counted = {name: (len(data), sha256(data).digest()) for name, data in self.data.items()}
        yield there
        yield {name: counted.get(name, pair) for name, pair in there.items()}
        yield {self.indexed.get(at, name): pair for at, name, pair in self.here}
        yield {**theirs, **there}
        yield theirs


def _sorted(listed: List) -> list[tuple[str, int, bytes]]:
    return sorted((name, size, digest) for name, (size, digest) in listed.items())


def _numbers(seals: Iterable[str]) -> set[int]:
    ends = (name.removeprefix(attachments.SEAL) for name in seals if name.startswith(attachments.SEAL))
    return {int(end) for end in ends if end.isdecimal()}


def _is_name(number: Any, name: Any, at: Any) -> bool:
    return isinstance(number, int) and isinstance(name, str) and isinstance(at, int)


def _list_of(backup: Backup, namespace: Namespace) -> List:
    if backup.store is None:
        return {}
    with backup.store._reading() as connection:
        found = connection.execute(attachments.LISTED, (namespace_id(connection, namespace) or -1,)).fetchall()
    return {name: (size, digest) for name, size, digest in found}


def _of(backup: Backup, namespace: Namespace | None, name: str, digest: Any) -> bytes | None:
    if backup.store is None or namespace is None or name not in _list_of(backup, namespace):
        return None
    data = backup.store.attachment(namespace, name)
    return data if sha256(data).digest() == digest else None


def _named(number: int, namespace: Namespace | None) -> str:
    return f"namespace {namespace}" if namespace is not None else f"namespace number {number}, whose name is lost"


def _identity(record: Record) -> tuple[Any, ...]:
    return record.position, record.logged_at, record.namespace, record.type, record.episode, record.key


def _is_whole(digest: Any, data: Any) -> bool:
    """Whether a blob, sealed or not, is what its name says."""
    named = isinstance(digest, bytes) and isinstance(data, bytes)
    return named and (sha256(data).digest() == digest or sealed_is_whole(digest, data))
