"""The store in one SQLite file. Joins the parts beside it; knows no SQL of its own but the smallest look-ups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256

import apsw
import numpy as np

from ..errors import DamagedError, FullError, InvalidInputError, NotFoundError, SettingsError
from ..types import Batch, Codes, Columns, Crystal, Head, Namespace, Outlines, Record, State, Version, Watermark
from . import copies, derived
from .append import request, sealed_request
from .attaching import Attaching
from .chain import Mark, read_anchor
from .commit import Writer
from .files import refuse_existing
from .group import Request
from .log import head_mark, namespace_id
from .memlex import MemoryLexicon
from .residue import traces
from .rows import namespace_of_json
from .schema import Connection, counter, stored_setting, value
from .sealing import Sealing, StaleKeyError
from .verify import Verifier

CHUNK = 256
CHUNK_CHARACTERS = 8 << 20
LOST = "SELECT 1 FROM gaps WHERE why='lost' AND ? BETWEEN first AND last"
INT64 = np.dtype(np.int64)


class SQLiteStore(Attaching):
    """A `Store` in the file at `path`, or in a private temporary one for ":memory:".

    terms: gives a record's index terms again; needed under retain="crystals", where no index is stored.
    """

    _memory_lexicon: MemoryLexicon | None = None
    _rechained = -1  # when last looked
    _counted = -1, 0, 0  # rechained, position up to which tokens were added up, their sum

    def _opened(self) -> None:
        if self._lexicon is None and self._terms is not None:
            self._memory_lexicon = MemoryLexicon(lambda after: self.scan(after=after), self._changes, self._terms)

    # ---- the log

    def append(self, records: Sequence[Record], blobs: Mapping[str, bytes] | None = None) -> list[Record]:
        writer = self._writer_or_refuse()
        records = self.admitted(records)
        if self._sealing is not None:
            return self._append_sealed(writer, self._sealing, records, blobs or {})
        return self._append(writer, request(records, blobs))

    def _append(self, writer: Writer, mine: Request) -> list[Record]:
        if mine.records:
            self._group.run(mine)
            if writer.checkpoint_due():
                writer.checkpoint_beside()
            self._reserve.grown(writer.pages)
        return mine.result

    def _append_sealed(
        self, writer: Writer, sealing: Sealing, records: Sequence[Record], blobs: Mapping[str, bytes]
    ) -> list[Record]:
        while True:
            with suppress(StaleKeyError):
                mine = sealed_request(sealing, records, blobs, self.blob, self._add_keys)
                logged = zip(records, mine.records, self._append(writer, mine), strict=True)
                return [sealing.as_logged(given, new.record, there) for given, new, there in logged]

    def head(self) -> Head:
        with self._reading() as connection:
            mark = head_mark(connection)
            return Head(mark.position, mark.hash, mark.erasures)

    def read(self, positions: Sequence[int]) -> list[Record]:
        with self._reading() as connection:
            found = self._log.entries(connection, positions)
            missing = [position for position in positions if position not in found]
            lost = missing and value(connection, LOST, missing[:1])
        if lost:
            raise NotFoundError(f"the record of {self.path} at position {missing[0]} is lost; verify() counts what is")
        if missing:
            raise NotFoundError(f"{self.path} has no record at position {missing[0]}; it was erased or never logged")
        return [self._opened_record(found[position].record) for position in positions]

    def scan(
        self,
        namespace: Namespace | None = None,
        after: int = 0,
        upto: int | None = None,
        episode: str | None = None,
        types: Sequence[str] | None = None,
    ) -> Iterator[Record]:
        with self._reading() as connection:
            wanted = self._log.select(connection, namespace, after, upto, episode, types)
        return self._records(wanted)

    def _records(self, wanted: list[int]) -> Iterator[Record]:
        """Records in chunks, each read in a snapshot of its own; what was erased meanwhile is left out."""
        at, size = 0, CHUNK
        while at < len(wanted):
            chunk = wanted[at : at + size]
            with self._reading() as connection:
                found = self._log.entries(connection, chunk)
            at += len(chunk)
            characters = sum(len(entry.record.text) + len(entry.record.body) for entry in found.values())
            size = max(1, min(CHUNK, size * CHUNK_CHARACTERS // max(characters, 1)))
            for position in chunk:
                if position in found:
                    with suppress(NotFoundError):  # shredded
                        yield self._opened_record(found[position].record)

    def keyed(self, namespace: Namespace, key: str) -> Record | None:
        with self._reading() as connection:
            position, _ = self._keys.find(connection, namespace, key) or (None, None)
            found = None if position is None else self._log.entries(connection, [position])[position].record
            return None if found is None else self._opened_record(found)

    def blob(self, digest: str) -> bytes:
        with self._reading() as connection, suppress(ValueError):
            data = value(connection, "SELECT data FROM blobs WHERE digest=?", (bytes.fromhex(digest),))
            if data is not None and sha256(data).hexdigest() != digest:
                raise DamagedError(f"{self.path}: blob {digest} was changed; restore it from a backup")
            if data is not None:
                return bytes(data)
            if self._sealing is not None and (found := self._sealing.find_blob(connection, digest)) is not None:
                return found
        raise NotFoundError(f"{self.path} has no blob {digest}; it was erased or never logged")

    def blob_uses(self, digest: str) -> list[int]:
        sql = "SELECT position FROM blob_uses WHERE digest=?"
        with self._reading() as connection, suppress(ValueError):
            names = [bytes.fromhex(digest), *(self._sealing.blob_names(digest) if self._sealing else ())]
            return sorted(position for name in names for (position,) in connection.execute(sql, (name,)))
        return []

    def namespaces(self) -> list[Namespace]:
        with self._reading() as connection:
            return [
                namespace_of_json(name) for (name,) in connection.execute("SELECT name FROM namespaces ORDER BY id")
            ]

    def names(self, after: int = 0) -> dict[int, str]:
        with self._reading() as connection:
            return dict(connection.execute("SELECT id, name FROM names WHERE id > ? ORDER BY id", (after,)).fetchall())

    def tokens(self) -> int:
        with self._reading() as connection:
            mark = head_mark(connection)
            rechained, upto, total = self._counted
            if rechained != mark.rechained:
                upto = total = 0
            if upto < mark.position:
                total += self._log.tokens(connection, upto)
                self._counted = mark.rechained, mark.position, total
            return total

    def columns(self, namespace: Namespace | None, after: int = 0) -> Columns:
        with self._reading() as connection:
            number = None if namespace is None else namespace_id(connection, namespace) or -1
            rows = self._log.rows(connection, number, after)
        return Columns(*(rows[name].astype(INT64) for name in Columns._fields))

    def times(self, namespace: Namespace, after: int = 0) -> np.ndarray:
        with self._reading() as connection:
            number = namespace_id(connection, namespace)
            return self._log.times(connection, number or -1, after)

    def postings(self, namespace: Namespace, terms: Iterable[str], after: int = 0) -> dict[str, np.ndarray]:
        self._check()
        if self._memory_lexicon is not None:
            return self._memory_lexicon.postings(namespace, terms, after)
        if self._lexicon is None:
            raise SettingsError(f"{self.path} has retain='crystals' and no stored index; open it with terms=")
        with self._reading() as connection:
            number = namespace_id(connection, namespace)
            return {} if number is None else self._lexicon.postings(connection, number, terms, after)

    def _changes(self) -> int:
        with self._reading() as connection:
            return counter(connection, "rechained")

    # ---- what was made from it

    def watermark(self, namespace: Namespace) -> Watermark:
        with self._reading() as connection:
            return self._made.watermark(connection, namespace)

    def publish(self, namespace: Namespace, batch: Batch, expected: Version) -> bool:
        if any(crystal.namespace != namespace for crystal in batch.crystals):
            raise InvalidInputError(f"a batch for {namespace} holds crystals of another namespace; publish them apart")
        with self._writing() as transaction:
            connection = transaction.connection
            if self._made.version(connection, namespace) != expected:
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

    def outlines(self, namespace: Namespace, after: int = 0) -> Outlines:
        with self._reading() as connection:
            return self._made.outlines(connection, namespace, after)

    def retirements(self, namespace: Namespace, after: int = 0) -> list[tuple[int, str, int]]:
        with self._reading() as connection:
            items = self._made.items(connection, namespace, derived.RETIRED, after)
            return [(serial, *item) for serial, item in items]

    def states(self, namespace: Namespace, after: int = 0) -> list[tuple[int, State]]:
        with self._reading() as connection:
            return list(self._made.items(connection, namespace, derived.STATES, after))

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

    def version(self, namespace: Namespace) -> Version:
        with self._reading() as connection:
            version, rechained = self._made.version(connection, namespace), counter(connection, "rechained")
        if rechained != self._rechained:  # another process erased something, or rewrote it
            self._forget()
            self._rechained = rechained
        return version

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
            self._join_up()
        writer.shrink()
        return moved

    def _join_up(self) -> None:
        """Small neighbours among what was made of the log become one."""
        with self._writing(durable=False) as transaction:
            self._made.join(transaction.connection)
            if self._lexicon is not None:
                self._lexicon.seal(transaction.connection)
        if self._lexicon is None:
            return
        same = True
        while same:
            with self._reading() as connection:
                joined = self._lexicon.joined(connection)
            if joined is None:
                break
            with self._writing(durable=False) as transaction:
                same = self._lexicon.join(transaction.connection, *joined)

    def rewrite(self, texts: Mapping[int, tuple[str, str]]) -> None:
        with self._writing() as transaction:
            if self._sealing is not None:
                old = self._log.entries(transaction.connection, texts)
                again = {at: self._sealing.again(entry.record, *texts[at]) for at, entry in old.items()}
                texts = {**texts, **again}
            self._upkeep.rewrite(transaction, dict(texts))
        self._forget()

    def erase(
        self,
        positions: Sequence[int],
        namespaces: Sequence[Namespace] = (),
        event: Record | None = None,
        keys: Sequence[tuple[Namespace, str]] = (),
        expected: tuple[Namespace, int] | None = None,
    ) -> bool:
        writer, told = self._writer_or_refuse(), [] if event is None else [event]
        try:
            done = self._erase(positions, namespaces, told, keys, expected)
        except FullError:
            if not self._reserve.give_up():
                raise
            writer.truncate()
            done = self._erase(positions, namespaces, told, keys, expected)
        if done:
            self._forget()
            if self._sealing is not None:
                self._shred()
            self._empty_log(writer, "the records were erased", "erase the same positions again")
            self._forget()  # what readers of the old state, who are gone now, put back
        return done

    def _erase(
        self,
        positions: Sequence[int],
        namespaces: Sequence[Namespace],
        told: Sequence[Record],
        keys: Sequence[tuple[Namespace, str]],
        expected: tuple[Namespace, int] | None,
    ) -> bool:
        with self._writing() as transaction:
            if expected is not None:
                namespace, generation = expected
                if self._made.version(transaction.connection, namespace).generation != generation:
                    return False
            # first, so that its namespace is not dropped and made again
            self._appender.tell(transaction, told)
            numbered = (namespace_id(transaction.connection, one) for one in namespaces)
            emptied = {number for number in numbered if number is not None}
            if self._sealing is not None:
                self._shredding.condemn(transaction.connection, positions, told)
            self._upkeep.erase(transaction, positions, emptied, keys)
            return True

    # ---- trust

    def residue(self, needles: Sequence[bytes]) -> list[str]:
        return [place for places in self.traces(needles).values() for place in places]

    def traces(self, needles: Sequence[bytes], words: Sequence[bytes] = ()) -> dict[str, list[str]]:
        with self._reading() as connection:
            return traces(self._files, self._log, connection, needles, self._lexicon, words)

    def verify(self) -> tuple[list[str], dict[str, int]]:
        problems, notes, checked = self._verify()
        if notes and self._writer is not None:
            with self._writing(durable=False) as transaction:
                transaction.connection.execute("UPDATE notes SET reported=1 WHERE reported=0")
        return problems + notes, checked

    def _verify(self) -> tuple[list[str], list[str], dict[str, int]]:
        self._check()
        expected = read_anchor(self._files.anchor)
        try:
            with self._reading() as connection:
                return self._verified(connection, expected)
        except DamagedError as error:
            if self._sealing is None:
                raise
            tag = f"{self.path}: a page of the file was changed, as its tag tells"
            told = tag if isinstance(error.__cause__, apsw.Error) else str(error)
        # in a transaction that met a page that does not fit its tag nothing can be read any more: all is read without
        with self._pool.damaged() as connection:
            problems, notes, checked = self._verified(connection, expected)
        return [told, *problems], notes, checked

    def _verified(self, connection: Connection, expected: Mark | None) -> tuple[list[str], list[str], dict[str, int]]:
        same_terms = stored_setting(connection, "terms") == getattr(self._terms, "version", None)
        terms = self._stored_terms() if same_terms else None
        verifier = Verifier(self._log, self._made, connection, self._lexicon, terms)
        verifier.run(expected)
        return verifier.problems, verifier.notes(), dict(verifier.checked)

    def sizes(self) -> dict[str, int]:
        with self._reading() as connection:
            return copies.sizes(self._files, connection)

    def backup(self, path: str) -> None:
        refuse_existing(path)
        try:
            with self._reading() as connection:
                copies.copy(connection, path, self.path, self._files.cipher)
            with SQLiteStore(path, read_only=True, key_file=self.key_file) as copy:
                problems = copy._verify()[0]
            if problems:
                raise DamagedError(f"the copy of {self.path} has a problem: {problems[0]}; verify {self.path}")
        except BaseException:
            copies.remove_copy(path)
            raise
