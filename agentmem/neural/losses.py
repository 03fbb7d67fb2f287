"""The losses of a memory: write-read contrast, reconstruction, importance.

Knows tensors of scores and probabilities. Knows nothing of models or of how they are weighed against each other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from agentmem.neural.shapes import check
from agentmem.neural.values import Choices


def write_read(match: Tensor, at: Tensor, right: Tensor) -> Tensor:
    """Contrast of the slots that hold the answer with all others: mean -log of their share of softmax(match).

    match: [B, h, T, N]; at: [B, Q], where to read; right: bool [B, Q, N]. Queries without a right slot do not count.
    Source: noise-contrastive estimation with in-batch negatives, van den Oord et al. 2018 (arXiv:1807.03748), summed
    over positives.
    """
    check("right", right, *at.shape, match.shape[-1])
    shares = F.log_softmax(picked(match.transpose(1, 2), at), -1)
    of_right = shares.masked_fill(~right.unsqueeze(2), -1e9).logsumexp(-1)
    counted = right.any(-1)
    return -of_right[counted].mean() if counted.any() else match.sum() * 0


def reconstruction(log_probabilities: Tensor, tokens: Tensor) -> Tensor:
    """Mean -log p of the tokens [..., bound] that slots are to say, -1 if unknown, under [..., bound, vocabulary].

    0 where none is known.
    """
    check("tokens", tokens, *log_probabilities.shape[:-1])
    total = F.nll_loss(log_probabilities.flatten(0, -2), tokens.flatten(), ignore_index=-1, reduction="sum")
    return total / (tokens >= 0).sum().clamp(min=1)


def importance(choices: Choices, needed: Tensor) -> Tensor:
    """Whether each candidate was needed later, told by its importance: cross-entropy, per candidate that was.

    needed: [B, T] in [0, 1], how much a later reading needed each token of the stream; candidates from outside it do
    not count.
    """
    inside = (choices.at >= 0) & (choices.at < needed.shape[1])
    places = choices.at.clamp(0, needed.shape[1] - 1).flatten(1)
    target = needed.float().gather(1, places).unflatten(1, choices.at.shape[1:])
    each = F.binary_cross_entropy_with_logits(choices.logits, target, reduction="none")
    return (each * inside).sum() / (target * inside).sum().clamp(min=1)


def picked(rows: Tensor, at: Tensor) -> Tensor:
    """Rows [B, T, ...] at positions at [B, Q]: [B, Q, ...]."""
    return rows[torch.arange(len(rows), device=rows.device)[:, None], at]
