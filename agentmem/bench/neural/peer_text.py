"""Peers on text: trained on streams of tokens, and measured by what a memory of the same text is worth.

Knows a peer's interface and token numbers. Knows nothing of where the text is from, nor of optimizers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from agentmem.bench.neural.peers import Peer
from agentmem.errors import InvalidInputError
from agentmem.neural.text import Stretches
from agentmem.neural.train import Step

LAST = 1_024
"""Tokens of a document that are judged."""
WARM = 512
"""Tokens of the same document right before those, read by all: the reach of their windows."""
CHUNK = 1_024


@dataclass
class PeerTextTraining:
    """Streams read side by side, `chunk` tokens at a time, each anew after a stretch, as our own model reads them.

    Gradients end with the chunk; the memory goes on. The loss is cross entropy, and the peer's own. What is still to be
    read of the streams is kept with the training; a peer's state is not, as it is opaque: resumed, its memory is empty.
    """

    stretches: Stretches
    streams: int
    chunk: int
    _tokens: Tensor | None = field(default=None, init=False)  # those to come
    _state: Any = field(default=None, init=False)

    def step(self, model: Peer, stage: int, generator: torch.Generator) -> Step:
        """The losses of the next chunk of every stream, and the share of next tokens that were the likeliest."""
        if self._tokens is None or self._tokens.shape[1] <= self.chunk:
            self._tokens = self.stretches.draw(self.streams, generator)
            self._state = model.start(self.streams)
        here, self._tokens = self._tokens[:, : self.chunk + 1], self._tokens[:, self.chunk :]
        logits, state = model.step(here[:, :-1], model.detached(self._state))
        self._state = state
        said, right = logits.flatten(0, 1).float(), here[:, 1:].flatten()
        losses = {"next_token": F.cross_entropy(said, right), "extra": model.extra_loss(state)}
        return Step(losses, float((said.argmax(-1) == right).float().mean()), right.numel())

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return False

    def kept(self, model: Peer) -> dict[str, Tensor]:
        """The tokens that are still to be read."""
        return {} if self._tokens is None else {"tokens": self._tokens}

    def take_up(self, model: Peer, kept: dict[str, Tensor]) -> None:
        """Go on with the tokens that `kept` gave, and new ones where it gave none."""
        self._tokens, self._state = kept.get("tokens"), model.start(self.streams)


@dataclass(frozen=True)
class TextLoss:
    """each: nats of every token of each document's stretch, [documents, 1,024]. memory_bytes: of a stream at the end,
    with the windows of all blocks.
    """

    each: Tensor
    memory_bytes: int

    @property
    def nats(self) -> float:
        """The mean per token."""
        return float(self.each.mean())


@torch.no_grad()
def text_loss(peer: Peer, documents: Sequence[Tensor], memory_tokens: int, shuffled: bool = False) -> TextLoss:
    """What the last 1,024 tokens of each document cost after memory_tokens of it, and 512 more right before them.

    documents: int64 [n], n > 1,536 + memory_tokens. The stretch is the same whatever came before. shuffled: the memory
    is of the next document, from the same distance to its end. Raises InvalidInputError for a shorter document.
    """
    stretches = torch.stack([_end(each, WARM + LAST + 1, 0) for each in documents])
    memories = torch.stack([_end(each, memory_tokens, WARM + LAST + 1) for each in documents])
    memories = memories.roll(-1, 0) if shuffled else memories
    peer.eval()
    state = peer.start(len(stretches))
    for chunk in memories.split(CHUNK, 1) if memory_tokens else ():
        state = peer.remember(chunk, state)
    nats = []
    for tokens in stretches.unfold(1, CHUNK // 2 + 1, CHUNK // 2).unbind(1):
        logits, state = peer.step(tokens[:, :-1], state)
        nats.append(F.cross_entropy(logits.float().transpose(1, 2), tokens[:, 1:], reduction="none"))
    return TextLoss(torch.cat(nats, 1)[:, WARM:], peer.memory_bytes(state))


def _end(document: Tensor, tokens: int, before: int) -> Tensor:
    """So many tokens that end `before` tokens before the document's end."""
    if len(document) < tokens + before:
        raise InvalidInputError(f"a document of {len(document)} tokens is too short; {tokens + before} are needed")
    end = len(document) - before
    return document[end - tokens : end]
