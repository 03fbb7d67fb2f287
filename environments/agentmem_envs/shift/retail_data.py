"""tau2's retail database and the tools over it, whose customers are whose, and what tau2's own tickets show of it."""

import json
import re
from collections import Counter
from functools import cache
from typing import Any

from agentmem_envs.calls import Call, Refused
from agentmem_envs.shift import tau2, tau2_domain, tau2_tickets
from agentmem_envs.shift.stock import apart, in_split
from agentmem_envs.shift.table import Table
from agentmem_envs.shift.tickets import Place

TOOLS = tuple(
    "find_user_id_by_name_zip find_user_id_by_email get_user_details get_order_details get_product_details "
    "list_all_product_types cancel_pending_order exchange_delivered_order_items modify_pending_order_address "
    "modify_pending_order_items modify_pending_order_payment modify_user_address return_delivered_order_items".split()
)
DOMAIN = "retail"
LOOKUPS = ("find", "get", "list")
FROZEN = {
    "train": tuple("0 1 16 23 28 29 34 43 44 48 52 73 75 76 78 80 81 85 87 89 96 106 107 109 110 112".split()),
    "test": tuple("40 74 79 90 108".split()),
}
"""Ids of tau2's tasks; the rule is in `tau2_tickets`."""
TOLD = ("known_info", "reason_for_call")


@cache
def base() -> Any:
    """tau2's database, shared by every shift: copy what changes."""
    kind = tau2.module("retail.data_model").RetailDB
    return kind.model_validate(tau2.data(DOMAIN, "db.json"))


class RetailSide:
    """tau2's own tools over a copy of the database."""

    def __init__(self) -> None:
        kept = base()
        self.tools = tau2.module("retail.RetailAgentTools").RetailAgentTools(initialized=True)
        self.orders: Table[Any] = Table(kept.orders)
        self.tables = {"users": Table(kept.users), "orders": self.orders}
        self.tools.db = type(kept).model_construct(products=kept.products, **self.tables)

    def do(self, given: Call) -> str:
        try:
            return str(getattr(self.tools, given.tool)(**given.args))
        except tau2.ToolError as refusal:
            raise Refused(str(refusal)) from None

    def row(self, place: Place) -> Any:
        return tau2_domain.row(self.tables, place)


@cache
def strangers() -> frozenset[str]:
    """The customers of tau2's tasks: only its own tickets are about them."""
    text = json.dumps(tau2.data(DOMAIN, "tasks.json"))
    named = {user for user in base().users if user in text}
    return frozenset(named | {order.user_id for id, order in base().orders.items() if id in text})


@cache
def people(split: str) -> tuple[list[str], list[str]]:
    """The customers of a split who ordered something, and those who did not; no two share a name."""
    chosen = apart(base().users, strangers(), full_name, split)
    return [id for id in chosen if base().users[id].orders], [id for id in chosen if not base().users[id].orders]


@cache
def names() -> list[tuple[str, str]]:
    """(name, split) of all users; each name is of one split."""
    users = base().users
    first = {full_name(users[id]): id for id in sorted(users, reverse=True)}
    return [(name, "train" if in_split(first[name], "train") else "test") for name in sorted(first)]


@cache
def places(split: str) -> dict[str, Any]:
    """Addresses by their first line, which no ticket of tau2's shows and which is not within another."""
    read = "\n".join(tau2_tickets.answer(task, TOLD, RetailSide) for task in tickets(split))
    lines = Counter(user.address.address1 for user in base().users.values())
    addresses = {
        user.address.address1: user.address
        for id, user in base().users.items()
        if in_split(id, split) and id not in strangers() and user.address.address1 not in read
    }
    alone = [line for line in addresses if sum(number for each, number in lines.items() if line in each) == 1]
    return {line: addresses[line] for line in alone}


def tickets(split: str) -> list[tau2_tickets.Task]:
    return tau2_tickets.tasks(DOMAIN, FROZEN[split])


def named(given: Call) -> str | None:
    """The customer whose row or whose order a call names."""
    order = base().orders.get(given.args.get("order_id", ""))
    return order.user_id if order else given.args.get("user_id")


@cache
def shown_items(split: str) -> dict[str, list[str]]:
    """The items that each ticket of tau2's shows, by its id."""
    answers = {task["id"]: tau2_tickets.answer(task, TOLD, RetailSide) for task in tickets(split)}
    return {id: sorted(set(re.findall(r"\d{10}", answer))) for id, answer in answers.items()}


def full_name(user: Any) -> str:
    return f"{user.name.first_name} {user.name.last_name}"
