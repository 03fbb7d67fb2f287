"""Peers that keep hidden states of the segments before, as they are or compressed: Transformer-XL, Compressive.

Knows those packages' arguments and quirks. Sources: Dai et al. 2019 (arXiv:1901.02860); Rae et al. 2019
(arXiv:1911.05507).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from agentmem.bench.neural.peers.peer import Segmented, package, tie
from agentmem.bench.neural.peers.sizes import Size


class TransformerXL(Segmented):
    """x-transformers: the states of one window before the segment, in every layer, without gradients.

    Memory of a segment's length, as the paper trains it; rotary positions.
    """

    def __init__(self, vocabulary: int, size: Size, window: int, depth: int) -> None:
        super().__init__(window)
        library = package("x_transformers", "x-transformers")
        layers = library.Decoder(
            dim=size.width, depth=depth, heads=4, attn_dim_head=size.head_width, ff_mult=size.wider,
            rotary_pos_emb=True, rotary_emb_dim=size.head_width,
        )  # fmt: skip
        self.model = library.TransformerWrapper(
            num_tokens=vocabulary, max_seq_len=window, max_mem_len=window, attn_layers=layers
        )
        tie(self.model.token_emb.emb, self.model.to_logits)

    def read(self, segment: Tensor, kept: Any) -> tuple[Tensor, Any, Tensor]:
        logits, kept = self.model(segment, mems=kept, return_mems=True)
        return logits, kept, torch.zeros(())


class Compressive(Segmented):
    """compressive-transformer-pytorch: a window of states, and the four times as many before it compressed 4 to 1.

    Both memories have a window's length, in every layer; no GRU gates, as in the paper. A layer reads what the layer
    above it kept, the package's default, so there is no hard horizon. The convolution that compresses learns by the
    reconstruction of attention alone: that is `extra_loss`. The package numbers distances from the far end of the
    memory, so while it fills, the first six segments of a stream are seen with other positions than the rest.
    """

    def __init__(self, vocabulary: int, size: Size, window: int, depth: int) -> None:
        super().__init__(window)
        library = package("compressive_transformer_pytorch", "compressive-transformer-pytorch")
        self.model = library.CompressiveTransformer(
            num_tokens=vocabulary, dim=size.width, seq_len=window, depth=depth, mem_len=window, cmem_len=window,
            cmem_ratio=4, heads=size.heads, gru_gated_residual=False,
        )  # fmt: skip
        tie(self.model.token_emb, self.model.to_logits[-1])

    def read(self, segment: Tensor, kept: Any) -> tuple[Tensor, Any, Tensor]:
        logits, kept, extra = self.model(segment, memories=kept)
        for layer in self.model.attn_layers:
            layer.fn.fn.to_kv.weight.requires_grad_(True)  # the package detaches it for good when it first compresses
        return logits, kept, extra.squeeze()
