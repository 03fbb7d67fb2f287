"""Tickets and the decisions they are made of. Values only: who comes when is the roster's, what is right the desk's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.random import Generator

from agentmem_envs.calls import Call
from agentmem_envs.shift.facts import Fact
from agentmem_envs.shift.schema import Schema

Place = tuple[str, str]
"""A row: its table and its key."""
RowAt = Callable[[Place], Any]
"""Gives a row as it stands, to read; None where there is none."""
Check = Callable[[RowAt], bool]
"""Looks at the live database after the right call: does it stand as the ticket says it should?"""
Others = Callable[[Generator], Sequence[Call]]
"""Calls that could be right for another ticket."""


@dataclass(frozen=True)
class Hidden:
    """What a decision needs and no window has: the right `value` of a form, from one fact or from joined ones.

    `beside` are values that must stand among the candidates: what was superseded, a second choice.
    """

    facts: tuple[Fact, ...]
    value: str
    make: Callable[[str], Call]
    form: str
    spare: Sequence[str]
    beside: tuple[str, ...] = ()
    stale: str | None = None

    @property
    def kind(self) -> str:
        return self.facts[-1].kind


@dataclass
class Decision:
    """One step of a ticket: the text that asks for it, the right call, and what is told along with it.

    adds: arguments that tools take from then on.
    """

    say: str
    call: Call
    others: Others = lambda rng: ()
    reply: Callable[[str], str] = lambda result: "Done."
    hidden: Hidden | None = None
    check: Check | None = None
    shows: list[tuple[str, str]] = field(default_factory=list)
    then: list[Callable[[int], None]] = field(default_factory=list)
    adds: Schema = field(default_factory=dict)


@dataclass
class Ticket:
    """One matter of one customer, `owner` in the database; announcements have none."""

    kind: str
    name: str
    decisions: list[Decision]
    owner: str | None = None
    source: Literal["generated", "tau2"] = "generated"
    topics: tuple[str, ...] = ()
    id: str = ""
    at: int = 0
    outcome: str = ""
    right: bool = True

    @property
    def decision(self) -> Decision:
        return self.decisions[self.at]

    @property
    def hidden(self) -> bool:
        return any(decision.hidden for decision in self.decisions)

    @property
    def text(self) -> str:
        return f"[{self.id} {self.name}] {self.outcome} {self.decision.say}".replace("  ", " ")
