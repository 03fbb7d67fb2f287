"""The state table: what came to hold at which step, as key and value, in log order. No language model, generic forms.

Knows steps one by one, with what their episode did before: an observation answers the action before it, and a gain
adds to the total so far. Knows nothing of the log, nor of what is asked. A place, a thing carried or left, a reading, a
total, a file, an outcome, a deed that changes something, a date, a list of what is carried: each is a `State`, a place,
a total and a date only where it is another than before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from agentmem.claims import claims
from agentmem.salience import Source
from agentmem.states.deeds import changes, handled, listed
from agentmem.states.totals import Found, totals
from agentmem.types import Record, State

__all__ = ["Run", "Runs", "states"]

RUNS = 256
PRICE = 30  # tokens that pay for a state
FIRST = 8  # states that an episode may begin with
DEED = 200  # characters of an action by which its observation is understood
_CLAIMED = ("place", "thing", "reading", "file", "outcome")
_VAGUE = ("carrying it", "carrying them", "carrying all", "carrying that", "carrying this")


@dataclass
class Run:
    """What the states of an episode's next step depend on: the action it answers, what held before it, and what it may
    still spend.
    """

    deed: str = ""
    date: str = ""
    place: str = ""
    totals: dict[str, int] = field(default_factory=dict)
    bank: int = FIRST * PRICE

    def spend(self, found: list[State], tokens: int) -> list[State]:
        """The states that a step can pay for."""
        self.bank += tokens
        kept = found[: max(0, self.bank // PRICE)]
        self.bank -= PRICE * len(kept)
        return kept


class Runs:
    """The runs of the RUNS episodes heard of last. known: what `to_state` gave. sparing: each state costs PRICE tokens
    of its episode, where every byte counts.
    """

    def __init__(self, known: Mapping[str, Mapping[str, Any]] | None = None, sparing: bool = False) -> None:
        self._runs = {name: Run(**{**run, "totals": dict(run["totals"])}) for name, run in (known or {}).items()}
        self._sparing = sparing

    def read(self, step: Record, source: Source) -> list[State]:
        """The states of the next step of the log."""
        run = self._runs.pop(step.episode or "", None) or Run()
        found = states(step, source, run)
        if self._sparing:
            found = run.spend(found, step.tokens)
        if run != Run():
            self._runs[step.episode or ""] = run
        if len(self._runs) > RUNS:
            del self._runs[next(iter(self._runs))]
        return found

    def to_state(self) -> dict[str, dict[str, Any]]:
        """JSON-able, and no part of it is shared."""
        return {name: asdict(run) for name, run in self._runs.items()}


def states(step: Record, source: Source, run: Run) -> list[State]:
    """The states of a step, one for each form and key; `run` moves on to the next step of the episode."""
    found: Found = {}
    for state in _claimed(source):
        if state.form != "place" or state[1:3] not in found:  # where one is stands first; others follow from it
            found[state[1:3]] = state
    done = changes(step) if source.kind == "action" else (*handled(step, run.deed), *listed(step))
    found.update((state[1:3], state) for state in (*done, *_dated(step)))
    if source.kind != "action":
        totals(step, run.totals, found)
    _forget_what_held(found, run)
    run.deed = source.text[:DEED] if source.kind == "action" else ""
    return list(found.values())


def _forget_what_held(found: Found, run: Run) -> None:
    """A place or date that holds already is no new state."""
    for form, key in (("place", "location"), ("date", "date")):
        state = found.get((form, key))
        if state is not None and state.value == getattr(run, form):
            del found[form, key]
        elif state is not None:
            setattr(run, form, state.value)


def _claimed(source: Source) -> Iterable[State]:
    for claim in claims(source):
        if claim.form in _CLAIMED and claim.key not in _VAGUE:
            yield State(source.position, claim.form, claim.key, claim.value.casefold())


def _dated(step: Record) -> Iterator[State]:
    """The day of a step: what its source says, else when it was logged, in UTC."""
    day = (json.loads(step.body).get("at") or "")[:10] if '"at"' in step.body else ""
    if not day and step.logged_at:
        day = datetime.fromtimestamp(step.logged_at, UTC).date().isoformat()
    if day:
        yield State(step.position, "date", "date", day)
