"""What may be read: slots of all layers with the tokens they stand for and the time in which they may be read.

Knows positions, and how packed atoms become slots. Knows nothing of how crystals are made, kept or scored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agentmem.neural.nearest import most_scored, nearest
from agentmem.neural.quantise import unpack
from agentmem.neural.settings import ATOM, METADATA, CrystalSettings
from agentmem.neural.shapes import Shown

FOREVER = 2**62
BLOCK = 10  # tokens of a block, in which the same may be read
_PER_STREAM = ("cues", "values", "start", "end", "born", "retired", "at", "order")
_PER_SLOT = ("layer", "owner")


@dataclass(frozen=True, repr=False)
class Packed(Shown):
    """Atoms as they are kept. atoms: uint8 [B, n, atom_bytes]. births: [B, n], how many were made before each."""

    settings: CrystalSettings
    atoms: Tensor
    births: Tensor

    @property
    def are_few(self) -> bool:
        """Whether all are scored, whatever is asked."""
        return self.atoms.shape[1] * self.settings.slots <= most_scored(self.settings.heads)

    def near(self, query: Tensor, positions: Tensor, same: float) -> View:
        """The slots of the atoms that a query [B, h, T, cue_bits] at positions [T] might read; of all where that is as
        quick. same: cosine from which on two cues are the same.
        """
        born = born_at(self.settings, ATOM, self.births)
        chosen = nearest(self.atoms[..., :-METADATA], born, query, block_start(positions), self.settings, same)
        if chosen is None:
            return self.unpacked()
        rows = chosen.unsqueeze(-1).expand(-1, -1, self.atoms.shape[2])
        return Packed(self.settings, self.atoms.gather(1, rows), self.births.gather(1, chosen)).unpacked()

    def unpacked(self) -> View:
        slots = unpack(self.atoms[..., :-METADATA]).unflatten(-1, (self.settings.slots_of[ATOM], -1))
        return view_of(self.settings, ATOM, slots, self.births)


@dataclass(frozen=True, repr=False)
class View(Shown):
    """Slots that may be read, N of them; B is 1 where all streams read the same.

    cues: [B, N, cue_bits]. values: [B, N, value_bits]. layer, owner: [N], the layer, and the stream that wrote it (-1:
    each its own). start, end: [B, N], the tokens it covers. born, retired: [B, N], readable while born <= position <
    retired. at: [B, N], the token each slot was taken from, -1 where that was not kept. order: [B, N], the later the
    greater. packed: atoms that are not among the N yet; see `near`.
    """

    cues: Tensor
    values: Tensor
    layer: Tensor
    owner: Tensor
    start: Tensor
    end: Tensor
    born: Tensor
    retired: Tensor
    at: Tensor
    order: Tensor
    packed: Packed | None = None

    @property
    def number(self) -> int:
        """Slots, those of packed atoms among them."""
        packed = self.packed.atoms.shape[1] * self.packed.settings.slots_of[ATOM] if self.packed else 0
        return self.cues.shape[1] + packed

    def near(self, query: Tensor, positions: Tensor, same: float) -> View:
        """With those packed atoms as slots that a query [B, h, T, cue_bits] at positions [T] might read, in front.

        same: cosine from which on two cues are the same.
        """
        return joined([self.packed.near(query, positions, same), replace(self, packed=None)]) if self.packed else self

    def unpacked(self) -> View:
        """With all packed atoms as slots, in front."""
        return joined([self.packed.unpacked(), replace(self, packed=None)]) if self.packed else self

    def only(self, layers: tuple[int, ...]) -> View:
        """The slots of these layers."""
        kept = torch.isin(self.layer, torch.tensor(layers, device=self.layer.device))
        return replace(
            self,
            packed=self.packed if ATOM in layers else None,
            **{name: getattr(self, name)[:, kept] for name in _PER_STREAM},
            **{name: getattr(self, name)[kept] for name in _PER_SLOT},
        )

    def shared(self) -> View:
        """One memory that every stream reads, of what all have written: B is 1, and N is B times what it was."""
        whole = self.unpacked()
        streams = torch.arange(len(whole.cues), device=whole.owner.device)
        owner = streams.repeat_interleave(whole.number)
        flat = {name: getattr(whole, name).flatten(0, 1)[None] for name in _PER_STREAM}
        return View(layer=whole.layer.repeat(len(streams)), owner=owner, **flat)

    def holds(self, positions: Tensor) -> Tensor:
        """Which slots were taken from the tokens at positions [B, Q, E] of the reader's own stream: bool [B, Q, N].

        Where none was, those that cover one of them. A position of -1 is no token's.
        """
        at, own = positions[..., None], self._own(len(positions))
        exact = ((self.at[:, None, None] == at) & (at >= 0)).any(2) & own
        return exact | (self.covers(positions) & ~exact.any(-1, keepdim=True))

    def covers(self, positions: Tensor) -> Tensor:
        """Which slots stand for one of the tokens at positions [B, Q, E] of the reader's own stream: bool [B, Q, N]."""
        at = positions[..., None]
        covering = (self.start[:, None, None] <= at) & (at < self.end[:, None, None])
        return covering.any(2) & self._own(len(positions))

    def readable(self, positions: Tensor) -> Tensor:
        """Which slots may be read at positions [T]: bool [B, T, N]."""
        at = positions[:, None]
        return (self.born[:, None] <= at) & (at < self.retired[:, None])

    def _own(self, streams: int) -> Tensor:
        """Which slots each stream wrote itself: bool [B, 1, N]."""
        readers = torch.arange(streams, device=self.owner.device)[:, None]
        return ((self.owner == readers) | (self.owner < 0))[:, None]


def block_start(positions: Tensor) -> Tensor:
    """Where the block of each position begins."""
    return positions // BLOCK * BLOCK


def born_at(settings: CrystalSettings, layer: int, serial: Tensor) -> Tensor:
    """From which position on crystals of these serial numbers may be read: all their tokens have been seen."""
    return (serial + 1) * settings.spans[layer] + settings.lookahead


def view_of(settings: CrystalSettings, layer: int, slots: Tensor, serial: Tensor, at: Tensor | None = None) -> View:
    """Slots [B, n, S, slot_bits] of one layer whose serial numbers are [B, n]; at: [B, n, S], where that is known."""
    span, number = settings.spans[layer], settings.slots_of[layer]
    start = (serial * span).repeat_interleave(number, 1)
    born = born_at(settings, layer, serial).repeat_interleave(number, 1)
    kept = settings.recent[layer] if layer < ATOM else FOREVER
    flat = slots.flatten(1, 2)
    cues, values = flat.split((settings.cue_bits, settings.value_bits), -1)
    layers = torch.full((flat.shape[1],), layer, device=flat.device)
    inside = (2 * torch.arange(number, device=flat.device) + 1) * span // (2 * number)
    order = start + inside.repeat(serial.shape[1])
    taken = torch.full_like(start, -1) if at is None else at.flatten(1)
    return View(cues, values, layers, torch.full_like(layers, -1), start, start + span, born, born + kept, taken, order)


def joined(views: list[View]) -> View:
    """Views side by side, in order; none but the last may have packed atoms."""
    rows = {name: torch.cat([getattr(view, name) for view in views], 1) for name in _PER_STREAM}
    slots = {name: torch.cat([getattr(view, name) for view in views]) for name in _PER_SLOT}
    return View(**rows, **slots, packed=views[-1].packed)
