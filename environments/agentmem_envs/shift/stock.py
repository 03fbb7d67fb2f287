"""What a shift draws from and uses up: customers, what is theirs, and values that nobody has yet."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any
from zlib import crc32

from numpy.random import Generator

from agentmem_envs.shift.domain import some

RESERVED, BYSTANDERS, SPARE = 12, 8, 16
"""Customers who never come, whose values stand beside those to be remembered; others, whom a wrong look-up finds; and
values that are never said."""
TRIED = 100
"""Values that are made, one after another, before a new one is given up."""


class Stock:
    """Draws without putting back, all by one generator. Customers and values, say addresses, are those of a split."""

    def __init__(self, customers: Sequence[str], values: Sequence[str], rng: Generator) -> None:
        shuffled = some(rng, customers, len(customers))
        self.reserved: list[str] = shuffled[:RESERVED]
        self.bystanders: list[str] = shuffled[RESERVED : RESERVED + BYSTANDERS]
        self.customers: list[str] = shuffled[RESERVED + BYSTANDERS :]
        values = some(rng, values, len(values))
        self.spare: list[str] = values[:SPARE]
        self._said: Iterator[str] = cycle(values[SPARE : 2 * SPARE])
        self._secrets = values[2 * SPARE :]
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

    def said(self) -> str:
        """A value to be said openly, of a few that nothing turns on."""
        return next(self._said)

    def secret(self) -> str | None:
        """A value to be remembered, each once; None where none is left."""
        return self._secrets.pop() if self._secrets else None


class Fresh:
    """Makes values that nothing else that it made has. Once there are hardly any left, letters stand in new ones."""

    def __init__(self, rng: Generator) -> None:
        self._rng = rng
        self._made: dict[str, None] = {}

    def __call__(self, make: Callable[[Generator], str]) -> str:
        tried = 0
        while (value := make(self._rng) if tried < TRIED else self._longer(make)) in self._made:
            tried += 1
        self._made[value] = None
        return value

    def _longer(self, make: Callable[[Generator], str]) -> str:
        """Of a very long shift: four letters before the last two, so that none of the others stands within it."""
        value, letters = make(self._rng), self._rng.integers(65, 91, size=4)
        return f"{value[:-2]}{''.join(map(chr, letters.tolist()))}{value[-2:]}"


def namesakes(id: str) -> str:
    """The form of ids that begin with the same name, such as mia_li_3668."""
    return f"identity:{id.rpartition('_')[0]}"


def in_split(key: str, split: str) -> bool:
    """A fixed hash: 65 in 100 are for training."""
    return (crc32(key.encode()) % 100 < 65) == (split == "train")


def apart(users: Mapping[str, Any], strangers: Container[str], name: Callable[[Any], str], split: str) -> list[str]:
    """The users of a split who are no strangers; no two share a name, with a stranger neither."""
    known = dict.fromkeys(name(user) for id, user in users.items() if id in strangers)
    chosen = []
    for id in sorted(users):
        if id not in strangers and in_split(id, split) and name(users[id]) not in known:
            known[name(users[id])] = None
            chosen.append(id)
    return chosen
