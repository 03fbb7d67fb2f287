"""Training on key-value recall: batches of a stage of the curriculum, and their losses.

Joins task, curriculum and losses. Knows nothing of optimizers or of when to stop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agentmem.neural import losses
from agentmem.neural.curriculum import RECALL, Stage
from agentmem.neural.quantise import Precision
from agentmem.neural.recall_task import KEY, Facts, Questions, exact, questions
from agentmem.neural.settings import UNIT
from agentmem.neural.tokens import Output, TokenModel
from agentmem.neural.train import Step

QUESTIONS = 10


@dataclass(frozen=True)
class RecallTraining:
    """tokens: per batch, about. binary: share of batches that are read as signs; the others as floats.

    write_read, reconstruction, importance: weights of those losses; that of the next token is 1.
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
        tail = QUESTIONS * QUESTIONS
        streams = max(8, self.tokens // (now.horizon + tail))
        stream, facts = now.task(layer).stream(streams, generator)
        asked = questions(facts, QUESTIONS, generator)
        precision: Precision = "sign" if torch.rand((), generator=generator) < self.binary else "float"
        tokens = torch.cat((stream, asked.tokens), 1)
        output = model(tokens, tail=tail, layers=(layer,), precision=precision, shared=True)
        right = float(exact(output.log_probabilities, asked).float().mean())
        return Step(self._losses(model, output, stream, facts, asked), right, tokens.numel())

    def next_stage(self, stage: int, right: float) -> bool:
        """Whether to go on, given the running share of exact answers."""
        return right > self.curriculum[stage].until and stage + 1 < len(self.curriculum)

    def _losses(
        self, model: TokenModel, output: Output, stream: Tensor, facts: Facts, asked: Questions
    ) -> dict[str, Tensor]:
        at = torch.cat([asked.at + i for i in range(asked.answers.shape[-1])], 1)
        next_token = losses.next_token(output.log_probabilities, at, asked.answers.transpose(1, 2).flatten(1))
        needed = _written_at(facts, asked)
        right = output.readings[0].view.holds(needed).repeat(1, asked.answers.shape[-1], 1)
        contrast = torch.stack([losses.write_read(each.match, at, right) for each in output.readings]).mean()
        slots = output.written.layers[UNIT]
        said = model.says_log_probabilities(slots.slots)
        marked = _marked(needed, stream.shape[1])
        importance = torch.stack([losses.importance(each, marked) for each in output.written.choices]).mean()
        return {
            "next_token": next_token,
            "write_read": self.write_read * contrast,
            "reconstruction": self.reconstruction
            * losses.reconstruction(said, following(stream, slots.at, said.shape[-2])),
            "importance": self.importance * importance,
        }


def following(stream: Tensor, at: Tensor, number: int) -> Tensor:
    """The tokens after positions at [B, n, S] of a stream [B, T]: int64 [B, n, S, number], -1 outside it."""
    places = at.unsqueeze(-1) + 1 + torch.arange(number, device=at.device)
    inside = (places > 0) & (places < stream.shape[1])
    tokens = stream.gather(1, places.clamp(0, stream.shape[1] - 1).flatten(1)).unflatten(1, places.shape[1:])
    return tokens.where(inside, -1)


def _written_at(facts: Facts, asked: Questions) -> Tensor:
    """Where the keys asked for were completed, int64 [B, Q, n], by facts since overwritten too; -1 for other facts."""
    keys = facts.keys.gather(1, asked.fact.unsqueeze(-1).expand(-1, -1, KEY))
    same = (facts.keys.unsqueeze(1) == keys.unsqueeze(2)).all(-1)
    return (facts.at + KEY).unsqueeze(1).where(same, -1)


def _marked(positions: Tensor, tokens: int) -> Tensor:
    """bool [B, tokens], true at positions [B, ...]; -1 is no position."""
    flat = positions.flatten(1) + 1
    marks = torch.zeros(len(flat), tokens + 1, dtype=torch.bool, device=flat.device)
    return marks.scatter(1, flat, True)[:, 1:]
