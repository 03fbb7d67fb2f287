"""A small database for every customer, and the way from what a call names to the one it is about."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

Account = TypeVar("Account")


class Accounts(Generic[Account]):
    """Each is made when a call first names something of its customer's. owners: the customer by whatever names him."""

    def __init__(self, owners: Mapping[str, str], make: Callable[[str], Account]) -> None:
        self._owners, self._make = owners, make
        self._made: dict[str, Account] = {}

    def account(self, key: str) -> Account | None:
        """Of who has this id, number, name or e-mail address; None where nobody has."""
        id = self._owners.get(key)
        if id is not None and id not in self._made:
            self._made[id] = self._make(id)
        return None if id is None else self._made[id]
