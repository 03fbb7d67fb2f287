"""A new file with what is left of a damaged one: the log chained anew, and everything beside it that is whole.

Numbers of namespaces and names stay what they were, and every generation rises, so that a process which has the old
file open reads everything again. Knows nothing of what was damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..types import Record
from . import attachments, bars, derived
from .commit import Transaction
from .damaged import Damaged
from .log import head_mark
from .openfile import Terms
from .rows import Entry, blob_names, key_digest, namespace_json, pack
from .salvage import Stretch
from .schema import SEALED, Connection, count_up, reseal, seal, seal_namespace, value
from .sqlite import SQLiteStore
from .upkeep import add_gaps

Numbers = Callable[[Record], tuple[int, int, int]]


def rebuild(path: str, damaged: Damaged, found: list[Stretch], whole: bool, terms: Terms | None) -> None:
    """Write a new file at `path`; whole: crystals, states and codes stay."""
    kept: dict[str, str | None] = {name: damaged.settings.get(name) for name in ("retain", "horizon")}
    keys = None if damaged.sealing is None else damaged.sealing.keys
    made = SQLiteStore(path, "process", settings=kept, terms=terms, key_file=keys)
    with made as store, store._writing() as transaction:
        connection = transaction.connection
        _settings(connection, damaged)
        _words(connection, damaged, found)
        if any(not one.proven for one in found):  # the event that barred a subject may be what is lost
            connection.executemany("INSERT OR REPLACE INTO barred VALUES(?, ?, ?, ?, ?)", damaged.barred)
        _log(store, connection, found)
        for record in damaged.erased:
            store._keys.erased(connection, record)
        if damaged.erased:
            count_up(connection, "erasures")
        _gaps(connection, damaged, found)
        _beside(connection, damaged)
        if whole:
            _made(connection, damaged)
        _rechain(store, transaction, found)
        for (number,) in connection.execute("SELECT id FROM namespaces").fetchall():
            derived.bump(connection, number)


def _settings(connection: Connection, damaged: Damaged) -> None:
    rows = list(damaged.settings.items())
    connection.executemany("INSERT OR REPLACE INTO settings VALUES(?, ?)", rows)
    connection.executemany("INSERT OR REPLACE INTO counters VALUES(?, ?)", list(damaged.counters().items()))
    for table in SEALED:
        reseal(connection, table)


# ---- words


def _words(connection: Connection, damaged: Damaged, found: list[Stretch]) -> None:
    """Names and namespaces under their numbers; those that only a backup's records bear get new ones."""
    directory = damaged.log.directory
    for number, namespace in directory.namespaces.items():
        sql = "INSERT OR IGNORE INTO namespaces(id, name, generation) VALUES(?, ?, 0)"
        connection.execute(sql, (number, namespace_json(namespace)))
    rows = [(number, name) for number, name in directory.names.items() if name is not None]
    connection.executemany("INSERT OR IGNORE INTO names VALUES(?, ?)", rows)
    for one in found:
        for entry in one.entries.values() if one.restored else ():
            _add_words(connection, entry.record)
    for (number,) in connection.execute("SELECT id FROM namespaces").fetchall():
        seal_namespace(connection, number)


def _add_words(connection: Connection, record: Record) -> None:
    text = namespace_json(record.namespace)
    if value(connection, "SELECT id FROM namespaces WHERE name=?", (text,)) is None:
        number = count_up(connection, "namespace")
        connection.execute("INSERT INTO namespaces(id, name, generation) VALUES(?, ?, 0)", (number, text))
    for name in {record.episode, record.actor} - {None}:
        if value(connection, "SELECT id FROM names WHERE name=?", (name,)) is None:
            connection.execute("INSERT INTO names VALUES(?, ?)", (count_up(connection, "name"), name))


# ---- the log


def _log(store: SQLiteStore, connection: Connection, found: Iterable[Stretch]) -> None:
    numbers = store._upkeep._numbers(connection)
    edge = max((one.last for one in found if one.block), default=0)
    for one in found:
        if not one.proven or not one.entries:
            continue
        if one.last <= edge:
            _put_block(store, connection, one)
        else:
            for entry in one.entries.values():
                _put_row(connection, entry, numbers)
        for entry in one.entries.values():
            _put_keys_and_uses(store, connection, entry, hot=one.last > edge)
            if entry.record.type in bars.BARRING:
                bars.put(connection, numbers(entry.record)[0], entry.record)


