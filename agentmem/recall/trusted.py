"""How far crystals count that recall may show. Knows a view, and how to ask for records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agentmem.index import View, steps_beneath
from agentmem.records import values_of
from agentmem.trust import least, trust_of
from agentmem.types import Record, Trust


class Texts(Protocol):
    """Records by position, which are fetched together."""

    def fetch(self, positions: Sequence[int]) -> None: ...
    def __getitem__(self, position: int) -> Record: ...


def trust_of_crystal(view: View, number: int, texts: Texts) -> Trust | None:
    """The least trust of all the steps that a crystal comes from, through every layer below it."""
    numbers = view.once("numbers", lambda view: {crystal.id: at for at, crystal in enumerate(view.crystals)})
    positions = sorted(steps_beneath(view.crystals[number], lambda id: view.crystals[numbers[id]]))
    texts.fetch(positions)
    return least(trust_of(values_of(texts[position].body)) for position in positions)
