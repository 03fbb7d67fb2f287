"""tau2's airline: its own tools over its own database, its customers, and what they promise."""

from typing import Any

from numpy.random import Generator

from agentmem_envs.calls import call
from agentmem_envs.shift import tau2, tau2_tickets
from agentmem_envs.shift.airline_data import (
    LOOKUPS,
    TOLD,
    TOOLS,
    AirlineSide,
    base,
    births,
    full_name,
    named,
    people,
    shown_flights,
    tickets,
)
from agentmem_envs.shift.domain import Promise, Visit, some
from agentmem_envs.shift.env import Shift
from agentmem_envs.shift.material import StockMaterial
from agentmem_envs.shift.stock import Stock, namesakes
from agentmem_envs.shift.tau2_domain import Tau2Domain
from agentmem_envs.shift.tickets import Decision, Ticket

CITIES = (
    "San Francisco|New York|Los Angeles|Chicago|Dallas|Denver|Seattle|Atlanta|Miami|Boston|Phoenix|Houston|Las Vegas|"
    "Orlando|Newark|Charlotte|Minneapolis|Detroit|Philadelphia|LaGuardia"
).split("|")
TOPICS = [f"flights to {city}" for city in CITIES]


class AirlineMaterial(StockMaterial):
    """What one shift takes from tau2's airline. A reservation is what one ticket is about, and is shown by no other."""

    kinds = ("reservation", "flight", "bags", "payment", "birth", "identity")
    topics = TOPICS

    def __init__(self, split: str, rng: Generator, drift: bool) -> None:
        self.base, self.rng, self.drift = base(), rng, drift
        travellers, others = people(split)
        super().__init__(Stock(travellers, births(split), rng), self.base.users)
        self._reserved = [self.base.users[id] for id in (*self.stock.reserved, *others)]
        self._bookings = [id for user in self._reserved for id in user.reservations]
        self._flights = some(rng, list(self.base.flights.values()), 20)
        self._shown = dict.fromkeys([*(flight.flight_number for flight in self._flights), *shown_flights(split)])
        self._promised: dict[str, None] = {}
        self._own = tau2_tickets.Drawn(tickets(split), TOLD, named, lambda id: full_name(self.base.users[id]), rng)

    def side(self) -> AirlineSide:
        return AirlineSide()

    def visit(self, customer: str) -> Visit:
        name = full_name(self.base.users[customer])
        profile = Decision(
            f"Hello, I am {name}, user id {customer}.",
            call("get_user_details", user_id=customer),
            self.others(lambda each: call("get_user_details", user_id=each.user_id)),
            lambda result: f"This is the profile of {name}.",
            shows=[(namesakes(customer), customer)],
        )
        return Visit(name, [profile, self._question(name)])

    def verbatim(self) -> Ticket | None:
        return self._own.next()

    def _question(self, name: str) -> Decision:
        """About a flight, of which nothing is promised."""
        flights = self._flights
        flight = flights[int(self.rng.integers(len(flights)))]
        date = next(iter(flight.dates))
        return Decision(
            f"{name}: how was flight {flight.flight_number} on {date}?",
            call("get_flight_status", flight_number=flight.flight_number, date=date),
            lambda rng: [
                call("get_flight_status", flight_number=each.flight_number, date=date) for each in some(rng, flights, 8)
            ],
            lambda result: f"It is {result}.",
        )

    # Promises, one method for each kind.

    def _free(self, user: Any, passengers: int | None = None) -> Any:
        """A reservation that nothing else in the shift is about, of as many passengers; None if none."""
        mine = [self.base.reservations[id] for id in user.reservations]
        keys = [each.reservation_id for each in mine if passengers in (None, len(each.passengers))]
        key = self.stock.use(keys)
        return self.base.reservations[key] if key else None

    def _shown_payment(self, user: Any, *brands: str) -> str | None:
        """A method that nobody is asked to remember, to be said openly."""
        known = [id for id in user.payment_methods if id.startswith(brands) and not self.stock.used(id)]
        if known:
            self.stock.use([f"shown {known[0]}"])
        return known[0] if known else None

    def _reservation(self, user: Any) -> Promise | None:
        booking = self._free(user)
        if booking is None:
            return None
        return Promise(
            "reservation",
            "reservation",
            booking.reservation_id,
            f"I may not fly with reservation {booking.reservation_id}, keep it in mind.",
            "Cancel the reservation that I said I might not use.",
            lambda value: call("cancel_reservation", reservation_id=value),
            lambda row, value: row(("reservations", value)).status == "cancelled",
            self._bookings,
        )

    def _flight(self, user: Any) -> Promise | None:
        """Another flight from the same airport, for who booked a single one; all candidates are from there."""
        mine = [self.base.reservations[id] for id in user.reservations if not self.stock.used(id)]
        booking = next((each for each in mine if len(each.flights) == 1), None)
        card = self._shown_payment(user, "credit")
        if booking is None or card is None:
            return None
        old = booking.flights[0]
        free = [each for each in self.base.flights.values() if self._open_flight(each, old)]
        ready = [
            each.flight_number for each in free if _seats(each, old.date, booking.cabin) >= len(booking.passengers)
        ]
        if len(free) < 9 or len(ready) < 2:
            return None
        self.stock.use([booking.reservation_id])
        value, other = some(self.rng, ready, 2)
        self._promised |= dict.fromkeys((value, other))
        return self._flown(booking, card, value, other, [each.flight_number for each in free])

    def _flown(self, booking: Any, card: str, value: str, other: str, free: list[str]) -> Promise:
        old = booking.flights[0]
        return Promise(
            "flight",
            f"flight:{old.origin}",
            value,
            f"On {old.date} I would rather fly with {value}; let me sleep on it.",
            f"About {booking.reservation_id}, {booking.cabin}: on {old.date} I take the flight that I wanted, "
            f"by {card}.",
            lambda value: call(
                "update_reservation_flights",
                reservation_id=booking.reservation_id,
                cabin=booking.cabin,
                flights=[{"flight_number": value, "date": old.date}],
                payment_id=card,
            ),
            lambda row, value: row(("reservations", booking.reservation_id)).flights[0].flight_number == value,
            free,
            other=other,
            sells=True,
            shows=(("reservation", booking.reservation_id), ("payment", card)),
        )

    def _open_flight(self, flight: Any, old: Any) -> bool:
        known = flight.flight_number in self._shown or flight.flight_number in self._promised
        return flight.origin == old.origin and flight.flight_number != old.flight_number and not known

    def _bags(self, user: Any) -> Promise | None:
        if (paid := self._shown_payment(user, "credit", "gift")) is None or (booking := self._free(user)) is None:
            return None
        total, extra = booking.total_baggages + 1, booking.nonfree_baggages
        return Promise(
            "bags",
            "reservation",
            booking.reservation_id,
            f"I may bring one more bag on reservation {booking.reservation_id}, keep it in mind.",
            f"I do bring the bag that I spoke of: {total} bags there now, {extra} of them paid for, by {paid}.",
            lambda value: call(
                "update_reservation_baggages",
                reservation_id=value,
                total_baggages=total,
                nonfree_baggages=extra,
                payment_id=paid,
            ),
            lambda row, value: row(("reservations", value)).total_baggages == total,
            self._bookings,
            shows=(("payment", paid),) if paid.startswith("credit") else (),
        )

    def _payment(self, user: Any) -> Promise | None:
        cards = [id for id in user.payment_methods if id.startswith("credit") and not self.stock.used(f"shown {id}")]
        if not cards or self.stock.used(cards[0]) or (booking := self._free(user)) is None:
            return None
        self.stock.use(cards[:1])
        total, extra = booking.total_baggages + 1, booking.nonfree_baggages + 1
        return Promise(
            "payment",
            "payment",
            cards[0],
            f"For changes to come, charge {cards[0]}.",
            f"One more bag on {booking.reservation_id}: {total} now, {extra} of them paid for. Charge it as I chose.",
            lambda value: call(
                "update_reservation_baggages",
                reservation_id=booking.reservation_id,
                total_baggages=total,
                nonfree_baggages=extra,
                payment_id=value,
            ),
            lambda row, value: row(("reservations", booking.reservation_id)).payment_history[-1].payment_id == value,
            [id for each in self._reserved for id in each.payment_methods if id.startswith("credit")],
            shows=(("reservation", booking.reservation_id),),
        )

    def _birth(self, user: Any) -> Promise | None:
        if (value := self.stock.secret()) is None or (booking := self._free(user, 1)) is None:
            return None
        flies = booking.passengers[0]
        who = f"{flies.first_name} {flies.last_name}"
        return Promise(
            "birth",
            "birth",
            value,
            f"You have a wrong date of birth of {who}, it is {value}; I will say when to change it.",
            f"Now change the date of birth of {who} on reservation {booking.reservation_id} to the one that I gave.",
            lambda value: call(
                "update_reservation_passengers",
                reservation_id=booking.reservation_id,
                passengers=[{"first_name": flies.first_name, "last_name": flies.last_name, "dob": value}],
            ),
            lambda row, value: row(("reservations", booking.reservation_id)).passengers[0].dob == value,
            self.stock.spare,
            other=self.stock.secret() if self.drift else None,
            shows=(("reservation", booking.reservation_id),),
        )

    def _identity(self, user: Any) -> Promise | None:
        """tau2 gives a customer at most three certificates."""
        if self.stock.use([f"certificate {user.user_id} {number}" for number in range(3)]) is None:
            return None
        amount = 50 * int(self.rng.integers(1, 10))
        return Promise(
            "identity",
            namesakes(user.user_id),
            user.user_id,
            "I will come back for the certificate that I was promised.",
            f"Send me the certificate of {amount} dollars. You know my user id.",
            lambda value: call("send_certificate", user_id=value, amount=amount),
            lambda row, value: _certificate(row(("users", value)), amount),
            self.stock.ids_like(user.user_id, self.base.users),
        )


def _seats(flight: Any, date: str, cabin: str) -> int:
    """The free seats of a flight; none where it does not fly."""
    day = flight.dates.get(date)
    return int(day.available_seats[cabin]) if day and day.status == "available" else 0


def _certificate(user: Any, amount: int) -> bool:
    return amount in [each.amount for each in user.payment_methods.values() if each.source == "certificate"]


class Airline(Tau2Domain):
    """The domain of `agentmem/ShiftAirline-v0`. Raises MissingExtraError where tau2's material is not installed."""

    def __init__(self) -> None:
        tools = tau2.module("airline.AirlineAgentTools").AirlineAgentTools
        super().__init__(tools, TOOLS, LOOKUPS, "reservations", "reservation_id", AirlineMaterial)


class ShiftAirline(Shift):
    """
    A shift at tau2's airline desk, `agentmem/ShiftAirline-v0`; needs `pip install --no-deps inspect-evals==0.26.0`.

    Hidden are a reservation to cancel (`reservation`), the flight that is wanted (`flight`), the reservation that gets
    a bag (`bags`), how that is paid (`payment`), a date of birth (`birth`) and who a customer is (`identity`).
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(Airline(), **settings)
