"""Who calls tau2's telecom desk: copies of two of its customers, under names from its retail, each with ids of his own.

All of tau2's own tickets are about one customer, so every ticket has its own copy of him. None of a caller's ids and
numbers tells another of his. Knows no tools and no episode.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import shake_256
from typing import Any

from agentmem_envs.shift import retail_data, tau2
from agentmem_envs.shift.stock import in_split

DOMAIN = "telecom"
JOHN, SARAH = "C1001", "C1002"
"""The customers that are copied: he has three lines and all of tau2's tickets, she five lines."""
PHONES = {JOHN: "L1002", SARAH: "L1004"}
"""The line of the handset."""
OFF = {JOHN: "L1001", SARAH: "L1005"}
"""The line without roaming."""
UNPAID = {JOHN: "B1002", SARAH: "B1005"}
DRAFT, OVERDUE = "B1003", "B1234321"
"""John's bill to come, which Sarah gets too, as tau2 would make one with a random id; and the bill of tau2's tasks."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a handset: how tau2 breaks and mends it, what the caller says, and tau2's own assertion."""

    breaks: tuple[str, Mapping[str, Any]]
    mends: tuple[str, Mapping[str, Any]]
    says: str
    holds: tuple[str, Mapping[str, Any]]


_FAST = ("assert_internet_speed", {"expected_speed": 200, "expected_desc": "excellent"})
_MMS = ("assert_can_send_mms", {"expected_status": True})
_APP = "messaging"
FAULTS = (
    Fault(
        ("turn_airplane_mode_on", {}),
        ("toggle_airplane_mode", {}),
        "airplane mode is still on, switch it off",
        ("assert_airplane_mode_status", {"expected_status": False}),
    ),
    Fault(
        ("turn_data_off", {}),
        ("toggle_data", {}),
        "mobile data is off, switch it on",
        ("assert_mobile_data_status", {"expected_status": True}),
    ),
    Fault(("turn_data_saver_mode_on", {}), ("toggle_data_saver_mode", {}), "the data saver slows it, end it", _FAST),
    Fault(("break_vpn", {}), ("disconnect_vpn", {}), "the VPN slows it, disconnect it", _FAST),
    Fault(
        ("set_network_mode_preference", {"mode": "2g_only"}),
        ("set_network_mode_preference", {"mode": "4g_5g_preferred"}),
        "it prefers 2g_only, let it be 4g_5g_preferred",
        _FAST,
    ),
    Fault(
        ("set_wifi_calling", {"enabled": True, "mms_over_wifi": True}),
        ("toggle_wifi_calling", {}),
        "wi-fi calling keeps pictures back, switch it off",
        _MMS,
    ),
    *(
        Fault(
            ("remove_app_permission", {"app_name": _APP, "permission": each}),
            ("grant_app_permission", {"app_name": _APP, "permission": each}),
            f"{_APP} lacks the permission {each}, grant it",
            _MMS,
        )
        for each in ("sms", "storage")
    ),
)


@dataclass(frozen=True, eq=False)
class Caller:
    """A copy of one of tau2's customers; `new` has his ids, numbers and names by tau2's, `task` his own ticket's id."""

    name: str
    split: str
    like: str
    new: Mapping[str, str]
    fault: Fault | None = None
    task: str | None = None

    @property
    def id(self) -> str:
        return self.new[self.like]

    @property
    def born(self) -> str:
        return self.new[model(self.like).customers[0].date_of_birth]

    @property
    def phone(self) -> str:
        line = next(each for each in model(self.like).lines if each.line_id == PHONES[self.like])
        return self.new[line.phone_number]

    def line(self, old: Mapping[str, str]) -> str:
        """His line for tau2's, by whom he is like."""
        return self.new[old[self.like]]

    def said(self, text: str) -> str:
        """A text of tau2's about its customer, about this one."""
        return _names().sub(lambda found: self.new.get(found[0], found[0]), text)


def kinds() -> Any:
    return tau2.module("telecom.data_model")


