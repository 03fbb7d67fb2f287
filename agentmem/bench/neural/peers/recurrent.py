"""Peers with a memory of fixed size, written anew as they read: RMT, Infini-attention, block-recurrent, minGRU.

Knows those packages' arguments and quirks. Sources: Bulatov et al. 2022 (arXiv:2207.06881); Munkhdalai et al. 2024
(arXiv:2404.07143); Hutchins et al. 2022 (arXiv:2203.07852); Feng et al. 2024 (arXiv:2410.01201).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from agentmem.bench.neural.peers.peer import APART, Peer, Segmented, State, package, tie
from agentmem.bench.neural.peers.sizes import Size
from agentmem.neural.shapes import TOKENS, check


class RecurrentMemory(Segmented):
    """recurrent-memory-transformer-pytorch: memory tokens, an eighth of the window (8 at least), and the keys and
    values of one segment before, as is the package's default.

    Gradients flow through the memory tokens of all segments of a step. One residual stream, as in the paper, and rotary
    positions, for cached keys have no other.
    """

    def __init__(self, vocabulary: int, size: Size, window: int, depth: int) -> None:
        super().__init__(window)
        library = package("recurrent_memory_transformer_pytorch", "recurrent-memory-transformer-pytorch")
        self.model = library.RecurrentMemoryTransformer(
            dim=size.width, num_tokens=vocabulary, depth=depth, num_memory_tokens=max(8, window // 8), seq_len=window,
            dim_head=size.head_width, heads=4, ff_mult=size.wider, abs_pos_emb=False, rotary_pos_emb=True,
            num_residual_streams=1,
        )  # fmt: skip
        tie(self.model.token_emb, self.model.to_logits)

    def read(self, segment: Tensor, kept: Any) -> tuple[Tensor, Any, Tensor]:
        memories, cached = kept or (None, None)
        logits, memories, cached = self.model(segment, memories, xl_memories=cached)
        return logits, (memories, cached), torch.zeros(())


class Infini(Segmented):
    """infini-transformer-pytorch: a matrix per head, written by the delta rule; attention within the segment alone.

    The gates between attention and memory start at even: the package starts them at 10, where memory has 0.005 % of
    the mixture and a gradient to match. Gradients flow through the memories of a step.
    """

    def __init__(self, vocabulary: int, size: Size, window: int, depth: int) -> None:
        super().__init__(window)
        library = package("infini_transformer_pytorch", "infini-transformer-pytorch")
        self.model = library.InfiniTransformer(
            num_tokens=vocabulary, dim=size.width, depth=depth, dim_head=size.head_width, heads=4, ff_mult=size.wider,
            use_mem_delta_rule=True,
        )  # fmt: skip
        tie(self.model.token_emb, self.model.to_logits)
        for attention, _ in self.model.layers:
            torch.nn.init.zeros_(attention.fastweight_mem.head_gates)

    def read(self, segment: Tensor, kept: Any) -> tuple[Tensor, Any, Tensor]:
        logits, _, kept = self.model(segment, past_memories=kept, return_new_memories=True)
        return logits, kept, torch.zeros(())


class BlockRecurrent(Segmented):
    """block-recurrent-transformer-pytorch: as many state vectors as the window has tokens, in the middle layer, and the
    keys and values of the window before in all.

    Gradients flow through the states of a step, up to `TOGETHER` windows at once; nothing is dropped at random.
    """

    TOGETHER = 8

    def __init__(self, vocabulary: int, size: Size, window: int, depth: int) -> None:
        super().__init__(window)
        library = package("block_recurrent_transformer_pytorch", "block-recurrent-transformer-pytorch", APART)
        self.model = library.BlockRecurrentTransformer(
            num_tokens=vocabulary, dim=size.width, depth=depth, dim_head=size.head_width, heads=4, ff_mult=size.wider,
            max_seq_len=self.TOGETHER * window, block_width=window, recurrent_layers=(depth // 2 + 1,),
        )  # fmt: skip
        tie(self.model.token_emb, self.model.to_logits[-1])

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """The package cuts gradients between calls, so windows are read together."""
        check("tokens", tokens, len(state.pending), "T", types=TOKENS)
        waiting = torch.cat((state.pending, tokens), 1)
        whole = waiting.shape[1] // self.window * self.window
        kept, said = state.kept, []
        for part in waiting.split(self.TOGETHER * self.window, 1):
            logits, after, _ = self.read(part, kept)
            said.append(logits)
            kept = after if part.shape[1] % self.window == 0 else self._kept(part, kept)
        return torch.cat(said, 1)[:, state.pending.shape[1] :], State(kept, waiting[:, whole:], state.extra)

    def read(self, segment: Tensor, kept: Any) -> tuple[Tensor, Any, Tensor]:
        cached, states = kept or ([], [])
        logits, cached, states = self.model(
            segment, xl_memories=cached, states=states, return_memories_and_states=True
        )  # fmt: skip
        return logits, (cached, states), torch.zeros(())

    @torch.no_grad()
    def _kept(self, part: Tensor, kept: Any) -> Any:
        """What is kept at the end of a part's last whole window."""
        whole = part.shape[1] // self.window * self.window
        return self.read(part[:, :whole], kept)[1] if whole else kept


class MinGRU(Peer):
    """minGRU-pytorch: minLM, one hidden vector per layer, half as wide again as the model.

    Once it has a state the package's model takes one token at a time, so its layers are called here in its order; they
    take any number. Gradients flow through a whole step.
    """

    takes_bfloat16 = False  # the scan is in logarithms: it would cost accuracy
    TOGETHER = 512  # the scan is in logarithms, and loses digits over thousands

    def __init__(self, vocabulary: int, size: Size, window: int, depth: int) -> None:
        super().__init__(window)
        library = package("minGRU_pytorch.minLM", "minGRU-pytorch")
        self.model = library.minLM(num_tokens=vocabulary, dim=size.width, depth=depth, ff_mult=size.wider)
        tie(self.model.token_emb, self.model.to_logits)

    def start(self, streams: int) -> State:
        none = torch.zeros(streams, 0, dtype=torch.int64)
        return State([None] * len(self.model.layers), none, torch.zeros(()))

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        check("tokens", tokens, len(state.pending), "T", types=TOKENS)
        hidden, said = state.kept, []
        for part in tokens.split(self.TOGETHER, 1):
            logits, hidden = self._read(part, hidden)
            said.append(logits)
        return torch.cat(said, 1), State(hidden, state.pending, state.extra)

    def _read(self, tokens: Tensor, before: list[Tensor | None]) -> tuple[Tensor, list[Tensor | None]]:
        x, after = self.model.token_emb(tokens), []
        for (_, norm, recurrence, forward_norm, feed_forward, _), hidden in zip(self.model.layers, before, strict=True):
            out, hidden = recurrence(norm(x), hidden, return_next_prev_hidden=True)
            x = x + out
            x = x + feed_forward(forward_norm(x))
            after.append(hidden)
        return self.model.to_logits(self.model.norm(x)), after

    def _streams(self, state: State) -> int:
        return len(state.pending)
