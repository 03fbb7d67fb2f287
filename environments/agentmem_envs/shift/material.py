"""What the desks' materials have in common: a stock of customers, and a method for each kind of promise."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentmem_envs.calls import Call
from agentmem_envs.shift.domain import Promise, some
from agentmem_envs.shift.stock import Stock
from agentmem_envs.shift.tickets import Others, Ticket


class StockMaterial:
    """A material whose customers are those of a stock. profiles: of each what the methods of his promises take, which
    subclasses have for their kinds, named as `_order` for the kind order.
    """

    def __init__(self, stock: Stock, profiles: Mapping[str, Any]) -> None:
        self.stock, self.profiles = stock, profiles
        self.customers: Sequence[str] = stock.customers
        self.bystanders = [profiles[id] for id in stock.bystanders]

    def promise(self, customer: str, kind: str) -> Promise | None:
        make: Callable[[Any], Promise | None] = getattr(self, f"_{kind}")
        return make(self.profiles[customer])

    def verbatim(self) -> Ticket | None:
        """A material without tickets of its own."""
        return None

    def others(self, make: Callable[[Any], Call]) -> Others:
        """The same call for customers who never come."""
        return lambda rng: [make(each) for each in some(rng, self.bystanders, 7)]
