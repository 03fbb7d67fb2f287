"""Standing rules that the supervisor announces once: closing codes, goodwill accounts, under drift a new argument.

Knows which topic has which rule and whether it can be needed; not who comes when.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from numpy.random import Generator

from agentmem_envs.calls import Call, call
from agentmem_envs.shift.domain import some
from agentmem_envs.shift.facts import Fact, Told
from agentmem_envs.shift.schema import Schema
from agentmem_envs.shift.stock import Fresh
from agentmem_envs.shift.tickets import Decision, Hidden, Ticket

LETTERS = "ACDEFHJKLMNPQRTUVWXY"


@dataclass(frozen=True)
class RuleKind:
    """One kind of rule: how its values look, how it is announced, superseded, asked for; what tools take by it."""

    name: str
    value: Callable[[Generator], str]
    says: str
    again: str
    asks: str
    make: Callable[[str], Call]
    adds: Schema = field(default_factory=dict)


def letters(rng: Generator, number: int) -> str:
    """So many capital letters."""
    return "".join(LETTERS[int(i)] for i in rng.integers(len(LETTERS), size=number))


def code(rng: Generator) -> str:
    """Such as QA-417."""
    return f"{letters(rng, 2)}-{rng.integers(100, 1000)}"


def account(rng: Generator) -> str:
    """Such as 48-2213."""
    return f"{rng.integers(10, 100)}-{rng.integers(1000, 10000)}"


def reference(rng: Generator) -> str:
    """Such as REF-QA41."""
    return f"REF-{letters(rng, 2)}{rng.integers(10, 100)}"


def desk(rng: Generator) -> str:
    """Such as D417-QA."""
    return f"D{rng.integers(100, 1000)}-{letters(rng, 2)}"


RULES = (
    RuleKind(
        "bulletin",
        code,
        "Bulletin: the closing code of {topic} is {value}.",
        "Bulletin: the closing code of {topic} changes. From now on it is {value}.",
        "Close it with the closing code of {topic}.",
        lambda value: call("close_ticket", code=value),
    ),
    RuleKind(
        "policy",
        account,
        "Policy: goodwill for {topic} is booked to account {value}.",
        "Policy: the clause on goodwill for {topic} is replaced. Until further notice the account is {value}.",
        "There was trouble with the {topic}. Book the goodwill for {topic} to its account.",
        lambda value: call("book_goodwill", account=value),
    ),
    RuleKind(
        "schema",
        desk,
        "Tools: for {topic}, close_ticket takes one more argument, desk, and it is {value}.",
        "Tools: for {topic}, the argument desk of close_ticket changes. From now on it is {value}.",
        "Close it with code GENERAL and the desk of {topic}.",
        lambda value: call("close_ticket", code="GENERAL", desk=value),
        {"close_ticket": {"desk": "string?"}},
    ),
)


@dataclass(frozen=True)
class Rule:
    """A decision that needs a rule, and the rule's topic."""

    decision: Decision
    topic: str


class Rules:
    """The rules in force, by kind and topic. A rule is in force from the step that shows it."""

    def __init__(self, topics: Sequence[str], drift: bool, told: Told, rng: Generator) -> None:
        self.topics, self.told, self.rng = topics, told, rng
        self.kinds = [rule for rule in RULES if drift or rule.name != "schema"]
        self.force: dict[str, dict[str, Fact]] = {rule.name: {} for rule in self.kinds}
        self.uses = dict.fromkeys(self.force, 0)
        self.fresh = Fresh(rng)
        self._unused = {rule.name: some(rng, topics, len(topics)) for rule in self.kinds}
        self.spare = {rule.name: [self.fresh(rule.value) for _ in range(16)] for rule in self.kinds}

    def announce(self) -> Ticket | None:
        """A rule for a topic that has none; None where all have."""
        open_kinds = [rule for rule in self.kinds if self._unused[rule.name]]
        if not open_kinds:
            return None
        rule = min(open_kinds, key=lambda rule: len(self.topics) - len(self._unused[rule.name]))
        return self._ticket(rule, self._unused[rule.name].pop(), ())

    def supersede(self, step: int, busy: Sequence[str]) -> Ticket | None:
        """Another value for an old rule that no open ticket turns on; None where there is no such rule."""
        old = [(rule, topic) for rule in self.kinds for topic in self._ripe(rule, step) if topic not in busy]
        if not old:
            return None
        rule, topic = old[int(self.rng.integers(len(old)))]
        return self._ticket(rule, topic, (self.force[rule.name].pop(topic).value,))

    def needed(self, step: int) -> Rule | None:
        """One that was shown long enough ago; None where none was."""
        ripe = [(rule, topics) for rule in self.kinds if (topics := self._ripe(rule, step))]
        if not ripe:
            return None
        rule, topics = min(ripe, key=lambda each: self.uses[each[0].name])
        self.uses[rule.name] += 1
        topic = topics[int(self.rng.integers(len(topics)))]
        fact = self.force[rule.name][topic]
        stale = fact.stale[-1] if fact.stale else None
        hidden = Hidden(
            (fact,), fact.value, rule.make, rule.name, self.spare[rule.name], beside=fact.stale[-1:], stale=stale
        )
        return Rule(Decision(rule.asks.format(topic=topic), rule.make(fact.value), hidden=hidden), topic)

    def _ripe(self, rule: RuleKind, step: int) -> list[str]:
        return [t for t, fact in self.force[rule.name].items() if self.told.ripe(rule.name, fact.value, step)]

    def _ticket(self, rule: RuleKind, topic: str, stale: tuple[str, ...]) -> Ticket:
        value = self.fresh(rule.value)
        fact = Fact(f"{rule.name}:{topic}:{value}", rule.name, rule.name, value, stale)
        says = (rule.again if stale else rule.says).format(topic=topic, value=value)
        ticket = announcement("Supervisor", says, topic, self.topics)
        ticket.decision.adds = rule.adds
        ticket.decision.shows.append((rule.name, value))
        ticket.decision.then.append(lambda step: self.force[rule.name].update({topic: fact}))
        ticket.topics = (topic,)
        return ticket


def announcement(name: str, says: str, subject: str, subjects: Sequence[str]) -> Ticket:
    """A ticket of one decision: say what it was about."""

    def others(rng: Generator) -> list[Call]:
        return [call("acknowledge", subject=each) for each in some(rng, subjects, 9) if each != subject]

    say = f"{says} Acknowledge with the subject {subject}."
    return Ticket("announcement", name, [Decision(say, call("acknowledge", subject=subject), others)])
