"""Export: the log of some namespaces as lines, into a file that appears whole or not at all."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from agentmem.index import STEP, import_key, in_runs, step_id, step_position
from agentmem.store.whole import put
from agentmem.transfer.line import POSITIONS, iso
from agentmem.types import Namespace, Record, Store


def dump(value: Mapping[str, Any]) -> str:
    """One line of JSON, without its line break."""
    return json.dumps(value, ensure_ascii=False)


class Exporter:
    """The log of some namespaces as lines."""

    def __init__(self, store: Store, namespaces: Sequence[Namespace]) -> None:
        self.store = store
        self.namespaces = frozenset(namespaces)
        self._end = store.head().position  # what is logged from here on stays out, and so do references to it
        self._steps = {namespace: _step_positions(store, namespace) for namespace in namespaces}
        self._ids: dict[int, str] = {}

    def lines(self, derived: bool = False) -> Iterator[str]:
        """JSON documents of one line each, without line breaks. derived: then every crystal and attachment, too."""
        for record in self.store.scan(upto=self._end):
            if record.namespace in self.namespaces:
                yield dump(self._line(record))
        for namespace in sorted(self.namespaces) if derived else ():
            for _, crystal in self.store.crystals(namespace):
                yield dump({"type": "crystal", **crystal.model_dump(mode="json", exclude={"trust"})})
            for name in self.store.attachments(namespace):
                content = base64.b64encode(self.store.attachment(namespace, name)).decode()
                yield dump({"type": "attachment", "namespace": namespace, "name": name, "content": content})

    def _line(self, record: Record) -> dict[str, Any]:
        line: dict[str, Any] = {"id": self._id_of(record)} if record.type == "step" else {"type": record.type}
        line |= {name: value for name in ("namespace", "episode", "kind", "actor") if (value := getattr(record, name))}
        if record.type == "step" or record.text:
            line["text"] = record.text
        if record.key is not None and record.key == line.get("id"):
            line["key"] = record.key
        return line | self._portable(record) | {"logged_at": iso(record.logged_at)}

    def _id_of(self, record: Record) -> str:
        if record.key is None:
            return step_id(record.position)
        line_id = record.key.removeprefix(import_key(record.episode, ""))
        self._ids[record.position] = line_id
        return line_id

    def _portable(self, record: Record) -> dict[str, Any]:
        """A record's body with blobs as base64, and line ids for log positions."""
        body: dict[str, Any] = json.loads(record.body)
        if "blobs" in body:
            read = self.store.blob
            body["blobs"] = {name: base64.b64encode(read(digest)).decode() for name, digest in body["blobs"].items()}
        for name in POSITIONS:
            if name in body:
                body[name] = [line_id for position in body[name] if (line_id := self._known(record, position))]
        if replied := self._known(record, step_position(body.pop("reply_to", ""))):
            body["reply_to"] = replied
        if record.type == "recall":
            body["hits"] = [self._named(hit) for hit in body["hits"]]
            body["as_of"] = body["as_of"] and self._named(body["as_of"])
            if "without" in body.get("asked", {}):
                there = in_runs(body["asked"]["without"], self._steps[record.namespace])
                body["asked"]["without"] = [line_id for at in there if (line_id := self._known(record, at))]
        return body

    def _named(self, name: str) -> str:
        """The line id for a step id; other names as they are."""
        return self._ids.get(step_position(name), name)

    def _known(self, record: Record, position: int) -> str | None:
        """The line id of a step before a record, None if it was erased."""
        steps = self._steps[record.namespace]
        at = int(np.searchsorted(steps, position))
        there = at < len(steps) and steps[at] == position < record.position
        return self._ids.get(position, step_id(position)) if there else None


def _step_positions(store: Store, namespace: Namespace) -> np.ndarray:
    columns = store.columns(namespace)
    positions: np.ndarray = columns.position[columns.type == STEP]
    return positions


def export(store: Store, namespaces: Sequence[Namespace], path: str | Path, derived: bool = False) -> None:
    """Write the log of these namespaces to a file, gzipped if its name ends in .gz; it appears whole, or not at all.

    What stands there is replaced, so check it first. StoreError if it fails.
    """
    path = Path(path)
    with put(path, "export") as raw, _packed(raw) if path.suffix == ".gz" else nullcontext(raw) as out:
        for line in Exporter(store, namespaces).lines(derived):
            out.write(line.encode() + b"\n")


def _packed(raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile("", "wb", fileobj=raw, mtime=0))
