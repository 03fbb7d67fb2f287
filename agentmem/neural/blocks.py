"""The parts of a windowed transformer that streams: sliding attention with a key-value cache, a short convolution.

Knows one sequence and its cache: any split of a sequence into chunks gives the same result. Knows nothing of memory.
Source of the rotary positions: Su et al. 2021 (arXiv:2104.09864).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentmem.neural.mixed import autocast
from agentmem.neural.shapes import Shown


@dataclass(frozen=True, repr=False)
class Cache(Shown):
    """The newest keys and values, [B, h, <= window, d / h], without positions."""

    keys: Tensor
    values: Tensor

    @property
    def nbytes(self) -> int:
        return self.keys.nbytes + self.values.nbytes


class WindowedAttention(nn.Module):
    """Causal attention to the `window` newest tokens, the token itself among them."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """x [B, T, width], the tokens after the cache's -> [B, T, width], and the cache after them."""
        query, key, value = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = cache.keys.shape[2] if cache else 0
        keys = torch.cat((cache.keys, key), 2) if cache else key
        values = torch.cat((cache.values, value), 2) if cache else value
        mixed = self._attend(query, keys, values, seen).transpose(1, 2).flatten(2)
        return self.out(mixed), Cache(*(own(each[:, :, -self.window :]) for each in (keys, values)))

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, seen: int) -> Tensor:
        """Blocks of queries, each against itself and the window before it; [B, h, T, d / h]."""
        tokens = query.shape[2]
        places = torch.arange(seen + tokens, device=keys.device)
        query, keys = rotate(query, places[seen:]), rotate(keys, places)
        if tokens <= self.window:
            return self._attended(query, keys, values, seen)
        end = -tokens % self.window
        blocks = F.pad(query, (0, 0, 0, end)).unflatten(2, (-1, self.window))
        around = (0, 0, self.window - seen, end)
        keys, values = (_with_previous(F.pad(each, around), self.window) for each in (keys, values))
        return self._attended(blocks, keys, values, seen).flatten(2, 3)[:, :, :tokens]

    def _attended(self, query: Tensor, keys: Tensor, values: Tensor, seen: int) -> Tensor:
        """query: [B, h, ..., q, d / h]; keys, values: [B, h, ..., k, d / h], where ... is nothing or blocks."""
        streams, blocks = len(query), query.shape[2] if query.dim() == 5 else 1
        mask = self._mask(blocks, query.shape[-2], keys.shape[-2], seen, query.device)
        q, k, v = (_folded(each).float() for each in (query, keys, values))
        with autocast(query.device, enabled=False):  # the fused kernel of processors is quicker in float32
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.repeat(streams, 1, 1).unsqueeze(1))
        mixed = mixed.unflatten(0, (streams, blocks)).transpose(1, 2)
        return mixed if query.dim() == 5 else mixed.squeeze(2)

    def _mask(self, blocks: int, queries: int, keys: int, seen: int, device: torch.device) -> Tensor:
        """0 where a query sees a key, else -inf, [blocks, q, k]: not the future, not beyond the window, not padding."""
        query = torch.arange(keys - queries, keys, device=device)[:, None]
        key = torch.arange(keys, device=device)[None]
        near = (key <= query) & (query - key < self.window)
        padding = max(0, self.window - seen) if blocks > 1 else 0
        real = key + torch.arange(blocks, device=device)[:, None, None] * queries >= padding
        return torch.zeros(blocks, queries, keys, device=device).masked_fill(~(near & real), float("-inf"))


class Block(nn.Module):
    """Attention and a feed-forward layer, each normed before and added."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), WindowedAttention(width, heads, window)
        self.forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """x [B, T, width], the tokens after the cache's -> [B, T, width], and the cache after them."""
        attended, cache = self.attention(self.attention_norm(x), cache)
        x = x + attended
        return x + self.feed_forward(self.forward_norm(x)), cache


class ShortConvolution(nn.Module):
    """Each channel over the newest `reach` tokens: a token's state holds its context, cheaply, before any attention."""

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.convolution = nn.Conv1d(width, width, reach, groups=width)
        nn.init.normal_(self.convolution.weight, std=0.3)

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """x [B, T, width], and the tokens before them [B, reach - 1, width] (None: zeros) -> [B, T, width], and the
        last reach - 1 tokens.
        """
        before = x.new_zeros(len(x), self.reach - 1, x.shape[2]) if before is None else before
        padded = torch.cat((before, x), 1)
        mixed = self.convolution(padded.transpose(1, 2)).transpose(1, 2)
        return x + mixed, own(padded[:, padded.shape[1] - self.reach + 1 :])


def own(part: Tensor) -> Tensor:
    """A part of any shape to keep: without gradients, and with storage of its own, or it would hold the whole."""
    return part.detach().clone()


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """x [..., T, even] turned by its positions [T]; the same shape."""
    frequencies = 10_000.0 ** (-torch.arange(0, x.shape[-1], 2, device=x.device) / x.shape[-1])
    angles = positions[:, None].float() * frequencies
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = even * angles.cos() - odd * angles.sin(), even * angles.sin() + odd * angles.cos()
    return torch.stack(turned, -1).flatten(-2)


def _with_previous(x: Tensor, size: int) -> Tensor:
    """x [B, h, (n + 1) size, d] as n blocks, each behind the one before it: [B, h, n, 2 size, d]."""
    blocks = x.unflatten(2, (-1, size))
    return torch.cat((blocks[:, :, :-1], blocks[:, :, 1:]), 3)


def _folded(x: Tensor) -> Tensor:
    """[B, h, n, q, d] as [B n, h, q, d]; four dimensions stay."""
    return x.transpose(1, 2).flatten(0, 1) if x.dim() == 5 else x
