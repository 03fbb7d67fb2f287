"""Appending: what a transaction writes for records. Knows the tables of the log and nothing of locks or durability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from ..errors import InvalidInputError, KeyConflictError, TooLargeError
from ..types import Namespace, Record
from . import lexicon
from .chain import Mark, link
from .commit import Transaction
from .group import Request
from .log import Log
from .rows import MAX_BLOB, Entry, Prepared, content_key, namespace_json, pack, prepare, same_content
from .schema import Connection, count_up, counter, seal_namespace, value

INSERT_ROW = "INSERT INTO log VALUES(?, ?, ?, ?, ?, ?, ?, ?)"


def request(records: Sequence[Record], blobs: Mapping[str, bytes] | None) -> Request:
    """Check everything that can be checked without the file."""
    checked = {}
    for name, data in (blobs or {}).items():
        if len(data) > MAX_BLOB:
            raise TooLargeError(f"a blob of {len(data)} bytes is over {MAX_BLOB >> 20} MiB; split it")
        if sha256(data).hexdigest() != name:
            raise InvalidInputError(f"blob {name} is not the sha256 of its bytes; name blobs by their sha256 in hex")
        checked[bytes.fromhex(name)] = bytes(data)
    return Request([prepare(record) for record in records], checked)


class Interner:
    """Numbers for namespaces and names, made where they are new. Belongs to the writing connection."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._namespaces: dict[Namespace, int] = {}
        self._names: dict[str | None, int] = {None: 0}
        self._rechained = -1

    def renew(self, transaction: Transaction) -> None:
        """An erasure by whatever process may have taken names away."""
        if transaction.mark.rechained != self._rechained:
            self.clear()
            self._rechained = transaction.mark.rechained

    def namespace(self, connection: Connection, namespace: Namespace) -> int:
        number = self._namespaces.get(namespace)
        if number is None:
            text = namespace_json(namespace)
            number = value(connection, "SELECT id FROM namespaces WHERE name=?", (text,))
            if number is None:
                number = count_up(connection, "namespace")
                generation = counter(connection, "generation")
                sql = "INSERT INTO namespaces(id, name, generation) VALUES(?, ?, ?)"
                connection.execute(sql, (number, text, generation))
                seal_namespace(connection, number)
            self._namespaces[namespace] = number
        return number

    def name(self, connection: Connection, name: str | None) -> int:
        number = self._names.get(name)
        if number is None:
            number = value(connection, "SELECT id FROM names WHERE name=?", (name,))
            if number is None:
                number = count_up(connection, "name")
                connection.execute("INSERT INTO names VALUES(?, ?)", (number, name))
            self._names[name] = number
        return number


