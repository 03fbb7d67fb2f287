"""What is remembered of texts to be quick, and forgotten when something is erased: every such cache is known here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Generic, TypeVar

MOST = 200_000  # entries of one cache; emptied when full
WORTH = 64  # characters of a text that is worth an entry

Value = TypeVar("Value")
Function = TypeVar("Function", bound=Callable[..., object])
_clears: list[Callable[[], None]] = []
_by_text: list[dict[str, object]] = []


def forget() -> None:
    """Empty every cache of this process."""
    for clear in _clears:
        clear()


def texts() -> Iterator[str]:
    """The texts that something is remembered of."""
    for cache in _by_text:
        yield from list(cache)


def on_forget(clear: Callable[[], None]) -> None:
    """Have a cache emptied by `forget`."""
    _clears.append(clear)


class Remembered(dict[str, Value], Generic[Value]):
    """text -> what a function makes of it, called once for each short text."""

    def __init__(self, make: Callable[[str], Value]) -> None:
        self._make = make
        on_forget(self.clear)
        _by_text.append(self)  # type: ignore[arg-type]

    def __missing__(self, text: str) -> Value:
        found = self._make(text)
        if len(text) <= WORTH:
            if len(self) >= MOST:
                self.clear()
            self[text] = found
        return found


def remembered(most: int) -> Callable[[Function], Function]:
    """`functools.lru_cache`, emptied by `forget` as well."""

    def decorate(function: Function) -> Function:
        cached = lru_cache(maxsize=most)(function)
        on_forget(cached.cache_clear)
        return cached  # type: ignore[return-value]

    return decorate
