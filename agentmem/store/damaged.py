"""A damaged file with all that can still be read of it beside the log's own rows: names, settings, gaps, the ledger.

Changes nothing. What has a seal or a digest is believed by it; names are believed where records with them are proven.
Blobs, attachments and keys are `beside`'s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import AgentMemError, DamagedError
from ..types import Namespace, Record
from . import ledger
from .beside import Backup, Beside, Known
from .chain import Mark
from .derived import Derived
from .files import Files
from .log import Directory, Log
from .rows import PACK, namespace_of_json
from .salvage import WRONG, Salvage, Stretch, mend
from .schema import Connection, check_seal, connect, namespace_row, sqlite_errors, value
from .sealing import Sealing, key_of
from .tolerant import UNREADABLE, fits, read, rows, schema_errors

BARRED = "digest, salt, why, at"
LEDGER = "position, at, what, who, namespace, detail, chain"
MOST = 1 << 40  # over which a number of the file itself can only be damage


class Fixed(Directory):
    """Words of numbers that are known already."""

    def refresh(self, connection: Connection) -> None:
        pass


class Damaged:
    """`lost` and `mended`: in words, what is gone beside the log, and which names were given back. sealing: of an
    encrypted file; `erased`: records that it can open no more. `unreadable`: tables of names that cannot be read whole.
    """

    def __init__(self, paths: Files, expected: Mark | None, sealing: Sealing | None = None) -> None:
        self.paths, self.expected, self.sealing = paths, expected, sealing
        self.log = Log(paths.shown, sealing)
        self.log.directory = Fixed()
        self.lost: list[str] = []
        self.mended: list[str] = []
        self.erased: list[Record] = []
        self.unreadable: list[str] = []
        self.connection = _connected(paths)
        try:
            self._read()
        except BaseException:
            self.connection.close()
            raise

    def _read(self) -> None:
        self.namespaces = self._words("namespaces")
        self.names = self._words("names")
        self.beside = Beside(self.connection, self.sealing, self.lost)
        self.settings = self._settings()
        self.counted = {name: n for name, n in rows(self.connection, "counters", "name", "value") if _plausible(n)}
        self.gaps = self._gaps()
        barred, self.all_barred = read(self.connection, "barred", "namespace", BARRED)
        self.barred = [row for row in barred if isinstance(row[0], int) and None not in row]
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

    def _words(self, table: str) -> dict[int, Any]:
        """Names by number: of the table, and where rows of it cannot be read, of its index, which has them too."""
        found, whole = read(self.connection, table, "id", "name")
        there = {number: name for number, name in found if isinstance(number, int)}
        if whole and fits(self.connection, table):
            return there
        index, _ = read(self.connection, table, "name", "id", f"sqlite_autoindex_{table}_1")
        self.unreadable.append(table)
        return {number: name for name, number in index if isinstance(number, int)} | there

    def _fill(self, names: Mapping[int, Any], namespaces: Mapping[int, Any]) -> None:
        """Take names that are not there from a backup, where records with them are proven then."""
        tables = ((self.namespaces, namespaces), (self.names, names))
        filled = [{number: name for number, name in others.items() if number not in table} for table, others in tables]
        if not any(filled):
            return
        for (table, _), new in zip(tables, filled, strict=True):
            table.update(new)
        self._known()
        found = [self._numbers(one) for one in self.stretches() if one.proven]
        for kind, (table, _) in enumerate(tables):
            for number in filled[kind].keys() - set[int]().union(*(each[kind] for each in found)):
                del table[number]
        self._known()

    def check_names(self, found: Iterable[Stretch]) -> None:
        """DamagedError where records are there, and names that they bear stood in tables that cannot be read."""
        lacking = {"namespaces": set[int](), "names": {0}}
        for one in found:
            if not one.proven:
                for table, numbers in zip(lacking, self._numbers(one), strict=True):
                    lacking[table] |= numbers
        for table, there in (("namespaces", self.namespaces), ("names", {0: None, **self.names})):
            if table in self.unreadable and (gone := lacking[table] - set(there)):
                raise DamagedError(
                    f"{self.paths.shown}: {len(gone)} of its {table} cannot be read, and without them no record that "
                    "bears one is proven; give a backup that has them (backup=, --backup). Nothing was changed"
                )

    def mend(self, names: Mapping[int, Any], namespaces: Mapping[int, Any]) -> None:
        """Find names that were changed, by the records that do not fit the chain with them."""
        self._fill(names, namespaces)
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
        """Records that were erased since this copy of the file was made, as the key file tells, are erased here too."""
        if self.sealing is None:
            return
        content, mark = self.sealing.keys.content, self.sealing.mark
        keys = content.condemned | content.shredded.keys()
        for one in found:
            records = [entry.record for entry in one.entries.values()]
            for record in [each for each in records if key_of(each) in keys or mark(each) in content.erased]:
                self.erased.append(one.entries.pop(record.position).record)
                self.gaps.append((record.position, record.position, "erased"))

    def stretches(self) -> list[Stretch]:
        return Salvage(self.connection, self.log, self.gaps_known(), self.expected).read()

    def gaps_known(self) -> list[tuple[int, int]]:
        return [(first, last) for first, last, _ in self.gaps]

    def empty(self, position: int) -> bool:
        return any(first <= position <= last for first, last, _ in self.gaps)

    def fill_gaps(self, backup: Backup) -> None:
        """Take those that cannot be read from a backup of this log: what was erased there is here too."""
        if self._sealed("gaps"):
            return
        entries = {at: entry for one in self.stretches() if one.proven for at, entry in one.entries.items()}
        if backup.of_this_log(entries.values()):
            new = [gap for gap in backup.gaps if entries.keys().isdisjoint(range(gap[0], gap[1] + 1))]
            self.gaps += [gap for gap in new if gap not in self.gaps]

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
        found, marks = dict(self.counted), self.expected or Mark()
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

    def take(self, found: Iterable[Stretch], backup: Backup) -> None:
        """What beside the log is whole, here or in a backup; the rest is lost."""
        entries = {at: entry for one in found if one.proven for at, entry in one.entries.items()}
        namespaces = self.log.directory.namespaces
        erased = {record.namespace for record in self.erased}
        counted = self.counted if self._sealed("counters") else None
        known = Known(
            entries=entries,
            namespaces=namespaces,
            gone={number for number, namespace in namespaces.items() if namespace in erased},
            erased=lambda position: any(a <= position <= z and why == "erased" for a, z, why in self.gaps),
            erasures=None if counted is None else counted.get("erasures", 0),
            attached=None if counted is None else counted.get("attached", 0),
            rewrites=self.settings.get("retain") != "keep",
        )
        self.beside.take(known, backup)
        if any(not one.proven for one in found) and not (self.all_barred and fits(self.connection, "barred")):
            self.lost.append("some of the subjects that may not be logged about: erase them again")

    def _ledger(self) -> list[tuple[Any, ...]]:
        """Its rows up to the first that was changed or is missing."""
        found: list[tuple[Any, ...]] = []
        there, whole = read(self.connection, "ledger", "id", LEDGER)
        before = b""
        for row in there:
            if row[0] != len(found) + 1 or not _follows(before, row):
                break
            found.append(row)
            before = row[-1]
        whole = whole and fits(self.connection, "ledger")
        ended = self.counted.get("ledger", 0 if whole and self._sealed("counters") else len(there) + (not whole))
        if len(found) < ended:
            self.lost.append(f"rows {len(found) + 1} and on of the ledger")
        return found

    # ---- what was made from it

    def made_is_whole(self, found: Iterable[Stretch]) -> bool:
        """Whether crystals, states and codes can stay: nothing under them is gone, and none was changed."""
        made = Derived(self.log)
        if self.erased or any(not one.proven for one in found) or not fits(self.connection, "batches"):
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
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection


def _namespace(text: Any) -> Namespace:
    made = namespace_of_json(text)
    if not all(isinstance(part, str) for part in made):
        raise ValueError(f"{text!r} is no namespace")
    return made


def _follows(before: bytes, row: tuple[Any, ...]) -> bool:
    """Whether a row of the ledger is the one after that with this hash."""
    with contextlib.suppress(TypeError):  # bytes in place of a text
        return bool(ledger.link(before, row[:-1]) == row[-1])
    return False


def _is_gap(row: tuple[Any, ...]) -> bool:
    first, last, why = row
    return isinstance(first, int) and isinstance(last, int) and 0 < first <= last < MOST and isinstance(why, str)


def _plausible(number: Any) -> bool:
    return isinstance(number, int) and 0 <= number < MOST
