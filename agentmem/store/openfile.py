"""An open memory file: its connections, locks and parts, on both sides of a fork. Knows none of a store's verbs."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

from ..errors import ClosedError, FullError, NotFoundError, ReadOnlyError, SettingsError
from ..types import Durability, Namespace, Record
from . import fork, opening
from .append import Appender
from .blocks import CRYSTALS, KEEP
from .chain import Anchor, Mark, read_anchor
from .commit import Transaction, Writer
from .derived import Derived
from .files import Files, os_errors
from .group import Group, Request
from .keyfile import KeyFile, Passphrase
from .keys import Keys
from .lexicon import Lexicon
from .log import Directory, Log
from .pool import Pool
from .reserve import Reserve
from .rows import content_key
from .schema import STRIPPED, Connection, put_setting, sqlite_errors, stored_setting
from .sealing import Sealing, StaleKeyError, over_stored
from .shredding import Shredding
from .unlocking import unlock
from .upkeep import Upkeep

Terms = Callable[[Record], tuple[str, ...]]
Admit = Callable[[Sequence[Record], Callable[[Namespace], str | None]], list[Record]]
"""From records, and the redaction set for a namespace, to what of them is written."""
GATHER_SECONDS = 0.0001
FLIGHTS = 2
_REOPENING = threading.Lock()
logger = logging.getLogger("agentmem")


class OpenFile:
    """The file at `path`, or a private temporary one for ":memory:"."""

    def __init__(
        self,
        path: str,
        durability: Durability = "power",
        read_only: bool = False,
        settings: Mapping[str, str | None] | None = None,
        terms: Terms | None = None,
        admit: Admit | None = None,
        key_file: str | KeyFile | None = None,
        passphrase: Passphrase | None = None,
    ) -> None:
        self.path = path
        self._arguments = (durability, read_only, dict(settings or {}))
        self._unlocking = key_file, passphrase
        self._sealing: Sealing | None = None
        self._terms, self._admit = terms, admit
        self._files = Files(path)
        self._reserve = Reserve(self._files)
        self._closed = False
        self._open_in_any_room()
        fork.register(self)

    # ---- opening and closing

    def _open_in_any_room(self) -> None:
        """Also on a full disk, where not even the shared memory of a -wal file fits."""
        try:
            self._open()
        except FullError:
            if self._arguments[1] or not self._reserve.give_up():
                raise
            self._open()
        else:
            if self._writer is not None:
                with os_errors(self.path):
                    self._reserve.keep()

    def _open(self) -> None:
        durability, read_only, settings = self._arguments
        paths = self._files
        paths.check()
        if read_only and paths.empty():
            raise NotFoundError(f"{paths.shown} does not exist or is empty; open it for writing once to make a memory")
        if paths.empty() and not paths.writable():
            raise ReadOnlyError(f"{paths.directory} cannot be written, so {paths.shown} cannot be made; choose another")
        if self._sealing is None:
            keys = unlock(paths, *self._unlocking, read_only)
            self._sealing = None if keys is None else Sealing(keys, paths.shown)
        self._writer: Writer | None = None
        self._anchor: Anchor | None = None
        if not read_only and paths.writable():
            self._anchor = opening.prepare_file(
                paths, settings, durability, {"terms": getattr(self._terms, "version", None)}
            )
        expected = read_anchor(paths.anchor)
        immutable = self._anchor is None and opening.needs_immutable(paths)
        self._pool = Pool(paths, immutable)
        self._log = Log(paths.shown, self._sealing)
        self._made = Derived(self._log)
        try:
            self._join(expected, durability, settings)
        except BaseException:
            self._shut()
            raise
        self._pid = os.getpid()

    def _join(self, expected: Mark | None, durability: Durability, settings: opening.Settings) -> None:
        with self._pool.snapshot() as connection:
            opening.check_readable(connection, self._files, settings)
            if self._anchor is None:
                opening.check_anchor(connection, self._files, expected)
            stored = dict(connection.execute("SELECT name, value FROM settings").fetchall())
        keep, stripped = stored["retain"] == "keep", bool(stored.get(STRIPPED))
        self._indexed = keep and not (stripped and self._anchor is None)
        packing = KEEP if keep else CRYSTALS
        self._lexicon = Lexicon(self._files.shown, packing.level) if self._indexed else None
        self._opened()
        content = content_key if self._sealing is None else self._sealing.content
        self._keys = Keys(self._log, keep, content)
        self._appender = Appender(self._log, self._keys, self._lexicon)
        self._upkeep = Upkeep(self._log, self._made, self._keys, packing, self._lexicon, self._stored_terms())
        if self._anchor is not None:
            with sqlite_errors(self._files.shown), os_errors(self._files.shown):
                self._writer = Writer(self._files, self._anchor, "process" if self._files.private else durability)
            gather = GATHER_SECONDS if self._writer.power else 0.0
            self._group = Group(self._write_group, self._writer.wait, FLIGHTS, gather)
        if self._sealing is not None:
            self._shredding = Shredding(self._sealing, self._log)
            if not isinstance(self._unlocking[0], KeyFile):  # else it is looked into, or made, and not gone on with
                self._catch_up(self._sealing)
        if stripped:
            self._complete()
        self._check_index(stored.get("terms"))

    def _stored_terms(self) -> Terms | None:
        """`terms`, of a record as it is stored."""
        return self._terms if self._sealing is None else over_stored(self._terms, self._sealing)

    def _catch_up(self, sealing: Sealing) -> None:
        """Erase what was erased in other copies of this file, and finish an erasure that was cut off."""
        shredding = self._shredding
        with self._pool.snapshot() as connection:
            shredding.check(connection, self.path, self._writer is not None)
        if self._writer is None:
            return
        with self._writer.locked():
            sealing.keys.use()
        with self._writer.transaction(self._undone) as transaction:
            late = shredding.late(transaction.connection)
            # first, so that its namespace is not dropped and made again
            self._appender.tell(transaction, shredding.tombstones(transaction.connection))
            if late:
                logger.warning(
                    "%s: what was erased since this copy was made is erased here too, %d records", self.path, len(late)
                )
                self._upkeep.erase(transaction, late, set())
        self._writer.wait(transaction.ticket)
        if late:
            self._forget()
            self._writer.truncate()
        self._shred()

    def _shred(self) -> None:
        """Remove the keys of what was erased, and note that this file has seen it."""
        writer, shredding = self._writer, self._shredding
        assert writer is not None
        with writer.locked():
            shredding.keys.shred()
        with writer.transaction(self._undone) as transaction:
            shredding.note(transaction.connection)
        writer.wait(transaction.ticket)

    def _complete(self) -> None:
        """Index a copy that was made without its index."""
        if self._writer is None:
            return
        if self._indexed and self._terms is None:
            raise SettingsError(f"{self.path} is a copy without its index; open it with terms=, to make it again")
        with self._writer.transaction(self._undone) as transaction:
            if stored_setting(transaction.connection, STRIPPED) == "index":
                if self._indexed:
                    self._upkeep.reindex(transaction, getattr(self._terms, "version", None))
                put_setting(transaction.connection, STRIPPED, "crystals")
        self._writer.wait(transaction.ticket)

    def _check_index(self, indexed_by: str | None) -> None:
        """Index again what another version of `terms` indexed: its words would not be found."""
        version = getattr(self._terms, "version", None)
        if not self._indexed or version is None or version == indexed_by:
            return
        if self._writer is None:
            text = "%s was indexed by terms %s, not %s: words may not be found until it is opened for writing once"
            logger.warning(text, self.path, indexed_by, version)
            return
        with self._writer.transaction(self._undone) as transaction:
            if stored_setting(transaction.connection, "terms") != version:
                logger.warning("%s was indexed by terms %s: it is indexed again", self.path, indexed_by)
                self._upkeep.reindex(transaction, version)
        self._writer.wait(transaction.ticket)

    def _opened(self) -> None:
        """For what a subclass keeps as long as the file is open in this process."""

    @property
    def key_file(self) -> KeyFile | None:
        return None if self._sealing is None else self._sealing.keys

    def reopen(self) -> None:
        """Open the file again, which was repaired meanwhile."""
        with _REOPENING:
            self._shut()
            self._forget()
            self._open()

    def close(self) -> None:
        """Close the file; a store that is closed twice stays closed."""
        if not self._closed:
            self._closed = True
            # What a fork inherited and did not use was let go of already.
            if self._pid == os.getpid():
                self._shut()
                self._forget()
                if self._writer is None:
                    opening.tidy(self._files)
                self._files.remove_private()

    def _forget(self) -> None:
        """Drop what is kept unpacked: something was erased, or the file is closed."""
        self._log.forget()
        if self._lexicon is not None:
            self._lexicon.forget()
        self._appender.interner.clear()

    def _shut(self) -> None:
        self._pool.close()
        if self._writer is not None:
            self._writer.close()
        if self._anchor is not None:
            self._anchor.close()

    def __enter__(self) -> Self:
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
        with writer.transaction(self._undone) as transaction:
            self._appender.interner.renew(transaction)
            yield transaction
        if durable:
            writer.wait(transaction.ticket)

    def _undone(self) -> None:
        """What a transaction that was rolled back had numbered is numbered otherwise next time."""
        if self._sealing is not None:
            self._shredding.noted = -1
        self._appender.interner.clear()
        self._log.directory = Directory()

    def _write_group(self, group: list[Request]) -> int:
        """One transaction for the appends of many threads; its ticket."""
        with self._writing(durable=False) as transaction:
            self._appender.write(transaction, group if self._sealing is None else self._fresh(transaction, group))
        return transaction.ticket

    def _add_keys(self, groups: list[bytes]) -> None:
        """Make data keys for sets of subjects."""
        with self._writer_or_refuse().locked():
            self._shredding.keys.add(groups)

    def _opened_record(self, record: Record) -> Record:
        """A stored record as it was logged."""
        return record if self._sealing is None else self._sealing.opened(record)

    def _fresh(self, transaction: Transaction, group: list[Request]) -> list[Request]:
        """Those that no key was shredded for meanwhile; the others get an error, to be sealed again."""
        if any(request.keys for request in group):
            keys = self._shredding.keys
            keys.refresh()
            for request in group:
                request.error = StaleKeyError() if keys.stale(request.keys) else None
            self._shredding.note(transaction.connection)
        return [request for request in group if request.error is None]

    def _check(self) -> None:
        if self._closed:
            raise ClosedError(f"{self.path} was closed; open it again")
        if self._pid != os.getpid():
            with _REOPENING:
                if self._pid != os.getpid():
                    self._open()

    def _writer_or_refuse(self) -> Writer:
        self._check()
        if self._writer is None:
            raise ReadOnlyError(f"{self.path} was opened read-only, or cannot be written; open it where it can be")
        return self._writer

    # ---- forks

    def hold(self, seconds: float) -> None:
        self._held = [part for part in (self._writer, self._pool) if part is not None and part.hold(seconds)]

    def release(self) -> None:
        for part in self._held:
            part.release()

    def abandon(self) -> None:
        """In the child: the file is opened again when it is next used."""
        if self._closed:
            return
        self._pool.abandon()
        if self._writer is not None:
            self._writer.abandon()
        if self._anchor is not None:
            self._anchor.close()
