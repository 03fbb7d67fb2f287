"""Appending: what a transaction writes for records. Knows the tables of the log and nothing of locks or durability."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from hashlib import sha256
from typing import Any

from ..errors import InvalidInputError, KeyConflictError, TooLargeError
from ..types import Namespace, Record
from . import bars, derived
from .chain import link
from .commit import Transaction
from .group import Request
from .keys import Keys
from .lexicon import Lexicon, Terms
from .log import Log, namespace_id
from .rows import MAX_BLOB, Entry, Prepared, check, namespace_json, pack, prepare, same_content
from .schema import Connection, count_up, counter, seal_namespace, value
from .sealing import Sealing, check_unsealed

INSERT_ROW = "INSERT INTO log VALUES(?, ?, ?, ?, ?, ?, ?, ?)"


def request(records: Sequence[Record], blobs: Mapping[str, bytes] | None) -> Request:
    """Check everything that can be checked without the file."""
    check_blobs(blobs or {})
    checked = {bytes.fromhex(name): bytes(data) for name, data in (blobs or {}).items()}
    return Request([prepare(record) for record in records], checked)


def sealed_request(
    sealing: Sealing,
    records: Sequence[Record],
    blobs: Mapping[str, bytes],
    stored: Callable[[str], bytes],
    add: Callable[[list[bytes]], None],
) -> Request:
    """The same for an encrypted file: what is about subjects is sealed. stored, add: as `Sealing.seal`."""
    check_unsealed(records)
    for record in records:
        check(record)
    check_blobs(blobs)
    sealed = sealing.seal(records, blobs, stored, add)
    names = {bytes.fromhex(name): data for name, data in sealed.blobs.items()}
    return Request([prepare(record) for record in sealed.records], names, keys=sealed.keys, given=records)


def check_blobs(blobs: Mapping[str, bytes]) -> None:
    """TooLargeError or InvalidInputError for a blob that cannot be stored under its name."""
    for name, data in blobs.items():
        if len(data) > MAX_BLOB:
            raise TooLargeError(f"a blob of {len(data)} bytes is over {MAX_BLOB >> 20} MiB; split it")
        if sha256(data).hexdigest() != name:
            raise InvalidInputError(f"blob {name} is not the sha256 of its bytes; name blobs by their sha256 in hex")


class Interner:
    """Numbers for namespaces and names, made where they are new. Belongs to the writing connection.

    standing: episodes of namespaces that no erasure took so far.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._namespaces: dict[Namespace, int] = {}
        self._names: dict[str | None, int] = {None: 0}
        self.standing: set[tuple[Namespace, str]] = set()
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


@dataclass(slots=True)
class Lines:
    """What a transaction is to write, each table at once, for all its requests. A key stands for its record."""

    rows: list[Any] = field(default_factory=list)
    terms: list[Terms] = field(default_factory=list)
    keys: dict[bytes, Record] = field(default_factory=dict)
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    uses: list[tuple[bytes, int]] = field(default_factory=list)
    masked: Counter[tuple[int, str]] = field(default_factory=Counter)  # (namespace, kind) -> placeholders


