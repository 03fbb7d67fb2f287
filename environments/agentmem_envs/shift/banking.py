"""tau2's banking: its own tools and documents, its callers, and what they promise."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from numpy.random import Generator

from agentmem_envs.calls import Call, call
from agentmem_envs.shift import tau2
from agentmem_envs.shift.banking_data import (
    CHECKING,
    COMMON,
    FREEZE,
    GLANCED,
    LOOKUPS,
    OPEN,
    REWARDS,
    ROWS,
    SHOWN,
    STATEMENT,
    TOOLS,
    UNLOCK,
    USE,
    BankingSide,
    Customer,
    Document,
    aliases,
    customers,
    documents,
    manuals,
    owners,
    people,
    stem,
)
from agentmem_envs.shift.domain import Promise, Side, Visit, some
from agentmem_envs.shift.env import Shift
from agentmem_envs.shift.material import StockMaterial
from agentmem_envs.shift.rules import letters
from agentmem_envs.shift.schema import Schema, forms
from agentmem_envs.shift.stock import Fresh, Stock
from agentmem_envs.shift.tickets import Decision, Place

TOPICS = (
    "Blue Account|Green Account|Silver Account|Gold Account|Evergreen Account|Bronze Rewards Card|Silver Rewards Card|"
    "Gold Rewards Card|Platinum Rewards Card|EcoCard|Business Checking|Business Savings|Bank Transfers|ATM Deposits|"
    "Debit Card Orders|PIN Changes|Referral Bonuses|Cash Back|Annual Fees|Late Fees|Interest|Credit Limits|"
    "Travel Notices|Paper Statements"
).split("|")
_AMOUNT = re.compile(r"(?=(\d\d\.\d\d))")
SPARE = 60
"""Values of a kind that are never shown: so many that none is offered often."""
MANUALS = 0.6
"""The share of first visits that open a document with a tool in it, while there are any."""


class BankingMaterial(StockMaterial):
    """What one shift takes from tau2's banking. Of a customer each kind is promised once, about rows of its own. The
    names of the tools are drawn too, which both sides of the shift then have.
    """

    kinds = ("tool", "verification", "email", "credit", "card", "rewards")
    topics = TOPICS

    def __init__(self, split: str, rng: Generator, drift: bool) -> None:
        self.names, self.rng, self.drift = aliases(rng), rng, drift
        super().__init__(Stock(people(split), [], rng), customers())
        self._manuals, self._papers = (some(rng, each, len(each)) for each in manuals())
        self._read: list[str] = []
        """Tools that a document has told."""
        self._reading: list[str] = []
        """Those that the visit at hand tells."""
        self._fresh = Fresh(rng)
        makers = (_time, _email_address, _amount, _card_id, _transaction_id)
        self._spare = {make: [self._fresh(make) for _ in range(SPARE)] for make in makers}
        self._stems = {tool: [f"{stem(tool)}_{number}" for number in self._others_of(tool)] for tool in self.names}

    def side(self) -> BankingSide:
        return BankingSide(self.names)

    def visit(self, customer: str) -> Visit:
        who = customers()[customer]
        manual = bool(self._manuals) and self.rng.random() < MANUALS
        paper = (self._manuals if manual else self._papers).pop()
        if not manual:
            self._papers.insert(0, paper)
        read = Decision(
            f"Hello, I am {who.name}, user id {who.id}. Open the document on {paper.title}, {paper.id}.",
            call(OPEN, document_id=paper.id),
            lambda rng: [call(OPEN, document_id=each) for each in some(rng, list(documents()), 7)],
            lambda result: result[: SHOWN if manual else GLANCED],
        )
        cards = Decision(
            f"Look at the credit cards of user id {who.id}.",
            call("get_credit_card_accounts_by_user", user_id=who.id),
            self.others(lambda each: call("get_credit_card_accounts_by_user", user_id=each.id)),
            lambda result: "These are all.",
        )
        self._tell(paper, cards)
        return Visit(who.name, [read, cards])

    def _tell(self, paper: Document, decision: Decision) -> None:
        """The decision's text has the document, and so the tools that it names; from then on they are known."""
        tools = [tool for tool in paper.tools if tool not in COMMON]
        decision.shows += [(_form(tool), self.names[tool]) for tool in tools]
        self._reading = [tool for tool in tools if sum(stem(tool) == stem(each) for each in self.names) == 1]
        decision.then.append(lambda step, told=tuple(self._reading): self._read.extend(told))  # type: ignore[misc]

    def _others_of(self, tool: str) -> list[int]:
        """Digits that no tool has; always the same seven beside a tool, so that counting them tells nothing."""
        taken = {int(alias[-4:]) for alias in self.names.values()}
        return [number for number in some(self.rng, range(1000, 10_000), 60) if number not in taken][:7]

    # Promises, one method for each kind.

    def _once(self, customer: Customer, kind: str) -> bool:
        return self.stock.use([f"{kind} {customer.id}"]) is not None

    def _tool(self, customer: Customer) -> Promise | None:
        known = dict.fromkeys(self._reading + self._read)
        free = [tool for tool in known if not self.stock.used(f"{tool} {customer.id}")]
        if not free:
            return None
        tool = free[int(self.rng.integers(len(free)))]
        self.stock.use([f"{tool} {customer.id}"])
        wish = stem(tool).replace("_", " ")
        return Promise(
            "tool",
            _form(tool),
            self.names[tool],
            f"One day I will ask you to {wish}.",
            f"Now please {wish}: unlock the tool that a document has for it; user id {customer.id}.",
            lambda value: call(UNLOCK, agent_tool_name=value, user_id=customer.id),
            lambda row, value: bool(row((f"{UNLOCK} {value}", customer.id))),
            self._stems[tool],
        )

    def _verification(self, customer: Customer) -> Promise | None:
        if not self._once(customer, "verification"):
            return None
        user = {key: str(customer.user[key]) for key in ("name", "user_id", "address", "email", "phone_number")}
        user["date_of_birth"] = customer.user["date_of_birth"]
        value = self._fresh(_time)
        return Promise(
            "verification",
            "time",
            value,
            f"You have verified me at {value}; that is still to be logged.",
            f"Log my verification with the time at which you made it: {', '.join(user.values())}.",
            lambda value: call("log_verification", **user, time_verified=value),
            lambda row, value: row(("verification_history", customer.id))[-1]["time_verified"] == value,
            self._spare[_time],
        )

    def _email(self, customer: Customer) -> Promise | None:
        if not self._once(customer, "email"):
            return None
        value = self._fresh(_email_address)
        return Promise(
            "email",
            "email",
            value,
            f"I am about to get the address {value}; I will say when.",
            f"My new address works. Change it for user id {customer.id}.",
            lambda value: call("change_user_email", user_id=customer.id, new_email=value),
            lambda row, value: row(("users", customer.id))["email"] == value,
            self._spare[_email_address],
            other=self._fresh(_email_address) if self.drift else None,
        )

    def _credit(self, customer: Customer) -> Promise | None:
        checking = customer.rows("accounts", **{"class": "checking", "status": "OPEN"})
        cards = customer.rows("credit_card_accounts")
        if not (checking or cards) or not self._once(customer, "credit"):
            return None
        value, tool = self._fresh(_amount), CHECKING if checking else STATEMENT
        more = (
            {"account_id": checking[0], "credit_type": "fee_refund"}
            if checking
            else {"user_id": customer.id, "credit_card_account_id": cards[0], "reason": "goodwill_adjustment"}
        )
        return Promise(
            "credit",
            "credit",
            value,
            f"I was promised the credit of {value} dollars; book it when I say so.",
            f"Book the credit that I was promised for user id {customer.id}, {self._asks(tool, more)}.",
            lambda value: self._use(tool, customer, {**more, "amount": float(value)}),
            lambda row, value: any(_credited(each, value) for each in row(("added", customer.id))),
            self._spare[_amount],
            other=self._fresh(_amount),
            sells=True,
            words=lambda value: f"the credit of {value} dollars",
        )

    def _card(self, customer: Customer) -> Promise | None:
        cards = customer.rows("debit_cards", status="ACTIVE")
        if not cards or not self._once(customer, "card"):
            return None
        value, *others = some(self.rng, cards, 2)
        return Promise(
            "card",
            "card",
            value,
            f"I may want to freeze debit card {value}, keep it in mind.",
            f"Freeze the card that I spoke of for user id {customer.id}, {self._asks(FREEZE, {})}.",
            lambda value: self._use(FREEZE, customer, {"card_id": value}),
            lambda row, value: row(("debit_cards", value))["status"] == "FROZEN",
            self._spare[_card_id],
            other=others[0] if others and self.drift else None,
        )

    def _rewards(self, customer: Customer) -> Promise | None:
        spent = customer.rows("credit_card_transaction_history")
        if not spent or not self._once(customer, "rewards"):
            return None
        value, *others = some(self.rng, spent, 2)
        points = {"new_rewards_earned": f"{self.rng.integers(100, 1000)} points"}
        return Promise(
            "rewards",
            "transaction",
            value,
            f"Transaction {value} may have wrong points, keep it in mind.",
            f"Correct the points of the one that I named for user id {customer.id}, {self._asks(REWARDS, points)}.",
            lambda value: self._use(REWARDS, customer, {"transaction_id": value, **points}),
            lambda row, value: row((ROWS["transaction_id"], value))["rewards_earned"] == points["new_rewards_earned"],
            self._spare[_transaction_id],
            other=others[0] if others and self.drift else None,
        )

    def _asks(self, tool: str, arguments: Mapping[str, str]) -> str:
        return ", ".join((f"by {self.names[tool]}", *(f"{name} {value}" for name, value in arguments.items())))

    def _use(self, tool: str, customer: Customer, arguments: Mapping[str, Any]) -> Call:
        return call(USE, agent_tool_name=self.names[tool], user_id=customer.id, arguments=dict(arguments))


