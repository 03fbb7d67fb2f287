"""Opening a memory file: making or migrating it, its settings, and whether it still ends where its anchor says.

Knows nothing of what is done with an open file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path

import apsw

from ..errors import DamagedError, NotAMemoryError, ReadOnlyError, SettingsError, StoreError, in_brief
from ..types import Durability
from . import lexicon
from .chain import Anchor, Mark, read_anchor
from .files import FileLock, Files, os_errors
from .log import HEAD, head_mark
from .schema import (
    FORMAT,
    SEALED,
    Connection,
    check_seal,
    connect,
    format_of,
    migrate,
    reseal,
    sqlite_errors,
    stored_setting,
    value,
)
from .upkeep import add_gaps

logger = logging.getLogger("agentmem")
PAGE = 1_024  # bytes: a memory has a dozen small tables, and is no slower with small pages
DEFAULTS: Mapping[str, str] = {"retain": "keep", "horizon": "20000"}
SCHEMA = "SELECT sql FROM main.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
Settings = Mapping[str, str | None]


def prepare_file(paths: Files, settings: Settings, durability: Durability, own: Settings) -> Anchor:
    """Make the file, or migrate and check it, under its lock; returns its anchor, standing where the log ends.

    own: settings of the library's own that a new file gets; another file may have others.
    """
    if not isinstance(durability, str) or durability not in ("power", "process"):
        raise SettingsError(f"durability {in_brief(durability)} is unknown; use 'power' or 'process'")
    with os_errors(paths.shown):
        fresh = paths.empty()
        if not fresh and not any(map(os.path.exists, (paths.anchor, paths.wal))):
            _refuse_foreign(paths)
        if fresh:
            paths.make()
        lock = FileLock(paths.lock)
        try:
            with lock:
                anchor = _anchored(paths, settings, own)
                if fresh and not paths.private:
                    anchor.sync()
                    paths.sync_directory()
        finally:
            lock.close()
    return anchor


def _refuse_foreign(paths: Files) -> None:
    """Nothing is made beside a file of another application, nor is it touched."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    with sqlite_errors(paths.shown):
        connection = connect(f"{Path(paths.database).as_uri()}?immutable=1", flags=flags, cipher=paths.cipher)
        try:
            format_of(connection, paths.shown)
        finally:
            connection.close()


def _anchored(paths: Files, settings: Settings, own: Settings) -> Anchor:
    expected = read_anchor(paths.anchor)
    anchor = Anchor(paths.anchor)
    try:
        mark = _set_up(paths, settings, own, anchor.existed, expected)
        if expected is None or mark.order < expected.order or mark.attached < expected.attached:
            anchor.reset(mark)
        else:
            anchor.advance(mark)
    except BaseException:
        anchor.close()
        raise
    return anchor


def _set_up(paths: Files, settings: Settings, own: Settings, anchored: bool, expected: Mark | None) -> Mark:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    with sqlite_errors(paths.shown):
        connection = connect(paths.database, flags=flags, cipher=paths.cipher)
    try:
        with sqlite_errors(paths.shown, connection):
            number = format_of(connection, paths.shown)
            if not number:
                connection.execute(f"PRAGMA page_size={PAGE}")
                connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            if value(connection, "PRAGMA journal_mode=WAL") != "wal":
                raise StoreError(f"{paths.shown}: its file system lacks shared memory for WAL; use a local disk")
            connection.execute("BEGIN IMMEDIATE")
            _migrate(connection, number, {**own, **settings})
            _check_schema(connection, paths.shown)
            check_settings(connection, settings, paths.shown)
            mark = _compare(connection, paths, anchored, expected)
            connection.execute("COMMIT")
            return mark
    finally:
        connection.close()


