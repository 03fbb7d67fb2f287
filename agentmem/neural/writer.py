"""Hidden states to crystals: 10 tokens to a unit, 5 units to a cluster, 2 clusters to an atom.

Knows selection by learned importance. Knows nothing of storage or reading, save that the cue projection is shared with
the reader: with one of its own for writing, training stays at chance.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentmem.neural.settings import UNIT, CrystalSettings
from agentmem.neural.values import Choices, Crystals

SHARPNESS = 4.0  # of the choice of the more important
NEVER = -1e4  # chosen again


class Writer(nn.Module):
    """A slot binds the cue of one token to the consequence, a learned mixture over that token and the next ones.

    Tokens and slots are chosen outright, with the gradient of a soft choice: averages trained soft fall apart when
    they are hardened later.
    """

    def __init__(self, settings: CrystalSettings) -> None:
        super().__init__()
        self.settings = settings
        self.norm = nn.LayerNorm(settings.dimension)
        self.cue_projection = nn.Linear(settings.dimension, settings.cue_bits, bias=False)
        self.value_projection = nn.Linear(settings.dimension, settings.value_bits, bias=False)
        self.offset_logits = nn.Parameter(torch.zeros(settings.offsets))
        self.importance = nn.ModuleList(nn.Linear(settings.slot_bits, 1) for _ in settings.ratios)

    def cue(self, hidden: Tensor) -> Tensor:
        """What a state is found by, and what it looks for: [..., dimension] -> [..., cue_bits]."""
        return self.cue_projection(self.norm(hidden))

    def units(self, hidden: Tensor, first: int) -> tuple[Crystals, Choices]:
        """As many units [B, n, S, slot_bits] as hidden [B, T, dimension] allows; first: how many there are already."""
        ratio = self.settings.ratios[UNIT]
        tokens = max(0, hidden.shape[1] - self.settings.lookahead) // ratio * ratio
        normed = self.norm(hidden)
        pairs = torch.cat((self.cue_projection(normed[:, :tokens]), self._consequences(normed, tokens)), -1)
        at = (first * ratio + torch.arange(tokens, device=hidden.device)).expand(len(hidden), -1)
        return self._chosen(UNIT, self._normed(pairs).unflatten(1, (-1, ratio)), at.unflatten(1, (-1, ratio)), first)

    def merge(self, layer: int, below: Crystals) -> tuple[Crystals, Choices]:
        """Crystals of `layer`, [B, n / ratio, S, slot_bits], from all n of the layer below, a multiple of the ratio."""
        ratio = self.settings.ratios[layer]
        candidates, at = (each.unflatten(1, (-1, ratio)).flatten(2, 3) for each in (below.slots, below.at))
        return self._chosen(layer, candidates, at, below.first // ratio)

    def _consequences(self, normed: Tensor, tokens: int) -> Tensor:
        """What each of the first `tokens` of normed [B, T, dimension] looks ahead to: [B, tokens, value_bits]."""
        values = self.value_projection(normed)
        weights = self.offset_logits.softmax(0)
        return torch.stack([weight * values[:, i : i + tokens] for i, weight in enumerate(weights)]).sum(0)

    def _chosen(self, layer: int, candidates: Tensor, at: Tensor, first: int) -> tuple[Crystals, Choices]:
        """The S most important of candidates [B, n, r, bits], taken from tokens at [B, n, r], none twice, in order."""
        logits = self.importance[layer](candidates).squeeze(-1).float() * SHARPNESS
        chosen = self._most_important(logits, at, self.settings.slots_of[layer])
        slots = self._normed(torch.einsum("bnsr,bnrd->bnsd", chosen.to(candidates.dtype), candidates))
        importance = torch.einsum("bnsr,bnr->bns", chosen, logits.sigmoid()).clamp(0, 1)
        crystals = Crystals(slots, importance, at.gather(2, chosen.detach().argmax(-1)), first)
        return crystals, Choices(logits, at)

    def _most_important(self, logits: Tensor, at: Tensor, slots: int) -> Tensor:
        """Which of logits [B, n, r] each slot takes: [B, n, slots, r], 1 or 0, with the gradient of a soft choice."""
        if not logits.shape[1]:  # as in nine of ten single steps
            return logits.new_zeros(*logits.shape[:2], slots, logits.shape[2])
        left, weights = logits, []
        if self.settings.chance:
            left = left + self.settings.chance * gumbel(at)
        for _ in range(slots):
            soft = left.softmax(-1)
            weights.append(_hardened(soft))
            left = left + torch.log1p(-weights[-1].clamp(max=0.999))  # the gradient of what was not chosen
            left = left.masked_fill(weights[-1] > 0.5, NEVER)
        return _in_order(torch.stack(weights, 2))

    def _normed(self, slots: Tensor) -> Tensor:
        cue, value = slots.split((self.settings.cue_bits, self.settings.value_bits), -1)
        return torch.cat((F.layer_norm(cue, cue.shape[-1:]), F.layer_norm(value, value.shape[-1:])), -1)


def gumbel(positions: Tensor) -> Tensor:
    """Noise of the standard Gumbel distribution for each position, the same wherever a stream is cut.

    The greatest of logarithms with it are a draw in proportion, without replacement. Source: Kool et al. 2019
    (arXiv:1903.06059); the hash is Murmur3's finaliser.
    """
    mixed = positions + 1
    for factor, shift in ((0x9E3779B1, 16), (0x85EBCA6B, 13), (0xC2B2AE35, 16)):
        mixed = mixed * factor & 0xFFFFFFFF
        mixed = mixed ^ mixed >> shift
    return -torch.log(-torch.log((mixed.double() + 0.5) / 2**32)).float()


def _hardened(soft: Tensor) -> Tensor:
    """The greatest of soft weights alone, with the gradient of all (straight-through)."""
    one = F.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype)
    return one + soft - soft.detach()


def _in_order(chosen: Tensor) -> Tensor:
    """Rows of chosen [B, n, S, r] by the place of their greatest weight."""
    order = chosen.detach().argmax(-1).argsort(-1)
    return chosen.gather(2, order.unsqueeze(-1).expand(-1, -1, -1, chosen.shape[-1]))