class Appender:
    """Writes requests into open transactions. `indexed` says whether the lexical index stands in the file."""

    def __init__(self, log: Log, indexed: bool) -> None:
        self.log, self.indexed = log, indexed
        self.interner = Interner()

    def write(self, transaction: Transaction, request: Request) -> None:
        """Write a request's records, or set its error and write nothing."""
        try:
            known = self._known(transaction.connection, request)
            self._check_blobs(transaction.connection, request, known)
        except InvalidInputError as error:
            request.error = error
            return
        request.result = self._insert(transaction, request, known)

    def _known(self, connection: Connection, request: Request) -> dict[int, Record | int]:
        """Place -> the record as first logged, or the place in this request where it is; raises KeyConflictError."""
        known: dict[int, Record | int] = {}
        here: dict[bytes, int] = {}
        for place, new in enumerate(request.records):
            if new.key is None:
                continue
            row = connection.execute("SELECT position, content FROM keys WHERE digest=?", (new.key,)).fetchone()
            if row is not None:
                known[place] = self._as_logged(connection, new.record, *row)
            elif new.key in here:
                if not same_content(request.records[here[new.key]].record, new.record):
                    raise _conflict(new.record, "earlier in the same call")
                known[place] = here[new.key]
            else:
                here[new.key] = place
        return known

    def _as_logged(self, connection: Connection, new: Record, position: int | None, content: bytes | None) -> Record:
        if position is None:
            raise KeyConflictError(
                f"key {new.key!r} in namespace {new.namespace} was erased and cannot be logged again; use a new key"
            )
        found = self.log.entries(connection, [position])[position].record
        if (content or content_key(found)) != content_key(new):
            raise _conflict(new, f"at position {position}")
        return found

    def _check_blobs(self, connection: Connection, request: Request, known: Mapping[int, object]) -> None:
        needed = {name for place, new in enumerate(request.records) if place not in known for name in new.blobs}
        for name in sorted(needed):
            try:
                digest = bytes.fromhex(name)
            except (ValueError, TypeError):
                raise InvalidInputError(f"blob {name!r} is not a sha256 in hex; name blobs by their sha256") from None
            if digest in request.blobs:
                continue
            if value(connection, "SELECT 1 FROM blobs WHERE digest=?", (digest,)) is None:
                raise InvalidInputError(f"blob {name} is neither stored nor given; pass its bytes in blobs")

    def _insert(self, transaction: Transaction, request: Request, known: dict[int, Record | int]) -> list[Record]:
        connection, mark = transaction.connection, transaction.mark
        position, chain = mark.position, mark.hash
        result: list[Record] = []
        rows: list[Any] = []
        terms: list[lexicon.Terms] = []
        keys: list[Any] = []
        uses: list[tuple[bytes, int]] = []
        for place, new in enumerate(request.records):
            if place in known:
                first = known[place]
                result.append(result[first] if isinstance(first, int) else first)
                continue
            position += 1
            chain = link(chain, new.content, position)
            namespace, row, record = self._row(connection, new, position, chain)
            rows.append(row)
            result.append(record)
            if self.indexed and new.passages:
                terms.append((position, namespace, new.passages))
            keys += [(new.key, position)] if new.key is not None else ()
            uses += [(bytes.fromhex(name), position) for name in new.blobs]
        self._execute(connection, rows, terms, keys)
        self._store_blobs(connection, request.blobs, uses)
        transaction.mark = Mark(position, chain, mark.rechained, mark.erasures)
        return result

    def _row(
        self, connection: Connection, new: Prepared, position: int, chain: bytes
    ) -> tuple[int, tuple[object, ...], Record]:
        old = new.record
        record = Record(
            old.type, old.namespace, old.episode, old.kind, old.actor, old.text, old.body, old.key, old.logged_at,
            old.tokens, old.terms, position,
        )  # fmt: skip
        namespace = self.interner.namespace(connection, old.namespace)
        episode, actor = self.interner.name(connection, old.episode), self.interner.name(connection, old.actor)
        packed = pack(Entry(record, new.length, new.postings), namespace, episode, actor)
        return namespace, (position, namespace, packed, old.logged_at, chain, old.key, old.text, old.body), record

    def _execute(self, connection: Connection, rows: list[Any], terms: list[lexicon.Terms], keys: list[Any]) -> None:
        connection.executemany(INSERT_ROW, rows)
        if terms:
            lexicon.add(connection, terms)
        if keys:
            connection.executemany("INSERT INTO keys(digest, position) VALUES(?, ?)", keys)

    def _store_blobs(self, connection: Connection, blobs: dict[bytes, bytes], uses: list[tuple[bytes, int]]) -> None:
        """Only blobs that a record refers to are kept."""
        if not uses:
            return
        used = {digest for digest, _ in uses}
        new = [(digest, data) for digest, data in blobs.items() if digest in used]
        connection.executemany("INSERT OR IGNORE INTO blobs VALUES(?, ?)", new)
        connection.executemany("INSERT OR IGNORE INTO blob_uses VALUES(?, ?)", uses)


def _conflict(record: Record, where: str) -> KeyConflictError:
    return KeyConflictError(
        f"key {record.key!r} in namespace {record.namespace} was logged with other content {where}; "
        "use a new key for new content"
    )
