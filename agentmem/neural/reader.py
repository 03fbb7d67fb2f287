"""Reading crystals: cue match, decay and layer as one score; the best of all layers; a null slot for "nothing".

Knows a view and queries. Knows nothing of how crystals are made or stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentmem.decay import TAU
from agentmem.neural.settings import ATOM, CrystalSettings
from agentmem.neural.shapes import Shown
from agentmem.neural.view import BLOCK, View, block_start

FORBIDDEN = -1e9
SHARPNESS = 20.0
QUICKLY = 10.0  # a scalar moves by one learning rate a step: this makes it ten
COMPARED, APART = 100, 200  # what two slots take to be compared, once for all states or for one: so many products
AMPLE = 4  # times the slots that are read: among so many of the highest scores are nearly always all of a cue


@dataclass(frozen=True, repr=False)
class Reading(Shown):
    """out: [B, T, d]. view: what was scored. match: [B, h, T, N], the scores before decay, for the write-read loss.
    chosen, weights: [B, h, T, k], the slots of the view read and how much of each; the null slot has the rest.
    """

    out: Tensor
    view: View
    match: Tensor
    chosen: Tensor
    weights: Tensor

    @property
    def shares(self) -> Tensor:
        """Of the weight of each reading, what the null slot, units, clusters and atoms have: [B, h, T, 4]."""
        none = self.weights.new_zeros(*self.weights.shape[:-1], ATOM + 1)
        of_layers = none.scatter_add(-1, self.view.layer[self.chosen], self.weights)
        null = 1 - of_layers.sum(-1, keepdim=True)
        return torch.cat((null.clamp(min=0), of_layers), -1)  # rounding may put it below 0


class Reader(nn.Module):
    """Attention to crystals. score = scale cos(query, cue) - lambda log1p(age / tau) + bias of the layer - superseded.

    The query is the writer's own cue of the state, plus a correction that starts at zero. A slot is superseded by a
    newer one of the same cue: what was written anew counts, and what it was before is found as of then.
    """

    def __init__(self, settings: CrystalSettings) -> None:
        super().__init__()
        self.settings = settings
        heads = settings.heads
        self.norm = nn.LayerNorm(settings.dimension)
        self.correction = nn.Linear(settings.dimension, heads * settings.cue_bits, bias=False)
        nn.init.zeros_(self.correction.weight)
        self.expand = nn.Linear(heads * settings.value_bits, settings.dimension, bias=False)
        self.log_scale = nn.Parameter(torch.full((heads,), math.log(12.0)))
        self.raw_lambda = nn.Parameter(torch.full((heads,), -3.0))
        self.log_tau = nn.Parameter(torch.full((heads,), math.log(TAU)))
        self.layer_bias = nn.Parameter(torch.zeros(heads, len(settings.ratios)))
        self.null = nn.Parameter(torch.full((heads,), 4.0))
        self.same_cue = nn.Parameter(torch.tensor(0.9))  # cosine from which on two cues are the same
        self.superseded_by = nn.Parameter(torch.tensor(-0.3))  # hardly, until cues differ

    @property
    def scale(self) -> Tensor:
        """Of a match [h], `sharpest` at most: trained long, the contrast alone would make a reading of the best slot.

        Source of the limit: Radford et al. 2021 (arXiv:2103.00020).
        """
        return self.log_scale.exp().clamp(max=self.settings.sharpest)

    def forward(self, hidden: Tensor, cue: Callable[[Tensor], Tensor], view: View, positions: Tensor) -> Reading:
        """Read for hidden [B, T, d] at positions [T]; with nothing to read, out is zero."""
        query = self.query(hidden, cue)
        view = view.near(query, positions, self.same_cue.item())
        match = self.match(query, view)
        scores, chosen = self.best(self.scores(match, view, positions), view)
        scores = scores - self.superseded(scores, chosen, view)
        null = self.null[:, None, None].expand(*scores.shape[:-1], 1)
        weights = torch.cat((scores, null), -1).softmax(-1)[..., :-1]
        mixed = mix(view.values, chosen, weights).transpose(1, 2).flatten(2)
        return Reading(self.expand(mixed), view, match, chosen, weights)

    def query(self, hidden: Tensor, cue: Callable[[Tensor], Tensor]) -> Tensor:
        """What each state looks for, of length 1: [B, h, T, cue_bits]."""
        correction = self.correction(self.norm(hidden)).unflatten(-1, (self.settings.heads, -1))
        return F.normalize(cue(hidden).unsqueeze(2) + correction, dim=-1).transpose(1, 2)

    def match(self, query: Tensor, view: View) -> Tensor:
        """How well each slot's cue fits each query [B, h, T, cue_bits]: [B, h, T, N], at most scale."""
        cosine = torch.einsum("bhtc,bnc->bhtn", query, F.normalize(view.cues, dim=-1))
        return cosine * self.scale[:, None, None]

    def scores(self, match: Tensor, view: View, positions: Tensor) -> Tensor:
        """match [B, h, T, N] with decay and layer bias; far below all others where a slot may not be read.

        Both change with the block only, which saves most of their cost: ages are counted up to a block's start, and
        what is written in a block is read from the next one on.
        """
        blocks, place = block_start(positions).unique(return_inverse=True)
        bias = self._bias(view, blocks)
        if torch.equal(place, torch.arange(len(place), device=place.device) // BLOCK) and len(place) % BLOCK == 0:
            return (match.unflatten(2, (-1, BLOCK)) + bias.unsqueeze(3)).flatten(2, 3)  # in half the time
        return match + bias[:, :, place]

    def _bias(self, view: View, positions: Tensor) -> Tensor:
        """[B, h, len(positions), N]"""
        age = (positions[:, None] - view.end[:, None]).clamp(min=0)[:, None]
        rate = F.softplus(self.raw_lambda)[:, None, None]
        decay = rate * torch.log1p(age / self.log_tau.exp()[:, None, None])
        return (self.layer_bias[:, view.layer][:, None] - decay).masked_fill(
            ~view.readable(positions)[:, None], FORBIDDEN
        )

    def best(self, scores: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """The slots to be read and their scores, [B, h, T, k] each, of scores [B, h, T, N].

        Those of the highest scores. Of a cue that was written so often that not all have room, the newest.
        """
        read = min(self.settings.read, view.number)
        ample = self._ample(scores.detach(), view.order, min(AMPLE * read, view.number))
        found = scores.detach().gather(-1, ample).float()
        chosen = ample.gather(-1, self._first(found, _at(view.order, ample)).topk(read, -1).indices)
        return scores.gather(-1, chosen), chosen

    @torch.no_grad()
    def _ample(self, scores: Tensor, order: Tensor, number: int) -> Tensor:
        """So many slots of the highest scores [B, h, T, number]; where all of them are of the cue of the best, the
        newest of it, since there may be more.
        """
        found, chosen = scores.topk(number, -1)
        crowded = self._of_the_best(found.float()).all(-1)
        if number < scores.shape[-1] and crowded.any():
            every = scores[crowded].float()
            own = every >= every.amax(-1, keepdim=True) - self._same.expand(*crowded.shape, 1)[crowded]
            ages = order.expand(len(scores), -1)[crowded.nonzero()[:, 0]]
            chosen[crowded] = ages.where(own, -1).topk(number, -1).indices
        return chosen

    @torch.no_grad()
    def _first(self, scores: Tensor, order: Tensor) -> Tensor:
        """Which are to be read first, the greatest: of the cue of the best the newest, then by scores [B, h, T, k]."""
        return torch.where(self._of_the_best(scores), order.float(), scores - 1e4)  # below every order

    def _of_the_best(self, scores: Tensor) -> Tensor:
        """Which of scores [B, h, T, k] are of the same cue as the highest of them."""
        return scores >= scores.amax(-1, keepdim=True) - self._same

    @property
    def _same(self) -> Tensor:
        """By how much scores of the same cue differ at most [h, 1, 1]."""
        return ((1 - self.same_cue) * self.scale)[:, None, None]

    def superseded(self, scores: Tensor, chosen: Tensor, view: View) -> Tensor:
        """What each of the slots read, chosen [B, h, T, k] with scores, loses to the newer of them of its own cue.

        Stored cues are noisy, so each newer one is of the same cue with a likelihood, and one that is suffices (a
        noisy or). A cluster's and an atom's places are known to their span only: what may be of the same time is not
        newer.
        """
        none_is, steepness = self._none_is_the_same(scores, chosen, view)
        none_is = none_is + steepness * (self.same_cue - self.same_cue.detach())
        return -none_is.expm1() * F.softplus(QUICKLY * self.superseded_by)

    @torch.no_grad()
    def _none_is_the_same(self, scores: Tensor, chosen: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """Log likelihood that no newer slot is of the same cue [B, h, T, k], and how steeply it rises with `same_cue`:
        so nothing of size k x k is kept for the gradient.
        """
        counted = scores > FORBIDDEN / 2
        if view.number**2 * (COMPARED + scores.shape[2]) < APART * scores[0].numel() * scores.shape[-1]:
            read = scores.new_zeros(*scores.shape[:-1], view.number).scatter_(-1, chosen, counted.to(scores.dtype))
            closer = self._closer(F.normalize(view.cues, dim=-1), _newer(view.layer, view.start, view.end, view.order))
            likely, steepness = (
                (read.flatten(1, 2) @ each.mT).unflatten(1, scores.shape[1:3]).gather(-1, chosen)
                for each in (F.softplus(closer), closer.sigmoid())
            )
        else:
            newer = _newer(view.layer[chosen], *(_at(each, chosen) for each in (view.start, view.end, view.order)))
            closer = self._closer(_directions(view, chosen), newer.logical_and_(counted.unsqueeze(-2)))
            likely, steepness = F.softplus(closer).sum(-1), closer.sigmoid().sum(-1)
        return -likely, SHARPNESS * steepness

    def _closer(self, cues: Tensor, newer: Tensor) -> Tensor:
        """By how much the cosine of each two of cues [..., k, cue_bits] is above that of the same cue, times SHARPNESS;
        far below 0 where the second is not newer: [..., k, k].
        """
        above = (cues @ cues.mT).sub_(self.same_cue)
        return above.masked_fill_(newer.logical_not_(), -3.0).mul_(SHARPNESS)


def _directions(view: View, chosen: Tensor) -> Tensor:
    """Of the chosen slots [B, h, T, k] their cues, of length 1."""
    if chosen[0].numel() < view.number:
        return F.normalize(gather(view.cues, chosen), dim=-1)
    return gather(F.normalize(view.cues, dim=-1), chosen)


def _newer(layer: Tensor, start: Tensor, end: Tensor, order: Tensor) -> Tensor:
    """Of slots [..., k] whether the second is newer: bool [..., k, k]."""
    alike = layer.unsqueeze(-2) == layer.unsqueeze(-1)
    return (_pairs(order, order) & alike).logical_or_(_pairs(start, end - 1) & ~alike)


def mix(values: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums [B, h, T, bits] of the chosen of values [B or 1, N, bits]; chosen, weights: [B, h, T, k]."""
    rows = _rows(values, chosen).view(-1, chosen.shape[-1])
    shares = weights.flatten(0, 2).to(values.dtype)
    return F.embedding_bag(rows, values.flatten(0, 1), per_sample_weights=shares, mode="sum").unflatten(
        0, chosen.shape[:3]
    )


def _pairs(left: Tensor, right: Tensor) -> Tensor:
    """[..., i, j] whether left[..., j] > right[..., i]."""
    return left.unsqueeze(-2) > right.unsqueeze(-1)


def _at(numbers: Tensor, chosen: Tensor) -> Tensor:
    """Numbers [B or 1, N] of the chosen slots [B, h, T, k]."""
    return gather(numbers.unsqueeze(-1), chosen).squeeze(-1)


def gather(values: Tensor, chosen: Tensor) -> Tensor:
    """Rows [B, ..., bits] of values [B or 1, N, bits] at chosen [B, ...]."""
    rows = _rows(values, chosen)  # all at once, in half the time of Tensor.gather
    return values.flatten(0, 1).index_select(0, rows).unflatten(0, chosen.shape)


def _rows(values: Tensor, chosen: Tensor) -> Tensor:
    """Where the chosen [B, ...] of values [B or 1, N, bits] stand in values.flatten(0, 1): one dimension."""
    first = torch.arange(len(values), device=values.device) * values.shape[1]
    return (chosen.flatten(1) + first[:, None]).flatten()