class Appender:
    """Writes requests into open transactions. lexicon: the lexical index, where it stands in the file."""

    def __init__(self, log: Log, keys: Keys, lexicon: Lexicon | None) -> None:
        self.log, self.keys, self.lexicon = log, keys, lexicon
        self.interner = Interner()

    def write(self, transaction: Transaction, requests: Sequence[Request]) -> None:
        """Write the records of all requests, but of one that cannot be written nothing: it gets its error."""
        connection, lines = transaction.connection, Lines()
        for request in requests:
            try:
                known = self._known(connection, request, lines)
                self._check_blobs(connection, request, known, lines)
                self._check_episodes(connection, request, known)
                self._check_subjects(connection, request, known)
            except InvalidInputError as error:
                request.error = error
                continue
            request.result = self._place(transaction, request, known, lines)
        self._execute(connection, lines)

    def tell(self, transaction: Transaction, events: Sequence[Record]) -> None:
        """Write events that belong to what else the transaction does; raises what keeps them from being written."""
        one = request(events, None)
        self.write(transaction, [one])
        if one.error is not None:
            raise one.error

    def _known(self, connection: Connection, request: Request, lines: Lines) -> dict[int, Record | int]:
        """Place -> the record as first logged, or the place in this request where it is; raises KeyConflictError."""
        known: dict[int, Record | int] = {}
        here: dict[bytes, int] = {}
        for place, new in enumerate(request.records):
            if new.key is None:
                continue
            if new.key in here:
                known[place] = here[new.key]
                self._check_same(request.records[here[new.key]].record, new.record, "earlier in the same call")
            elif new.key in lines.keys:
                known[place] = found = lines.keys[new.key]
                self._check_same(found, new.record, f"at position {found.position}")
            elif (logged := self._as_logged(connection, new)) is not None:
                known[place] = logged
            else:
                here[new.key] = place
        return known

    def _check_same(self, first: Record, new: Record, where: str) -> None:
        if not same_content(first, new):
            raise _conflict(new, where)

    def _as_logged(self, connection: Connection, new: Prepared) -> Record | None:
        record = new.record
        assert record.key is not None
        if (row := self.keys.find(connection, record.namespace, record.key)) is None:
            return None
        position, content = row
        if position is None:
            raise KeyConflictError(
                f"key {record.key!r} in namespace {record.namespace} was erased and cannot be logged again; use a new "
                "key"
            )
        found = self.log.entries(connection, [position])[position].record
        logged = content or self.keys.content(found)
        if self.keys.content(record)[: len(logged)] != logged:
            raise _conflict(record, f"at position {position}")
        return found

    def _check_blobs(self, connection: Connection, request: Request, known: Mapping[int, object], lines: Lines) -> None:
        needed = {name for place, new in enumerate(request.records) if place not in known for name in new.blobs}
        for name in sorted(needed):
            try:
                digest = bytes.fromhex(name)
            except (ValueError, TypeError):
                raise InvalidInputError(f"blob {name!r} is not a sha256 in hex; name blobs by their sha256") from None
            if digest in request.blobs or digest in lines.blobs:
                continue
            if value(connection, "SELECT 1 FROM blobs WHERE digest=?", (digest,)) is None:
                raise InvalidInputError(f"blob {name} is neither stored nor given; pass its bytes in blobs")

    def _check_episodes(self, connection: Connection, request: Request, known: Mapping[int, object]) -> None:
        records = [new.record for place, new in enumerate(request.records) if place not in known]
        named = {(one.namespace, one.episode) for one in records if one.episode is not None}
        for namespace, episode in sorted(named - self.interner.standing):
            bars.check_episode(namespace, episode, partial(self.keys.refuses, connection))
            self.interner.standing.add((namespace, episode))

    def _check_subjects(self, connection: Connection, request: Request, known: Mapping[int, object]) -> None:
        given = request.given or [one.record for one in request.records]
        steps = [record for at, record in enumerate(given) if at not in known and record.type == "step"]
        about = [record for record in steps if bars.subjects_of(record.body)]
        if about and any(new.record.type in bars.BARRING for new in request.records):
            raise InvalidInputError("an event that bars subjects, or lets them in, comes with steps; log it by itself")

        @cache  # a request that has steps bars nobody
        def barred(namespace: Namespace, subject: str) -> tuple[str, float] | None:
            return bars.status(connection, namespace_id(connection, namespace), subject)

        for record in about:
            bars.check(record, partial(barred, record.namespace))

    def _place(
        self, transaction: Transaction, request: Request, known: dict[int, Record | int], lines: Lines
    ) -> list[Record]:
        """Give the new records of a request their places at the end of the log."""
        mark, result = transaction.mark, list[Record]()
        position, chain = mark.position, mark.hash
        for place, new in enumerate(request.records):
            if place in known:
                first = known[place]
                result.append(result[first] if isinstance(first, int) else first)
                continue
            position += 1
            chain = link(chain, new.content, position)
            result.append(self._add(transaction.connection, new, position, chain, lines))
            self._count_masked(request, place, transaction.connection, lines)
        used = {digest for digest, position in lines.uses if position > mark.position}
        lines.blobs |= {digest: data for digest, data in request.blobs.items() if digest in used}
        transaction.mark = replace(mark, position=position, hash=chain)
        return result

    def _add(self, connection: Connection, new: Prepared, position: int, chain: bytes, lines: Lines) -> Record:
        namespace, row, record = self._row(connection, new, position, chain)
        lines.rows.append(row)
        if self.lexicon is not None and new.passages:
            lines.terms.append((position, namespace, new.passages))
        if new.key is not None:
            lines.keys[new.key] = record
        lines.uses += [(bytes.fromhex(name), position) for name in new.blobs]
        if record.type in bars.BARRING:  # at once: what follows in the same transaction is to be refused
            bars.put(connection, namespace, record)
        if record.type in ("consent", "rules", "hold"):  # recall as of before changes, or what may be erased
            derived.bump(connection, namespace)
        return record

    def _count_masked(self, request: Request, place: int, connection: Connection, lines: Lines) -> None:
        """Of the record as it was before it was sealed."""
        record = request.given[place] if request.given else request.records[place].record
        if '"masked":' in record.body:
            namespace = self.interner.namespace(connection, record.namespace)
            masked = json.loads(record.body).get("masked", {})
            lines.masked.update({(namespace, kind): number for kind, number in masked.items()})

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

    def _execute(self, connection: Connection, lines: Lines) -> None:
        connection.executemany(INSERT_ROW, lines.rows)
        if self.lexicon is not None and lines.terms:
            self.lexicon.add(connection, lines.terms)
        if lines.keys:
            rows = [(digest, record.position) for digest, record in lines.keys.items()]
            connection.executemany("INSERT INTO keys(digest, position) VALUES(?, ?)", rows)
        if lines.uses:
            connection.executemany("INSERT OR IGNORE INTO blobs VALUES(?, ?)", list(lines.blobs.items()))
            connection.executemany("INSERT OR IGNORE INTO blob_uses VALUES(?, ?)", lines.uses)
        for (namespace, kind), number in lines.masked.items():
            count_up(connection, f"masked/{namespace}/{kind}", number)


def masked_so_far(connection: Connection, namespace: int) -> dict[str, int]:
    """Kind -> placeholders that were written in a namespace since it began; what is erased is not taken off."""
    begins = f"masked/{namespace}/"
    sql = "SELECT substr(name, ?2), value FROM counters WHERE name GLOB ?1 ORDER BY 1"
    return dict(connection.execute(sql, (f"{begins}*", len(begins) + 1)).fetchall())


def _conflict(record: Record, where: str) -> KeyConflictError:
    return KeyConflictError(
        f"key {record.key!r} in namespace {record.namespace} was logged with other content {where}; "
        "use a new key for new content"
    )
