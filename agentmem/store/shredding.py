"""Erasures that reach copies of the file: which keys go with erased records, and what an older copy must erase as well.

An erasure first condemns keys in the key file, then erases the records, then removes the keys; wherever it stops,
opening the memory, or an older copy of it, goes on from there. Knows no locks.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Sequence

from ..errors import KeyFileError, ReadOnlyError
from ..types import Namespace, Record
from . import bars
from .log import Log
from .rows import namespace_json, namespace_of_json
from .schema import Connection, put_setting, stored_setting
from .sealing import Sealing, key_of

REVISION = "key_revision"  # the setting that tells how much of the key file a memory has seen


class Shredding:
    """Of one file and its keys."""

    def __init__(self, sealing: Sealing, log: Log) -> None:
        self.sealing, self.keys, self.log = sealing, sealing.keys, log
        self.noted = -1

    def condemn(self, connection: Connection, positions: Sequence[int], told: Sequence[Record] = ()) -> None:
        """Say in the key file that these records, and the keys of no others than these, are about to go; and whom the
        events that are logged with it bar.
        """
        going = [entry.record for entry in self.log.entries(connection, positions).values()]
        mine = {key for record in going if (key := key_of(record)) is not None}
        if mine:
            gone = set(positions)
            others = (one for one in self._records(connection) if one.position not in gone)
            mine.difference_update(filter(None, map(key_of, others)))
        barred = [(self._space(one.namespace), bar, one.logged_at) for one in told for bar in bars.of(one)]
        if going or barred:
            marks = [self.sealing.mark(record) for record in going if key_of(record) not in mine]
            self.keys.condemn(mine, marks, barred)

    def late(self, connection: Connection) -> list[int]:
        """Positions of records that were erased elsewhere since this file last saw the key file."""
        seen = self._seen(connection)
        self.keys.refresh()
        content = self.keys.content
        keys = {key for key, at in content.shredded.items() if at > seen} | content.condemned
        marks = {mark for mark, at in content.erased.items() if at > seen}
        if not keys and not marks:
            return []
        records = self._records(connection)
        return [one.position for one in records if key_of(one) in keys or self.sealing.mark(one) in marks]

    def tombstones(self, connection: Connection) -> list[Record]:
        """Events for a copy that was made before subjects were erased, which bar them in it too."""
        seen = self._seen(connection)
        self.keys.refresh()
        rows = connection.execute("SELECT id, name FROM namespaces").fetchall()
        spaces = {self._space(namespace_of_json(name)): (number, namespace_of_json(name)) for number, name in rows}
        made = []
        for (space, bar), (when, at) in self.keys.content.barred.items():
            if at > seen and space in spaces and not bars.since(connection, spaces[space][0], bar, when):
                body = json.dumps({"bars": [bar], "id": bar[-16:]}, separators=(",", ":"))
                made.append(Record("erased", spaces[space][1], body=body, logged_at=when))
        return made

    def _space(self, namespace: Namespace) -> str:
        """What stands for a namespace in the key file."""
        return hmac.digest(self.keys.derived(b"spaces"), namespace_json(namespace).encode(), "sha256")[:16].hex()

    def check(self, connection: Connection, shown: str, writable: bool) -> None:
        """Raises KeyFileError for a key file that is older than the memory, ReadOnlyError for what must be erased."""
        seen = self._seen(connection)
        self.keys.refresh()  # only now: the memory is never further than it
        if seen > self.keys.content.revision:
            raise KeyFileError(
                f"the key file {self.keys.shown} is older than {shown}, or was cut short; give the newest copy of it"
            )
        if not writable and self.late(connection):
            raise ReadOnlyError(
                f"{shown} is older than erasures in its key file; open it for writing once, which repeats them"
            )

    def note(self, connection: Connection) -> None:
        """Remember in the file how much of the key file it has seen."""
        revision = self.keys.content.revision
        if revision != self.noted:
            put_setting(connection, REVISION, str(revision))
            self.noted = revision

    def _seen(self, connection: Connection) -> int:
        return int(stored_setting(connection, REVISION) or 0)

    def _records(self, connection: Connection) -> Iterator[Record]:
        positions = self.log.select(connection, None, 0, None, None, None)
        for at in range(0, len(positions), 500):
            yield from (entry.record for entry in self.log.entries(connection, positions[at : at + 500]).values())
