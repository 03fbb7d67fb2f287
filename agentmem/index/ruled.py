"""The rules and holds of a namespace, and which of its steps have expired by them.

Knows events, arrays, and what it is told of the bodies of steps; knows no store and no clock. The age of a step is
measured against the newest time of logging, so that which steps have expired is a function of the log alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from agentmem.index.crystals import SIXTEENTHS
from agentmem.index.cut import find
from agentmem.index.ids import STEP, step_id, step_positions
from agentmem.trust import trust_of
from agentmem.types import KINDS, Hold, Record, Rule

if TYPE_CHECKING:
    from agentmem.index.growing import Index

NONE = np.zeros(0, np.int64)


class Ruled:
    """Grows with the log of a namespace. judged: log position up to which min_salience is settled: what an expiry has
    kept is not weighed again, though its crystals are made anew.
    """

    def __init__(self) -> None:
        self.rules: tuple[Rule, ...] = ()
        self.judged = 0
        self.times = np.zeros(0)  # of logging, per record, as far as rules asked for them
        self.told_upto = 0  # log position up to which bodies of steps were told
        self.seen: tuple[int, int, float] | None = None  # what was there when this was last asked for
        self._since = 0.0
        self._holds: dict[str, tuple[float, Hold | None]] = {}
        self._about: dict[tuple[str, str], list[int]] = {}  # ("subject" or "trust", its name) -> log positions

    @property
    def holds(self) -> dict[str, Hold]:
        """By name, those that were not lifted."""
        return {name: hold for name, (_, hold) in self._holds.items() if hold is not None}

    def last(self, name: str | None) -> float:
        """When the rules, or a hold of this name, were last changed: seconds since 1970, 0 for never."""
        return self._since if name is None else self._holds.get(name, (0.0, None))[0]

    def take(self, event: Record, body: Mapping[str, Any]) -> None:
        """Take in an event: of several the latest counts, by when it was logged and not by when it was imported."""
        if event.type == "rules" and event.logged_at >= self._since:
            self.rules, self._since = rules_of(body), event.logged_at
            self.judged = 0
        elif event.type == "hold" and event.logged_at >= self.last(body["name"]):
            self._holds[body["name"]] = event.logged_at, hold_of(event, body)
        elif event.type == "erased" and body.get("request") == "expired":
            self.judged = event.position

    # ---- what it is told of steps --------------------------------------------------------------------------------

    def asks(self, rules: Sequence[Rule]) -> bool:
        """Whether bodies of steps matter to these rules, or to the holds."""
        named = any(rule.subject is not None or rule.trust is not None for rule in rules)
        return named or any(hold.subject is not None for hold in self.holds.values())

    def tell(self, record: Record) -> None:
        """Take in the body of a step."""
        if not ('"subjects"' in record.body or 'trust"' in record.body):
            return
        body = json.loads(record.body)
        trust = trust_of(body)
        for subject in dict.fromkeys(body.get("subjects", ())):
            self._about.setdefault(("subject", subject), []).append(record.position)
        if trust is not None:
            self._about.setdefault(("trust", trust), []).append(record.position)

    # ---- what has expired ----------------------------------------------------------------------------------------

    def expired(self, index: Index, rules: Sequence[Rule], now: float) -> np.ndarray:
        """Sorted log positions of the steps that have expired by rules at a time, int64."""
        log = index.columns
        steps = np.flatnonzero(log.type == STEP)
        gone = np.zeros(len(log.position), bool)
        for rule in rules:
            gone[self._beyond(index, steps[self._chosen(index, rule, steps)], rule, now)] = True
        gone[find(log.position, self.held(index))[0]] = False
        return np.asarray(log.position[gone])

    def _chosen(self, index: Index, rule: Rule, steps: np.ndarray) -> np.ndarray:
        """Which of these rows are steps that a rule is about, bool."""
        log, chosen = index.columns, np.ones(len(steps), bool)
        if rule.kind is not None:
            chosen &= log.kind[steps] == KINDS.index(rule.kind)
        if rule.agent is not None:
            chosen &= np.isin(log.episode[steps], _numbers(index, {"agent": rule.agent}))
        for what in ("subject", "trust"):
            if (name := getattr(rule, what)) is not None:
                chosen &= np.isin(log.position[steps], self._about.get((what, name), ()))
        return chosen

    def _beyond(self, index: Index, rows: np.ndarray, rule: Rule, now: float) -> np.ndarray:
        """Those of some rows that are beyond a limit of a rule. A pin counts against all limits but an age."""
        position = index.columns.position[rows]
        beyond, loose = np.zeros(len(rows), bool), ~np.isin(position, index.pins.rows[1])
        if rule.max_steps is not None:
            beyond[: max(0, len(rows) - rule.max_steps)] = True
        if rule.min_salience is not None:
            unit = index.unit[rows]
            salience = np.append(index.sealed.columns.rows[4] / SIXTEENTHS, np.inf)[unit]
            beyond |= (salience < rule.min_salience) & (position > self.judged)
        beyond &= loose
        if rule.max_age is not None:
            beyond |= self.times[rows] < now - rule.max_age.total_seconds()
        return rows[beyond]

    # ---- what is held --------------------------------------------------------------------------------------------

    def held(self, index: Index) -> np.ndarray:
        """Log positions of the steps under any hold."""
        return np.concatenate([NONE, *self._under(index).values()])

    def holding(self, index: Index, positions: Sequence[int]) -> dict[str, int]:
        """Name of a hold -> how many of these steps are under it, without those that hold none."""
        counts = {name: int(np.isin(positions, held).sum()) for name, held in self._under(index).items()}
        return {name: count for name, count in counts.items() if count}

    def _under(self, index: Index) -> dict[str, np.ndarray]:
        return {name: self.under(index, hold) for name, hold in self.holds.items()}

    def under(self, index: Index, hold: Hold) -> np.ndarray:
        """Log positions of the steps under a hold."""
        log = index.columns
        if hold.subject is not None:
            return np.array(self._about.get(("subject", hold.subject), ()), np.int64)
        if hold.episode is not None:
            mine = np.isin(log.episode, _numbers(index, {"id": hold.episode})) & (log.type == STEP)
            return np.asarray(log.position[mine])
        return np.intersect1d(log.position[log.type == STEP], step_positions(hold.steps))


def _numbers(index: Index, having: Mapping[str, str]) -> list[int]:
    """Name ids of the episodes that have something."""
    ((field, value),) = having.items()
    known = {name for name, episode in index.episodes.items() if getattr(episode, field) == value}
    return [number for number, name in index.names.items() if name in known]


def rules_of(body: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules in the body of an event."""
    return tuple(Rule.model_validate(rule) for rule in body["rules"])


def hold_of(event: Record, body: Mapping[str, Any]) -> Hold | None:
    """The hold that an event makes, None where it lifts it."""
    if not body["held"]:
        return None
    steps = tuple(map(step_id, body.get("steps", ())))
    subject, reason = body.get("subject"), body.get("reason")
    return Hold(name=body["name"], subject=subject, episode=event.episode, steps=steps, reason=reason)


def number_of(positions: np.ndarray) -> int:
    """What tells one set of log positions from another, below 2 ** 48; 0 for none."""
    return int.from_bytes(sha256(positions.tobytes()).digest()[:6]) if len(positions) else 0
