"""Checking a whole file in one snapshot: the chain, the anchor, the indexes and everything made from the log.

Repairs nothing, and goes on after a problem to find the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

import apsw
import numpy as np

from ..errors import DamagedError
from ..types import Namespace, Record
from . import attachments, bars, derived, ledger
from .chain import GENESIS, Mark
from .derived import CRYSTALS, RETIRED, STATES, Derived
from .lexicon import Lexicon, weight
from .log import HOT, Log, archived_upto, head_mark
from .opening import attachments_missing, check_mark, strange
from .rows import PACKED, Entry, blob_names, key_digest, split_terms
from .schema import NONSENSE, SEALED, Connection, check_seal, namespace_row, seal, translate, value
from .sealing import sealed_is_whole
from .upkeep import Terms


class Verifier:
    """One pass over one snapshot; `problems` in words and counts of what was `checked`."""

    def __init__(
        self, log: Log, made: Derived, connection: Connection, lexicon: Lexicon | None, terms: Terms | None = None
    ) -> None:
        self.log, self.made, self.connection = log, made, connection
        self.lexicon, self.terms = lexicon, terms if lexicon is not None else None
        self.problems: list[str] = []
        self.checked: Counter[str] = Counter()
        self._chain = GENESIS
        self._archived = archived_upto(connection)
        self._position = 0
        self._postings: Counter[int] = Counter()
        self._expected: Mark | None = None
        self._positions: list[np.ndarray] = []
        self._numbers: dict[Namespace, int] = {}
        self._weights: Counter[int] = Counter()
        self._other_terms: set[int] = set()
        self._barred: dict[tuple[int, bytes], tuple[float, str]] = {}

    def run(self, expected: Mark | None) -> None:
        """`expected` is the anchor, read before the snapshot began. Raises what ended the snapshot, if anything did."""
        self._expected = expected
        self.log.cache.clear()  # what is checked is what the file holds
        parts: list[Callable[[], None]] = [
            self._pages,
            self._schema,
            self._seals,
            self._blocks,
            self._hot,
            self._head,
            self._losses,
            self._index,
            self._blobs,
            self._attachments,
            self._bars,
            self._ledger,
        ]
        for part in [*parts, *([self._lexicon] if self.lexicon is not None else []), self._derived]:
            with self._noting():
                part()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except DamagedError as error:
            self.problems.append(str(error))
        except apsw.Error as error:
            told = translate(error, self.log.shown)
            if not self.connection.in_transaction:  # SQLite ended it: what would be read now may be of another state
                raise told from error
            self.problems.append(str(told))
        except NONSENSE as error:
            self.problems.append(f"{self.log.shown}: what is stored makes no sense ({type(error).__name__}: {error})")

    def notes(self) -> list[str]:
        """What opening the file noted since the last verification that could write."""
        sql = "SELECT text FROM notes WHERE reported=0 ORDER BY id"
        return [text for (text,) in self.connection.execute(sql)]

    def _pages(self) -> None:
        for (answer,) in self.connection.execute("PRAGMA quick_check(10)").fetchall():
            if answer != "ok":
                self.problems.append(f"{self.log.shown}: {answer}")
        self.checked["pages"] = value(self.connection, "PRAGMA page_count")

    def _schema(self) -> None:
        """Every table is as it was made; what is not could be read as something else."""
        for sql in strange(self.connection):
            self.problems.append(f"{self.log.shown}: a table was changed: {sql[:80]}")

    # ---- the chain

    def _blocks(self) -> None:
        for row in self.log.block_rows(self.connection):
            with self._noting():
                if row.before != self._chain:
                    self.problems.append(f"{self.log.shown}: the block at position {row.first} does not follow")
                self._chain = row.before
                for entry in self.log.block_entries(self.connection, row):
                    self._entry(entry, self.log.next_chain(self._chain, entry))
                self._gap(self._position + 1, row.last)
            if self._chain != row.chain:
                self.problems.append(f"{self.log.shown}: positions {row.first} to {row.last} do not fit the chain")
            self._chain, self._position = row.chain, row.last
            self.checked["blocks"] += 1

    def _hot(self) -> None:
        first = self._position + 1
        for row in self.connection.execute(HOT, (first, 1 << 62)):
            with self._noting():
                entry = self.log.hot_entry(self.connection, row)
                if self.log.next_chain(self._chain, entry) != row[3] or entry.record.position != row[0]:
                    raise DamagedError(f"{self.log.shown}: the record at position {row[0]} was changed")
                self._entry(entry, row[3])
            self._chain = row[3]
            self._position = row[0]

    def _entry(self, entry: Entry, chain: bytes) -> None:
        position = entry.record.position
        if position != self._position + 1:
            self._gap(self._position + 1, position - 1)
        if self._expected and position == self._expected.position:
            self._at_anchor(chain)
        self._chain, self._position = chain, position
        self._count_terms(self._number(entry.record.namespace), entry)
        self.checked["records"] += 1
        self._key_and_blobs(entry)
        if entry.record.type in bars.BARRING:
            self._bar(self._number(entry.record.namespace), entry.record)

    def _bar(self, number: int, record: Record) -> None:
        for digest, _, why in bars.changes_of(record):
            if record.logged_at >= self._barred.get((number, digest), (record.logged_at, ""))[0]:
                self._barred[number, digest] = record.logged_at, why

    def _number(self, namespace: Namespace) -> int:
        if namespace not in self._numbers:
            self._numbers[namespace] = derived.number_of(self.connection, namespace)
        return self._numbers[namespace]

    def _count_terms(self, number: int, entry: Entry) -> None:
        self._postings[number] += entry.postings
        if self.terms is not None and entry.postings and number not in self._other_terms:
            passages, *counts = split_terms(self.terms(entry.record))
            self._weights[number] += weight(entry.record.position, passages)
            # Terms that were made otherwise, by an older version, can only be counted.
            if counts != [entry.length, entry.postings]:
                self._other_terms.add(number)

    def _gap(self, first: int, last: int) -> None:
        """Positions without a record must have been erased, or noted as lost."""
        at = first
        sql = "SELECT last FROM gaps WHERE ? BETWEEN first AND last"
        while at <= last:
            known = value(self.connection, sql, (at,))
            if known is None:
                self.problems.append(f"{self.log.shown}: position {at} is missing and was not erased")
                return
            at = known + 1

    def _key_and_blobs(self, entry: Entry) -> None:
        record = entry.record
        if record.key is not None:
            digest = key_digest(record.namespace, record.key)
            there = value(self.connection, "SELECT position FROM keys WHERE digest=?", (digest,))
            tabled = self.lexicon is not None or record.position > self._archived
            if there != record.position and (tabled or there is not None):
                self.problems.append(
                    f"{self.log.shown}: the key of position {record.position} is not in the table of keys"
                )
            self.checked["keys"] += 1
        for name in blob_names(record.body):
            sql = "SELECT 1 FROM blob_uses JOIN blobs USING(digest) WHERE digest=? AND position=?"
            there = value(self.connection, sql, (bytes.fromhex(name), record.position))
            if there is None and not self._is_lost(name):
                self.problems.append(f"{self.log.shown}: blob {name} of position {record.position} is missing")

    def _is_lost(self, blob: str) -> bool:
        """Whether a repair has told already that this blob is gone."""
        return value(self.connection, "SELECT 1 FROM notes WHERE text=?", (f"blob {blob} is lost",)) is not None

    def _losses(self) -> None:
        """Positions that were noted as lost, and told when that was found."""
        sql = "SELECT ifnull(sum(last - first + 1), 0) FROM gaps WHERE why='lost'"
        if lost := value(self.connection, sql):
            self.checked["lost"] = lost

    def _head(self) -> None:
        mark = head_mark(self.connection)
        if mark.position > self._position:
            self._gap(self._position + 1, mark.position)
        if self._expected is None:
            self.problems.append(f"{self.log.shown}-anchor is missing or unreadable; it is made again at the next open")
        elif mark.position < self._expected.position and mark.rechained <= self._expected.rechained:
            first, last = mark.position + 1, self._expected.position
            self.problems.append(f"{self.log.shown}: records {first} to {last} are missing; restore a backup")
        elif mark.attached < self._expected.attached:
            self.problems.append(f"{self.log.shown}: {attachments_missing(mark, self._expected)}")
        elif self._expected.position == mark.position or mark.rechained < self._expected.rechained:
            check_mark(self.connection, mark, self._expected, self.log.shown)

    def _at_anchor(self, chain: bytes) -> None:
        expected = self._expected
        assert expected is not None
        same = head_mark(self.connection).rechained == expected.rechained
        if same and chain != expected.hash:
            self.problems.append(f"{self.log.shown}: the log up to position {expected.position} is not the anchor's")

    # ---- what is beside the log

    def _seals(self) -> None:
        for table in SEALED:
            with self._noting():
                check_seal(self.connection, table, self.log.shown)
        for (number,) in self.connection.execute("SELECT id FROM namespaces").fetchall():
            with self._noting():
                namespace_row(self.connection, number, self.log.shown)
        for digest, content in self.connection.execute("SELECT digest, content FROM keys WHERE position IS NULL"):
            if seal(digest) != content:
                self.problems.append(f"{self.log.shown}: an erased key was changed; restore a backup")

    def _index(self) -> None:
        """The covering index holds what the rows hold."""
        listed = self.log.rows(self.connection, None, self._archived)
        raw = self.connection.execute("SELECT packed FROM log NOT INDEXED ORDER BY position").fetchall()
        if not np.array_equal(listed, np.frombuffer(b"".join([blob for (blob,) in raw]), PACKED)):
            self.problems.append(f"{self.log.shown}: the index of the log's columns does not agree with the log")
        for (number,) in self.connection.execute("SELECT id FROM namespaces").fetchall():
            self._positions.append(self.log.rows(self.connection, number, 0)["position"])
        if sum(map(len, self._positions)) != self.checked["records"]:
            self.problems.append(f"{self.log.shown}: the columns of its namespaces do not add up to its log")

    def _blobs(self) -> None:
        for digest, data in self.connection.execute("SELECT digest, data FROM blobs"):
            self.checked["blobs"] += 1
            if sha256(data).digest() != digest and not sealed_is_whole(digest, data):
                self.problems.append(f"{self.log.shown}: blob {digest.hex()} was changed")

    def _attachments(self) -> None:
        for number in sorted(attachments.numbers(self.connection)):
            with self._noting():
                namespace = self.log.namespace(self.connection, number)
                for problem in attachments.damaged(self.connection, number, namespace, self.log.shown):
                    self.checked["attachments"] += 1
                    self.problems += [problem] if problem else []

    def _bars(self) -> None:
        """Whom the log bars is barred, and nobody else, unless the event that did it may be among what is lost."""
        rows = self.connection.execute("SELECT namespace, digest, why FROM barred WHERE why <> 'given'")
        there = {(number, digest): why for number, digest, why in rows}
        wanted = {of: why for of, (_, why) in self._barred.items() if why != "given"}
        if there != wanted and not (self.checked["lost"] and there.items() >= wanted.items()):
            self.problems.append(f"{self.log.shown}: its table of barred subjects is not that of its log")

    def _ledger(self) -> None:
        self.checked["notes"] = ledger.check(self.connection, self.log.shown)

    def _lexicon(self) -> None:
        assert self.lexicon is not None
        found = self.lexicon.weights(self.connection)
        for number in sorted({*self._postings, *found}):
            (there, weight), wanted = found.get(number, (0, 0)), self._postings[number]
            self.checked["postings"] += there
            if there != wanted:
                name = self.log.namespace(self.connection, number)
                self.problems.append(f"{self.log.shown}: the index of {name} has {there} postings, the log {wanted}")
            elif self.terms and number not in self._other_terms and weight != self._weights[number] % (1 << 64):
                name = self.log.namespace(self.connection, number)
                self.problems.append(f"{self.log.shown}: the index of {name} does not hold the terms of its log")

    def _derived(self) -> None:
        known = set(np.concatenate([np.empty(0, np.int64), *self._positions]).tolist())
        kinds = self.connection.execute("SELECT DISTINCT namespace, kind FROM batches ORDER BY 1, 2").fetchall()
        for number, kind in kinds:
            with self._noting():
                self._kind(number, kind, known)
        for number, upto in self.connection.execute("SELECT id, watermark FROM namespaces").fetchall():
            if upto > max(self._position, head_mark(self.connection).position):
                self.problems.append(f"{self.log.shown}: the watermark {upto} of namespace {number} is after the log")

    def _kind(self, number: int, kind: str, known: set[int]) -> None:
        namespace = self.log.namespace(self.connection, number)
        items = [item for _, item in self.made.items(self.connection, namespace, kind)]
        self.checked["codes" if kind.startswith(derived.CODES) else kind] += len(items)
        if kind == CRYSTALS:
            for crystal in items:
                if missing := [span.position for span in crystal.spans if span.position not in known]:
                    self.problems.append(f"{self.log.shown}: crystal {crystal.id} points to position {missing[0]}")
            return
        if kind == STATES:
            lost = [state.position for state in items if state.position not in known]
            self.problems += [f"{self.log.shown}: a state points to position {at}" for at in lost[:1]]
            return
        ids = {crystal.id for _, crystal in self.made.items(self.connection, namespace, CRYSTALS)}
        for item in items:
            crystal_id = item[0] if kind == RETIRED else item.crystal
            if crystal_id not in ids:
                self.problems.append(f"{self.log.shown}: {kind} refers to crystal {crystal_id}, which is not there")
