"""Connections to read with: one per reader at a time, kept for the next. Knows no tables."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

import apsw

from ..errors import ClosedError
from .files import Files
from .schema import Connection, connect, sqlite_errors, value

KEPT = 8


class Pool:
    """Read-only connections; `immutable` reads a file whose directory lets nobody write, not even a lock."""

    def __init__(self, paths: Files, immutable: bool = False) -> None:
        self._files, self._immutable = paths, immutable
        self._idle: list[Connection] = []
        self._condition = threading.Condition()
        self._lent = 0
        self._closed = False

    def _connect(self, damaged: bool = False) -> Connection:
        flags = apsw.SQLITE_OPEN_READONLY
        if not self._immutable:
            return connect(self._files.database, flags=flags, cipher=self._files.cipher, damaged=damaged)
        uri = f"file:{quote(self._files.database)}?immutable=1"
        return connect(uri, flags=flags | apsw.SQLITE_OPEN_URI, cipher=self._files.cipher, damaged=damaged)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection inside a read transaction: everything read in the body is of one state."""
        connection = self._take()
        try:
            with self._transaction(connection):
                yield connection
        finally:
            self._give(connection)

    @contextmanager
    def damaged(self) -> Iterator[Connection]:
        """`snapshot`, of an encrypted file, with the pages in it that do not fit their tags."""
        with closing(self._connect(damaged=True)) as connection, self._transaction(connection):
            yield connection

    @contextmanager
    def _transaction(self, connection: Connection) -> Iterator[None]:
        with sqlite_errors(self._files.shown, connection):
            connection.execute("BEGIN")
            try:
                yield
            finally:
                if connection.in_transaction:  # SQLite ends it where a read failed
                    connection.execute("ROLLBACK")

    def value(self, sql: str, bindings: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None, of a query that needs no snapshot: it is one by itself."""
        connection = self._take()
        try:
            with sqlite_errors(self._files.shown, connection):
                return value(connection, sql, bindings)
        finally:
            self._give(connection)

    def _take(self) -> Connection:
        with self._condition:
            if self._closed:
                raise ClosedError(f"{self._files.shown} was closed; open it again")
            self._lent += 1
            if self._idle:
                return self._idle.pop()
        try:
            with sqlite_errors(self._files.shown):
                return self._connect()
        except BaseException:
            self._returned()
            raise

    def _give(self, connection: Connection) -> None:
        with self._condition:
            if len(self._idle) < KEPT and not self._closed:
                self._idle.append(connection)
            else:
                connection.close()
        self._returned()

    def _returned(self) -> None:
        with self._condition:
            self._lent -= 1
            self._condition.notify_all()

    def hold(self, seconds: float) -> bool:
        """Lend nothing until `release`, after waiting for what is lent."""
        held = self._condition.acquire(timeout=seconds)
        if held:
            self._condition.wait_for(lambda: self._lent == 0, seconds)
        return held

    def release(self) -> None:
        self._condition.release()

    def abandon(self) -> None:
        """Let go of inherited connections without touching the files."""
        for connection in self._idle:
            close_quietly(connection)

    def close(self) -> None:
        """Close what is idle now and what is lent when it comes back."""
        with self._condition:
            self._closed = True
            while self._idle:
                self._idle.pop().close()


def close_quietly(connection: Connection) -> None:
    """Close a connection that a fork inherited: neither checkpoint nor remove the log, which is the parent's."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close(True)
