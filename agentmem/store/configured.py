"""Settings of a file and of its namespaces, and what they let in. Knows what none of them means."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..types import Namespace, Record
from .append import masked_so_far
from .log import namespace_id
from .openfile import OpenFile
from .rows import setting_names
from .schema import put_setting, stored_setting

NEAREST = "SELECT s.value FROM json_each(?) AS n JOIN settings AS s ON s.name=n.value ORDER BY n.key LIMIT 1"


class Configured(OpenFile):
    """Reads and writes settings of the open file."""

    def setting(self, name: str) -> str | None:
        with self._reading() as connection:
            return stored_setting(connection, name)

    def put_setting(self, name: str, text: str, namespace: Namespace | None = None) -> None:
        name = name if namespace is None else setting_names(name, namespace)[0]
        with self._writing() as transaction:
            put_setting(transaction.connection, name, text)

    def inherited(self, name: str, namespace: Namespace) -> str | None:
        self._check()
        text: str | None = self._pool.value(NEAREST, [json.dumps(setting_names(name, namespace))])
        return text

    def admitted(self, records: Sequence[Record]) -> list[Record]:
        if self._admit is None:
            return list(records)
        return self._admit(records, lambda namespace: self.inherited("redaction", namespace))

    def masked(self, namespace: Namespace) -> dict[str, int]:
        with self._reading() as connection:
            return masked_so_far(connection, namespace_id(connection, namespace) or -1)
