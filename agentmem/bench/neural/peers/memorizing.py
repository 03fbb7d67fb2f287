"""Memorizing Transformer: keys and values of one layer of all that was read, found again by nearest neighbours.

Knows the package's arguments, its store on the disk and its quirks. Source: Wu et al. 2022 (arXiv:2203.08913).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from agentmem.bench.neural.peers.peer import APART, Segmented, State, package, tie
from agentmem.bench.neural.peers.sizes import Size

KEPT = 2**20
"""Tokens a stream can keep: beyond them the package empties its index."""


@dataclass(frozen=True)
class Kept:
    """stores: of the package, one per layer that memorizes; they change in place. cached: keys and values of the window
    before. folder: where the stores are, until nothing refers to it.
    """

    stores: Any
    cached: Any
    folder: TemporaryDirectory[str]


class Memorizing(Segmented):
    """memorizing-transformers-pytorch: 32 neighbours in the layer before the last, one window of keys in all layers.

    No gradients reach what is stored. The index is of faiss on the processor; nothing runs in bfloat16, for the store
    takes none. The package asks for faiss-gpu: install it without its dependencies.
    """

    takes_bfloat16 = False

    def __init__(self, vocabulary: int, size: Size, window: int, depth: int) -> None:
        super().__init__(window)
        library = package("memorizing_transformers_pytorch", "memorizing-transformers-pytorch", APART)
        self.model = library.MemorizingTransformer(
            num_tokens=vocabulary, dim=size.width, depth=depth, dim_head=size.head_width, heads=4,
            memorizing_layers=max(1, depth - 1), max_knn_memories=KEPT, num_retrieved_memories=32,
            xl_max_memories=window,
        )  # fmt: skip
        tie(self.model.token_emb, self.model.to_logits[-1])

    def start(self, streams: int) -> State:
        folder = TemporaryDirectory(prefix="agentmem-knn-", ignore_cleanup_errors=True)
        self.model.knn_memories_directory = folder.name  # one for each state: the package's file has one name
        stores = self.model.create_knn_memories(batch_size=streams)
        return State(Kept(tuple(stores), None, folder), torch.zeros(streams, 0, dtype=torch.int64), torch.zeros(()))

    def read(self, segment: Tensor, kept: Kept) -> tuple[Tensor, Any, Tensor]:
        logits, cached = self._run(segment, kept, add=True)
        return logits, Kept(kept.stores, cached, kept.folder), torch.zeros(())

    def peek(self, part: Tensor, kept: Kept) -> Tensor:
        return self._run(part, kept, add=False)[0]

    def ask(self, tokens: Tensor, state: State) -> Tensor:
        if state.pending.shape[1] + tokens.shape[1] < self.window:
            return self.step(tokens, state)[0]
        with unchanged(state.kept.stores):
            return self.step(tokens, state)[0]

    def memory_bytes(self, state: State) -> int:
        """What is kept of tokens, and for each store its rows in use, the numbers of its rows, and its index."""
        stores = sum(_store_bytes(store) for store in state.kept.stores)
        return super().memory_bytes(state) + stores // len(state.pending)

    def _run(self, tokens: Tensor, kept: Kept, add: bool) -> tuple[Tensor, Any]:
        found: tuple[Tensor, Any] = self.model(
            tokens, knn_memories=kept.stores, xl_memories=kept.cached, add_knn_memory=add
        )
        return found


@contextmanager
def unchanged(stores: Any) -> Iterator[None]:
    """Afterwards the stores are as they were: rows beyond those in use do not matter."""
    faiss = package("faiss", "faiss-cpu")
    offsets = [(store, store.db_offsets.copy()) for store in stores]
    knns = [(knn, faiss.clone_index(knn.index), knn.ids, knn.is_trained) for store in stores for knn in store.knns]
    try:
        yield
    finally:
        for store, offset in offsets:
            store.db_offsets = offset
        for knn, index, ids, trained in knns:
            knn.index, knn.ids, knn.is_trained = index, ids, trained


def _store_bytes(store: Any) -> int:
    faiss = package("faiss", "faiss-cpu")
    rows = sum(min(int(used), store.max_memories) for used in store.db_offsets)
    row = store.db.itemsize * store.db.shape[2] * store.db.shape[3]
    return rows * row + sum(knn.ids.nbytes + faiss.serialize_index(knn.index).nbytes for knn in store.knns)
