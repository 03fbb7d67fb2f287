"""Encrypted memories for tests: how they are opened, and what is logged into them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from test_store_sqlite import terms_of

from agentmem import Memory
from agentmem.store import SQLiteStore, open_store
from agentmem.testing.records import A, step
from agentmem.types import Record

CANARY = "canary 7f3a90c1d25be648"


def opened(file: Path, keys: Path | None, **options: Any) -> Memory:
    return Memory.open(file, key_file=keys, encoder=None, durability="process", **options)


def about(text: str, *subjects: str, namespace: tuple[str, ...] = A, **fields: Any) -> Record:
    body = json.dumps({"subjects": list(subjects), "note": text}, separators=(",", ":"))
    return step(text, namespace, body=body, **fields)


def stored(file: Path, keys: Path, **options: Any) -> SQLiteStore:
    return open_store(str(file), "process", terms=terms_of, key_file=str(keys), **options)


def data_keys(keys: Path) -> list[str]:
    """The wrapped data keys in a key file."""
    lines = [json.loads(line.rpartition(b" ")[0]) for line in keys.read_bytes().splitlines()]
    return [line["data"] for line in lines if "data" in line]
