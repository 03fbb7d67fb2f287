"""The state table: what came to hold at which step, as key and value, in log order. No language model, generic forms.

Knows steps one by one, with what their episode did before: an observation answers the action before it, and a gain
adds to the total so far. Knows nothing of the log, nor of what is asked. A place, a thing carried or left, a reading, a
total, a file, an outcome, a deed that changes something, a new date: each is a `State` of its own, also where it only
says again what held before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from agentmem.claims import claims
from agentmem.salience import Source
from agentmem.states.deeds import changes, handled, listed
from agentmem.states.totals import totals
from agentmem.types import Record, State

__all__ = ["Run", "states"]

DEED = 200  # characters of an action by which its observation is understood
_CLAIMED = ("place", "thing", "reading", "file", "outcome")
_VAGUE = ("carrying it", "carrying them", "carrying all", "carrying that", "carrying this")


@dataclass
class Run:
    """What the states of an episode's next step depend on. deed: the action it answers; date: of the last with one."""

    deed: str = ""
    date: str = ""
    totals: dict[str, int] = field(default_factory=dict)

    @classmethod
    def after(cls, last: Record, known: Iterable[State]) -> Run:
        """The run of an episode whose last step this is; known: the states of its steps, in log order."""
        run = cls(deed=last.text[:DEED] if last.kind == "action" else "")
        for state in known:
            if state.form == "date":
                run.date = state.value
            elif state.form == "total":
                run.totals[state.key] = int(state.value)
        return run

    @property
    def idle(self) -> bool:
        """Whether a new run would do as well."""
        return not (self.deed or self.date or self.totals)


def states(step: Record, source: Source, run: Run) -> list[State]:
    """The states of a step, one for each form and key; `run` moves on to the next step of the episode."""
    found = {(state.form, state.key): state for state in _dated(step, run)}
    for state in _claimed(source):
        found.setdefault((state.form, state.key), state) if state.form == "place" else found.update(_named(state))
    if source.kind == "action":
        for one in changes(step):
            found.update(_named(one))
    else:
        for one in (*handled(step, run.deed), *listed(step)):
            found.update(_named(one))
        totals(step, run.totals, found)
    run.deed = source.text[:DEED] if source.kind == "action" else ""
    return list(found.values())


def _named(state: State) -> dict[tuple[str, str], State]:
    return {(state.form, state.key): state}


def _claimed(source: Source) -> Iterable[State]:
    for claim in claims(source):
        if claim.form in _CLAIMED and claim.key not in _VAGUE:
            yield State(source.position, claim.form, claim.key, claim.value.casefold())


def _dated(step: Record, run: Run) -> Iterator[State]:
    """The date of a step, where it is another than before."""
    date = (json.loads(step.body).get("at") or "")[:10] if '"at"' in step.body else ""
    if date and date != run.date:
        run.date = date
        yield State(step.position, "date", "date", date)
