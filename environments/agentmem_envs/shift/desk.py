"""Plays each call on the live database and the right one on its twin, and says whether the call was right.

A call that changes something is right when every row that it or the right call names is then the same on both sides,
whichever way it took, and the ticket's own check of the live database holds. A look-up is right when it answers the
same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentmem_envs.calls import Call, Refused, parse
from agentmem_envs.shift.domain import Domain, Material, Side
from agentmem_envs.shift.schema import Schema, check
from agentmem_envs.shift.tickets import Place, Ticket

TOOLS: Schema = {
    "acknowledge": {"subject": "string"},
    "book_goodwill": {"account": "string"},
    "close_ticket": {"code": "string"},
}
"""The desk's own tools, as a shift begins; they write in the row of the ticket at hand."""


@dataclass(frozen=True)
class Outcome:
    """What came of a call: the call, None where the text was none; what the agent reads; was it right."""

    given: Call | None
    accepted: bool
    reply: str
    right: bool


class DeskSide:
    """One side of the desk: a domain's tools and the desk's own rows, one for each ticket."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.tickets: dict[str, dict[str, Any]] = {}

    def do(self, call: Call, ticket: str) -> str:
        if call.tool not in TOOLS:
            return self.side.do(call)
        self.tickets.setdefault(ticket, {})[call.tool] = dict(call.args)
        return "Noted."

    def row(self, place: Place) -> Any:
        return self.tickets.get(place[1]) if place[0] == "desk" else self.side.row(place)


def tools(domain: Domain) -> Schema:
    """All tools as a shift begins."""
    return {**domain.schema, **TOOLS}


class Desk:
    """The live database and its twin, on which only right calls run."""

    def __init__(self, domain: Domain, material: Material) -> None:
        self.domain = domain
        self.live, self.twin = DeskSide(material.side()), DeskSide(material.side())

    def play(self, text: object, ticket: Ticket, schema: Schema) -> Outcome:
        """Any text at all is an answer: what is no call, or is refused, is wrong and changes nothing.

        schema: the tools of now.
        """
        expected = self.twin.do(ticket.decision.call, ticket.id)
        given = None
        try:
            given = parse(text)
            check(given, schema)
            self._allow(given, ticket)
            reply = self.live.do(given, ticket.id)
        except Refused as refusal:
            return Outcome(given, False, f"Error: {_unsaid(str(refusal), given)}", False)
        return Outcome(given, True, reply, self._right(given, ticket, reply == expected))

    def _allow(self, given: Call, ticket: Ticket) -> None:
        """The policy of every desk: a ticket changes its own customer's rows, nobody else's."""
        if given.tool not in self.domain.writes:
            return
        for place in self.domain.places(self.live.side, given):
            owner = self.domain.owner(self.live.side, place)
            if owner is not None and owner != ticket.owner:
                raise Refused(f"{place[1]} is not of the customer of this ticket")

    def _right(self, given: Call, ticket: Ticket, same: bool) -> bool:
        decision = ticket.decision
        if self.writes(decision.call) != self.writes(given):
            return False
        if not self.writes(given):
            return same
        places = [*self._places(given, ticket), *self._places(decision.call, ticket)]
        equal = all(self.live.row(place) == self.twin.row(place) for place in places)
        return equal and (decision.check is None or decision.check(self.live.row))

    def writes(self, call: Call) -> bool:
        """Whether it may change something."""
        return call.tool in TOOLS or call.tool in self.domain.writes

    def _places(self, call: Call, ticket: Ticket) -> Sequence[Place]:
        return [("desk", ticket.id)] if call.tool in TOOLS else self.domain.places(self.live.side, call)


def _unsaid(message: str, given: Call | None) -> str:
    """A refusal without the values of the call: a wrong one may be what another ticket turns on."""
    for text in _texts(given.args) if given else ():
        message = message.replace(text, "that")
    return message


def _texts(given: Mapping[str, Any]) -> Iterator[str]:
    """All texts within, in their order; without recursion, as what is given may be nested as deep as JSON allows."""
    left: list[Any] = [given]
    while left:
        each = left.pop(0)
        if isinstance(each, Mapping | list):
            left[:0] = each.values() if isinstance(each, Mapping) else each
        elif isinstance(each, str) and each:
            yield each
