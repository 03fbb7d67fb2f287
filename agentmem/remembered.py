"""What is remembered of texts to be quick, and forgotten when something is erased: every such cache is known here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Generic, TypeVar
from weakref import WeakMethod

MOST = 200_000  # entries of one cache; emptied when full
WORTH = 64  # characters of a text that is worth an entry
TEXTS, LONG = 8_192, 1_000  # texts that `of_texts` remembers, and the most characters of one

Value = TypeVar("Value")
Function = TypeVar("Function", bound=Callable[..., object])
_clears: list[Callable[[], None]] = []
_by_text: list[dict[str, object]] = []
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


def texts() -> Iterator[str]:
    """The texts that something is remembered of."""
    for cache in _by_text:
        yield from list(cache)


def on_forget(clear: Callable[[], None]) -> None:
    """Have a cache emptied by `forget`."""
    _clears.append(clear)


def on_forget_of(clear: Callable[[], None]) -> None:
    """`on_forget` for a method, as long as what it is of is there."""
    _clears_of.append(WeakMethod(clear))


class Remembered(dict[str, Value], Generic[Value]):
    """text -> what a function makes of it, called once for each text of at most `longest` characters; emptied when it
    has `most`. The function gives nothing that changes.
    """

    def __init__(self, make: Callable[[str], Value], most: int = MOST, longest: int = WORTH) -> None:
        self._make, self._most, self._longest = make, most, longest
        on_forget(self.clear)
        _by_text.append(self)  # type: ignore[arg-type]

    def __missing__(self, text: str) -> Value:
        found = self._make(text)
        if len(text) <= self._longest:
            if len(self) >= self._most:
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
    """The function, which remembers what it made of texts that are not long."""
    return Remembered(function, TEXTS, LONG).__getitem__
