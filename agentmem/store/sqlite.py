"""The store in one SQLite file. Joins the parts beside it; knows no SQL of its own but the smallest look-ups."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from ..errors import AgentMemError, ClosedError, InvalidInputError, NotFoundError, ReadOnlyError, SettingsError
from ..types import (
    KINDS,
    RECORD_TYPES,
    Batch,
    Codes,
    Columns,
    Crystal,
    Durability,
    Head,
    Namespace,
    Record,
    Watermark,
)
from . import checks, derived, lexicon, memlex, opening
from .append import Appender, Request, request
from .blocks import CRYSTALS, KEEP
from .chain import Anchor, read_anchor
from .commit import Transaction, Writer
from .derived import Derived
from .files import Files, os_errors
from .log import Log, head_mark, namespace_id
from .pool import Pool
from .rows import TYPE_NUMBER, key_digest, namespace_of_json
from .schema import Connection, sqlite_errors, value
from .upkeep import Upkeep

CHUNK = 256
CHUNK_CHARACTERS = 8 << 20
INT64 = np.dtype(np.int64)
Terms = Callable[[Record], tuple[str, ...]]


class SQLiteStore:
    """A `Store` in the file at `path`, or in a private temporary one for ":memory:".

    terms: gives a record's index terms again; needed under retain="crystals", where no index is stored.
    """

    def __init__(
        self,
        path: str,
        durability: Durability = "power",
        read_only: bool = False,
        settings: Mapping[str, str | None] | None = None,
        terms: Terms | None = None,
    ) -> None:
        self.path = path
        self._arguments = (durability, read_only, dict(settings or {}))
        self._terms = terms
        self._files = Files(path)
        self._closed = False
        self._open()
        _STORES.add(self)

    # ---- opening and closing

    def _open(self) -> None:
        durability, read_only, settings = self._arguments
        paths = self._files
        paths.check()
        if read_only and paths.empty():
            raise NotFoundError(f"{paths.shown} does not exist or is empty; open it for writing once to make a memory")
        self._pid = os.getpid()
        self._queue: deque[Request] = deque()
        self._queue_lock = threading.Lock()
        self._writer: Writer | None = None
        self._anchor: Anchor | None = None
        if not read_only and paths.writable():
            self._anchor = opening.prepare_file(paths, settings, durability)
        expected = read_anchor(paths.anchor)
        immutable = self._anchor is None and opening.needs_immutable(paths)
        self._pool = Pool(paths, immutable)
        self._log = Log(paths.shown)
        self._made = Derived(self._log)
        try:
            self._join(expected, durability, settings)
        except BaseException:
            self._shut()
            raise

    def _join(self, expected: opening.Mark | None, durability: Durability, settings: opening.Settings) -> None:
        with self._pool.snapshot() as connection:
            opening.check_readable(connection, self._files, settings)
            if self._anchor is None:
                opening.check_anchor(connection, self._files, expected)
            stored = dict(connection.execute("SELECT name, value FROM settings").fetchall())
        self._indexed = stored["retain"] == "keep"
        self._memory_lexicon = None if self._indexed else memlex.MemoryLexicon()
        self._appender = Appender(self._log, self._indexed)
        packing = KEEP if self._indexed else CRYSTALS
        self._upkeep = Upkeep(self._log, self._made, packing, self._indexed, self._terms)
        if self._anchor is not None:
            with sqlite_errors(self._files.shown), os_errors(self._files.shown):
                self._writer = Writer(self._files, self._anchor, "process" if self._files.private else durability)

    def close(self) -> None:
        """Close the file; a store that is closed twice stays closed."""
        if not self._closed:
            self._closed = True
            self._shut()
            self._files.remove_private()

    def _shut(self) -> None:
        self._pool.close()
        if self._writer is not None:
            self._writer.close()
        if self._anchor is not None:
            self._anchor.close()

    def __enter__(self) -> SQLiteStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- reading and writing

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        self._check()
        with self._pool.snapshot() as connection:
            yield connection

    @contextmanager
    def _writing(self, durable: bool = True) -> Iterator[Transaction]:
        writer = self._writer_or_refuse()
        with writer.lock:
            try:
                with writer.transaction(durable) as transaction:
                    self._appender.interner.renew(transaction)
                    yield transaction
            except BaseException:
                # What a transaction that was rolled back had numbered is numbered otherwise next time.
                self._appender.interner.clear()
                self._log.directory.clear()
                raise

    def _check(self) -> None:
        if self._closed:
            raise ClosedError(f"{self.path} was closed; open it again")
        if self._pid != os.getpid():
            self._open()

    def _writer_or_refuse(self) -> Writer:
        self._check()
        if self._writer is None:
            raise ReadOnlyError(f"{self.path} was opened read-only, or cannot be written; open it where it can be")
        return self._writer

    # ---- the log

    def append(self, records: Sequence[Record], blobs: Mapping[str, bytes] | None = None) -> list[Record]:
        writer = self._writer_or_refuse()
        mine = request(records, blobs)
        if not mine.records:
            return []
        with self._queue_lock:
            self._queue.append(mine)
        with writer.lock:
            if not mine.done:
                self._write_queue(writer)
        if mine.error is not None:
            raise mine.error
        writer.wait(mine.ticket)
        if writer.checkpoint_due():
            writer.checkpoint_beside()
        return mine.result

    def _write_queue(self, writer: Writer) -> None:
        """One transaction for everything that threads have queued: whoever gets the lock writes for all."""
        with self._queue_lock:
            group = list(self._queue)
            self._queue.clear()
        try:
            with self._writing(durable=False) as transaction:
                for one in group:
                    self._appender.write(transaction, one)
            ticket = writer.last_ticket()
        except BaseException as error:
            for one in group:
                one.error, one.done = one.error or error, True
            return
        for one in group:
            one.ticket, one.done = ticket, True

    def head(self) -> Head:
        with self._reading() as connection:
            mark = head_mark(connection)
            return Head(mark.position, mark.hash, mark.erasures)

    def read(self, positions: Sequence[int]) -> list[Record]:
        with self._reading() as connection:
            found = self._log.entries(connection, positions)
        missing = [position for position in positions if position not in found]
        if missing:
            raise NotFoundError(f"{self.path} has no record at position {missing[0]}; it was erased or never logged")
        return [found[position].record for position in positions]

    def scan(
        self,
        namespace: Namespace | None = None,
        after: int = 0,
        upto: int | None = None,
        episode: str | None = None,
        types: Sequence[str] | None = None,
    ) -> Iterator[Record]:
        with self._reading() as connection:
            wanted = self._select(connection, namespace, after, upto, episode, types)
        return self._records(wanted)

    def _select(
        self,
        connection: Connection,
        namespace: Namespace | None,
        after: int,
        upto: int | None,
        episode: str | None,
        types: Sequence[str] | None,
    ) -> list[int]:
        number = None if namespace is None else namespace_id(connection, namespace)
        if namespace is not None and number is None:
            return []
        rows = self._log.rows(connection, number, after, upto)
        keep = np.ones(len(rows), bool)
        if episode is not None:
            name = value(connection, "SELECT id FROM names WHERE name=?", (episode,))
            keep &= rows["episode"] == (name or -1)
        if types is not None:
            keep &= np.isin(rows["type"], [TYPE_NUMBER[name] for name in types])
        found: list[int] = rows["position"][keep].tolist()
        return found

    def _records(self, wanted: list[int]) -> Iterator[Record]:
        """Records in chunks, each read in a snapshot of its own; what was erased meanwhile is left out."""
        at, size = 0, CHUNK
        while at < len(wanted):
            chunk = wanted[at : at + size]
            with self._reading() as connection:
                found = self._log.entries(connection, chunk)
            at += len(chunk)
            characters = sum(len(entry.record.text) for entry in found.values())
            size = max(1, min(CHUNK, size * CHUNK_CHARACTERS // max(characters, 1)))
            for position in chunk:
                if position in found:
                    yield found[position].record

    def keyed(self, namespace: Namespace, key: str) -> Record | None:
        with self._reading() as connection:
            sql = "SELECT position FROM keys WHERE digest=?"
            position = value(connection, sql, (key_digest(namespace, key),))
            return None if position is None else self._log.entries(connection, [position])[position].record

    def blob(self, digest: str) -> bytes:
        with self._reading() as connection, suppress(ValueError):
            data = value(connection, "SELECT data FROM blobs WHERE digest=?", (bytes.fromhex(digest),))
            if data is not None:
                return checks.whole_blob(bytes(data), digest, self.path)
        raise NotFoundError(f"{self.path} has no blob {digest}; it was erased or never logged")

    def namespaces(self) -> list[Namespace]:
        with self._reading() as connection:
            return [
                namespace_of_json(name) for (name,) in connection.execute("SELECT name FROM namespaces ORDER BY id")
            ]

    def names(self) -> dict[int, str]:
        with self._reading() as connection:
            return dict(connection.execute("SELECT id, name FROM names ORDER BY id").fetchall())

    def columns(self, namespace: Namespace, after: int = 0) -> Columns:
        with self._reading() as connection:
            number = namespace_id(connection, namespace)
            rows = self._log.rows(connection, -1 if number is None else number, after)
        return Columns(*(rows[name].astype(INT64) for name in Columns._fields))

    def postings(self, namespace: Namespace, terms: Iterable[str], after: int = 0) -> dict[str, np.ndarray]:
        self._check()
        if self._memory_lexicon is not None:
            if self._terms is None:
                raise SettingsError(f"{self.path} has retain='crystals' and no stored index; open it with terms=")
            return self._memory_lexicon.postings(self, self._terms, namespace, terms, after)
        with self._reading() as connection:
            number = namespace_id(connection, namespace)
            return {} if number is None else lexicon.postings(connection, number, terms, after)

    # ---- what was made from it

    def watermark(self, namespace: Namespace) -> Watermark:
        with self._reading() as connection:
            return derived.watermark(connection, namespace)

    def publish(self, namespace: Namespace, batch: Batch, expected: int) -> bool:
        if any(crystal.namespace != namespace for crystal in batch.crystals):
            raise InvalidInputError(f"a batch for {namespace} holds crystals of another namespace; publish them apart")
        with self._writing() as transaction:
            connection = transaction.connection
            if derived.watermark(connection, namespace).position != expected:
                return False
            if batch.watermark > transaction.mark.position:
                raise InvalidInputError(
                    f"watermark {batch.watermark} is after the log's end, {transaction.mark.position}"
                )
            number = self._appender.interner.namespace(connection, namespace)
            self._made.publish(connection, number, batch)
            return True

    def crystals(self, namespace: Namespace, after: int = 0) -> list[tuple[int, Crystal]]:
        with self._reading() as connection:
            return list(self._made.items(connection, namespace, derived.CRYSTALS, after))

    def retirements(self, namespace: Namespace, after: int = 0) -> list[tuple[int, str, int]]:
        with self._reading() as connection:
            items = self._made.items(connection, namespace, derived.RETIRED, after)
            return [(serial, *item) for serial, item in items]

    def codes(self, namespace: Namespace, encoder: str, after: int = 0) -> list[tuple[int, Codes]]:
        with self._reading() as connection:
            return list(self._made.items(connection, namespace, derived.CODES + encoder, after))

    def encoders(self, namespace: Namespace) -> list[str]:
        with self._reading() as connection:
            number = namespace_id(connection, namespace)
            return [] if number is None else self._made.encoders(connection, number)

    def add_codes(self, namespace: Namespace, encoder: str, codes: Sequence[Codes]) -> None:
        with self._writing() as transaction:
            number = self._appender.interner.namespace(transaction.connection, namespace)
            self._made.replace_codes(transaction.connection, namespace, number, encoder, codes)

    def discard(self, namespace: Namespace) -> None:
        with self._writing() as transaction:
            number = namespace_id(transaction.connection, namespace)
            if number is not None:
                derived.discard(transaction.connection, number)

    def generation(self, namespace: Namespace) -> int:
        with self._reading() as connection:
            return derived.generation(connection, namespace)

    # ---- upkeep

    def archive(self, upto: int) -> int:
        writer, moved = self._writer_or_refuse(), 0
        while True:
            with self._reading() as connection:
                piece = self._upkeep.next_piece(connection, upto)
            if piece is None:
                break
            with self._writing(durable=False) as transaction:
                moved += self._upkeep.move(transaction, piece)
        if moved:
            with self._writing(durable=False) as transaction:
                self._made.join(transaction.connection)
            writer.shrink()
        return moved

    def rewrite(self, texts: Mapping[int, tuple[str, str]]) -> None:
        with self._writing() as transaction:
            self._upkeep.rewrite(transaction, dict(texts))
        self._forget()

    def erase(self, positions: Sequence[int]) -> None:
        writer = self._writer_or_refuse()
        with self._writing() as transaction:
            self._upkeep.erase(transaction, positions)
        self._forget()
        if not writer.truncate():
            raise AgentMemError(
                f"the records were erased, but a reader of {self.path} kept the old state in its -wal file; erase again "
                "(the same positions) when it has finished"
            )

    def _forget(self) -> None:
        self._log.forget()
        self._appender.interner.clear()

    # ---- trust

    def residue(self, needles: Sequence[bytes]) -> list[str]:
        with self._reading() as connection:
            return checks.residue(self._files, self._log, connection, needles)

    def setting(self, name: str) -> str | None:
        with self._reading() as connection:
            found: str | None = value(connection, "SELECT value FROM settings WHERE name=?", (name,))
            return found

    def put_setting(self, name: str, text: str) -> None:
        """Note something of the library's own, such as the encoder in use; settings given at creation stay."""
        with self._writing() as transaction:
            sql = "INSERT INTO settings VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value"
            transaction.connection.execute(sql, (name, text))

    def verify(self) -> tuple[list[str], dict[str, int]]:
        self._check()
        expected = read_anchor(self._files.anchor)
        with self._reading() as connection:
            verifier = checks.Verifier(self._files, self._log, self._made, connection, self._indexed)
            problems, checked = verifier.run(expected)
        if self._writer is not None:
            with self._writing(durable=False) as transaction:
                transaction.connection.execute("UPDATE notes SET reported=1 WHERE reported=0")
        return problems, checked

    def sizes(self) -> dict[str, int]:
        with self._reading() as connection:
            return checks.sizes(self._files, connection)

    def backup(self, path: str) -> None:
        with self._reading() as connection:
            checks.copy(connection, path, self.path)
        checks.finish_copy(path, self.path)


_STORES: weakref.WeakSet[SQLiteStore] = weakref.WeakSet()
assert RECORD_TYPES
assert KINDS
