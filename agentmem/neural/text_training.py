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
from agentmem.neural.states import from_bytes, to_bytes
from agentmem.neural.task_training import following
from agentmem.neural.text import Stretches
from agentmem.neural.tokens import Output, TokenModel
from agentmem.neural.train import Step
from agentmem.neural.transformer import State
from agentmem.neural.view import View

SPARSE = 4  # every so manieth unit is reconstructed
REPEATS = 128  # repeated tokens of a chunk whose readings are trained
FAR = 256  # tokens from which on a repetition is for the memory to tell, not for the window


@dataclass
class TextTraining:
    """streams: read side by side, `chunk` tokens at a time, each anew after the stretches' length.

    write_read, reconstruction, importance: weights of those losses; that of the next token is 1. The streams are kept
    with the training.
    """

    stretches: Stretches
    streams: int = 4
    chunk: int = 1_000
    write_read: float = 0.2
    reconstruction: float = 0.5
    importance: float = 0.1
    _streams: Streams | None = field(default=None, init=False)

    def step(self, model: TokenModel, stage: int, generator: torch.Generator) -> Step:
        """The losses of the next chunk of every stream, and the share of next tokens that were the likeliest."""
        now = self._streams
        if now is None or now.state.position + self.chunk >= now.tokens.shape[1]:
            tokens = self.stretches.draw(self.streams, generator).to(next(model.parameters()).device)
            now = Streams.of(tokens, model.transformer.start(self.streams))
        here = now.tokens[:, now.state.position : now.state.position + self.chunk + 1]
        output, after = model.through(here[:, :-1], now.state)
        self._streams = replace(now, state=after)
        parts = {
            "next_token": -output.of(here[:, 1:]).mean(),
            **self._memory_losses(model, output, Chunk.of(now, output, self.chunk), generator),
        }
        right = float((output.logits[0].detach().argmax(-1) == here[0, 1:]).float().mean())
        return Step(parts, right, here[:, 1:].numel())

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return False

    def kept(self, model: TokenModel) -> dict[str, Tensor]:
        """The streams: their tokens, and their state as the bytes of `to_bytes`, uint8."""
        if self._streams is None:
            return {}
        state = torch.frombuffer(bytearray(to_bytes(model, self._streams.state)), dtype=torch.uint8)
        return {"tokens": self._streams.tokens, "state": state}

    def take_up(self, model: TokenModel, kept: dict[str, Tensor]) -> None:
        """The streams that `kept` gave; new ones where it gave none."""
        self._streams = None
        if kept:
            tokens = kept["tokens"].to(next(model.parameters()).device)
            self._streams = Streams.of(tokens, from_bytes(model, kept["state"].numpy().tobytes()))

    def _memory_losses(
        self, model: TokenModel, output: Output, chunk: Chunk, generator: torch.Generator
    ) -> dict[str, Tensor]:
        kept = [losses.importance(each, chunk.needed) for each in output.written.choices]
        at, repeats = chunk.repeated(REPEATS, generator)
        contrast = [contrast_of_layers(each, output.bound, at, repeats, chunk) for each in output.readings]
        units = output.written.layers[UNIT]
        said = model.says_log_probabilities(units.slots[:, ::SPARSE])
        targets = following(chunk.tokens, units.at[:, ::SPARSE], said.shape[-2])
        return {
            "write_read": self.write_read * torch.stack(contrast).mean(),
            "reconstruction": self.reconstruction * losses.reconstruction(said, targets),
            "importance": self.importance * torch.stack(kept).mean(),
        }


@dataclass(frozen=True)
class Streams:
    """tokens: int64 [B, T], stretches from their beginning to their end; state: after those that have been read.

    triples: a number for each token with the one before and the next, [B, T]; -1, -2 at the ends, which have none.
    again: which of them are said again far later, bool [B, T].
    """

    tokens: Tensor
    triples: Tensor
    again: Tensor
    state: State

    @classmethod
    def of(cls, tokens: Tensor, state: State) -> Streams:
        triples = _triples(tokens)
        return cls(tokens, triples, _again(triples), state)