def _put_block(store: SQLiteStore, connection: Connection, one: Stretch) -> None:
    entries = [one.entries[at] for at in sorted(one.entries)]
    piece = store._upkeep._piece(connection, entries, 0, one.before or b"", one.after or b"")
    store._upkeep._put_block(connection, piece._replace(first=one.first, last=one.last))


def _put_row(connection: Connection, entry: Entry, numbers: Numbers) -> None:
    record, words = entry.record, numbers(entry.record)
    row = (record.position, words[0], pack(entry, *words), record.logged_at, b"", record.key, record.text, record.body)
    connection.execute("INSERT INTO log VALUES(?, ?, ?, ?, ?, ?, ?, ?)", row)


def _put_keys_and_uses(store: SQLiteStore, connection: Connection, entry: Entry, hot: bool) -> None:
    record = entry.record
    if record.key is not None and (hot or store._indexed):
        row = (key_digest(record.namespace, record.key), record.position)
        connection.execute("INSERT OR REPLACE INTO keys(digest, position) VALUES(?, ?)", row)
    uses = [(bytes.fromhex(name), record.position) for name in blob_names(record.body)]
    connection.executemany("INSERT OR IGNORE INTO blob_uses VALUES(?, ?)", uses)


def _gaps(connection: Connection, damaged: Damaged, found: Iterable[Stretch]) -> None:
    why: dict[str, set[int]] = {"lost": set()}
    for first, last, reason in damaged.gaps:
        why.setdefault(reason, set()).update(range(first, last + 1))
    known = set[int]().union(*why.values())
    for one in found:
        if not one.proven:
            why["lost"].update(set(range(one.first, one.last + 1)) - known)
    for reason, positions in why.items():
        add_gaps(connection, positions, reason)


def _rechain(store: SQLiteStore, transaction: Transaction, found: Iterable[Stretch]) -> None:
    connection, upkeep = transaction.connection, store._upkeep
    version = value(connection, "SELECT value FROM settings WHERE name='terms'")
    if store._lexicon is not None and upkeep.terms is not None:
        upkeep.reindex(transaction, getattr(upkeep.terms, "version", version))
    elif first := min((at for one in found if one.proven for at in one.entries), default=0):
        upkeep.sweep(transaction, {first}, lambda entry: entry)
    else:
        count_up(connection, "rechained")
        transaction.mark = head_mark(connection)


# ---- beside the log


def _beside(connection: Connection, damaged: Damaged) -> None:
    beside = damaged.beside
    connection.executemany("INSERT OR REPLACE INTO keys VALUES(?, ?, ?)", beside.rewritten.values())
    erased = [(digest, seal(digest)) for digest in sorted(beside.erased)]
    connection.executemany("INSERT OR IGNORE INTO keys VALUES(?, NULL, ?)", erased)
    used = {digest for (digest,) in connection.execute("SELECT DISTINCT digest FROM blob_uses")}
    rows = [(digest, data) for digest, data in beside.blobs.items() if digest in used]
    connection.executemany("INSERT INTO blobs VALUES(?, ?)", rows)
    for digest in sorted(used - set(beside.blobs)):
        note_blob(connection, digest)
    connection.executemany("INSERT INTO ledger VALUES(?, ?, ?, ?, ?, ?, ?, ?)", damaged.ledger)
    for (number, name), data in beside.attached.items():
        attachments.put(connection, number, name, data)


def note_blob(connection: Connection, digest: bytes) -> None:
    """Remember that a blob is lost, so that it is not missed again."""
    connection.execute("INSERT INTO notes(text, reported) VALUES(?, 1)", (f"blob {digest.hex()} is lost",))


def _made(connection: Connection, damaged: Damaged) -> None:
    """Crystals, states and codes as they were."""
    source: Any = damaged.connection
    rows = source.execute("SELECT first, last, count, namespace, kind, digest, payload FROM batches").fetchall()
    connection.executemany("INSERT INTO batches VALUES(?, ?, ?, ?, ?, ?, ?)", rows)
    for number, watermark, state in source.execute("SELECT id, watermark, state FROM namespaces").fetchall():
        connection.execute("UPDATE namespaces SET watermark=?, state=? WHERE id=?", (watermark, state, number))
        seal_namespace(connection, number)
