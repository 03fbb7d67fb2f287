"""tau2's telecom: its own tools over a small database for every caller, its callers, and what they promise."""

import json
from collections.abc import Callable
from typing import Any

from numpy.random import Generator

from agentmem_envs.calls import Call, call
from agentmem_envs.shift import tau2
from agentmem_envs.shift.domain import Promise, Side, Visit, some
from agentmem_envs.shift.env import Shift
from agentmem_envs.shift.material import StockMaterial
from agentmem_envs.shift.schema import Schema, forms
from agentmem_envs.shift.stock import Stock, in_split
from agentmem_envs.shift.telecom_callers import (
    JOHN,
    OFF,
    PHONES,
    SARAH,
    UNPAID,
    Caller,
    callers,
    owners,
    people,
    tickets,
)
from agentmem_envs.shift.telecom_data import HANDSET, LOOKUPS, TOOLS, TelecomSide
from agentmem_envs.shift.telecom_tickets import ticket
from agentmem_envs.shift.tickets import Decision, Place, Ticket

MATTERS = ("roaming", "refuelling", "invoices", "suspension", "contracts")
PLANS = ("Basic Plan", "Premium Plan", "Unlimited Plus", "Family Share", "IoT Basic")
TOPICS = [f"{matter} with {plan}" for plan in PLANS for matter in MATTERS]
DEVICES = {JOHN: "D1001", SARAH: "D1004"}
LINES = {JOHN: ("L1003",), SARAH: ("L1006", "L1007", "L1008")}
"""The lines that are resumed or suspended; nothing else of a shift is about them."""
SPARE = 80
"""Values of a kind that are never shown, of callers who do not come: so many that none is offered often."""
RESUME, SUSPEND = ("resume_line", "resumed", "Active"), ("suspend_line", "suspended", "Suspended")
"""The tool, what a customer calls it, and how the line then stands."""


def amounts(split: str) -> list[str]:
    """What may be refuelled: tau2's policy allows at most 2 GB."""
    return [each for n in range(1001, 2000) if n % 10 and in_split(each := f"{n / 1000:.3f}", split)]


