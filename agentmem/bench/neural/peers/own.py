"""Our own models behind the peers' interface: a windowed transformer without memory, and a TokenModel.

Knows agentmem.neural. The windowed one is a TokenModel less its memory: the same convolution, blocks and tied head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentmem.bench.neural.peers.peer import Peer
from agentmem.bench.neural.peers.sizes import Size
from agentmem.neural.blocks import Block, Cache, ShortConvolution
from agentmem.neural.measure import bytes_of
from agentmem.neural.shapes import TOKENS, check
from agentmem.neural.tokens import Output, TokenModel
from agentmem.neural.transformer import State as CrystalState


@dataclass(frozen=True)
class Windows:
    """What the windows hold of B streams."""

    streams: int
    convolution: Tensor | None
    caches: tuple[Cache | None, ...]


class Windowed(Peer):
    """Each token sees one window of tokens before it in every layer, and nothing else."""

    def __init__(self, vocabulary: int, size: Size, window: int, depth: int, reach: int = 6) -> None:
        super().__init__(window)
        width, inner = size.width, int(size.width * size.wider)
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.convolution = ShortConvolution(width, reach)
        self.blocks = nn.ModuleList(Block(width, 4, window) for _ in range(depth))
        for block in self.blocks:
            block.feed_forward = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
        self.norm = nn.LayerNorm(width)

    def start(self, streams: int) -> Windows:
        return Windows(streams, None, (None,) * len(self.blocks))

    def step(self, tokens: Tensor, state: Windows) -> tuple[Tensor, Windows]:
        check("tokens", tokens, state.streams, "T", types=TOKENS)
        embedded = self.embedding(tokens) * self.embedding.embedding_dim**0.5
        hidden, convolution = self.convolution(embedded, state.convolution)
        caches = []
        for block, cache in zip(self.blocks, state.caches, strict=True):
            hidden, cache = block(hidden, cache)
            caches.append(cache)
        logits = F.linear(self.norm(hidden), self.embedding.weight)
        return logits, Windows(state.streams, convolution, tuple(caches))

    def _streams(self, state: Windows) -> int:
        return state.streams


class Crystal(Peer):
    """A TokenModel, as it is. layers: those that it reads, all by default. watch: is given what each step puts out."""

    def __init__(
        self, model: TokenModel, layers: tuple[int, ...] | None = None, watch: Callable[[Output], None] | None = None
    ) -> None:
        super().__init__(model.settings.transformer.window)
        self.model, self.layers, self.watch = model, layers, watch

    def start(self, streams: int) -> CrystalState:
        return self.model.transformer.start(streams)

    def step(self, tokens: Tensor, state: CrystalState) -> tuple[Tensor, CrystalState]:
        output, after = self.model.through(tokens, state, layers=self.layers)
        if self.watch:
            self.watch(output)
        return output.log_probabilities, after

    @torch.no_grad()
    def remember(self, tokens: Tensor, state: CrystalState) -> CrystalState:
        return self.model.remember(tokens, state)

    @torch.no_grad()
    def ask(self, tokens: Tensor, state: CrystalState) -> Tensor:
        return self.model.ask(tokens, state)

    def detached(self, state: CrystalState) -> CrystalState:
        return state  # its memory and caches have no gradients

    def memory_bytes(self, state: CrystalState) -> int:
        return bytes_of(state)

    def _streams(self, state: CrystalState) -> int:
        return len(state.memory.atoms)
