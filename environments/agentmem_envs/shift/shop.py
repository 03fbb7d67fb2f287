"""A small shop: its tools over the database of `shop_data`, its customers and what they promise."""

import json
from dataclasses import asdict
from functools import cache
from typing import Any

from numpy.random import Generator

from agentmem_envs.calls import Call, Refused, call
from agentmem_envs.shift import shop_data
from agentmem_envs.shift.domain import Promise, Side, Visit, some
from agentmem_envs.shift.env import Shift
from agentmem_envs.shift.material import StockMaterial
from agentmem_envs.shift.rules import account
from agentmem_envs.shift.schema import Schema, forms
from agentmem_envs.shift.shop_data import Customer, Order
from agentmem_envs.shift.stock import Stock, in_split
from agentmem_envs.shift.table import Table
from agentmem_envs.shift.tickets import Decision, Place


class ShopSide:
    """The shop's tools. Each public method that `TOOLS` names is one; what it returns is what the agent reads."""

    def __init__(self) -> None:
        base = shop_data.base()
        self.customers, self.orders = Table(base.customers), Table(base.orders)
        self.products = base.products

    def do(self, given: Call) -> str:
        return str(getattr(self, given.tool)(**given.args))

    def row(self, place: Place) -> Any:
        table, key = place
        return self.customers.peek(key) if table == "customers" else self.orders.peek(key)

    def find_customer(self, name: str, postcode: str) -> str:
        for customer in self.customers.values():
            if (customer.name, customer.postcode) == (name, postcode):
                return customer.id
        raise Refused(f"no customer {name} at {postcode}")

    def get_customer(self, customer_id: str) -> str:
        return json.dumps(asdict(self._customer(customer_id)))

    def get_order(self, order_id: str) -> str:
        return json.dumps(asdict(self._order(order_id)))

    def get_product(self, product_id: str) -> str:
        if product_id not in self.products:
            raise Refused(f"no product {product_id}")
        return json.dumps(asdict(self.products[product_id]))

    def cancel_order(self, order_id: str) -> str:
        self._pending(order_id).status = "cancelled"
        return f"{order_id} is cancelled"

    def change_address(self, order_id: str, address: str) -> str:
        self._pending(order_id).address = address
        return f"{order_id} goes elsewhere"

    def change_item(self, order_id: str, variant: str) -> str:
        order = self._pending(order_id)
        if variant not in self.products[order.product].variants:
            raise Refused(f"the product of {order_id} has no variant {variant}")
        order.variant = variant
        return f"{order_id} has another variant"

    def change_payment(self, order_id: str, payment: str) -> str:
        order = self._pending(order_id)
        if payment not in self._customer(order.customer).payments:
            raise Refused(f"{payment} is not of the customer of {order_id}")
        order.payment = payment
        return f"{order_id} is paid otherwise"

    def refund_order(self, order_id: str, account: str) -> str:
        order = self._order(order_id)
        if order.status != "delivered":
            raise Refused(f"{order_id} is {order.status}, so there is nothing to refund")
        order.status, order.refund = "refunded", account
        return f"{order_id} is refunded"

    def change_home(self, customer_id: str, address: str) -> str:
        self._customer(customer_id).home = address
        return f"{customer_id} has moved"

    def _customer(self, id: str) -> Customer:
        if id not in self.customers:
            raise Refused(f"no customer {id}")
        return self.customers[id]

    def _order(self, id: str) -> Order:
        if id not in self.orders:
            raise Refused(f"no order {id}")
        return self.orders[id]

    def _pending(self, id: str) -> Order:
        order = self._order(id)
        if order.status != "pending":
            raise Refused(f"{id} is {order.status}; only pending orders change")
        return order


TOOLS = tuple(
    "find_customer get_customer get_order get_product cancel_order change_address change_item change_payment "
    "refund_order change_home".split()
)
SCHEMA: Schema = {tool: forms(getattr(ShopSide, tool)) for tool in TOOLS}


@cache
def people(split: str) -> tuple[list[str], list[str]]:
    """The customers of a split, and its addresses where nobody lives."""
    base = shop_data.base()
    return [id for id in base.customers if in_split(id, split)], [
        each for each in base.addresses if in_split(each, split)
    ]


