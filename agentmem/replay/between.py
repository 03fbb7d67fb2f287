"""What happened in a namespace between two log positions: crystals, what was forgotten or pinned, and what is gone.

Knows an index and a store. As of a position: a crystal that is retired later is not retired here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agentmem.index import Index, step_id
from agentmem.types import Crystal, Frozen, Record, RecordType


class Retired(NamedTuple):
    """A crystal that ceased to hold. by: id of the atom with the newer value; None where that had no room for one."""

    crystal: Crystal
    by: str | None


class Event(Frozen):
    """What was done with steps that stay in the log: "forget", "restore" or "pin"."""

    position: int
    what: RecordType
    steps: tuple[str, ...]


def formed(index: Index, after: int, upto: int) -> tuple[Crystal, ...]:
    """The crystals born after one log position and up to another, in the order they were sealed."""
    return tuple(_as_born(index.crystals[number]) for number in _within(index, 0, after, upto))


def retired(index: Index, after: int, upto: int) -> tuple[Retired, ...]:
    """The crystals retired after one log position and up to another."""
    found = []
    for number in _within(index, 1, after, upto):
        crystal, at = index.crystals[number], int(index.sealed.columns.rows[1][number])
        newer = (index.crystals[other] for other in _within(index, 0, at - 1, at))
        by = next((one.id for one in newer if one.key is not None and one.key == crystal.key), None)
        found.append(Retired(_as_born(crystal), by))
    return tuple(found)


def _within(index: Index, row: int, after: int, upto: int) -> list[int]:
    """Numbers of the crystals whose birth (0) or retirement (1) is there."""
    at = index.sealed.columns.rows[row]
    return np.flatnonzero((after < at) & (at <= upto)).tolist()


def _as_born(crystal: Crystal) -> Crystal:
    return crystal if crystal.retired is None else crystal.model_copy(update={"retired": None})


def events_of(records: Sequence[Record]) -> tuple[Event, ...]:
    """Of records of these types."""
    return tuple(
        Event(position=record.position, what=record.type, steps=tuple(map(step_id, json.loads(record.body)["steps"])))
        for record in records
    )
