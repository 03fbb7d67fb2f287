"""What customers said for later: told once, changed under drift, and owed until they come back.

Knows which facts a promise rests on and from which step it may be needed. Knows no arrivals and no tools.
"""

from dataclasses import dataclass, replace

from numpy.random import Generator

from agentmem_envs.calls import call
from agentmem_envs.shift.domain import Material, Promise
from agentmem_envs.shift.facts import Fact, Told
from agentmem_envs.shift.rules import Rules, announcement, reference
from agentmem_envs.shift.tickets import Decision, Hidden, Ticket

CHANGED = 0.6
"""The share of promises that change, under drift, where they can."""
LONGEST = 2000
"""Most steps beyond the delay before a customer may come back."""
REFERENCE = "reference"
SUBJECTS = ("stock", "correction", "delivery", "invoice", "warranty", "opening hours", "staff", "parking", "returns")


@dataclass(frozen=True)
class Owed:
    """A promise to a customer, the facts it now rests on, and the step from which he may come back.

    The first fact has the right value; `beside` are values that could be taken for it, `stale` one that once was right.
    """

    customer: str
    name: str
    promise: Promise
    facts: tuple[Fact, ...]
    beside: tuple[str, ...] = ()
    stale: str | None = None
    due: int = 0


class Promises:
    """All that is owed in a shift, and the announcements that change it."""

    def __init__(self, material: Material, told: Told, rules: Rules, steps: int, drift: bool, rng: Generator) -> None:
        self.material, self.told, self.rules = material, told, rules
        self.steps, self.drift, self.rng = steps, drift, rng
        self.owed: list[Owed] = []
        self.changes: list[tuple[int, Ticket]] = []
        """Announcements, each with the step from which it is made."""
        self.free = list(material.customers)
        """Customers who are owed nothing."""
        self._open: dict[str, list[str]] = {customer: [] for customer in self.free}
        self._uses = dict.fromkeys((REFERENCE, *material.kinds), 0)
        self._spare = [rules.fresh(reference) for _ in range(16)]
        self._facts = 0

    def add(self, customer: str, name: str, decision: Decision) -> None:
        """Lets the customer say something for later along with a decision, of a kind that was said least, if he can."""
        promise = self._promise(customer)
        if promise is None:
            return
        self._uses[promise.kind] += 1
        self._open[customer].append(promise.kind)
        choice = promise.other if self.drift and promise.sells else None
        second = f" If that is sold out, {promise.words(choice)}." if choice else ""
        says = f"{name}: {promise.said}{second}"
        decision.say = f"{decision.say} {says}"
        named = [(promise.form, promise.value), (promise.form, choice or ""), *promise.shows]
        decision.shows += [(form, value) for form, value in named if value and value in says]
        decision.then.append(lambda step: self._said(Owed(customer, name, promise, ()), step))

    def due(self, step: int) -> list[Owed]:
        return [owed for owed in self.owed if owed.due <= step]

    def change(self, step: int) -> Ticket | None:
        """The announcement that has waited longest, if one is due."""
        late = min((each for each in self.changes if each[0] <= step), key=lambda each: each[0], default=None)
        if late is None:
            return None
        self.changes.remove(late)
        return late[1]

    def take(self, owed: Owed) -> Decision:
        """The decision for which a customer comes back."""
        self.owed.remove(owed)
        promise, value = owed.promise, owed.facts[0].value
        hidden = Hidden(owed.facts, value, promise.make, promise.form, promise.spare, owed.beside, owed.stale)
        decision = Decision(f"Hello, {owed.name} here again. {promise.back}", promise.make(value), hidden=hidden)
        if promise.check is not None:
            holds = promise.check
            decision.check = lambda row: holds(row, value)
        decision.shows.extend(promise.shows)
        decision.then.append(lambda step: self._served(owed.customer, promise.kind))
        return decision

    def _served(self, customer: str, kind: str) -> None:
        """A customer who is owed nothing more may come with something new."""
        self._open[customer].remove(kind)
        if not self._open[customer]:
            self.free.append(customer)

    def _promise(self, customer: str) -> Promise | None:
        order = self.rng.permutation(len(self._uses))
        kinds = sorted(zip(self._uses.values(), order, self._uses, strict=True))
        for kind in (kind for _, _, kind in kinds if kind not in self._open[customer]):
            made = self._reference() if kind == REFERENCE else self.material.promise(customer, kind)
            if made:
                return made
        return None

    def _reference(self) -> Promise:
        value, other = self.rules.fresh(reference), self.rules.fresh(reference)
        return Promise(
            REFERENCE,
            REFERENCE,
            value,
            f"When I call again, file my matter under {value}.",
            "My matter is settled, file it as I asked.",
            lambda value: call("close_ticket", code=value),
            None,
            self._spare,
            other=other,
        )

    # What is said may change, and is owed once it stands.

    def _said(self, owed: Owed, step: int) -> None:
        promise = owed.promise
        first, other = self._fact(promise, promise.value), promise.other
        changes = self.drift and other is not None and self.rng.random() < CHANGED
        if not changes or other is None:
            beside = (other,) if other and self.drift and promise.sells else ()
            self._owe(replace(owed, facts=(first,), beside=beside), step)
            return
        changed = self._fact(promise, other, stale=(first.value,))
        now = replace(owed, facts=(changed,), beside=(first.value,), stale=first.value)
        ticket = self._sold_out(now) if promise.sells else self._corrected(now)
        self.changes.append((step + 1 + int(self.rng.integers(1 + self.told.delay // 4)), ticket))

    def _sold_out(self, owed: Owed) -> Ticket:
        promise, first = owed.promise, owed.promise.value
        notice = Fact(f"stock:{first}", "stock", promise.form, first)
        ticket = announcement("Warehouse", f"{promise.words(first)} is sold out for good.", "stock", SUBJECTS)
        ticket.decision.shows.append((promise.form, first))
        joined = replace(owed, facts=(*owed.facts, notice))
        ticket.decision.then.append(lambda step: self._owe(joined, step))
        return ticket

    def _corrected(self, owed: Owed) -> Ticket:
        promise, value = owed.promise, owed.facts[0].value
        says = f"I must correct what I said: not {promise.words(promise.value)}, but {promise.words(value)}."
        ticket = announcement(owed.name, says, "correction", SUBJECTS)
        ticket.decision.shows += [(promise.form, promise.value), (promise.form, value)]
        ticket.decision.then.append(lambda step: self._owe(owed, step))
        return ticket

    def _owe(self, owed: Owed, step: int) -> None:
        left = max(0, min(LONGEST, self.steps - step - self.told.delay) // 2)
        later = int(self.rng.integers(left + 1)) if self.rng.random() < 0.5 else 0
        self.owed.append(replace(owed, due=step + self.told.delay + later))

    def _fact(self, promise: Promise, value: str, stale: tuple[str, ...] = ()) -> Fact:
        self._facts += 1
        return Fact(f"{promise.kind}:{self._facts}", promise.kind, promise.form, value, stale)