@cache
def model(like: str) -> Any:
    """tau2's rows of one customer."""
    kept = kinds().TelecomDB.model_validate(tau2.data(DOMAIN, "db.toml"))
    one = next(each for each in kept.customers if each.customer_id == like).model_copy(deep=True)
    lines = [each for each in kept.lines if each.line_id in one.line_ids]
    bills = [each for each in kept.bills if each.bill_id in (*one.bill_ids, DRAFT)]
    one.bill_ids = [each.bill_id for each in bills]
    own = [each.model_copy(update={"customer_id": like}) for each in bills]
    devices = [each for each in kept.devices if each.device_id in [line.device_id for line in lines]]
    return type(kept)(plans=kept.plans, customers=[one], lines=lines, bills=own, devices=devices)


@cache
def tasks() -> dict[str, Any]:
    """tau2's tasks by their ids."""
    return {task["id"]: task for task in tau2.data(DOMAIN, "tasks.json")}


@cache
def callers() -> dict[str, Caller]:
    """All callers by their customer ids. A name is in one split; one in four is kept for tau2's own tickets."""
    numbers = _Numbers()
    names = {split: [name for name, of in retail_data.names() if of == split] for split in ("train", "test")}
    made = []
    for split, known in names.items():
        for place, name in enumerate(known):
            if place % 4:
                fault = FAULTS[numbers.draw(f"fault {name}", 0, len(FAULTS))]
                made.append(
                    _caller(name, split, (JOHN, SARAH)[numbers.draw(f"like {name}", 0, 2)], numbers, fault, None)
                )
    splits = tau2.data(DOMAIN, "split_tasks.json")
    for place, task in enumerate(tasks()):
        split = next((each for each in names if task in splits[each]), None) or _hashed(task)
        own = names[split][::4]
        made.append(_caller(own[place % len(own)], split, JOHN, numbers, None, task))
    return {caller.id: caller for caller in made}


@cache
def owners() -> dict[str, str]:
    """customer id of every id and phone number, and of a name's first caller."""
    return {new: id for id, caller in reversed(callers().items()) for new in caller.new.values()}


@cache
def people(split: str) -> list[str]:
    """The customer ids of a split's callers who promise something."""
    return [id for id, caller in callers().items() if caller.split == split and caller.task is None]


@cache
def tickets(split: str) -> list[Caller]:
    """The callers with a ticket of tau2's own."""
    return [caller for caller in callers().values() if caller.split == split and caller.task is not None]


class _Numbers:
    """Numbers that nobody else has, by a fixed hash: none of a caller's tells another of his."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, int], None] = {}

    def draw(self, key: str, first: int, end: int) -> int:
        return first + int.from_bytes(shake_256(key.encode()).digest(8), "big") % (end - first)

    def fresh(self, kind: str, key: str, first: int, end: int) -> int:
        number = self.draw(key, first, end)
        while (kind, number) in self._taken:
            number = first + (number + 1 - first) % (end - first)
        self._taken[kind, number] = None
        return number


def _caller(name: str, split: str, like: str, numbers: _Numbers, fault: Fault | None, task: str | None) -> Caller:
    kept, key = model(like), f"{task or name} "
    one = kept.customers[0]
    ids = [like, OVERDUE, *one.line_ids, *one.bill_ids, *(each.device_id for each in kept.devices)]
    new = {old: f"{old[0]}{numbers.fresh(old[0], key + old, 100_000, 1_000_000)}" for old in ids}
    for old in dict.fromkeys((one.phone_number, *(line.phone_number for line in kept.lines))):
        digits = numbers.fresh("phone", key + old, 2_000_000, 10_000_000)
        new[old] = f"555-{digits // 10_000}-{digits % 10_000:04}"
    day = numbers.draw(f"{key}born", 0, 40 * 12 * 28)
    new[one.date_of_birth] = f"{1960 + day // 336}-{day // 28 % 12 + 1:02}-{day % 28 + 1:02}"
    new |= {one.full_name: name, one.email: f"{name.lower().replace(' ', '.')}@example.com"}
    return Caller(name, split, like, new, fault, task)


@cache
def _names() -> re.Pattern[str]:
    """All that differs between callers, the longest first."""
    ids = dict.fromkeys(old for like in (JOHN, SARAH) for caller in [_first(like)] for old in caller.new)
    return re.compile("|".join(re.escape(old) for old in sorted(ids, key=len, reverse=True)))


def _first(like: str) -> Caller:
    return next(caller for caller in callers().values() if caller.like == like)


def _hashed(task: str) -> str:
    return "train" if in_split(task, "train") else "test"
