"""Peers of the neural memory, each used unmodified through its own package, at equal numbers of parameters.

    peer = build("rmt", vocabulary=2_048, parameters=600_000, window=128)
    state = peer.start(streams=16)
    logits, state = peer.step(tokens, state)

    windowed         no memory beyond the window (this package's blocks)
    transformer-xl   x-transformers                         hidden states of the segment before
    compressive      compressive-transformer-pytorch        and older ones compressed 4 to 1
    rmt              recurrent-memory-transformer-pytorch   memory tokens
    infini           infini-transformer-pytorch             a matrix per head
    block-recurrent  block-recurrent-transformer-pytorch    state vectors
    mingru           minGRU-pytorch                         a hidden vector per layer
    memorizing       memorizing-transformers-pytorch        keys and values of all tokens, nearest neighbours

All have their embeddings tied, as the neural memory has. Memory sizes are said in each class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from agentmem.bench.neural.peers.cached import Compressive, TransformerXL
from agentmem.bench.neural.peers.memorizing import Memorizing
from agentmem.bench.neural.peers.own import Crystal, Windowed
from agentmem.bench.neural.peers.peer import Peer
from agentmem.bench.neural.peers.recurrent import BlockRecurrent, Infini, MinGRU, RecurrentMemory
from agentmem.bench.neural.peers.sizes import Size, fitted
from agentmem.errors import InvalidInputError

__all__ = ["PEERS", "Crystal", "Entry", "Peer", "build"]

DEPTH = 3


@dataclass(frozen=True)
class Entry:
    """make: of vocabulary, size, window and depth. module: what must be importable. free: any feed-forward width."""

    make: Callable[[int, Size, int, int], Peer]
    module: str
    free: bool = True


PEERS: dict[str, Entry] = {
    "windowed": Entry(Windowed, "torch"),
    "transformer-xl": Entry(TransformerXL, "x_transformers"),
    "compressive": Entry(Compressive, "compressive_transformer_pytorch", free=False),
    "rmt": Entry(RecurrentMemory, "recurrent_memory_transformer_pytorch"),
    "infini": Entry(Infini, "infini_transformer_pytorch"),
    "block-recurrent": Entry(BlockRecurrent, "block_recurrent_transformer_pytorch"),
    "mingru": Entry(MinGRU, "minGRU_pytorch"),
    "memorizing": Entry(Memorizing, "memorizing_transformers_pytorch", free=False),
}


def build(name: str, vocabulary: int, parameters: int, window: int, depth: int = DEPTH, seed: int = 0) -> Peer:
    """A peer within 3 % of so many parameters, embeddings among them, that reads `window` tokens at once.

    seed: of its weights. torch's own generator stays as it was.

    Raises InvalidInputError for an unknown name, or where no width comes near enough; MissingExtraError without its
    package.
    """
    if name not in PEERS:
        raise InvalidInputError(f"{name!r} is no peer; give one of {', '.join(PEERS)}")
    entry = PEERS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return fitted(lambda size: entry.make(vocabulary, size, window, depth), parameters, entry.free, name)
