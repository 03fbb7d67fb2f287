"""The verbs of attachments. The anchor counts their changes: no chain would miss one that a flipped bit dropped."""

from __future__ import annotations

from dataclasses import replace

from ..errors import NotFoundError, StoreError
from ..types import Namespace
from . import attachments
from .accounts import Accounts
from .commit import Transaction, Writer
from .log import namespace_id
from .schema import count_up


class Attaching(Accounts):
    """Keeps named bytes in the open file."""

    def attach(self, namespace: Namespace, name: str, content: bytes) -> None:
        writer = self._writer_or_refuse()
        data = attachments.checked(name, content)
        with self._writing() as transaction:
            number = self._appender.interner.namespace(transaction.connection, namespace)
            attachments.put(transaction.connection, number, name, data)
            self._count_attached(transaction)
        if writer.checkpoint_due():
            writer.checkpoint_beside()

    def attachment(self, namespace: Namespace, name: str) -> bytes:
        with self._reading() as connection:
            number = namespace_id(connection, namespace)
            found = attachments.get(connection, number or -1, name, namespace, self.path)
        if found is None:
            raise NotFoundError(f"{self.path} has no attachment {name!r} in namespace {namespace}; attach it first")
        return found

    def attachments(self, namespace: Namespace) -> dict[str, int]:
        with self._reading() as connection:
            return attachments.listed(connection, namespace_id(connection, namespace) or -1, namespace, self.path)

    def detach(self, namespace: Namespace, name: str) -> None:
        writer = self._writer_or_refuse()
        with self._writing() as transaction:
            number = namespace_id(transaction.connection, namespace)
            if number is not None:
                attachments.drop(transaction.connection, number, name)
                self._count_attached(transaction)
        self._empty_log(writer, f"attachment {name!r} was removed", "detach it again")

    def _count_attached(self, transaction: Transaction) -> None:
        """So that the anchor tells if this change goes missing."""
        transaction.mark = replace(transaction.mark, attached=count_up(transaction.connection, "attached"))

    def _empty_log(self, writer: Writer, done: str, again: str) -> None:
        """So that what was removed does not stand in the write-ahead log either."""
        if not writer.truncate():
            raise StoreError(
                f"{done}, but a reader of {self.path} kept the old state in its -wal file; {again} when it has finished"
            )