def _migrate(connection: Connection, number: int, settings: Settings) -> None:
    if number < FORMAT:
        migrate(connection, number)
    if number == 1 and stored_setting(connection, "retain") == "keep":
        lexicon.create(connection)
        connection.execute("DELETE FROM settings WHERE name='terms'")  # so that all of the log is indexed again
        reseal(connection, "settings")
    if not number:
        chosen = {**DEFAULTS, **{name: text for name, text in settings.items() if text is not None}}
        connection.executemany("INSERT INTO settings VALUES(?, ?)", list(chosen.items()))
        if chosen["retain"] == "keep":
            lexicon.create(connection)
        for table in SEALED:
            reseal(connection, table)


@cache
def _made() -> frozenset[str]:
    """The tables and indices of a memory file, as it makes them."""
    connection = apsw.Connection(":memory:")
    migrate(connection, 0)
    lexicon.create(connection)
    made = frozenset(sql for (sql,) in connection.execute(SCHEMA))
    connection.close()
    return made


def strange(connection: Connection) -> list[str]:
    """What of a file's schema no memory has: a changed table would be read as something else, a trigger would run."""
    return [sql for (sql,) in connection.execute(SCHEMA) if sql not in _made()]


def _check_schema(connection: Connection, shown: str) -> None:
    if found := strange(connection):
        raise DamagedError(
            f"{shown} has a table, view or trigger that no memory has: {found[0][:80]!r}; restore it from a backup"
        )


def check_settings(connection: Connection, settings: Settings, shown: str) -> None:
    """Raises SettingsError for a setting given that the file has otherwise; unknown ones are the caller's own."""
    check_seal(connection, "settings", shown)
    for name, given in settings.items():
        if given is None:
            continue
        there = stored_setting(connection, name)
        if there != given:
            raise SettingsError(
                f"{shown} has {name}={there!r}, fixed when it was made, and was opened with {name}={in_brief(given)}; "
                "leave it out or make a new memory"
            )


# ---- database and anchor


def _compare(connection: Connection, paths: Files, anchored: bool, expected: Mark | None) -> Mark:
    """Raises DamagedError if acknowledged records are missing; else where the log and its anchor now end."""
    mark = head_mark(connection)
    if expected is None:
        if anchored or mark.position:
            _note_anchor(connection, paths, anchored, mark)
        return mark
    if mark.position < expected.position:
        if (lost := lost_for_good(mark, expected)) is not None:
            raise DamagedError(lost_message(paths.shown, lost))
        _note_loss(connection, paths, mark, expected)
        return replace(head_mark(connection), durable=expected.durable)
    check_mark(connection, mark, expected, paths.shown)
    if mark.attached < expected.attached:
        _note(connection, paths, attachments_missing(mark, expected))
    return replace(mark, durable=min(expected.durable, mark.position))


def attachments_missing(mark: Mark, expected: Mark) -> str:
    return (
        f"the newest {expected.attached - mark.attached} changes of attachments are missing: attach those again, or "
        "restore a backup"
    )


def lost_for_good(mark: Mark, expected: Mark) -> tuple[int, int] | None:
    """Positions that were on the disk itself and are not there."""
    return (mark.position + 1, expected.durable) if mark.position < expected.durable else None


def lost_message(shown: str, lost: tuple[int, int]) -> str:
    return (
        f"{shown} ends before position {lost[0]} and its anchor says that records up to {lost[1]} were stored; restore "
        f"{shown} from a backup, or, if it was replaced on purpose, remove {shown}-anchor"
    )


def check_mark(connection: Connection, mark: Mark, expected: Mark, shown: str) -> None:
    """Raises DamagedError if the log is not the one the anchor was written for."""
    if mark.rechained < expected.rechained:
        raise DamagedError(
            f"{shown} is older than its anchor: {expected.erasures - mark.erasures} erasures and "
            f"{expected.rechained - mark.rechained} changes of the log are missing; restore the newest copy, or remove "
            f"{shown}-anchor to accept this one"
        )
    if mark.rechained > expected.rechained:
        return
    if mark.erasures != expected.erasures:
        raise DamagedError(
            f"{shown} counts {mark.erasures} erasures and its anchor {expected.erasures}; restore a backup"
        )
    there = mark.hash if expected.position == mark.position else _chain_at(connection, expected.position)
    if there is not None and there != expected.hash:
        raise DamagedError(
            f"{shown} was changed at or before position {expected.position}: its chain hash is {there.hex()[:16]} and "
            f"the anchor's {expected.hash.hex()[:16]}; restore it from a backup"
        )