class ShopMaterial(StockMaterial):
    """What one shift takes from the shop. A customer's order is promised once and then never shown again."""

    kinds = ("order", "item", "address", "payment", "refund", "identity")
    topics = shop_data.PRODUCTS

    def __init__(self, split: str, rng: Generator, drift: bool) -> None:
        self.base, self.rng, self.drift = shop_data.base(), rng, drift
        super().__init__(Stock(*people(split), rng), self.base.customers)
        self._reserved = [self.base.customers[id] for id in self.stock.reserved]
        self._accounts = [f"A{account(rng)}" for _ in range(16)]

    def side(self) -> ShopSide:
        return ShopSide()

    def visit(self, customer: str) -> Visit:
        row = self.base.customers[customer]
        name = row.name
        find = Decision(
            f"Hello, I am {name}, postcode {row.postcode}.",
            call("find_customer", name=name, postcode=row.postcode),
            self.others(lambda each: call("find_customer", name=each.name, postcode=each.postcode)),
            lambda id: f"Customer {id}.",
        )
        profile = Decision(
            "Open the profile.",
            call("get_customer", customer_id=customer),
            self.others(lambda each: call("get_customer", customer_id=each.id)),
            lambda result: f"This is the profile of {name}.",
            shows=[("identity", customer)],
        )
        return Visit(name, [find, profile, self._question(row)])

    def _free(self, row: Customer, status: str) -> Order | None:
        """An order of the customer's in this state that nothing else in the shift is about."""
        orders = [order for order in row.orders[:-1] if self.base.orders[order].status == status]
        key = self.stock.use(orders)
        return self.base.orders[key] if key else None

    def _question(self, row: Customer) -> Decision:
        """About the customer's last order, of which nothing is ever promised, or about a product."""
        if self.rng.random() < 0.5:
            order = row.orders[-1]
            return Decision(
                f"{row.name}: where does my order {order} stand?",
                call("get_order", order_id=order),
                self.others(lambda each: call("get_order", order_id=each.orders[0])),
                lambda result: f"It is {json.loads(result)['status']}.",
                shows=[("order", order)],
            )
        products = list(self.base.products.values())
        product = products[int(self.rng.integers(len(products)))]
        return Decision(
            f"{row.name}: do you have the {product.name}, product {product.id}?",
            call("get_product", product_id=product.id),
            lambda rng: [call("get_product", product_id=each.id) for each in some(rng, products, 8)],
            lambda result: f"There are {len(json.loads(result)['variants'])} of the {product.name}.",
        )

    # Promises, one method for each kind.

    def _order(self, row: Customer) -> Promise | None:
        order = self._free(row, "pending")
        if order is None:
            return None
        return Promise(
            "order",
            "order",
            order.id,
            f"I may drop order {order.id}, keep it in mind.",
            "Cancel the order that I said I might drop.",
            lambda value: call("cancel_order", order_id=value),
            lambda row, value: row(("orders", value)).status == "cancelled",
            [each.orders[0] for each in self._reserved],
        )

    def _item(self, row: Customer) -> Promise | None:
        order = self._free(row, "pending")
        if order is None:
            return None
        product = self.base.products[order.product]
        known = some(self.rng, [each for each in product.variants if each != order.variant], len(product.variants))
        value, other, *spare = sorted(known, key=self.stock.used)
        if self.stock.used(other):
            return None
        self.stock.use([value])
        self.stock.use([other])
        return Promise(
            "item",
            f"item:{product.id}",
            value,
            f"For order {order.id} I would rather have the {product.name} {value}; let me sleep on it.",
            f"About order {order.id}: change it to the {product.name} that I wanted.",
            lambda value: call("change_item", order_id=order.id, variant=value),
            lambda row, value: row(("orders", order.id)).variant == value,
            spare,
            other=other,
            sells=True,
            shows=(("order", order.id),),
        )

    def _address(self, row: Customer) -> Promise | None:
        if (value := self.stock.secret()) is None or (order := self._free(row, "pending")) is None:
            return None
        return Promise(
            "address",
            "address",
            value,
            f"I am moving to {value}; I will say when.",
            f"Send order {order.id} to the new place that I told you about.",
            lambda value: call("change_address", order_id=order.id, address=value),
            lambda row, value: row(("orders", order.id)).address == value,
            self.stock.spare,
            other=self.stock.secret() if self.drift else None,
            shows=(("order", order.id),),
        )

    def _payment(self, row: Customer) -> Promise | None:
        order = self._free(row, "pending")
        if order is None:
            return None
        return Promise(
            "payment",
            "payment",
            row.payments[1],
            f"For changes to come, charge {row.payments[1]}.",
            f"Charge order {order.id} as I chose.",
            lambda value: call("change_payment", order_id=order.id, payment=value),
            lambda row, value: row(("orders", order.id)).payment == value,
            [card for each in self._reserved for card in each.payments],
            shows=(("order", order.id),),
        )

    def _refund(self, row: Customer) -> Promise | None:
        order = self._free(row, "delivered")
        if order is None:
            return None
        value, other = (f"A{account(self.rng)}" for _ in range(2))
        return Promise(
            "refund",
            "refund",
            value,
            f"If I send something back, refund it to {value}.",
            f"I have sent back order {order.id}. Refund it as I asked.",
            lambda value: call("refund_order", order_id=order.id, account=value),
            lambda row, value: row(("orders", order.id)).refund == value,
            self._accounts,
            other=other,
            shows=(("order", order.id),),
        )

    def _identity(self, row: Customer) -> Promise:
        address = self.stock.said()
        return Promise(
            "identity",
            "identity",
            row.id,
            "I will give you my new home address later.",
            f"My new home is {address}. You know me from before.",
            lambda value: call("change_home", customer_id=value, address=address),
            lambda row, value: row(("customers", value)).home == address,
            [each.id for each in self._reserved],
        )


class Shop:
    """The domain of `agentmem/ShiftShop-v0`."""

    schema = SCHEMA
    writes = frozenset(tool for tool in TOOLS if not tool.startswith(("find", "get")))

    def places(self, side: Side, given: Call) -> list[Place]:
        tables = (("orders", "order_id"), ("customers", "customer_id"))
        return [(table, given.args[name]) for table, name in tables if name in given.args]

    def owner(self, side: Side, place: Place) -> str | None:
        row = side.row(place)
        if row is None:
            return None
        return str(row.id if place[0] == "customers" else row.customer)

    def open(self, split: str, rng: Generator, drift: bool) -> ShopMaterial:
        return ShopMaterial(split, rng, drift)


class ShiftShop(Shift):
    """
    A shift at a small shop of our own, `agentmem/ShiftShop-v0`.

    Hidden are an order to cancel (`order`), the variant that is wanted (`item`), where an order goes (`address`), how
    it is paid (`payment`), the account of a refund (`refund`) and who a customer is (`identity`).
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(Shop(), **settings)
