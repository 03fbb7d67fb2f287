"""Records, crystals and codes for the tests of a store. Knows no store."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from agentmem.types import Batch, Codes, Crystal, Layer, Namespace, Record, Span

A: Namespace = ("acme", "alice")
B: Namespace = ("acme", "bob")


def step(text: str, namespace: Namespace = A, **fields: Any) -> Record:
    """A step record whose index terms are its words."""
    fields.setdefault("terms", (" ".join(text.lower().replace("\0", " ").split()),))
    fields.setdefault("kind", "observation")
    fields.setdefault("episode", "one")
    return Record("step", namespace, text=text, tokens=len(text.split()), **fields)


def plain(records: Sequence[Record]) -> list[Record]:
    """As a store gives records back: without terms."""
    return [replace(record, terms=()) for record in records]


def crystal(name: str, spans: Sequence[Span], text: str, namespace: Namespace = A, **fields: Any) -> Crystal:
    positions = [span.position for span in spans]
    values: dict[str, Any] = {
        "id": name,
        "layer": Layer.UNIT,
        "namespace": namespace,
        "text": text,
        "spans": tuple(spans),
        "sources": tuple(str(position) for position in positions),
        "covers": (min(positions), max(positions)),
        "born": max(positions),
        "tokens": 3,
        "source_tokens": 30,
        "salience": 0.1 + 0.2,
    }
    return Crystal(**(values | fields))


def codes(name: str, seed: int, rows: int = 2) -> Codes:
    bits = np.frombuffer(random.Random(seed).randbytes(96 * rows), np.uint8).reshape(rows, 96)
    return Codes(name, np.arange(rows, dtype=np.int64) + 1, np.arange(rows, dtype=np.int64) + 5, bits)


def batch(crystals: Sequence[Crystal] = (), watermark: int = 1, **fields: Any) -> Batch:
    values: dict[str, Any] = {"retired": {}, "codes": (), "encoder": None, "state": b"state"}
    return Batch(crystals=crystals, watermark=watermark, **(values | fields))
