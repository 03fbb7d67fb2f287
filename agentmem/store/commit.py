"""Committing and acknowledging: locks, transactions, fsync and the anchor. Knows no tables of the log.

A commit is SQLite's synchronous=NORMAL: it reaches the write-ahead log's file, not the disk. Under "power" the log's
file is fdatasync'ed before the append is acknowledged, outside every lock, so that the syncs of many processes overlap
and one sync serves all threads that committed before it began. That is as safe as FULL: while this process holds a
connection the -wal file is never replaced, and its frames are overwritten only after a checkpoint has synced first
them, then the database they were copied to; so what was committed before a sync of the file is on the disk after it.
The anchor is moved after the sync under "power", so that it never promises what a power cut may take back.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import apsw

from ..errors import AgentMemError, StoreError
from ..types import Durability
from . import files
from .chain import Anchor, Mark
from .files import LOCK_SECONDS, FileLock, Files, os_errors, translate_os
from .log import head_mark
from .pool import close_quietly
from .schema import Connection, connect, sqlite_errors, value

CHECKPOINT_PAGES = 4000
SYNCS = 2  # under way at once in this process


class Transaction:
    """An open write transaction. Whoever appends or rechains keeps `mark` at the end of the log."""

    def __init__(self, connection: Connection, mark: Mark) -> None:
        self.connection, self.mark, self.ticket = connection, mark, 0


class Writer:
    """The one writing connection of a store in this process."""

    def __init__(self, paths: Files, anchor: Anchor, durability: Durability) -> None:
        self.files, self.anchor, self.power = paths, anchor, durability == "power"
        self.lock = threading.RLock()
        self.connection = connect(paths.database, cipher=paths.cipher)
        self.connection.execute(f"PRAGMA synchronous={'OFF' if paths.private else 'NORMAL'}")
        self.connection.set_wal_hook(self._note_pages)
        self.poison: str | None = None
        self._gate = FileLock(paths.lock)
        self._left = -1, Mark()
        self._wal: list[int] = []
        self.pages = 0
        self._condition = threading.Condition()
        self._tickets = self._synced = 0
        self._syncs: list[int] = []
        self._committed = Mark()
        self._checkpointing = threading.Lock()

    def _note_pages(self, _connection: Connection, _name: str, pages: int) -> int:
        self.pages = pages
        return apsw.SQLITE_OK

    # ---- transactions

    @contextmanager
    def transaction(self, undone: Callable[[], None]) -> Iterator[Transaction]:
        """Commit what the body writes; `wait` for its ticket makes it as durable as the store.

        If anything fails nothing is written, and `undone` is called before another transaction can begin.
        """
        shown, connection = self.files.shown, self.connection
        with self.lock:
            with os_errors(shown), self._gate, sqlite_errors(shown, connection):
                self.check()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    transaction = Transaction(connection, self._mark())
                    yield transaction
                    connection.execute("COMMIT")
                except BaseException:
                    self._left = -1, Mark()
                    with suppress(apsw.Error):
                        connection.execute("ROLLBACK")
                    undone()
                    raise
                self._left = connection.data_version(), transaction.mark
            transaction.ticket = self.note(transaction.mark)

    def _mark(self) -> Mark:
        """Where the log ends, read again only if another connection wrote since the last transaction."""
        version, mark = self._left
        return mark if version == self.connection.data_version() else head_mark(self.connection)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude every other writer of the file, in this and in other processes."""
        with self.lock, os_errors(self.files.shown), self._gate:
            yield

    def check(self) -> None:
        if self.poison is not None:
            raise StoreError(
                f"{self.files.shown}: an earlier sync failed ({self.poison}), so nothing more is written; "
                "check the disk, open the memory again and verify it"
            )

    # ---- acknowledging

    def note(self, mark: Mark) -> int:
        """A ticket for what was just committed; under "process" the anchor already says so."""
        if not self.power:
            with os_errors(self.files.shown):
                self.anchor.advance(mark)
        with self._condition:
            self._tickets += 1
            self._committed = mark
            return self._tickets

    def wait(self, ticket: int) -> None:
        """Return when the commit of this ticket is on the disk (at once under "process")."""
        if not self.power:
            return
        while True:
            with self._condition:
                while self._synced < ticket and self._is_coming(ticket):
                    self._condition.wait()
                if self._synced >= ticket:
                    return
                self.check()
                upto, mark = self._tickets, self._committed
                self._syncs.append(upto)
            self._sync(upto, mark)

    def _is_coming(self, ticket: int) -> bool:
        """Whether a sync that is under way will do for a ticket, or leaves no room for another."""
        return len(self._syncs) == SYNCS or any(upto >= ticket for upto in self._syncs)

    def _sync(self, upto: int, mark: Mark) -> None:
        error = None
        try:
            with self._log_file() as file:
                files.fdatasync(file)
            self.anchor.advance(replace(mark, durable=mark.position))
        except OSError as problem:
            error = problem
            self.poison = str(problem)
        with self._condition:
            self._syncs.remove(upto)
            self._synced = self._synced if error else max(self._synced, upto)
            self._condition.notify_all()
        if error is not None:
            raise translate_os(error, self.files.shown) from error

    @contextmanager
    def _log_file(self) -> Iterator[int]:
        """The write-ahead log, by a descriptor that no other sync has: an error is told once to each."""
        try:
            file = self._wal.pop()
        except IndexError:
            file = os.open(self.files.wal, os.O_RDWR | os.O_CLOEXEC)
            self.files.sync_directory()
        try:
            yield file
        finally:
            self._wal.append(file)

    # ---- checkpoints

    def checkpoint_due(self) -> bool:
        return self.pages > CHECKPOINT_PAGES and not self._checkpointing.locked()

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database: most of it beside the writers, the rest while they wait, so that
        the log starts anew. Does nothing if another process is at it."""
        with self._checkpointing:
            connection = connect(self.files.database, cipher=self.files.cipher)
            try:
                connection.execute(f"PRAGMA synchronous={'OFF' if self.files.private else 'NORMAL'}")
                with suppress(apsw.BusyError):
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                    with self.locked():
                        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                self.pages = 0
            finally:
                connection.close()

    def checkpoint_beside(self) -> None:
        """A checkpoint in a thread of its own. What fails here fails again, and is reported, at a commit or close."""

        def run() -> None:
            with suppress(apsw.Error, AgentMemError, OSError):
                self.checkpoint()

        threading.Thread(target=run, name="agentmem-checkpoint", daemon=True).start()

    def truncate(self) -> bool:
        """Empty the write-ahead log, trying until readers of the old state have gone; False if they do not go."""
        deadline = time.monotonic() + LOCK_SECONDS
        while not (done := self._truncate_now()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return done

    def _truncate_now(self) -> bool:
        with self.locked(), sqlite_errors(self.files.shown, self.connection):
            self.connection.set_busy_timeout(50)
            try:
                self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                self.pages = 0
                return True
            except apsw.BusyError:
                return False
            finally:
                self.connection.set_busy_timeout(int(LOCK_SECONDS * 1000))

    def shrink(self) -> None:
        """Give pages that are free back to the file system, a thousand at a time, and the log's if nobody reads it."""
        free = 1
        while free:
            with self.locked(), sqlite_errors(self.files.shown, self.connection):
                self.connection.execute("PRAGMA incremental_vacuum(1000)").fetchall()
                free = value(self.connection, "PRAGMA freelist_count")
        self._truncate_now()

    def hold(self, seconds: float) -> bool:
        """Keep others from writing, also from checkpoints, until `release`."""
        if not self._checkpointing.acquire(timeout=seconds):
            return False
        if not self.lock.acquire(timeout=seconds):
            self._checkpointing.release()
            return False
        return True

    def release(self) -> None:
        self.lock.release()
        self._checkpointing.release()

    def abandon(self) -> None:
        """Let go of what a fork inherited."""
        close_quietly(self.connection)
        self._gate.close()
        while self._wal:
            os.close(self._wal.pop())

    def close(self) -> None:
        with self._checkpointing, self.lock:
            self.connection.close()
            self._gate.close()
            while self._wal:
                os.close(self._wal.pop())
