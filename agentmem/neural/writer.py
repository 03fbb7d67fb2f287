"""Hidden states to crystals: 10 tokens to a unit, 5 units to a cluster, 2 clusters to an atom.

Knows selection by learned importance. Knows nothing of storage or reading, save that the cue projection is shared with
the reader: with one of its own for writing, training stays at chance.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentmem.neural.settings import CrystalSettings
from agentmem.neural.values import Crystals

MERGE_SHARPNESS = 4.0


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
        self.importance = nn.Linear(settings.dimension, 1)
        self.merge_importance = nn.ModuleList(nn.Linear(settings.slot_bits, 1) for _ in settings.ratios[1:])

    def cue(self, hidden: Tensor) -> Tensor:
        """What a state is found by, and what it looks for: [..., dimension] -> [..., cue_bits]."""
        return self.cue_projection(self.norm(hidden))

    def units(self, hidden: Tensor, first: int) -> tuple[Crystals, Tensor]:
        """As many units as hidden [B, T, dimension] allows, and the mean importance of their tokens, a scalar."""
        ratio = self.settings.ratios[0]
        tokens = max(0, hidden.shape[1] - self.settings.lookahead) // ratio * ratio
        normed = self.norm(hidden)
        cues = self.cue_projection(normed[:, :tokens])
        pairs = torch.cat((cues, self._consequences(normed, tokens)), -1)
        logits = self.importance(normed[:, :tokens]).squeeze(-1)
        at = (first * ratio + torch.arange(tokens, device=hidden.device)).expand(len(hidden), -1)
        chosen = self._choose(*(each.unflatten(1, (-1, ratio)) for each in (logits, pairs, at)))
        return Crystals(*chosen, first), logits.sigmoid().sum() / max(1, logits.numel())

    def merge(self, layer: int, below: Crystals) -> Crystals:
        """Crystals of `layer` from all of the layer below, whose number is a multiple of the ratio."""
        ratio = self.settings.ratios[layer]
        candidates = below.slots.unflatten(1, (-1, ratio)).flatten(2, 3)
        logits = self.merge_importance[layer - 1](candidates).squeeze(-1) * MERGE_SHARPNESS
        at = below.at.unflatten(1, (-1, ratio)).flatten(2, 3)
        return Crystals(*self._choose(logits, candidates, at), below.first // ratio)

    def _consequences(self, normed: Tensor, tokens: int) -> Tensor:
        values = self.value_projection(normed)
        weights = self.offset_logits.softmax(0)
        return torch.stack([weight * values[:, i : i + tokens] for i, weight in enumerate(weights)]).sum(0)

    def _choose(self, logits: Tensor, candidates: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The S most important of candidates [B, n, r, bits] by logits [B, n, r], none twice, ordered by at [B, n, r].

        Gives slots [B, n, S, bits], importance [B, n, S] and their positions.
        """
        left, weights = logits.float(), []  # log1p(-0.999) is infinite in bfloat16
        for _ in range(self.settings.slots):
            soft = left.softmax(-1)
            weights.append(_hardened(soft))
            left = left + torch.log1p(-weights[-1].clamp(max=0.999))
        chosen = _in_order(torch.stack(weights, 2))
        slots = torch.einsum("bnsr,bnrd->bnsd", chosen, candidates)
        importance = torch.einsum("bnsr,bnr->bns", chosen, logits.sigmoid()).clamp(0, 1)
        return self._normed(slots), importance, at.gather(2, chosen.detach().argmax(-1))

    def _normed(self, slots: Tensor) -> Tensor:
        cue, value = slots.split((self.settings.cue_bits, self.settings.value_bits), -1)
        return torch.cat((F.layer_norm(cue, cue.shape[-1:]), F.layer_norm(value, value.shape[-1:])), -1)


def _hardened(soft: Tensor) -> Tensor:
    """The greatest of soft weights alone, with the gradient of all (straight-through)."""
    one = F.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype)
    return one + soft - soft.detach()


def _in_order(chosen: Tensor) -> Tensor:
    """Rows of chosen [B, n, S, r] by the place of their greatest weight."""
    order = chosen.detach().argmax(-1).argsort(-1)
    return chosen.gather(2, order.unsqueeze(-1).expand(-1, -1, -1, chosen.shape[-1]))
