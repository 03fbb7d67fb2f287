"""Which steps are held out of recall, and why: forgotten, or rolled back with all that derives from them.

Either holds by itself: undoing a rollback gives back what was there before it, also where some of it was forgotten
already. Restoring a step by its id undoes both. Knows events in log order; knows no text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentmem.types import Record


class HeldOut:
    """Grows with the log. forgotten: log position of a step -> why, as far as that was said."""

    def __init__(self) -> None:
        self.forgotten: dict[int, str | None] = {}
        self._rolled: dict[int, str | None] = {}
        self._rollbacks: list[tuple[int, frozenset[int]]] = []  # log position, and what is rolled back from there on

    @property
    def reasons(self) -> dict[int, str | None]:
        """Log position of every step that is held out -> why."""
        return dict(sorted((self.forgotten | self._rolled).items()))

    def rolled_back(self, as_of: int) -> frozenset[int]:
        """Log positions of the steps that are rolled back as of a log position."""
        return next((gone for position, gone in reversed(self._rollbacks) if position <= as_of), frozenset())

    def take(self, event: Record, body: Mapping[str, Any]) -> list[bool]:
        """Take in a forgetting or a restoring; whether each of its steps is held out by now."""
        rollback, before, steps = body.get("rollback") is True, set(self._rolled), body["steps"]
        if event.type == "forget":
            (self._rolled if rollback else self.forgotten).update(dict.fromkeys(steps, body.get("reason")))
        for step in steps if event.type == "restore" else ():
            if not (rollback and step in self._rolled):
                self.forgotten.pop(step, None)
            self._rolled.pop(step, None)
        if before != self._rolled.keys():
            self._rollbacks.append((event.position, frozenset(self._rolled)))
        return [step in self.forgotten or step in self._rolled for step in steps]