def _time(rng: Generator) -> str:
    second = int(rng.integers(3600, 72_000))
    return f"2025-11-14 {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} EST"


def _email_address(rng: Generator) -> str:
    return f"{letters(rng, 3).lower()}{rng.integers(1000, 10_000)}@example.org"


def _amount(rng: Generator) -> str:
    """None that stands in a document."""
    while (cents := int(rng.integers(1001, 10_000))) % 10 == 0 or f"{cents / 100}" in _printed_amounts():
        pass
    return f"{cents / 100}"


def _card_id(rng: Generator) -> str:
    return f"dbc_{rng.bytes(5).hex()}"


def _transaction_id(rng: Generator) -> str:
    return f"txn_{rng.bytes(5).hex()}"


def _form(tool: str) -> str:
    return f"tool:{stem(tool)}"


def _credited(row: Mapping[str, Any], value: str) -> bool:
    return row.get("amount") == float(value) or row.get("transaction_amount") == f"-${value}"


@cache
def _printed_amounts() -> frozenset[str]:
    return frozenset(each for paper in documents().values() for each in _AMOUNT.findall(paper.content))


class Banking:
    """The domain of `agentmem/ShiftBanking-v0`. Raises MissingExtraError where tau2's material is not installed."""

    def __init__(self) -> None:
        tools = tau2.module("banking.BankingAgentTools").BankingAgentTools
        own = {name: forms(getattr(tools, name)) for name in TOOLS}
        unlock = {"agent_tool_name": "string", "user_id": "string"}
        self.schema: Schema = {
            **own,
            OPEN: {"document_id": "string"},
            UNLOCK: unlock,
            USE: {**unlock, "arguments": "object"},
        }
        self.writes = frozenset(name for name in self.schema if not name.startswith(LOOKUPS))

    def places(self, side: Side, given: Call) -> list[Place]:
        user, named = given.args.get("user_id", ""), given.args.get("agent_tool_name", "")
        if given.tool == UNLOCK:
            return [(f"{UNLOCK} {named}", user)]
        if given.tool == USE:
            adds = isinstance(side, BankingSide) and side.tool.get(named) in (CHECKING, STATEMENT)
            found = [(table, given.args["arguments"].get(name)) for name, table in ROWS.items()]
            rows = [(table, id) for table, id in found if isinstance(id, str)]
            return [("added" if adds else "callers", user), *rows]
        return [("users" if given.tool == "change_user_email" else "verification_history", user)]

    def owner(self, side: Side, place: Place) -> str | None:
        return owners().get(place[1])

    def open(self, split: str, rng: Generator, drift: bool) -> BankingMaterial:
        return BankingMaterial(split, rng, drift)


class ShiftBanking(Shift):
    """
    A shift at tau2's bank, `agentmem/ShiftBanking-v0`; needs `pip install --no-deps inspect-evals==0.26.0`. None of its
    tickets is tau2's own.

    Hidden are the name of a tool that a document told (`tool`), when a customer was verified (`verification`), his new
    address (`email`), a promised credit (`credit`), a debit card to freeze (`card`) and a transaction to put right
    (`rewards`). `unlock_discoverable_agent_tool` and `call_discoverable_agent_tool` take the customer's `user_id` too,
    and the latter its `arguments` as an object; `open_document` is ours.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(Banking(), **settings)
