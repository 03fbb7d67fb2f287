"""Training on generated tasks: batches of a stage of a curriculum, and their losses.

Joins tasks, a model's output and losses. Knows nothing of any one task, of optimizers or of when to stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agentmem.neural import losses
from agentmem.neural.curriculum import RECALL, Stage
from agentmem.neural.quantise import Precision
from agentmem.neural.reader import FORBIDDEN, Reading
from agentmem.neural.settings import UNIT
from agentmem.neural.tasks.task import Questions, Task, exact
from agentmem.neural.tokens import Output, TokenModel
from agentmem.neural.train import Step

QUESTIONS = 9  # to a stream, at most: with them, the longest of recall has 993 tokens


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

    def to(self, device: torch.device) -> Batch:
        return Batch(self.stream.to(device), self.asked.to(device))


def batch(task: Task[Any], streams: int, number: int, generator: torch.Generator) -> Batch:
    """Streams of a task with `number` questions each, or as many as do not answer each other if those are fewer."""
    stream, facts = task.stream(streams, generator)
    return Batch(stream, task.questions(facts, min(number, task.askable), generator))


@dataclass(frozen=True)
class TaskTraining:
    """tokens: per batch, about. binary: share of batches that are read as signs; the others as floats.

    write_read, reconstruction, importance: weights of those losses; that of the answers is 1.
    """

    curriculum: tuple[Stage, ...] = RECALL
    tokens: int = 8_000
    binary: float = 0.65
    write_read: float = 0.5
    reconstruction: float = 0.3
    importance: float = 0.1

    def step(self, model: TokenModel, stage: int, generator: torch.Generator) -> Step:
        """The losses of one batch, and the share of its questions that are answered exactly."""
        now = self.curriculum[stage]
        layer = now.layers[int(torch.randint(len(now.layers), (), generator=generator))]
        task = now.task(layer)
        device = next(model.parameters()).device
        told = batch(task, max(8, self.tokens // (task.horizon + 100)), QUESTIONS, generator).to(device)
        precision: Precision = "sign" if torch.rand((), generator=generator) < self.binary else "float"
        output = model(told.tokens, tail=told.tail, layers=(layer,), precision=precision, shared=task.distinct)
        right = float(exact(output.log_probabilities, told.asked).float().mean())
        return Step(self._losses(model, output, told), right, told.tokens.numel())

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return stage + 1 < len(self.curriculum) and self.curriculum[stage].left(right, done)

    def _losses(self, model: TokenModel, output: Output, told: Batch) -> dict[str, Tensor]:
        units = output.written.layers[UNIT]
        said = model.says_log_probabilities(units.slots)
        reconstruction = losses.reconstruction(said, following(told.stream, units.at, said.shape[-2]))
        needed = marked(torch.cat((told.asked.evidence, told.asked.stale), -1), told.stream.shape[1])
        importance = torch.stack([losses.importance(each, needed) for each in output.written.choices]).mean()
        return {
            "next_token": answering(output.log_probabilities, told.asked),
            "write_read": self.write_read * finding(output, told.asked, model.settings.bound),
            "reconstruction": self.reconstruction * reconstruction,
            "importance": self.importance * importance,
        }


def answering(log_probabilities: Tensor, asked: Questions) -> Tensor:
    """Mean -log p of every token of the answers, under log probabilities [B, T, vocabulary]."""
    said = asked.answers >= 0
    chances = losses.picked(log_probabilities, asked.places.flatten(1)).unflatten(1, asked.answers.shape[1:])
    return -chances.gather(-1, asked.answers.clamp(min=0).unsqueeze(-1)).squeeze(-1)[said].mean()


def finding(output: Output, asked: Questions, bound: int) -> Tensor:
    """Write-read contrast, mean over readers: each piece of evidence against all other crystals, where it is needed.

    That is from where it is first needed on, for as many tokens of the answer as a slot can say. A question needs each
    of its pieces, so they compete with each other too. What is stale does not count: it is found by the same cue.
    """
    view = output.readings[0].view
    right = view.holds(asked.evidence.flatten(1).unsqueeze(-1))
    stale = view.covers(asked.stale).repeat_interleave(asked.evidence.shape[-1], 1) & ~right
    at, counted = _reading(asked, bound)
    right = right.repeat(1, bound, 1) & counted.unsqueeze(-1)
    return torch.stack([_contrast(each, at, right, stale.repeat(1, bound, 1)) for each in output.readings]).mean()


def _reading(asked: Questions, bound: int) -> tuple[Tensor, Tensor]:
    """Where each piece of evidence is read, [B, bound x Q x E], and whether: not at another's turn or past the end."""
    ends = (asked.at + (asked.answers >= 0).sum(-1)).unsqueeze(-1)
    places, counted = [], []
    for i in range(bound):
        place = asked.reads + i
        others = (place.unsqueeze(-1) == asked.reads.unsqueeze(-2)).any(-1)
        places.append(place.clamp(max=asked.tokens.shape[1] - 1).flatten(1))
        counted.append(((place < ends) & (~others if i else torch.ones_like(others))).flatten(1))
    return torch.cat(places, 1), torch.cat(counted, 1)


def _contrast(reading: Reading, at: Tensor, right: Tensor, ignored: Tensor) -> Tensor:
    match = losses.picked(reading.match.transpose(1, 2), at).masked_fill(ignored[:, :, None], FORBIDDEN)
    places = torch.arange(at.shape[1], device=at.device).expand_as(at)
    return losses.write_read(match.transpose(1, 2), places, right)


def following(stream: Tensor, at: Tensor, number: int) -> Tensor:
    """The tokens after positions at [B, n, S] of a stream [B, T]: int64 [B, n, S, number], -1 outside it."""
    places = at.unsqueeze(-1) + 1 + torch.arange(number, device=at.device)
    inside = (places > 0) & (places < stream.shape[1])
    tokens = stream.gather(1, places.clamp(0, stream.shape[1] - 1).flatten(1)).unflatten(1, places.shape[1:])
    return tokens.where(inside, -1)


def marked(positions: Tensor, tokens: int) -> Tensor:
    """bool [B, tokens], true at positions [B, ...]; -1 is no position."""
    flat = positions.flatten(1) + 1
    marks = torch.zeros(len(flat), tokens + 1, dtype=torch.bool, device=flat.device)
    return marks.scatter(1, flat, True)[:, 1:]
