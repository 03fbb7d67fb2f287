"""What a stream remembers: 1-bit atoms of 100 bytes under a fixed budget, and int8 units and clusters of late.

Knows packed bytes, births, eviction. Knows nothing of how crystals are chosen or what a reader makes of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agentmem.neural.quantise import Precision, from_int8, pack, quantise, to_int8, unpack
from agentmem.neural.settings import ATOM, CLUSTER, METADATA, UNIT, CrystalSettings
from agentmem.neural.values import Crystals, View, Written, joined

FOREVER = 2**62
STORED: tuple[Precision, Precision, Precision] = ("int8", "int8", "sign")
_BYTE = (1, 256, 65536)


@dataclass(frozen=True)
class Memory:
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
        slots = torch.zeros(streams, 0, settings.slots, settings.slot_bits, device=device)
        none = Crystals(slots, slots[..., 0], 0)
        hidden = torch.zeros(streams, 0, settings.dimension, device=device)
        atoms = torch.zeros(streams, 0, settings.atom_bytes, dtype=torch.uint8, device=device)
        ring = slots.to(torch.int8)
        return cls(settings, 0, hidden, (none, none), (ring, ring), (0, 0, 0), atoms)

    @property
    def atom_bytes(self) -> int:
        """Bytes of one stream's atoms."""
        return self.atoms.shape[1] * self.atoms.shape[2]

    @property
    def resident_bytes(self) -> int:
        """Bytes of all that one stream carries here, beside the transformer's caches."""
        floats = [self.hidden, *(each.slots for each in self.open), *(each.importance for each in self.open)]
        return sum(each[0].nbytes for each in [*floats, *self.recent, self.atoms])

    def remember(self, written: Written, hidden: Tensor, open: tuple[Crystals, Crystals], position: int) -> Memory:
        """With what was written up to `position`, less what no longer fits."""
        layers = written.layers
        units, clusters, atoms_made = (each.first + each.number for each in layers)
        recent = self._ring(UNIT, layers[UNIT]), self._ring(CLUSTER, layers[CLUSTER])
        atoms = torch.cat((self.atoms, self._packed(layers[ATOM])), 1)
        now = replace(
            self, position=position, hidden=hidden.detach(), open=(open[0].detached(), open[1].detached()),
            recent=recent, made=(units, clusters, atoms_made), atoms=atoms,
        )  # fmt: skip
        return now._within_budget()

    def view(self, written: Written | None = None, precision: Precision | None = None) -> View:
        """All that may be read: what is kept, and what was written just now, with its gradients.

        precision: of what was written just now; None: as it will be stored, int8 for units and clusters, signs for
        atoms.
        """
        kept = [self._kept_atoms(), *(self._kept_recent(layer) for layer in (UNIT, CLUSTER))]
        new = (
            [self._new(layer, each, precision or STORED[layer]) for layer, each in enumerate(written.layers)]
            if written
            else []
        )
        return joined([*kept, *new])

    def reinforced(self, mass: Tensor) -> Memory:
        """Atoms that were read grow in importance: mass [B, n] >= 0, the share of a reading each of them got."""
        left = 255 - self.atoms[..., -1].float()
        grown = self.atoms[..., -1].float() + (left * (1 - torch.exp(-mass))).ceil().where(mass > 0.01, 0.0)
        atoms = self.atoms.clone()
        atoms[..., -1] = grown.clamp(max=255).to(torch.uint8)
        return replace(self, atoms=atoms)

    def births(self) -> Tensor:
        """How many atoms were made before each of these: int64 [B, n]."""
        born = self.atoms[..., -METADATA:-1].long()
        return (born * torch.tensor(_BYTE, device=born.device)).sum(-1)

    def _ring(self, layer: int, new: Crystals) -> Tensor:
        kept = self.settings.recent[layer] // self.settings.spans[layer]
        return torch.cat((self.recent[layer], to_int8(new.slots)), 1)[:, -kept:]

    def _packed(self, new: Crystals) -> Tensor:
        codes = pack(new.slots.flatten(2))
        born = new.first + torch.arange(new.number, device=codes.device)
        stamp = torch.stack([born // weight % 256 for weight in _BYTE], -1).expand(len(codes), -1, -1)
        importance = (new.importance.detach().amax(-1) * 255).round().unsqueeze(-1)
        return torch.cat((codes, stamp.to(torch.uint8), importance.to(torch.uint8)), -1)

    def _within_budget(self) -> Memory:
        """Evicts the atoms of least importance x decay; those kept stay in order of birth."""
        room = self.settings.budget // self.settings.atom_bytes
        if self.atoms.shape[1] <= room:
            return self
        age = (self.position - self.births() * self.settings.spans[ATOM]).clamp(min=0)
        decay = (1 + age / self.settings.tau) ** -self.settings.exponent
        worth = (1 + self.atoms[..., -1].float()) * decay
        kept = worth.topk(room, 1).indices.sort(1).values
        atoms = self.atoms.gather(1, kept.unsqueeze(-1).expand(-1, -1, self.atoms.shape[2]))
        return replace(self, atoms=atoms)

    def _kept_atoms(self) -> View:
        slots = unpack(self.atoms[..., :-METADATA]).unflatten(-1, (self.settings.slots, -1))
        return self._as_view(ATOM, slots, self.births())

    def _kept_recent(self, layer: int) -> View:
        slots = from_int8(self.recent[layer])
        serial = self.made[layer] - slots.shape[1] + torch.arange(slots.shape[1], device=slots.device)
        return self._as_view(layer, slots, serial.expand(len(slots), -1))

    def _new(self, layer: int, new: Crystals, precision: Precision) -> View:
        serial = new.first + torch.arange(new.number, device=new.slots.device)
        return self._as_view(layer, quantise(new.slots, precision), serial.expand(len(new.slots), -1))

    def _as_view(self, layer: int, slots: Tensor, serial: Tensor) -> View:
        """A view of slots [B, n, S, bits] of one layer whose serial numbers are [B, n]."""
        settings = self.settings
        span = settings.spans[layer]
        serials = serial.repeat_interleave(settings.slots, 1)
        born = (serials + 1) * span + settings.lookahead
        kept = settings.recent[layer] if layer < ATOM else FOREVER
        flat = slots.flatten(1, 2)
        layers = torch.full((flat.shape[1],), layer, device=flat.device)
        cues, values = flat.split((settings.cue_bits, settings.value_bits), -1)
        start = serials * span
        return View(cues, values, layers, torch.full_like(layers, -1), start, start + span, born, born + kept)
