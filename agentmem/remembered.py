"""What is remembered of texts to be quick, and forgotten when something is erased: every such cache is known here."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Generic, TypeVar
from weakref import WeakMethod

MOST = 200_000  # entries of one cache; emptied when full
WORTH = 64  # characters of a text that is worth an entry
TEXTS, LONG = 4_096, 1_000  # texts that `of_texts` remembers, and the most characters of one

Value = TypeVar("Value")
Function = TypeVar("Function", bound=Callable[..., object])
_clears: list[Callable[[], None]] = []
_clears_of: list[WeakMethod[Callable[[], None]]] = []


def forget() -> None:
    """Empty every cache of this process."""
    for clear in _clears:
        clear()
    for known in tuple(_clears_of):
        if (its := known()) is None:
            _clears_of.remove(known)
        else:
            its()


def on_forget(clear: Callable[[], None]) -> None:
    """Have a cache emptied by `forget`."""
    _clears.append(clear)


def on_forget_of(clear: Callable[[], None]) -> None:
    """`on_forget` for a method, as long as what it is of is there."""
    _clears_of.append(WeakMethod(clear))


class Remembered(dict[str, Value], Generic[Value]):
    """text -> what a function makes of it, called once for each short text."""

    def __init__(self, make: Callable[[str], Value]) -> None:
        self._make = make
        on_forget(self.clear)

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


def of_texts(function: Callable[[str], Value]) -> Callable[[str], Value]:
    """`remembered`, for a function of a text that is not long: of the newest TEXTS. It gives nothing that changes."""
    known = remembered(TEXTS)(function)

    @wraps(function)
    def given(text: str) -> Value:
        return known(text) if len(text) <= LONG else function(text)

    return given
