"""Peers on text: trained on streams of tokens, and measured by what a memory of the same text is worth.

Knows a peer's interface and token numbers. Knows nothing of where the text is from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from agentmem.bench.neural.peers import Peer
from agentmem.errors import InvalidInputError

LAST = 1_024
"""Tokens of a document that are judged."""
WARM = 512
"""Tokens of the same document right before those, read by all: the reach of their windows."""
CHUNK = 1_024


@dataclass(frozen=True)
class TextSettings:
    """tokens: to train on; the learning rate falls over them. warmup: in batches. bfloat16: under torch.autocast."""

    tokens: int
    learning_rate: float = 3e-3
    warmup: int = 50
    bfloat16: bool = False
    report_every: int = 25


@dataclass(frozen=True)
class TextProgress:
    """Where training is. nats: running mean per token."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    nats: float = 0.0


def fit_text(
    peer: Peer,
    batches: Iterable[tuple[Tensor, bool]],
    settings: TextSettings,
    report: Callable[[dict[str, Any]], None] = lambda line: None,
) -> TextProgress:
    """Train on batches until they or settings.tokens run out.

    A batch is tokens int64 [B, T + 1], the last of them the first of the next batch, and whether all streams start
    anew. Gradients end with the batch; the memory goes on. Raises InvalidInputError where bfloat16 is not possible.
    """
    if settings.bfloat16 and not peer.takes_bfloat16:
        raise InvalidInputError(f"{type(peer).__name__} does not run in bfloat16; train it without")
    model = cast(nn.Module, peer)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    progress, state = TextProgress(), None
    for tokens, anew in batches:
        began = time.process_time()
        state = peer.start(len(tokens)) if anew or state is None else peer.detached(state)
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(settings, progress)
        nats, state = _one_step(peer, tokens, state, settings.bfloat16, optimizer)
        progress = _after(progress, nats, tokens, time.process_time() - began)
        if progress.step % settings.report_every == 0:
            report(
                {**vars(progress), "nats_now": nats, "left": settings.tokens - progress.tokens}
            )  # fmt: skip
        if progress.tokens >= settings.tokens:
            break
    return progress


def _one_step(
    peer: Peer, tokens: Tensor, state: Any, bfloat16: bool, optimizer: torch.optim.Optimizer
) -> tuple[float, Any]:
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        logits, state = peer.step(tokens[:, :-1], state)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
        total = loss + peer.extra_loss(state)
    optimizer.zero_grad()
    total.backward()  # type: ignore[no-untyped-call, unused-ignore]
    torch.nn.utils.clip_grad_norm_(cast(nn.Module, peer).parameters(), 1.0)
    optimizer.step()
    return float(loss.detach()), state


def _learning_rate(settings: TextSettings, progress: TextProgress) -> float:
    warm = min(1.0, (progress.step + 1) / settings.warmup)
    return settings.learning_rate * warm * max(0.05, 1 - progress.tokens / settings.tokens)


def _after(progress: TextProgress, nats: float, tokens: Tensor, seconds: float) -> TextProgress:
    weight = max(0.02, 1 / (progress.step + 1))
    return TextProgress(
        step=progress.step + 1,
        tokens=progress.tokens + tokens[:, 1:].numel(),
        seconds=progress.seconds + seconds,
        nats=(1 - weight) * progress.nats + weight * nats,
    )


@dataclass(frozen=True)
class TextLoss:
    """each: nats of every token of each document's stretch, [documents, 1,024]. memory_bytes: of a stream after what it
    has read.
    """

    each: Tensor
    memory_bytes: int

    @property
    def nats(self) -> float:
        """The mean per token."""
        return float(self.each.mean())


@torch.no_grad()
def text_loss(
    peer: Peer, documents: Sequence[Tensor], memory_tokens: int, shuffled: bool = False, bfloat16: bool = False
) -> TextLoss:
    """What the last 1,024 tokens of each document cost after memory_tokens of it, and 512 more right before them.

    documents: int64 [n], n > 1,536 + memory_tokens. The stretch is the same whatever came before. shuffled: the memory
    is of the next document, from the same distance to its end. Raises InvalidInputError for a shorter document.
    """
    stretches = torch.stack([_end(each, WARM + LAST + 1, 0) for each in documents])
    memories = torch.stack([_end(each, memory_tokens, WARM + LAST + 1) for each in documents])
    memories = memories.roll(-1, 0) if shuffled else memories
    cast(nn.Module, peer).eval()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        state = peer.start(len(stretches))
        for chunk in memories.split(CHUNK, 1) if memory_tokens else ():
            state = peer.remember(chunk, state)
        held, nats = peer.memory_bytes(state), []
        for tokens in stretches.unfold(1, CHUNK // 2 + 1, CHUNK // 2).unbind(1):
            logits, state = peer.step(tokens[:, :-1], state)
            nats.append(F.cross_entropy(logits.float().transpose(1, 2), tokens[:, 1:], reduction="none"))
    return TextLoss(torch.cat(nats, 1)[:, WARM:], held)


def _end(document: Tensor, tokens: int, before: int) -> Tensor:
    """So many tokens that end `before` tokens before the document's end."""
    if len(document) < tokens + before:
        raise InvalidInputError(f"a document of {len(document)} tokens is too short; {tokens + before} are needed")
    end = len(document) - before
    return document[end - tokens : end]
