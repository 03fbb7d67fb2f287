"""Who comes when. Depends on the seed and the settings alone, never on what a policy does.

Keeps the share of tickets that turn on a hidden fact near HIDDEN: whenever it is behind and somebody can come back, he
does. Knows no tools and grades nothing.
"""

from collections.abc import Sequence

from numpy.random import Generator

from agentmem_envs.calls import call
from agentmem_envs.shift.domain import Material, some
from agentmem_envs.shift.facts import Told
from agentmem_envs.shift.promises import Promises
from agentmem_envs.shift.rules import Rule, Rules, announcement, code
from agentmem_envs.shift.tickets import Check, Decision, RowAt, Ticket

HIDDEN = 0.6
"""The share of tickets that turn on a hidden fact."""
RULED, RULED_BACK = 0.2, 0.2
"""The shares of hidden tickets that turn on a rule alone, and of returning customers' that also do."""
EARLY, ANNOUNCED, SUPERSEDED, VERBATIM = 0.3, 0.06, 0.2, 0.15
"""The shares of visible tickets that announce a rule before the first can be needed and after, that change one (under
drift), and that are the material's own."""


class Roster:
    """Gives the next ticket whenever one of the open ones is done."""

    def __init__(self, material: Material, told: Told, rng: Generator, steps: int, days: int, drift: bool) -> None:
        self.material, self.told, self.rng, self.drift = material, told, rng, drift
        self.rules = Rules(material.topics, drift, told, rng)
        self.promises = Promises(material, told, self.rules, steps, drift, rng)
        self.codes = [self.rules.fresh(code) for _ in range(16)]
        self.day, self.day_length = 0, steps // days
        self.arrived = self.hidden = 0

    def arrive(self, step: int, busy: Sequence[str]) -> Ticket:
        """The next ticket; `busy` are the topics of the open ones."""
        ticket = self._next(step, busy)
        self.arrived += 1
        self.hidden += ticket.hidden
        ticket.id = f"T{self.arrived}"
        for decision in ticket.decisions:
            if decision.hidden and decision.check is None:
                decision.check = _noted(ticket.id, decision.call.tool, decision.hidden.value)
        return ticket

    def _next(self, step: int, busy: Sequence[str]) -> Ticket:
        if step // self.day_length > self.day:
            self.day += 1
            days = [f"day {day}" for day in range(1, 11)]
            return announcement("Supervisor", "Good morning.", f"day {self.day + 1}", days)
        behind = self.hidden < HIDDEN * (self.arrived + 1)
        return (self._hidden(step) if behind else None) or self._visible(step, busy)

    def _hidden(self, step: int) -> Ticket | None:
        due = self.promises.due(step)
        rule = self.rules.needed(step) if not due or self.rng.random() < RULED else None
        if rule:
            return (self._first(rule) if self.rng.random() < 0.5 else None) or self._walk_in(rule)
        if not due:
            return None
        owed = due[int(self.rng.integers(len(due)))]
        decision = self.promises.take(owed)
        rule = self.rules.needed(step) if self.rng.random() < RULED_BACK else None
        last = [] if decision.call.tool == "close_ticket" else self._last(rule)
        return Ticket("return", owed.name, [decision, *last], owner=owed.customer, topics=_topics(rule))

    def _visible(self, step: int, busy: Sequence[str]) -> Ticket:
        if ticket := self.promises.change(step):
            return ticket
        early = step < self.told.delay
        makers = (
            (EARLY if early else ANNOUNCED, self.rules.announce),
            (SUPERSEDED if self.drift else 0.0, lambda: self.rules.supersede(step, busy)),
            (VERBATIM, self.material.verbatim),
        )
        chance = self.rng.random()
        for share, make in makers:
            if 0 <= chance < share and (ticket := make()):
                return ticket
            chance -= share
        return self._first(None) or self.rules.announce() or self._walk_in(None)

    def _first(self, rule: Rule | None) -> Ticket | None:
        """A first visit: look-ups, and two things said for later. None while all customers are owed something."""
        if not self.promises.free:
            return None
        customer = self.promises.free.pop(0)
        visit = self.material.visit(customer)
        last = self._last(rule)
        for decision in (visit.decisions[-1], last[0]):
            self.promises.add(customer, visit.name, decision)
        return Ticket("first", visit.name, [*visit.decisions, *last], owner=customer, topics=_topics(rule))

    def _walk_in(self, rule: Rule | None) -> Ticket:
        return Ticket("walk-in", "Walk-in", self._last(rule), topics=_topics(rule))

    def _last(self, rule: Rule | None) -> list[Decision]:
        """The end of a ticket: closed by a rule, or by a code that stands in the text."""
        if rule and rule.decision.call.tool == "close_ticket":
            return [rule.decision]
        right, *others = some(self.rng, self.codes, 8)
        wrong = [call("close_ticket", code=each) for each in others]
        close = Decision(f"Close it with code {right}.", call("close_ticket", code=right), lambda rng: wrong)
        return [rule.decision, close] if rule else [close]


def _topics(rule: Rule | None) -> tuple[str, ...]:
    return (rule.topic,) if rule else ()


def _noted(ticket: str, tool: str, value: str) -> Check:
    """The desk's own row of the ticket has the value."""

    def check(row: RowAt) -> bool:
        return value in row(("desk", ticket))[tool].values()

    return check
