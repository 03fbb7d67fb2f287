"""tau2's airline database and the tools over it, whose customers are whose, and what tau2's own tickets show of it."""

import json
import re
from functools import cache
from typing import Any

from agentmem_envs.calls import Call, Refused
from agentmem_envs.shift import tau2, tau2_domain, tau2_tickets
from agentmem_envs.shift.stock import apart, in_split
from agentmem_envs.shift.table import Table
from agentmem_envs.shift.tickets import Place

TOOLS = tuple(
    "get_user_details get_reservation_details get_flight_status list_all_airports search_direct_flight "
    "search_onestop_flight book_reservation cancel_reservation send_certificate update_reservation_baggages "
    "update_reservation_flights update_reservation_passengers".split()
)
DOMAIN = "airline"
LOOKUPS = ("get", "list", "search")
FROZEN = {"train": tuple("15 20 39 40 42".split()), "test": tuple("18 44".split())}
"""Ids of tau2's tasks; the rule is in `tau2_tickets`."""
TOLD = ("known_info", "reason_for_call", "task_instructions")


@cache
def base() -> Any:
    """tau2's database, shared by every shift: copy what changes."""
    kind = tau2.module("airline.data_model").FlightDB
    return kind.model_validate(tau2.data(DOMAIN, "db.json"))


class AirlineSide:
    """tau2's own tools over a copy of the database."""

    def __init__(self) -> None:
        kept = base()
        self.tools = tau2.module("airline.AirlineAgentTools").AirlineAgentTools(initialized=True)
        self.reservations: Table[Any] = Table(kept.reservations)
        self.tables = {"users": Table(kept.users), "reservations": self.reservations, "flights": Table(kept.flights)}
        self.tools.db = type(kept).model_construct(**{**self.tables, "flights": kept.flights})

    def do(self, given: Call) -> str:
        if given.tool == "book_reservation":  # the one tool that changes flights, which are long to copy
            self.tools.db.flights = self.tables["flights"]
        try:
            return str(getattr(self.tools, given.tool)(**given.args))
        except (tau2.ToolError, ValueError, TypeError, KeyError) as refusal:  # tau2 takes the objects' fields unchecked
            raise Refused(str(refusal)) from None

    def row(self, place: Place) -> Any:
        return tau2_domain.row(self.tables, place)


def tickets(split: str) -> list[tau2_tickets.Task]:
    return tau2_tickets.tasks(DOMAIN, FROZEN[split])


def named(given: Call) -> str | None:
    """The customer whose row or whose reservation a call names."""
    reservation = base().reservations.get(given.args.get("reservation_id", ""))
    return reservation.user_id if reservation else given.args.get("user_id")


@cache
def strangers() -> frozenset[str]:
    """The customers of tau2's tasks: only its own tickets are about them."""
    text = json.dumps(tau2.data(DOMAIN, "tasks.json"))
    booked = {reservation.user_id for id, reservation in base().reservations.items() if id in text}
    return frozenset(booked | {user for user in base().users if user in text})


@cache
def people(split: str) -> tuple[list[str], list[str]]:
    """The customers of a split who booked something, and those who did not; no two share a name."""
    chosen = apart(base().users, strangers(), full_name, split)
    return [id for id in chosen if base().users[id].reservations], [
        id for id in chosen if not base().users[id].reservations
    ]


@cache
def shown(split: str) -> str:
    """All that tau2's tickets show."""
    return "\n".join(tau2_tickets.answer(task, TOLD, AirlineSide) for task in tickets(split))


@cache
def shown_flights(split: str) -> list[str]:
    return sorted(set(re.findall(r"HAT\d{3}", shown(split))))


@cache
def births(split: str) -> list[str]:
    """Dates of birth of a split that no ticket of tau2's shows."""
    read = shown(split)
    dates = dict.fromkeys(person.dob for user in base().users.values() for person in user.saved_passengers)
    return [date for date in dates if in_split(date, split) and date not in read]


def full_name(person: Any) -> str:
    return f"{person.name.first_name} {person.name.last_name}"
