"""The database of a small shop of our own: 200 customers, 800 orders, 40 products. The same rows on every machine."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TypeVar

T = TypeVar("T")

CUSTOMERS, ORDERS, VARIANTS, SPARE_ADDRESSES = 200, 800, 16, 6000
PRODUCTS = (
    "Desk Lamp|Tea Kettle|Wool Blanket|Rain Jacket|Camp Stove|Wall Clock|Oak Stool|Bread Knife|Floor Rug|Coat Rack|"
    "Bike Pump|Yoga Mat|Hand Drill|Garden Hose|Bird Feeder|Photo Frame|Salad Bowl|Coffee Mill|Pasta Maker|Ice Bucket|"
    "Tool Box|Tent Peg Set|Head Torch|Travel Mug|Cork Board|Paper Tray|Fountain Pen|Chess Set|Kite Reel|Fish Tank|"
    "Plant Stand|Door Mat|Spice Rack|Laundry Bin|Step Ladder|Radio Clock|Picnic Basket|Snow Shovel|Wine Rack|Book End"
).split("|")
FIRST = "Ada Ben Cleo Dan Edda Finn Greta Hugo Ines Jon Kira Leo Mina Nils Olga Piet Rosa Sven Tess Ugo".split()
LAST = "Abel Brandt Costa Dahl Ekman Falk Grau Holt Ivers Jansen Koch Lund Meyer Nowak Orlov Prins Quist".split()
STREETS = "Larch Maple Aspen Cedar Alder Hazel Rowan Poplar Laurel Juniper Willow Acacia Linden Spruce".split()
WAYS = "Lane Street Road Court Square Way".split()
TOWNS = "Ashby Corwen Dunmore Elgin Farley Hexham Kelso Melton Oakham Ripley".split()


@dataclass
class Customer:
    id: str
    name: str
    postcode: str
    home: str
    payments: list[str]
    orders: list[str]


@dataclass
class Order:
    id: str
    customer: str
    product: str
    variant: str
    status: str
    address: str
    payment: str
    refund: str = ""


@dataclass
class Product:
    id: str
    name: str
    variants: list[str]


@dataclass(frozen=True)
class Base:
    customers: dict[str, Customer]
    orders: dict[str, Order]
    products: dict[str, Product]
    addresses: tuple[str, ...]
    """Addresses where nobody lives yet."""


@cache
def base() -> Base:
    """All rows. Shared by every shift: copy what changes."""
    random = Random(40)
    numbers = iter(_shuffled(range(10_000, 100_000), random))
    names = _shuffled([f"{first} {last}" for first in FIRST for last in LAST], random)
    places = [f"{n} {street} {way}" for n in range(10, 100) for street in STREETS for way in WAYS]
    addresses = [f"{place}, {_one(TOWNS, random)}" for place in _shuffled(places, random)]
    products = [Product(f"P{next(numbers)}", name, [f"V{next(numbers)}" for _ in range(VARIANTS)]) for name in PRODUCTS]
    customers = [
        Customer(f"C{next(numbers)}", name, str(next(numbers)), home, [f"card-{next(numbers)}" for _ in range(2)], [])
        for name, home in zip(names[:CUSTOMERS], addresses, strict=False)
    ]
    orders = []
    for place in range(ORDERS):
        customer, product = customers[place % CUSTOMERS], _one(products, random)
        status = "pending" if random.random() < 2 / 3 else "delivered"
        variant = _one(product.variants, random)
        payment = customer.payments[0]
        order = Order(f"S{next(numbers)}", customer.id, product.id, variant, status, customer.home, payment)
        customer.orders.append(order.id)
        orders.append(order)
    return Base(
        {customer.id: customer for customer in customers},
        {order.id: order for order in orders},
        {product.id: product for product in products},
        tuple(addresses[CUSTOMERS : CUSTOMERS + SPARE_ADDRESSES]),
    )


def _one(values: Sequence[T], random: Random) -> T:
    return values[int(random.random() * len(values))]


def _shuffled(values: Iterable[T], random: Random) -> list[T]:
    """By `random()` alone, whose sequence Python promises to keep."""
    return [value for _, value in sorted(((random.random(), place), value) for place, value in enumerate(values))]
