"""What a shift draws from and uses up: customers, their orders, addresses where nobody lives yet."""

from collections.abc import Container, Iterator, Sequence
from itertools import cycle
from zlib import crc32

from numpy.random import Generator

from agentmem_envs.shift.domain import some

RESERVED, BYSTANDERS, SPARE = 12, 8, 16
"""Customers who never come, whose values stand beside those to be remembered; others, whom a wrong look-up finds; and
addresses that are never said."""


class Stock:
    """Draws without putting back, all by one generator. Customers and addresses are those of a split."""

    def __init__(self, customers: Sequence[str], addresses: Sequence[str], rng: Generator) -> None:
        shuffled = some(rng, customers, len(customers))
        self.reserved: list[str] = shuffled[:RESERVED]
        self.bystanders: list[str] = shuffled[RESERVED : RESERVED + BYSTANDERS]
        self.customers: list[str] = shuffled[RESERVED + BYSTANDERS :]
        addresses = some(rng, addresses, len(addresses))
        self.spare_addresses: list[str] = addresses[:SPARE]
        self._homes: Iterator[str] = cycle(addresses[SPARE : 2 * SPARE])
        self._addresses = addresses[2 * SPARE :]
        self._used: dict[str, None] = {}
        self._alike: dict[str, list[str]] = {}
        self._rng = rng

    def use(self, keys: Sequence[str]) -> str | None:
        """The first of these that is not used yet; used from now on."""
        key = next((key for key in keys if key not in self._used), None)
        if key is not None:
            self._used[key] = None
        return key

    def used(self, key: str) -> bool:
        return key in self._used

    def ids_like(self, id: str, taken: Container[str]) -> list[str]:
        """Ids that somebody of the same name could have and nobody has, the same ones each time: a name is no hint."""
        if id not in self._alike:
            numbers = some(self._rng, range(1000, 10_000), 12)
            names = [f"{id.rpartition('_')[0]}_{number}" for number in numbers]
            self._alike[id] = [name for name in names if name not in taken]
        return self._alike[id]

    def home(self) -> str:
        """An address to be said openly, of a few that nothing turns on."""
        return next(self._homes)

    def address(self) -> str | None:
        """An address to be remembered, each once; None where none is left."""
        return self._addresses.pop() if self._addresses else None


def namesakes(id: str) -> str:
    """The form of ids that begin with the same name, such as mia_li_3668."""
    return f"identity:{id.rpartition('_')[0]}"


def in_split(key: str, split: str) -> bool:
    """A fixed hash: 65 in 100 are for training."""
    return (crc32(key.encode()) % 100 < 65) == (split == "train")
