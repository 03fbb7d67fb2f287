"""What a stream remembers: 1-bit atoms of 100 bytes under a fixed budget, and int8 units and clusters of late.

Knows packed bytes, births, eviction. Knows nothing of how crystals are chosen or what a reader makes of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.quantise import Precision, from_int8, pack, quantise, to_int8
from agentmem.neural.settings import ATOM, CLUSTER, METADATA, UNIT, CrystalSettings
from agentmem.neural.shapes import Shown
from agentmem.neural.values import Crystals, Written
from agentmem.neural.view import BLOCK, Packed, View, born_at, joined, view_of

READ = 0.01  # share of a reading from which on it counts
STORED: tuple[Precision, Precision, Precision] = ("int8", "int8", "sign")
_BYTE = (1, 256, 65536)
MOST = 2**24  # atoms, 1.6 billion tokens
TOGETHER = 100  # births that are evicted for at once
ROUNDING = 1e-5  # more than a product of floats is off by


@dataclass(frozen=True, repr=False)
class Memory(Shown):
    """The memory of B streams in step; every change gives a new one.

    position: tokens seen. hidden: [B, < 10 + lookahead, d], states that no unit covers yet. open: units and clusters
    that wait for their cluster or atom. recent: units and clusters as int8 [B, n, S, slot_bits], the newest at the
    end. made: how many of each layer there have been. atoms: uint8 [B, n, 100], code and metadata.
    """

    settings: CrystalSettings
    position: int
    hidden: Tensor
    open: tuple[Crystals, Crystals]
    recent: tuple[Tensor, Tensor]
    made: tuple[int, int, int]
    atoms: Tensor

    @classmethod
    def empty(cls, settings: CrystalSettings, streams: int, device: torch.device | None = None) -> Memory:
        none = [
            torch.zeros(streams, 0, settings.slots_of[layer], settings.slot_bits, device=device)
            for layer in (UNIT, CLUSTER)
        ]
        units, clusters = (Crystals(each, each[..., 0], each[..., 0].long(), 0) for each in none)
        hidden = torch.zeros(streams, 0, settings.dimension, device=device)
        atoms = torch.zeros(streams, 0, settings.atom_bytes, dtype=torch.uint8, device=device)
        recent = none[UNIT].to(torch.int8), none[CLUSTER].to(torch.int8)
        return cls(settings, 0, hidden, (units, clusters), recent, (0, 0, 0), atoms)

    @property
    def atom_bytes(self) -> int:
        """Bytes of one stream's atoms."""
        return self.atoms.shape[1] * self.atoms.shape[2]

    @property
    def resident_bytes(self) -> int:
        """Bytes of all that one stream carries here, beside the transformer's caches."""
        waiting = [each for crystals in self.open for each in (crystals.slots, crystals.importance, crystals.at)]
        return sum(each[0].nbytes for each in [self.hidden, *waiting, *self.recent, self.atoms])

    def remember(self, written: Written, hidden: Tensor, open: tuple[Crystals, Crystals], position: int) -> Memory:
        """With what was written up to `position`, less what no longer fits. hidden: [B, n, d], what no unit covers yet;
        open: units and clusters that no cluster and no atom covers.
        """
        layers = written.layers
        units, clusters, atoms_made = (each.first + each.number for each in layers)
        recent = self._ring(UNIT, layers[UNIT], position), self._ring(CLUSTER, layers[CLUSTER], position)
        atoms = torch.cat((self.atoms, self._packed(layers[ATOM])), 1)
        now = replace(
            self, position=position, hidden=hidden.detach().clone(), open=(open[0].kept(), open[1].kept()),
            recent=recent, made=(units, clusters, atoms_made), atoms=atoms,
        )  # fmt: skip
        return now.within_budget()

    def view(self, written: Written | None = None, precision: Precision | None = None) -> View:
        """All that may be read: what is kept, and what was written just now, with its gradients.

        precision: of what was written just now; None: as it will be stored, int8 for units and clusters, signs for
        atoms.
        """
        kept = [self._kept_recent(layer) for layer in (UNIT, CLUSTER)]
        layers = enumerate(written.layers if written else ())
        new = [self._new(layer, each, precision or STORED[layer]) for layer, each in layers if each.number]
        atoms = Packed(self.settings, self.atoms, self.births()) if self.atoms.shape[1] else None
        if atoms is None or atoms.are_few:
            return joined([*([atoms.unpacked()] if atoms else []), *kept, *new])
        return replace(joined([*kept, *new]), packed=atoms)

    def reinforced(self, births: Tensor, share: Tensor) -> Memory:
        """Atoms that were read grow in importance. births: [B, n], which; share: [B, n] >= 0, of a reading, of each.

        The greatest share counts; what was evicted meanwhile does not grow.
        """
        mine = self.births()
        if not mine.shape[1]:
            return self
        place = torch.searchsorted(mine, births).clamp(max=mine.shape[1] - 1)
        share = share.where(mine.gather(1, place) == births, 0.0)
        mass = torch.zeros(mine.shape, device=mine.device).scatter_reduce(1, place, share, "amax")
        importance = self.atoms[..., -1].float()
        grown = importance + ((255 - importance) * (1 - torch.exp(-mass))).ceil().where(mass > READ, 0.0)
        atoms = self.atoms.clone()
        atoms[..., -1] = grown.clamp(max=255).to(torch.uint8)
        return replace(self, atoms=atoms)

    def births(self) -> Tensor:
        """How many atoms were made before each of these: int64 [B, n]."""
        born = self.atoms[..., -METADATA:-1].long()
        return (born * torch.tensor(_BYTE, device=born.device)).sum(-1)

    def within_budget(self) -> Memory:
        """Less the atoms of least importance x decay, one at each birth; those kept stay in order of birth."""
        room, number = self.settings.budget // self.settings.atom_bytes, self.atoms.shape[1]
        if number <= room:
            return self
        births, importance = self.births(), 1 + self.atoms[..., -1].float()
        kept = torch.arange(room, device=births.device).repeat(len(births), 1)
        for newest in torch.arange(room, number, device=births.device).split(TOGETHER):
            kept = torch.cat((kept, newest.expand(len(kept), -1)), 1)
            gone = self._evicted(births.gather(1, kept), importance.gather(1, kept), len(newest))
            kept = kept[~gone].view(len(kept), room)
        whole = zip(self.atoms, kept, strict=True)  # row by row, a twentieth of the time that gather takes
        return replace(self, atoms=torch.stack([atoms.index_select(0, each) for atoms, each in whole]))

    def _ring(self, layer: int, new: Crystals, position: int) -> Tensor:
        """Those that may still be read at `position`."""
        crystals = torch.cat((self.recent[layer], to_int8(new.slots)), 1)
        serial = new.first + new.number - crystals.shape[1] + torch.arange(crystals.shape[1])
        retired = born_at(self.settings, layer, serial) + self.settings.recent[layer]
        gone = int((retired <= position // BLOCK * BLOCK).sum())
        return crystals[:, gone:].clone()  # a slice alone would hold all that was written

    def _packed(self, new: Crystals) -> Tensor:
        if new.first + new.number > MOST:
            raise InvalidInputError(
                f"{new.first + new.number} atoms were made and births are numbered up to {MOST}: begin a new memory"
            )
        codes = pack(new.slots.flatten(2))
        born = new.first + torch.arange(new.number, device=codes.device)
        stamp = torch.stack([born // weight % 256 for weight in _BYTE], -1).expand(len(codes), -1, -1)
        importance = (new.importance.detach().amax(-1) * 255).round().unsqueeze(-1)
        return torch.cat((codes, stamp.to(torch.uint8), importance.to(torch.uint8)), -1)

    def _evicted(self, births: Tensor, importance: Tensor, new: int) -> Tensor:
        """Which of the atoms [B, n], the last `new` of them added one by one, have gone: bool [B, n]."""
        old = births.shape[1] - new
        few = self._risked(births, importance, new)
        worth = self._worth(births[:, None, few], importance[:, None, few], births[:, old:, None])
        to_come = few > torch.arange(old, births.shape[1], device=few.device)[:, None]
        gone = torch.zeros_like(worth[:, 0], dtype=torch.bool)
        for each in worth.masked_fill(to_come, math.inf).unbind(1):
            gone.scatter_(1, each.masked_fill(gone, math.inf).argmin(1, keepdim=True), True)
        return torch.zeros_like(births, dtype=torch.bool).index_copy(1, few, gone)

    def _risked(self, births: Tensor, importance: Tensor, new: int) -> Tensor:
        """Which of the atoms [B, n] may go while the last `new` of them are added, ascending: to weigh all each time
        took a third of what writing takes.

        Whenever one goes, one of the `new` that were worth least before is still there, and worth no more than it was.
        So what is worth more to the end stays.
        """
        old = births.shape[1] - new
        before, after = (self._worth(births[:, :old], importance[:, :old], births[:, at, None]) for at in (old, -1))
        least = before.topk(min(new, old), 1, largest=False).values.amax(1, keepdim=True)
        few = (after <= least * (1 + ROUNDING)).any(0).nonzero().flatten()
        return torch.cat((few, torch.arange(old, births.shape[1], device=few.device)))

    def _worth(self, births: Tensor, importance: Tensor, newest: Tensor) -> Tensor:
        """importance x decay of atoms, once those born as number `newest` are there."""
        age = (newest - births) * self.settings.spans[ATOM]
        return importance * (1 + age / self.settings.tau) ** -self.settings.exponent

    def _kept_recent(self, layer: int) -> View:
        slots = from_int8(self.recent[layer])
        serial = self.made[layer] - slots.shape[1] + torch.arange(slots.shape[1], device=slots.device)
        return view_of(self.settings, layer, slots, serial.expand(len(slots), -1))

    def _new(self, layer: int, new: Crystals, precision: Precision) -> View:
        serial = new.first + torch.arange(new.number, device=new.slots.device)
        slots = quantise(new.slots, precision)
        return view_of(self.settings, layer, slots, serial.expand(len(slots), -1), new.at)
