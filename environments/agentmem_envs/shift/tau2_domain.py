"""What tau2's desks have in common: its tools over a copy of its database, and whose rows a call may change.

A desk has one table of what customers booked or ordered; `wallets` are the gift cards that a change to it may touch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.random import Generator

from agentmem_envs.calls import Call
from agentmem_envs.shift.domain import Material, Side
from agentmem_envs.shift.schema import Schema, forms
from agentmem_envs.shift.table import Table
from agentmem_envs.shift.tickets import Place


def row(tables: Mapping[str, Table[Any]], place: Place) -> Any:
    """A user, an order and so on; in `wallets` a user's gift cards."""
    table, key = place
    if table != "wallets":
        return tables[table].peek(key)
    user: Any = tables["users"].peek(key)
    return [each for each in user.payment_methods.values() if each.source == "gift_card"]


class Tau2Domain:
    """tools: tau2's class of them; names: those that are used, lookups: how those begin that change nothing. table,
    argument: of what customers have, and how calls name a row of it. material: what makes that of a shift.
    """

    def __init__(
        self,
        tools: Any,
        names: Sequence[str],
        lookups: tuple[str, ...],
        table: str,
        argument: str,
        material: Callable[[str, Generator, bool], Material],
    ) -> None:
        self.schema: Schema = {name: forms(getattr(tools, name)) for name in names}
        self.writes = frozenset(name for name in names if not name.startswith(lookups))
        self._table, self._argument = table, argument
        self.open = material

    def places(self, side: Side, given: Call) -> list[Place]:
        named = [(self._table, given.args.get(self._argument, "")), ("users", given.args.get("user_id", ""))]
        found = side.row(named[0])
        return [(table, key) for table, key in (*named, ("wallets", found.user_id if found else "")) if key]

    def owner(self, side: Side, place: Place) -> str | None:
        if place[0] == "wallets":
            return place[1]
        found = side.row(place)
        return None if found is None else str(found.user_id)
