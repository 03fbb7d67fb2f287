"""What a peer can be asked to do. Knows items and answers; no package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

SPACE = ("bench",)
BUDGET = 1024
"""Tokens of what agentmem recalls, and of what a summary leaves."""


class Said(NamedTuple):
    """Who says an item's words, when and where: for a peer that keeps these apart."""

    text: str
    kind: str = "observation"
    actor: str | None = None
    time: str | None = None
    session: str = "bench"


class Item(NamedTuple):
    """A text to be kept. said: the same in parts; without it the text is all there is."""

    key: str
    text: str
    said: Said | None = None

    @classmethod
    def of(cls, values: Sequence[Any]) -> Item:
        """From JSON."""
        key, text, *said = values
        return cls(key, text, Said(*said[0]) if said and said[0] else None)


Answer = str | list[str]
"""Texts, best first, or one text that is to be read as it stands."""


class Peer(Protocol):
    def add(self, item: Item) -> object: ...

    def add_many(self, items: Sequence[Item]) -> object: ...

    def search(self, cue: str, most: int) -> Any:
        """At most so many items, in whatever form it gives them."""

    def answer(self, found: Any) -> Answer:
        """What was found, as texts. Not timed."""

    def settle(self) -> object:
        """Whatever may be left to do between logging and searching."""

    def bytes(self) -> int | None:
        """Of what it keeps; None where that is what lies in its folder."""

    def close(self) -> None: ...


class Lasting:
    """What has nothing left to do after logging, keeps all in its folder, and need not be closed."""

    def settle(self) -> object:
        """Nothing is left."""
        return None

    def bytes(self) -> int | None:
        return None

    def close(self) -> None:
        """Nothing is open."""
