"""Repairing a damaged file: all of it that can be proven is written anew beside it, checked, and put in its place.

What was made from the log is made again; what cannot be proven, nor taken from a backup, becomes a gap that is noted as
lost. Nothing of the damaged file changes before the new one has been verified; then the new one is copied over it in
one transaction, so that other processes that have it open see it as one change. Knows the tables; how the log is proven
knows `salvage`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import apsw

from ..errors import DamagedError, InvalidInputError, NotAMemoryError, StoreError
from ..index import step_id
from ..types import Loss, RepairReport
from .beside import Backup
from .chain import Anchor, Mark, read_anchor
from .copies import remove_copy
from .damaged import Damaged
from .files import FileLock, Files, os_errors
from .keyfile import KeyFile, Passphrase
from .log import head_mark
from .openfile import Terms
from .rebuild import rebuild
from .salvage import Stretch, restore
from .schema import connect, sqlite_errors
from .sealing import Sealing
from .sqlite import SQLiteStore
from .unlocking import unlock_damaged

PARTIAL = "-repair"


def repair(
    path: str,
    backup: str | None = None,
    dry_run: bool = False,
    terms: Terms | None = None,
    key_file: str | KeyFile | None = None,
    passphrase: Passphrase | None = None,
) -> RepairReport:
    """Repair the file at `path`, also one that does not open. What is whole stays as it is.

    backup: a memory of the same log, for what the file cannot prove any more. dry_run: only say what would be done.
    terms, key_file, passphrase: as for `open_store`. Raises NotAMemoryError, KeyFileError, InvalidInputError for a
    backup that is damaged itself, and DamagedError where nothing could be repaired.
    """
    paths = Files(path)
    keys = unlock_damaged(paths, key_file, passphrase)
    if backup is not None and os.path.realpath(backup) == os.path.realpath(path):
        raise InvalidInputError(f"{backup} is the memory itself; give the path of a backup of it")
    problems = problems_of(paths, terms, keys)
    if not problems:
        return RepairReport(dry_run=dry_run)
    with os_errors(path), contextlib.closing(FileLock(paths.lock)) as lock, lock:
        if keys is not None:
            keys.refresh()  # only now is what others erased since in it for sure
        return _repaired(paths, backup, problems, dry_run, terms, keys)


def _repaired(
    paths: Files,
    backup: str | None,
    problems: tuple[str, ...],
    dry_run: bool,
    terms: Terms | None,
    keys: KeyFile | None,
) -> RepairReport:
    sealing = None if keys is None else Sealing(keys, paths.shown)
    with (
        _entries(backup, keys) as others,
        sqlite_errors(paths.shown),
        contextlib.closing(Damaged(paths, read_anchor(paths.anchor), sealing)) as damaged,
    ):
        found = _found(damaged, others)
        whole = damaged.made_is_whole(found)
        report = _report(damaged, found, whole, problems, dry_run)
        if not dry_run:
            _replace(paths, damaged, found, whole, terms)
    return report


def problems_of(paths: Files, terms: Terms | None, keys: KeyFile | None) -> tuple[str, ...]:
    """What is wrong with a file: why it does not open, or what verifying says."""
    if keys is not None and paths.start() != keys.memory:
        return (f"{paths.shown}: the first bytes of the file were changed",)
    told = (DamagedError, StoreError) if keys is None else (DamagedError, StoreError, NotAMemoryError)
    try:
        with SQLiteStore(paths.shown, read_only=True, terms=terms, key_file=keys) as store:
            return tuple(store._verify()[0])
    except StoreError as error:
        if type(error) not in told:
            raise
        return (str(error),)


@contextmanager
def _entries(backup: str | None, keys: KeyFile | None) -> Iterator[Backup]:
    if backup is None:
        yield Backup()
        return
    with SQLiteStore(backup, read_only=True, key_file=keys) as store:
        if problems := store._verify()[0]:
            raise InvalidInputError(f"the backup {backup} is damaged too ({problems[0]}); give another")
        with store._reading() as connection:
            positions = store._log.rows(connection, None, 0)["position"].tolist()
            namespaces = dict(connection.execute("SELECT id, name FROM namespaces").fetchall())
            entries = store._log.entries(connection, positions)
            gaps = connection.execute("SELECT first, last, why FROM gaps").fetchall()
            mark = head_mark(connection)
        yield Backup(entries, store.names(), namespaces, store, mark, gaps)


def _found(damaged: Damaged, backup: Backup) -> list[Stretch]:
    """The log, with what is not proven taken from the backup."""
    damaged.mend(backup.names, backup.namespaces)
    damaged.fill_gaps(backup)
    stretches = damaged.stretches()
    restore(stretches, backup.entries, damaged.log, damaged.empty)
    damaged.check_names(stretches)
    damaged.let_go(stretches)
    damaged.take(stretches, backup)
    return stretches


def _report(
    damaged: Damaged, found: list[Stretch], whole: bool, problems: tuple[str, ...], dry_run: bool
) -> RepairReport:
    losses = [
        Loss(
            what=f"{_positions(one)} {one.why}",
            first=one.first,
            last=one.last,
            ids=tuple(step_id(at) for at in range(one.first, one.last + 1) if not damaged.empty(at)),
        )
        for one in found
        if not one.proven
    ]
    restored = tuple(step_id(at) for one in found if one.restored for at in sorted(one.entries))
    return RepairReport(
        dry_run=dry_run,
        problems=problems,
        rebuilt=damaged.rebuilt(whole),
        restored=restored,
        lost=(*losses, *(Loss(what=what) for what in damaged.lost)),
    )


def _positions(one: Stretch) -> str:
    if one.block:
        return f"the block of positions {one.first} to {one.last}"
    return f"position {one.first}" if one.first == one.last else f"positions {one.first} to {one.last}"


# ---- putting it in place


def _replace(paths: Files, damaged: Damaged, found: list[Stretch], whole: bool, terms: Terms | None) -> None:
    beside = paths.database + PARTIAL
    remove_copy(beside)
    try:
        rebuild(beside, damaged, found, whole, terms)
        keys = None if damaged.sealing is None else damaged.sealing.keys
        with SQLiteStore(beside, read_only=True, terms=terms, key_file=keys) as store:
            problems = store._verify()[0]
            head = store.head()
        if problems:
            raise DamagedError(f"{paths.shown} could not be repaired ({problems[0]}); restore it from a backup")
        damaged.close()
        if keys is not None and paths.start() != keys.memory:
            paths.restart(keys.memory)
        _put(paths, beside)
        mark = read_anchor(beside + "-anchor")
        assert mark is not None
        _anchor(paths, replace(mark, durable=head.position))
    finally:
        remove_copy(beside)


def _put(paths: Files, beside: str) -> None:
    """The new file over the old, in one transaction; in its place, if the old is not even a database any more."""
    with sqlite_errors(paths.shown), contextlib.closing(connect(beside, cipher=paths.cipher)) as source:
        try:
            with contextlib.closing(connect(paths.database, cipher=paths.cipher, damaged=True)) as target:
                with target.backup("main", source, "main") as copy:
                    copy.step(-1)
                target.execute("PRAGMA synchronous=FULL")
                target.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            return
        except (apsw.NotADBError, apsw.CorruptError, apsw.SQLError):
            source.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    for end in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(paths.database + end)
    os.replace(beside, paths.database)
    paths.sync_directory()


def _anchor(paths: Files, mark: Mark) -> None:
    with contextlib.closing(Anchor(paths.anchor)) as anchor:
        anchor.reset(mark)
        anchor.sync()
