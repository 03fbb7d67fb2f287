"""A damaged file with all that can still be read of it beside the log's own rows: names, settings, gaps, blobs.

Changes nothing. What has a seal or a digest is believed by it; names are believed where records with them are proven.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

import apsw

from ..errors import AgentMemError, DamagedError
from ..types import Namespace, Record
from . import ledger
from .chain import Mark
from .derived import Derived
from .files import Files
from .log import Directory, Log
from .rows import PACK, namespace_of_json
from .salvage import WRONG, Salvage, Stretch, mend
from .schema import Connection, check_seal, connect, namespace_row, seal, sqlite_errors, value
from .sealing import Sealing, key_of, sealed_is_whole
from .sqlite import SQLiteStore
from .tolerant import UNREADABLE, rows

BARRED = "digest, salt, why, at"
LEDGER = "position, at, what, who, namespace, detail, chain"
MOST = 1 << 40  # over which a number of the file itself can only be damage


SCHEMALESS = (apsw.SQLError, apsw.NotADBError, apsw.CorruptError, UnicodeDecodeError)


class Fixed(Directory):
    """Words of numbers that are known already."""

    def refresh(self, connection: Connection) -> None:
        pass


class Damaged:
    """`lost` and `mended`: in words, what is gone beside the log, and which names were given back. sealing: of an
    encrypted file; `erased`: records that it can open no more.
    """

    def __init__(self, paths: Files, expected: Mark | None, sealing: Sealing | None = None) -> None:
        self.paths, self.expected, self.sealing = paths, expected, sealing
        self.connection = _connected(paths)
        self.log = Log(paths.shown, sealing)
        self.log.directory = Fixed()
        self.lost: list[str] = []
        self.mended: list[str] = []
        self.erased: list[Record] = []
        self.namespaces: dict[int, Any] = {row[0]: row[1] for row in rows(self.connection, "namespaces", "id", "name")}
        self.names: dict[int, Any] = {row[0]: row[1] for row in rows(self.connection, "names", "id", "name")}
        self.blobs = self._blobs()
        self.attached: dict[tuple[int, str], bytes] = {}
        self.settings = self._settings()
        self.gaps = self._gaps()
        self.barred = [row for row in rows(self.connection, "barred", "namespace", BARRED) if isinstance(row[0], int)]
        self.ledger = self._ledger()
        self._known()

    def close(self) -> None:
        self.connection.close()

    # ---- names

    def _known(self) -> None:
        """Tell the log what numbers stand for."""
        directory = self.log.directory
        directory.names = {0: None, **{n: name for n, name in self.names.items() if isinstance(name, str)}}
        directory.namespaces = {}
        for number, text in self.namespaces.items():
            with contextlib.suppress(*WRONG):
                directory.namespaces[number] = _namespace(text)

    def mend(self, names: Mapping[int, Any], namespaces: Mapping[int, Any]) -> None:
        """Find names that were changed, by the records that do not fit the chain with them."""
        found = self.stretches()
        used = [self._numbers(one) for one in found]
        pairs = list(zip(found, used, strict=True))
        right = [set[int]().union(*(each[kind] for one, each in pairs if one.proven)) for kind in (0, 1)]
        for one, numbers in pairs:
            if one.proven:
                continue
            for kind, table, others in ((0, self.namespaces, namespaces), (1, self.names, names)):
                wrong = mend(self._failing(one), table, sorted(numbers[kind] - right[kind] - {0}), others)
                right[kind].update(wrong)
                self.mended += [f"{('namespace', 'name')[kind]} {table[number]!r}" for number in wrong]
        self._known()

    def _failing(self, one: Stretch) -> Callable[[], bool]:
        def failing() -> bool:
            self._known()
            try:
                if one.block:
                    chain = self.log.chained_anew(self.connection, one.raw, one.before or b"")  # type: ignore[arg-type]
                    return chain != one.after
                entry = self.log.hot_entry(self.connection, one.raw or ())
                return self.log.next_chain(one.before or b"", entry) != one.after
            except WRONG:
                return True

        return failing

    def _numbers(self, one: Stretch) -> tuple[set[int], set[int]]:
        """Numbers of the namespaces and of the names of a stretch."""
        with contextlib.suppress(*WRONG):
            if one.block and one.raw is not None:
                packed = self.log.block(self.connection, one.raw).rows  # type: ignore[arg-type]
                return set(packed["namespace"].tolist()), {*packed["episode"].tolist(), *packed["actor"].tolist()}
            if one.raw is not None:
                _, namespace, episode, actor, *_ = PACK.unpack(one.raw[1])
                return {namespace}, {episode, actor}
        return set(), set()

    # ---- the log

    def let_go(self, found: Iterable[Stretch]) -> None:
        """Records whose key was shredded since this copy of the file was made are erased: nothing can open them."""
        shredded = {} if self.sealing is None else self.sealing.keys.content.shredded
        for one in found:
            for position in [at for at, entry in one.entries.items() if key_of(entry.record) in shredded]:
                self.erased.append(one.entries.pop(position).record)
                self.gaps.append((position, position, "erased"))

    def stretches(self) -> list[Stretch]:
        return Salvage(self.connection, self.log, self.gaps_known(), self.expected).read()

    def gaps_known(self) -> list[tuple[int, int]]:
        return [(first, last) for first, last, _ in self.gaps]

    def empty(self, position: int) -> bool:
        return any(first <= position <= last for first, last, _ in self.gaps)

    def _gaps(self) -> list[tuple[int, int, str]]:
        found = [row for row in rows(self.connection, "gaps", "first", "last, why") if _is_gap(row)]
        if self._sealed("gaps"):
            return found
        end = max([self._end(), self.expected.position if self.expected else 0])
        return [(first, last, why) for first, last, why in found if last <= end]

    def _end(self) -> int:
        positions = [row[0] for row in rows(self.connection, "log", "position", "namespace") if isinstance(row[0], int)]
        lasts = [row[1] for row in rows(self.connection, "blocks", "first", "last") if isinstance(row[1], int)]
        return max([at for at in (*positions, *lasts) if at < MOST], default=0)

    # ---- settings and counters

    def _sealed(self, table: str) -> bool:
        try:
            check_seal(self.connection, table, self.paths.shown)
        except (AgentMemError, *UNREADABLE):
            return False
        return True

    def _settings(self) -> dict[str, str]:
        stored = rows(self.connection, "settings", "name", "value")
        found = {name: text for name, text in stored if isinstance(text, str)}
        if self._sealed("settings"):
            return found
        self.lost.append("the settings, which are the usual ones again, but for retain")
        indexed = value(self.connection, "SELECT 1 FROM sqlite_schema WHERE name='postings'") is not None
        return {"retain": "keep" if indexed else "crystals"}

    def counters(self) -> dict[str, int]:
        """Each at least as high as anything it ever counted, so that nothing is given twice."""
        found = {name: n for name, n in rows(self.connection, "counters", "name", "value") if _plausible(n)}
        marks = self.expected or Mark()
        generations = [row[1] for row in rows(self.connection, "namespaces", "id", "generation") if _plausible(row[1])]
        serials = [row[1] for row in rows(self.connection, "batches", "first", "last") if _plausible(row[1])]
        least = {
            "namespace": max(self.namespaces, default=0),
            "name": max(self.names, default=0),
            "generation": max(generations, default=0),
            "serial": max(serials, default=0),
            "rechained": marks.rechained,
            "erasures": marks.erasures,
            "attached": marks.attached,
        }
        found["ledger"] = len(self.ledger)
        return {**found, **{name: max(n, found.get(name, 0)) for name, n in least.items()}}

    # ---- beside the log

    def _blobs(self) -> dict[bytes, bytes]:
        found = rows(self.connection, "blobs", "digest", "data")
        return {digest: data for digest, data in found if _is_whole(digest, data)}

    def take(self, backup: SQLiteStore | None) -> None:
        """Blobs and attachments that are whole, here or in a backup; the others are lost."""
        for digest in sorted({row[0] for row in rows(self.connection, "blob_uses", "digest", "position")}):
            if digest not in self.blobs and isinstance(digest, bytes):
                self._take_blob(digest, backup)
        for number, text in self.namespaces.items():
            with contextlib.suppress(*WRONG):
                self._take(number, _namespace(text), backup)

    def _take_blob(self, digest: bytes, backup: SQLiteStore | None) -> None:
        if backup is not None:
            with backup._reading() as connection:
                data = value(connection, "SELECT data FROM blobs WHERE digest=?", (digest,))
            if _is_whole(digest, data):
                self.blobs[digest] = data
                return
        self.lost.append(f"blob {digest.hex()}")

    def _take(self, number: int, namespace: Namespace, backup: SQLiteStore | None) -> None:
        sql = "SELECT name, digest, data FROM attachments WHERE namespace=?"
        for name, digest, data in self.connection.execute(sql, (number,)):
            if not (isinstance(data, bytes) and sha256(data).digest() == digest):
                data = _of(backup, namespace, name, digest)
            if data is None:
                self.lost.append(f"attachment {name!r} of namespace {namespace}")
            else:
                self.attached[number, name] = data

    def _ledger(self) -> list[tuple[Any, ...]]:
        """Its rows up to the first that was changed or is missing."""
        found: list[tuple[Any, ...]] = []
        before, ended = b"", value(self.connection, "SELECT value FROM counters WHERE name='ledger'") or 0
        for row in rows(self.connection, "ledger", "id", LEDGER):
            if row[0] != len(found) + 1 or ledger.link(before, row[:-1]) != row[-1]:
                break
            found.append(row)
            before = row[-1]
        if len(found) < ended:
            self.lost.append(f"rows {len(found) + 1} and on of the ledger")
        return found

    def erased_keys(self) -> list[bytes]:
        """Digests of keys that may never be used again."""
        found = rows(self.connection, "keys", "digest", "position, content")
        return [digest for digest, position, content in found if position is None and seal(digest) == content]

    def rewritten_keys(self) -> list[tuple[bytes, int, bytes]]:
        found = rows(self.connection, "keys", "digest", "position, content")
        return [row for row in found if isinstance(row[1], int) and isinstance(row[2], bytes)]

    # ---- what was made from it

    def made_is_whole(self, found: Iterable[Stretch]) -> bool:
        """Whether crystals, states and codes can stay: nothing under them is gone, and none was changed."""
        made = Derived(self.log)
        if any(not one.proven for one in found):
            return False
        try:
            for number, text in self.namespaces.items():
                namespace_row(self.connection, number, self.paths.shown)
                sql = "SELECT DISTINCT kind FROM batches WHERE namespace=?"
                for (kind,) in self.connection.execute(sql, (number,)).fetchall():
                    for _ in made.items(self.connection, _namespace(text), kind):
                        pass
        except WRONG:
            return False
        return True

    def rebuilt(self, whole: bool) -> tuple[str, ...]:
        """The parts that are made again; whole: as `made_is_whole` says."""
        crystals = () if whole else ("crystals, states and codes",)
        return ("the index of words", "the table of keys", "the index of columns", *crystals, *self.mended)


def _connected(paths: Files) -> Connection:
    """A connection that reads what can be read."""
    with sqlite_errors(paths.shown), schema_errors(paths.shown):
        connection = connect(paths.database, cipher=paths.cipher, damaged=True)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        return connection


@contextlib.contextmanager
def schema_errors(shown: str) -> Iterator[None]:
    """DamagedError where a file does not even say what tables it has."""
    try:
        yield
    except SCHEMALESS as error:
        raise DamagedError(
            f"{shown}: its schema, in the first pages, cannot be read ({error}); restore it from a backup"
        ) from error


def _is_whole(digest: Any, data: Any) -> bool:
    """Whether a blob, sealed or not, is what its name says."""
    named = isinstance(digest, bytes) and isinstance(data, bytes)
    return named and (sha256(data).digest() == digest or sealed_is_whole(digest, data))


def _namespace(text: Any) -> Namespace:
    made = namespace_of_json(text)
    if not all(isinstance(part, str) for part in made):
        raise ValueError(f"{text!r} is no namespace")
    return made


def _of(backup: SQLiteStore | None, namespace: Namespace, name: str, digest: Any) -> bytes | None:
    if backup is None:
        return None
    with contextlib.suppress(AgentMemError):
        data = backup.attachment(namespace, name)
        return data if sha256(data).digest() == digest else None
    return None


def _is_gap(row: tuple[Any, ...]) -> bool:
    first, last, why = row
    return isinstance(first, int) and isinstance(last, int) and 0 < first <= last < MOST and isinstance(why, str)


def _plausible(number: Any) -> bool:
    return isinstance(number, int) and 0 <= number < MOST
