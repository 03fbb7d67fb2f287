"""The values that pass between writer and memory: crystals of a layer, not yet stored.

Knows which tokens a crystal stands for. Knows nothing of how it was made, is stored or is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agentmem.neural.shapes import Shown


@dataclass(frozen=True, repr=False)
class Crystals(Shown):
    """Crystals of one layer, oldest first, not yet quantised.

    slots: [B, n, S, slot_bits], layer-normed (cue, consequence), in order of the tokens they were taken from.
    importance: [B, n, S] in (0, 1). at: int64 [B, n, S], the position of each slot's token. first: how many of this
    layer were made before these.
    """

    slots: Tensor
    importance: Tensor
    at: Tensor
    first: int

    @property
    def number(self) -> int:
        return self.slots.shape[1]

    def part(self, start: int, end: int | None = None) -> Crystals:
        start = min(start, self.number)
        parts = self.slots[:, start:end], self.importance[:, start:end], self.at[:, start:end]
        return Crystals(*parts, self.first + start)

    def then(self, newer: Crystals) -> Crystals:
        slots, importance = torch.cat((self.slots, newer.slots), 1), torch.cat((self.importance, newer.importance), 1)
        return Crystals(slots, importance, torch.cat((self.at, newer.at), 1), self.first)

    def kept(self) -> Crystals:
        """Without gradients, and with storage of their own: a part would hold all that it was cut from."""
        slots, importance, at = (each.detach().clone() for each in (self.slots, self.importance, self.at))
        return Crystals(slots, importance, at, self.first)


@dataclass(frozen=True, repr=False)
class Choices(Shown):
    """What the crystals of a layer were chosen from. logits: [B, n, r], of the importance; at: int64 [B, n, r]."""

    logits: Tensor
    at: Tensor


@dataclass(frozen=True, repr=False)
class Written(Shown):
    """What writing gave: the new crystals of each layer, and what they were chosen from."""

    layers: tuple[Crystals, Crystals, Crystals]
    choices: tuple[Choices, Choices, Choices]
