"""What a store is asked about erasures, consent and its ledger. Knows an open file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..types import Namespace, Note
from . import bars, ledger
from .configured import Configured
from .log import head_mark, namespace_id
from .schema import Connection, value


class Accounts(Configured):
    """These verbs of a store."""

    def refuses(self, namespace: Namespace, key: str) -> bool:
        with self._reading() as connection:
            return self._keys.refuses(connection, namespace, key)

    def barred(self, namespace: Namespace, subject: str) -> tuple[str, float] | None:
        with self._reading() as connection:
            return bars.status(connection, namespace_id(connection, namespace), subject)

    def salts(self, namespace: Namespace) -> list[bytes]:
        with self._reading() as connection:
            return bars.salts(connection, namespace_id(connection, namespace))

    def note(
        self, at: float, what: str, who: str | None, namespace: Namespace | None, detail: Mapping[str, Any]
    ) -> tuple[int, bytes]:
        with self._writing(durable=False) as transaction:
            connection = transaction.connection
            number = None if namespace is None else self._appender.interner.namespace(connection, namespace)
            return ledger.add(connection, transaction.mark.position, at, what, who, number, detail)

    def notes(self, namespace: Namespace | None = None, after: int = 0) -> Iterator[Note]:
        """Of a namespace and of the whole file, or (None) of all namespaces."""
        with self._reading() as connection:
            own = None if namespace is None else namespace_id(connection, namespace) or -1
            found = list(ledger.notes(connection, after))
        return iter([note for number, note in found if own is None or number in (None, own)])

    def chain_at(self, position: int) -> tuple[bytes | None, int]:
        """The log's hash at a position, None where no record is; and how often the log was chained anew."""
        with self._reading() as connection:
            return self._chain(connection, position), head_mark(connection).rechained

    def _chain(self, connection: Connection, position: int) -> bytes | None:
        found: bytes | None = value(connection, "SELECT chain FROM log WHERE position=?", (position,))
        for row in self._log.block_rows(connection, position - 1) if found is None else ():
            chain = row.before
            for entry in self._log.block_entries(connection, row) if row.first <= position else ():
                chain = self._log.next_chain(chain, entry)
                if entry.record.position == position:
                    return chain
            break
        return found
