"""The parts of a windowed transformer that streams: sliding attention with a key-value cache, a short convolution.

Knows one sequence and its cache: any split of a sequence into chunks gives the same result. Knows nothing of memory.
Source of the rotary positions: Su et al. 2021 (arXiv:2104.09864).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Cache:
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
        """x: [B, T, width], the tokens after the cache's."""
        query, key, value = self.project(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = cache.keys.shape[2] if cache else 0
        keys = torch.cat((cache.keys, key), 2) if cache else key
        values = torch.cat((cache.values, value), 2) if cache else value
        mixed = self._attend(query, keys, values, seen).transpose(1, 2).flatten(2)
        kept = Cache(keys[:, :, -self.window :].detach(), values[:, :, -self.window :].detach())
        return self.out(mixed), kept

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, seen: int) -> Tensor:
        """Blocks of queries, each against itself and the window before it; [B, h, T, d / h]."""
        tokens = query.shape[2]
        size = min(self.window, tokens)
        padded = -tokens % size
        blocks = F.pad(query, (0, 0, 0, padded)).unflatten(2, (-1, size))
        around = (self.window - seen, padded)
        near_keys, near_values = (_windows(each, around, self.window + size, size) for each in (keys, values))
        mask = self._mask(blocks.shape[2], size, seen, query.device)
        start = torch.arange(self.window + size, device=query.device)
        turned = rotate(blocks, start[self.window :]), rotate(near_keys, start)
        mixed = F.scaled_dot_product_attention(*turned, near_values, attn_mask=mask)
        return mixed.flatten(2, 3)[:, :, :tokens]

    def _mask(self, blocks: int, size: int, seen: int, device: torch.device) -> Tensor:
        """Who sees whom, bool [blocks, size, window + size]: not the future, not beyond the window, not the padding."""
        query = torch.arange(size, device=device)[:, None]
        key = torch.arange(-self.window, size, device=device)[None]
        near = (key <= query) & (query - key < self.window)
        real = key + torch.arange(blocks, device=device)[:, None, None] * size >= -seen
        return near & real


class Block(nn.Module):
    """Attention and a feed-forward layer, each normed before and added."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), WindowedAttention(width, heads, window)
        self.forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
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
        """x: [B, T, width]. before: the reach - 1 tokens before them; None: zeros."""
        before = x.new_zeros(len(x), self.reach - 1, x.shape[2]) if before is None else before
        padded = torch.cat((before, x), 1)
        mixed = self.convolution(padded.transpose(1, 2)).transpose(1, 2)
        return x + mixed, padded[:, padded.shape[1] - self.reach + 1 :].detach()


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary positions [T] for x [..., T, even]."""
    frequencies = 10_000.0 ** (-torch.arange(0, x.shape[-1], 2, device=x.device) / x.shape[-1])
    angles = positions[:, None].float() * frequencies
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = even * angles.cos() - odd * angles.sin(), even * angles.sin() + odd * angles.cos()
    return torch.stack(turned, -1).flatten(-2)


def _windows(x: Tensor, around: tuple[int, int], length: int, stride: int) -> Tensor:
    """x [B, h, T, d], zeros around it, as overlapping windows [B, h, n, length, d]."""
    return F.pad(x, (0, 0, *around)).unfold(2, length, stride).transpose(-1, -2)