class TelecomMaterial(StockMaterial):
    """What one shift takes from tau2's telecom. Of a caller each kind is promised once, about rows of its own."""

    kinds = ("line", "roaming", "refuel", "phone", "bill")
    topics = TOPICS

    def __init__(self, split: str, rng: Generator, drift: bool) -> None:
        self.rng, self.drift = rng, drift
        packs = some(rng, amounts(split), len(amounts(split)))
        super().__init__(Stock(people(split), packs[SPARE:], rng), callers())
        self._packs = packs[:SPARE]
        known = some(rng, tickets(split), len(tickets(split)))
        own = {each.name: each for each in known}
        self._own = list(own.values())
        self._strangers = [each for each in known if own[each.name] is not each][:SPARE]
        self._looked: str | None = None

    def side(self) -> TelecomSide:
        return TelecomSide()

    def visit(self, customer: str) -> Visit:
        caller = callers()[customer]
        find = Decision(
            f"Hello, I am {caller.name}, born {caller.born}.",
            call("get_customer_by_name", full_name=caller.name, dob=caller.born),
            self.others(lambda each: call("get_customer_by_name", full_name=each.name, dob=each.born)),
            lambda result: f"Customer {json.loads(result)[0]['customer_id']}.",
        )
        self._looked = self.stock.use([f"met {customer}"]) and customer
        return Visit(caller.name, [find, *(self._lines(caller) if self._looked else self._device(caller))])

    def verbatim(self) -> Ticket | None:
        return ticket(self._own.pop(), self.bystanders) if self._own else None

    def _lines(self, caller: Caller) -> list[Decision]:
        """Two lines, one of them without roaming. Later visits would find what promises have changed."""
        one, two = some(self.rng, (OFF, PHONES), 2)
        id = caller.line(one)
        first = self._look("Look at line {}.", id, one, lambda result: f"Line {id}: roaming is {_roams(result)}.")
        then = self._look(
            "And at line {}.", caller.line(two), two, lambda result: f"That one: roaming is {_roams(result)}."
        )
        then.shows.append(("line", id))
        return [first, then]

    def _device(self, caller: Caller) -> list[Decision]:
        id = caller.line(DEVICES)
        return [
            self._look("Which device is {}?", id, DEVICES, lambda result: f"It is a {json.loads(result)['model']}.")
        ]

    def _look(self, says: str, id: str, old: dict[str, str], reply: Callable[[str], str]) -> Decision:
        others = self.others(lambda each: call("get_details_by_id", id=each.line(old)))
        shows = [("line", id)] if id.startswith("L") else []
        return Decision(says.format(id), call("get_details_by_id", id=id), others, reply, shows=shows)

    # Promises, one method for each kind.

    def _once(self, caller: Caller, kind: str) -> bool:
        return self.stock.use([f"{kind} {caller.id}"]) is not None

    def _spare(self, old: str) -> list[str]:
        return [each.new[old] for each in self._strangers]

    def _line(self, caller: Caller) -> Promise | None:
        """One that is suspended is wanted back; of several that work one is given up."""
        if not self._once(caller, "line"):
            return None
        value, *others = some(self.rng, [caller.new[old] for old in LINES[caller.like]], 2)
        tool, wish, status = RESUME if caller.like == JOHN else SUSPEND
        more = {} if caller.like == JOHN else {"reason": "not used for now"}
        return Promise(
            "line",
            "line",
            value,
            f"I may want line {value} {wish}, keep it in mind.",
            f"Please have the line that I spoke of {wish}; customer {caller.id}.",
            lambda value: call(tool, customer_id=caller.id, line_id=value, **more),
            lambda row, value: row(("lines", value)).status == status,
            self._spare("L1003"),
            other=others[0] if others and self.drift else None,
        )

    def _roaming(self, caller: Caller) -> Promise | None:
        """The line is found at the first visit, at which this is said."""
        if self._looked != caller.id or not self._once(caller, "roaming"):
            return None
        return Promise(
            "roaming",
            "line",
            caller.line(OFF),
            "I may go abroad with all my lines.",
            f"I am abroad. Enable roaming on the line on which you found that roaming is off; customer {caller.id}.",
            lambda value: call("enable_roaming", customer_id=caller.id, line_id=value),
            lambda row, value: bool(row(("lines", value)).roaming_enabled),
            self._spare(OFF[JOHN]),
        )

    def _refuel(self, caller: Caller) -> Promise | None:
        if not self._once(caller, "refuel"):
            return None
        value, other = self.stock.secret(), self.stock.secret()
        if value is None or other is None:
            return None
        line = caller.line(PHONES)
        return Promise(
            "refuel",
            "refuel",
            value,
            f"I may need the data pack of {value} GB; I will say when.",
            f"Refuel line {line} with the data pack that I named; customer {caller.id}.",
            lambda value: call("refuel_data", customer_id=caller.id, line_id=line, gb_amount=float(value)),
            lambda row, value: row(("lines", line)).data_refueling_gb == float(value),
            self._packs,
            other=other,
            sells=True,
            words=lambda value: f"the pack of {value} GB",
            shows=(("line", line),),
        )

    def _phone(self, caller: Caller) -> Promise | None:
        fault = caller.fault
        if fault is None or not self._once(caller, "phone"):
            return None
        tool, args = fault.mends
        return Promise(
            "phone",
            "phone",
            caller.phone,
            f"I have reseated the SIM card of phone {caller.phone}, in vain; I will call again.",
            f"About the phone of which I had already reseated the SIM card: {fault.says}.",
            lambda value: call(tool, phone_number=value, **args),
            lambda row, value: bool(row(("accounts", value)).holds(fault.holds)),
            [each.phone for each in self._strangers],
        )

    def _bill(self, caller: Caller) -> Promise | None:
        if not self._once(caller, "bill"):
            return None
        return Promise(
            "bill",
            "bill",
            caller.line(UNPAID),
            f"I will soon pay bill {caller.line(UNPAID)}, keep it in mind.",
            f"Send me a payment request for the bill that I want to pay; customer {caller.id}.",
            lambda value: call("send_payment_request", customer_id=caller.id, bill_id=value),
            lambda row, value: row(("bills", value)).status == "Awaiting Payment",
            self._spare(UNPAID[JOHN]),
        )


def _roams(result: str) -> str:
    return "on" if json.loads(result)["roaming_enabled"] else "off"


class Telecom:
    """The domain of `agentmem/ShiftTelecom-v0`. Raises MissingExtraError where tau2's material is not installed."""

    def __init__(self) -> None:
        agent = tau2.module("telecom.TelecomAgentTools").TelecomAgentTools
        user = tau2.module("telecom.TelecomUserTools").TelecomUserTools
        own = {name: forms(getattr(agent, name)) for name in TOOLS}
        handset = {name: {**forms(getattr(user, name)), "phone_number": "string"} for name in HANDSET}
        self.schema: Schema = {**own, **handset}
        self.writes = frozenset(name for name in self.schema if not name.startswith(LOOKUPS))

    def places(self, side: Side, given: Call) -> list[Place]:
        named = [("lines", "line_id"), ("bills", "bill_id"), ("customers", "customer_id"), ("handsets", "phone_number")]
        if given.tool == "refuel_data":
            named.append(("drafts", "customer_id"))
        if given.tool == "make_payment":
            named.append(("statements", "phone_number"))
        return [(table, given.args[name]) for table, name in named if name in given.args]

    def owner(self, side: Side, place: Place) -> str | None:
        return owners().get(place[1])

    def open(self, split: str, rng: Generator, drift: bool) -> TelecomMaterial:
        return TelecomMaterial(split, rng, drift)


class ShiftTelecom(Shift):
    """
    A shift at tau2's telecom desk, `agentmem/ShiftTelecom-v0`; needs `pip install --no-deps inspect-evals==0.26.0`.

    Hidden are a line to be suspended or resumed (`line`), the line that a look-up found without roaming (`roaming`),
    how many gigabytes to refuel (`refuel`), the phone whose SIM card was reseated already (`phone`) and a bill to
    be paid (`bill`). The tools of a handset take its `phone_number` too.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(Telecom(), **settings)
