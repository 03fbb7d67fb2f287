"""Notes: who logs the numbered episodes of a place and with what, so that none takes another's for his own.

A place is the namespace of an environment; each episode has one of its own below it, by its number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentmem.errors import SettingsError
from agentmem.memory import Memory

NOTE = "rollout"
"""The attachment of a place that says what its episodes are of, and, of an episode, what came of it."""
BY = "rollout()"


def numbered(place: Memory) -> list[int]:
    """The numbers of the episodes at a place."""
    spaces = place._core.store.namespaces()
    return sorted(int(space[-1]) for space in spaces if space[:-1] == place.namespace and space[-1].isdecimal())


def take(place: Memory, note: Mapping[str, Any], by: str = BY) -> bool:
    """Note who logs episodes at a place and with what; False if that was noted before.

    SettingsError where others log there, or with something else, before anything is written.
    """
    if NOTE not in place.attachments():
        if there := numbered(place):
            raise SettingsError(_others(place, f"episodes, such as {there[0]}, that do not say who logged them", by))
        place.attach(NOTE, json.dumps({"by": by, **note}, sort_keys=True).encode())
        return True
    before = {"by": BY, **json.loads(place.attachment(NOTE))}
    if before["by"] != by:
        raise SettingsError(_others(place, f"episodes that {before['by']} logged", by))
    held = "a rollout" if by == BY else f"what {by} logged"
    for what, value in note.items():
        if before.get(what) != value:
            raise SettingsError(
                f"this memory holds {held} with {what} {before.get(what)!r}, not {value!r}: "
                "give the same to go on with it, or another memory"
            )
    return False


def _others(place: Memory, held: str, by: str) -> str:
    return f"this memory holds {held} of {place.namespace[-1]!r}; {by} would mix its own with them: give another memory"
