"""Training on text: streams of documents read chunk by chunk, memory kept in between, and the losses of a chunk.

Knows which tokens repeat what was said before: those label what a reading should find. Knows nothing of optimizers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from agentmem.neural import losses
from agentmem.neural.reader import FORBIDDEN, Reading
from agentmem.neural.settings import UNIT
from agentmem.neural.task_training import following
from agentmem.neural.text import Stretches
from agentmem.neural.tokens import Output, TokenModel
from agentmem.neural.train import Step
from agentmem.neural.transformer import State

SPARSE = 4  # every so manieth unit is reconstructed
REPEATS = 128  # repeated tokens of a chunk whose readings are trained


@dataclass
class TextTraining:
    """streams: read side by side, `chunk` tokens at a time, each anew after the stretches' length.

    write_read, reconstruction, importance: weights of those losses; that of the next token is 1. The state of the
    streams is not saved: a resumed run begins new ones.
    """

    stretches: Stretches
    streams: int = 4
    chunk: int = 2_000
    write_read: float = 0.2
    reconstruction: float = 0.1
    importance: float = 0.1
    memory: bool = True
    _tokens: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.int64), init=False)
    _state: State | None = field(default=None, init=False)

    def step(self, model: TokenModel, stage: int, generator: torch.Generator) -> Step:
        """The losses of the next chunk of every stream, and the share of next tokens that were the likeliest."""
        if self._state is None or self._tokens.shape[1] <= self.chunk:
            self._tokens = self.stretches.draw(self.streams, generator)
            self._state = model.transformer.start(self.streams)
        here = self._tokens[:, : self.chunk + 1].to(next(model.parameters()).device)
        tokens, next_tokens = here[:, :-1], here[:, 1:]
        position = self._state.position
        output, self._state = model.through(tokens, self._state)
        self._tokens = self._tokens[:, self.chunk :]
        parts = {
            "next_token": -output.of(next_tokens).mean(),
            **self._memory_losses(model, output, tokens, position, generator),
        }
        right = float((output.logits[0].detach().argmax(-1) == next_tokens[0]).float().mean())
        return Step(parts, right, tokens.numel())

    def next_stage(self, stage: int, right: float) -> bool:
        return False

    def _memory_losses(
        self, model: TokenModel, output: Output, tokens: Tensor, position: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        at, repeats = repeated(tokens, REPEATS, generator)
        needed = again_later(tokens)
        kept = [losses.importance(replace(each, at=each.at - position), needed) for each in output.written.choices]
        contrast = [contrast_of_layers(each, at, repeats, position) for each in output.readings]
        units = output.written.layers[UNIT]
        said = model.says_log_probabilities(units.slots[:, ::SPARSE])
        targets = following(tokens, units.at[:, ::SPARSE] - position, said.shape[-2])
        return {
            "write_read": self.write_read * torch.stack(contrast).mean(),
            "reconstruction": self.reconstruction * losses.reconstruction(said, targets),
            "importance": self.importance * torch.stack(kept).mean(),
        }


def repeated(tokens: Tensor, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Up to `number` places per stream of tokens [B, T] whose token, the one before and the next occurred before.

    Gives places, int64 [B, number], and the earlier places, bool [B, number, T]; a place without any does not count.
    """
    numbers = _triples(tokens)
    order = numbers.sort(dim=1, stable=True)
    again = torch.zeros_like(numbers, dtype=torch.bool)
    again.scatter_(1, order.indices[:, 1:], order.values[:, 1:] == order.values[:, :-1])
    chances = torch.rand(numbers.shape, generator=generator).to(again.device) * again
    at = chances.topk(min(number, numbers.shape[1]), 1).indices
    earlier = torch.arange(numbers.shape[1], device=at.device) < at.unsqueeze(-1)
    same = (numbers.unsqueeze(1) == numbers.gather(1, at).unsqueeze(-1)) & earlier
    return at + 1, torch.nn.functional.pad(same, (1, 1))


def again_later(tokens: Tensor) -> Tensor:
    """Which tokens [B, T], with the one before and the next, are said again later: bool [B, T]."""
    numbers = _triples(tokens)
    order = numbers.sort(dim=1, stable=True)
    same = order.values[:, 1:] == order.values[:, :-1]
    again = torch.zeros_like(numbers, dtype=torch.bool).scatter(1, order.indices[:, :-1], same)
    return torch.nn.functional.pad(again, (1, 1))


def _triples(tokens: Tensor) -> Tensor:
    """A number for every three tokens in a row of [B, T]: [B, T - 2]."""
    size = int(tokens.max()) + 1
    return (tokens[:, :-2] * size + tokens[:, 1:-1]) * size + tokens[:, 2:]


def contrast_of_layers(reading: Reading, at: Tensor, repeats: Tensor, position: int) -> Tensor:
    """The write-read loss of each layer by itself: one that finds what it kept does not excuse another.

    at, repeats: what `repeated` gave of the chunk from `position` on.
    """
    view, tokens = reading.view, repeats.shape[-1]
    before = torch.nn.functional.pad(repeats.cumsum(-1), (1, 0))
    start, end = ((each - position).clamp(0, tokens) for each in (view.start, view.end))
    rows = (each.unsqueeze(1).expand(-1, at.shape[1], -1) for each in (end, start))
    covering = torch.sub(*(before.gather(2, each) for each in rows)) > 0
    known = ((view.at >= position) & (view.at < position + tokens)).unsqueeze(1)
    exact = repeats.gather(2, (view.at - position).clamp(0, tokens - 1).unsqueeze(1).expand_as(covering)) & known
    readable = view.born.unsqueeze(1) <= (at + position).unsqueeze(-1)
    match = losses.picked(reading.match.transpose(1, 2), at).masked_fill(~readable.unsqueeze(2), FORBIDDEN)
    places = torch.arange(at.shape[1], device=at.device).expand(len(at), -1)
    by_layer = []
    for layer in view.layer.unique():
        mine = view.layer == layer
        found = (exact & readable)[..., mine]
        right = found | ((covering & readable)[..., mine] & ~found.any(-1, keepdim=True))
        by_layer.append(losses.write_read(match[..., mine].transpose(1, 2), places, right))
    return torch.stack(by_layer).mean()