@dataclass(frozen=True)
class Chunk:
    """tokens, triples: of the streams [B, T] up to the end of the chunk, which starts at `start`.

    surprise: [B, T], 1 - p(next token) without the memory, 0 before the chunk. needed: [B, T] in [0, 1], how much a
    later reading gains from what was said here: the surprise of what is said again.
    """

    tokens: Tensor
    triples: Tensor
    start: int
    surprise: Tensor
    needed: Tensor

    @classmethod
    def of(cls, streams: Streams, output: Output, size: int) -> Chunk:
        start = streams.state.position
        end = start + size
        with torch.no_grad():
            following = streams.tokens[:, start + 1 : end + 1].unsqueeze(-1)
            surprise = 1 - output.logits.float().softmax(-1).gather(-1, following).squeeze(-1)
        surprise = torch.nn.functional.pad(surprise, (start, 0))
        tokens, triples, again = (each[:, :end] for each in (streams.tokens, streams.triples, streams.again))
        return cls(tokens, triples, start, surprise, surprise * again)

    def repeated(self, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Up to `number` places per stream that were said before: int64 [B, number], in the chunk, and where: bool
        [B, number, T]. The surprising ones more often; a place that was not said before is nowhere.
        """
        order = self.triples.sort(dim=1, stable=True)
        again = torch.zeros_like(self.triples, dtype=torch.bool)
        again.scatter_(1, order.indices[:, 1:], order.values[:, 1:] == order.values[:, :-1])
        luck = torch.rand(again.shape, generator=generator).to(again.device)
        at = (luck * self.surprise * again).topk(min(number, again.shape[1] - self.start), 1).indices
        earlier = torch.arange(again.shape[1], device=at.device) < at.unsqueeze(-1)
        same = (self.triples.unsqueeze(1) == self.triples.gather(1, at).unsqueeze(-1)) & earlier
        same &= (at >= self.start).unsqueeze(-1)  # where few are said again, the rest are of anywhere
        return (at - self.start).clamp(min=0), same


def _triples(tokens: Tensor) -> Tensor:
    size = int(tokens.max()) + 1
    inner = (tokens[:, :-2] * size + tokens[:, 1:-1]) * size + tokens[:, 2:]
    first = torch.full_like(inner[:, :1], -1)
    return torch.cat((first, inner, first - 1), 1)


def _again(triples: Tensor) -> Tensor:
    order = triples.sort(dim=1, stable=True)
    number = order.values.shape[1]
    ends = torch.ones_like(order.values, dtype=torch.bool)
    ends[:, :-1] = order.values[:, 1:] != order.values[:, :-1]
    places = torch.arange(number, device=ends.device).where(ends, number)
    last = places.flip(1).cummin(1).values.flip(1)  # in sorted order, of the end of each token's equals
    far = order.indices.gather(1, last) - order.indices > FAR
    return torch.zeros_like(far).scatter(1, order.indices, far)


def contrast_of_layers(reading: Reading, bound: Tensor, at: Tensor, repeats: Tensor, chunk: Chunk) -> Tensor:
    """The write-read loss of each layer by itself: one that finds what it kept does not excuse another.

    at, repeats: what `chunk.repeated` gave. bound: [B, N, bound], what the view's slots say. Right are slots taken from
    where it was said before; of those whose place was not kept, the ones that cover it and say the right next token.
    Where a layer has none, those of it that cover it.
    """
    view = reading.view
    following = chunk.tokens.gather(1, (at + chunk.start + 1).clamp(max=chunk.tokens.shape[1] - 1))
    covering = _covering(view, repeats)
    exact = repeats.gather(2, view.at.clamp(min=0).unsqueeze(1).expand_as(covering)) & (view.at >= 0).unsqueeze(1)
    says = covering & (view.at < 0).unsqueeze(1) & (bound[..., 0].unsqueeze(1) == following.unsqueeze(-1))
    readable = view.born.unsqueeze(1) <= (at + chunk.start).unsqueeze(-1)
    match = losses.picked(reading.match.transpose(1, 2), at).masked_fill(~readable.unsqueeze(2), FORBIDDEN)
    places = torch.arange(at.shape[1], device=at.device).expand(len(at), -1)
    by_layer = []
    for layer in view.layer.unique():
        mine = view.layer == layer
        found = ((exact | says) & readable)[..., mine]
        fresh = (covering & readable & (view.at >= 0).unsqueeze(1))[..., mine]
        right = found | (fresh & ~found.any(-1, keepdim=True))
        by_layer.append(losses.write_read(match[..., mine].transpose(1, 2), places, right))
    return torch.stack(by_layer).mean()


def _covering(view: View, repeats: Tensor) -> Tensor:
    """Which slots [B, Q, N] stand for a token where repeats, bool [B, Q, T], is true."""
    before = torch.nn.functional.pad(repeats.cumsum(-1, dtype=torch.int32), (1, 0))
    start, end = (each.clamp(0, repeats.shape[-1]).unsqueeze(1) for each in (view.start, view.end))
    size = len(repeats), repeats.shape[1], -1
    return before.gather(2, end.expand(size)) > before.gather(2, start.expand(size))
