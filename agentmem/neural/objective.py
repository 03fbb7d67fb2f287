"""A batch of any task, and what of it a TokenModel is trained on: the answers, and finding what holds them.

Joins tasks, a model's output and losses. Knows nothing of any one task, of optimizers or of a curriculum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agentmem.neural import losses
from agentmem.neural.reader import FORBIDDEN, Reading
from agentmem.neural.tasks.task import Questions, Task
from agentmem.neural.tokens import Output
from agentmem.neural.values import View


@dataclass(frozen=True)
class Batch:
    """stream: [B, horizon]. asked: about it. A model takes `tokens`, and reads for the last `tail` of them."""

    stream: Tensor
    asked: Questions

    @property
    def tokens(self) -> Tensor:
        return torch.cat((self.stream, self.asked.tokens), 1)

    @property
    def tail(self) -> int:
        return self.asked.tokens.shape[1]


def batch(task: Task[Any], streams: int, number: int, generator: torch.Generator) -> Batch:
    """Streams of a task with `number` questions each, or as many as do not answer each other if those are fewer."""
    stream, facts = task.stream(streams, generator)
    return Batch(stream, task.questions(facts, min(number, task.askable), generator))


def answering(log_probabilities: Tensor, asked: Questions) -> Tensor:
    """Mean -log p of every token of the answers, under log probabilities [B, T, vocabulary]."""
    said = asked.answers >= 0
    chances = losses.picked(log_probabilities, asked.places.flatten(1)).unflatten(1, asked.answers.shape[1:])
    return -chances.gather(-1, asked.answers.clamp(min=0).unsqueeze(-1)).squeeze(-1)[said].mean()


def finding(output: Output, asked: Questions) -> Tensor:
    """Write-read contrast, mean over readers: each piece of evidence against all other crystals, where it is needed.

    A question needs each of its pieces, so they compete with each other too. Crystals with what is stale do not count:
    they are found by the same cue.
    """
    at = asked.reads.flatten(1)
    right = output.view.covers(asked.evidence.flatten(1))
    ignored = _covered(output.view, asked.stale).repeat_interleave(asked.evidence.shape[-1], 1) & ~right
    return torch.stack([_contrast(each, at, right, ignored) for each in output.readings]).mean()


def _contrast(reading: Reading, at: Tensor, right: Tensor, ignored: Tensor) -> Tensor:
    match = losses.picked(reading.match.transpose(1, 2), at).masked_fill(ignored[:, :, None], FORBIDDEN)
    places = torch.arange(at.shape[1], device=at.device).expand_as(at)
    return losses.write_read(match.transpose(1, 2), places, right)


def _covered(view: View, positions: Tensor) -> Tensor:
    """Which slots stand for any of positions [B, Q, S]: bool [B, Q, N]; -1 is in none."""
    none = torch.zeros(*positions.shape[:2], view.number, dtype=torch.bool, device=positions.device)
    return sum((view.covers(each) for each in positions.unbind(-1)), none)
