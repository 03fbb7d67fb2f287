"""What a domain gives to a shift: tools over a database, customers, what they promise, tickets of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.random import Generator

from agentmem_envs.calls import Call
from agentmem_envs.shift.schema import Schema
from agentmem_envs.shift.tickets import Decision, Place, RowAt, Ticket


class Side(Protocol):
    """The tools over one database of its own."""

    def do(self, call: Call) -> str:
        """What the tool answers. Raises Refused; a call that fits the schema raises nothing else."""

    def row(self, place: Place) -> Any:
        """A row as it stands, to read and to compare; None where there is none."""


@dataclass(frozen=True)
class Promise:
    """What a customer says now and needs later. `said` and `back` are read by the agent; only `said` has the value.

    `form` names the values that can stand in for this one, `spare` some that are never shown, `words` how a value is
    said. `other` is a second valid value, which the customer takes if the first sells out (`sells`), or may come to
    prefer. `shows` are values that `said` and `back` may name. `check` looks at rows after the right
    call; None where the desk's own row tells.
    """

    kind: str
    form: str
    value: str
    said: str
    back: str
    make: Callable[[str], Call]
    check: Callable[[RowAt, str], bool] | None
    spare: Sequence[str]
    other: str | None = None
    sells: bool = False
    words: Callable[[str], str] = str
    shows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Visit:
    """A customer's first visit: the look-ups that it takes."""

    name: str
    decisions: Sequence[Decision]


class Material(Protocol):
    """A domain in one shift: what is used up is used up."""

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of promises."""

    @property
    def topics(self) -> Sequence[str]:
        """What rules can be about, such as products."""

    @property
    def customers(self) -> Sequence[str]:
        """Who may come, in this order."""

    def side(self) -> Side:
        """The tools over a fresh copy of the database."""

    def visit(self, customer: str) -> Visit: ...

    def promise(self, customer: str, kind: str) -> Promise | None:
        """None where the customer has nothing left to promise of the kind."""

    def verbatim(self) -> Ticket | None:
        """A ticket of the material's own, each once; None where there is none left."""


class Domain(Protocol):
    """What all shifts of a domain share."""

    schema: Schema
    writes: frozenset[str]

    def places(self, side: Side, call: Call) -> Sequence[Place]:
        """The rows that a call may change."""

    def owner(self, side: Side, place: Place) -> str | None:
        """Whose row it is; None for nobody's."""

    def open(self, split: str, rng: Generator, drift: bool) -> Material:
        """The material of one shift, in which promises may change or not."""


def some(rng: Generator, values: Sequence[Any], number: int) -> list[Any]:
    """At most `number` different places of a sequence, in random order."""
    return [values[int(i)] for i in rng.permutation(len(values))[:number]]