def _chain_at(connection: Connection, position: int) -> bytes | None:
    """The stored chain hash at a position; None inside a block, where `verify` computes it."""
    found: bytes | None = value(connection, "SELECT chain FROM log WHERE position=?", (position,))
    if found is None:
        found = value(connection, "SELECT chain FROM blocks WHERE last=?", (position,))
    return found


def _note_anchor(connection: Connection, paths: Files, existed: bool, mark: Mark) -> None:
    what = "unreadable" if existed else "missing"
    text = f"the anchor was {what} when the file was opened at position {mark.position}: a lost end cannot be told"
    _note(connection, paths, text)


def _note_loss(connection: Connection, paths: Files, mark: Mark, expected: Mark) -> None:
    first, last = mark.position + 1, expected.position
    text = f"records {first} to {last}, logged with durability 'process', were lost in a crash of the machine"
    _note(connection, paths, text)
    add_gaps(connection, set(range(first, last + 1)), "lost")


def _note(connection: Connection, paths: Files, text: str) -> None:
    logger.warning("%s: %s", paths.shown, text)
    connection.execute("INSERT INTO notes(text) VALUES(?)", (text,))


# ---- reading only


def check_readable(connection: Connection, paths: Files, settings: Settings) -> None:
    """What opening checks, without writing anything."""
    if not format_of(connection, paths.shown):
        raise NotAMemoryError(f"{paths.shown} is empty; open it for writing once to make a memory")
    if (number := format_of(connection, paths.shown)) < FORMAT:
        raise ReadOnlyError(f"{paths.shown} has the older format {number}; open it for writing once, which renews it")
    _check_schema(connection, paths.shown)
    check_settings(connection, settings, paths.shown)


def check_anchor(connection: Connection, paths: Files, expected: Mark | None) -> None:
    """`expected` was read before the connection's snapshot began."""
    if expected is None:
        return
    mark = head_mark(connection)
    if (lost := lost_for_good(mark, expected)) is not None:
        raise DamagedError(lost_message(paths.shown, lost))
    if mark.position >= expected.position:
        check_mark(connection, mark, expected, paths.shown)


def needs_immutable(paths: Files) -> bool:
    """Whether SQLite can read the file only if told that nobody writes it; raises ReadOnlyError if somebody did."""
    try:
        connection = connect(paths.database, flags=apsw.SQLITE_OPEN_READONLY, cipher=paths.cipher)
        try:
            connection.execute(HEAD).fetchone()
            return False
        finally:
            connection.close()
    except (apsw.CantOpenError, apsw.ReadOnlyError) as error:
        if paths.size(paths.wal):
            raise ReadOnlyError(
                f"{paths.shown} has unfinished writes in {paths.wal} and its directory cannot be written; open it once "
                "where it can, or copy it"
            ) from error
        return os.path.exists(paths.database)
    except apsw.Error:
        return False


def tidy(paths: Files) -> None:
    """Have SQLite remove the -shm and the empty -wal that reading made: it does so as a connection that may write
    closes, if no other process has the file open. A -wal that holds something is left to whoever writes.
    """
    if paths.size(paths.wal) or not os.path.exists(paths.wal) or not paths.writable():
        return
    flags = apsw.SQLITE_OPEN_READWRITE
    try:
        with closing(connect(paths.database, flags=flags, cipher=paths.cipher)) as connection:
            connection.execute(HEAD).fetchone()
    except apsw.Error as error:  # it was moved, or is being written: what is beside it is another's to remove
        logger.debug("%s: what reading made beside it stays: %s", paths.shown, error)
