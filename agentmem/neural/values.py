"""The values that pass between writer, memory and reader: crystals of a layer, and a view of what may be read.

Knows which tokens a crystal stands for and from when it may be read. Knows nothing of how it was made or is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Crystals:
    """Crystals of one layer, oldest first, not yet quantised.

    slots: [B, n, S, slot_bits], layer-normed (cue, consequence). importance: [B, n, S] in (0, 1).
    first: how many of this layer were made before these.
    """

    slots: Tensor
    importance: Tensor
    first: int

    @property
    def number(self) -> int:
        return self.slots.shape[1]

    def part(self, start: int, end: int | None = None) -> Crystals:
        start = min(start, self.number)
        return Crystals(self.slots[:, start:end], self.importance[:, start:end], self.first + start)

    def then(self, newer: Crystals) -> Crystals:
        slots = torch.cat((self.slots, newer.slots), 1)
        return Crystals(slots, torch.cat((self.importance, newer.importance), 1), self.first)

    def detached(self) -> Crystals:
        return replace(self, slots=self.slots.detach(), importance=self.importance.detach())


@dataclass(frozen=True)
class Written:
    """What writing gave: the new crystals of each layer, and rate, the mean importance of all tokens (a scalar)."""

    layers: tuple[Crystals, Crystals, Crystals]
    rate: Tensor


_PER_STREAM = ("cues", "values", "start", "end", "born", "retired")


@dataclass(frozen=True)
class View:
    """Slots that may be read, N of them; B is 1 where all streams read the same.

    cues: [B, N, cue_bits]. values: [B, N, value_bits]. layer, owner: [N], the layer, and the stream that wrote it (-1:
    each its own). start, end: [B, N], the tokens it covers. born, retired: [B, N], readable while born <= position <
    retired.
    """

    cues: Tensor
    values: Tensor
    layer: Tensor
    owner: Tensor
    start: Tensor
    end: Tensor
    born: Tensor
    retired: Tensor

    @property
    def number(self) -> int:
        return self.cues.shape[1]

    def only(self, layers: tuple[int, ...]) -> View:
        """The slots of these layers."""
        kept = torch.isin(self.layer, torch.tensor(layers, device=self.layer.device))
        return View(*(each[kept] if each.dim() == 1 else each[:, kept] for each in self._tensors()))

    def shared(self) -> View:
        """One memory that every stream reads, of what all have written: B is 1, and N is B times what it was."""
        streams = torch.arange(len(self.cues), device=self.owner.device)
        owner = streams.repeat_interleave(self.number)
        flat = {name: getattr(self, name).flatten(0, 1)[None] for name in _PER_STREAM}
        return View(layer=self.layer.repeat(len(streams)), owner=owner, **flat)

    def covers(self, positions: Tensor) -> Tensor:
        """Which slots stand for the token at each of positions [B, Q] of the reader's own stream: bool [B, Q, N]."""
        at = positions[:, :, None]
        inside = (self.start[:, None] <= at) & (at < self.end[:, None])
        streams = torch.arange(len(positions), device=positions.device)[:, None]
        own = (self.owner == streams) | (self.owner < 0)
        return inside & own[:, None]

    def readable(self, positions: Tensor) -> Tensor:
        """Which slots may be read at positions [T]: bool [B, T, N]."""
        at = positions[:, None]
        return (self.born[:, None] <= at) & (at < self.retired[:, None])

    def _tensors(self) -> tuple[Tensor, ...]:
        return (
            self.cues, self.values, self.layer, self.owner, self.start, self.end, self.born, self.retired,
        )  # fmt: skip


def joined(views: list[View]) -> View:
    """Views side by side, in order."""
    parts = zip(*(view._tensors() for view in views), strict=True)
    return View(*(torch.cat(each, 0 if each[0].dim() == 1 else 1) for each in parts))
