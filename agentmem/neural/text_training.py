"""Training on text: streams of documents read chunk by chunk, memory kept in between, and the losses of a chunk.

Knows which tokens repeat what was said before: those label what a reading should find. Knows nothing of optimizers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural import losses
from agentmem.neural.reader import FORBIDDEN, Reading
from agentmem.neural.settings import UNIT, at_least
from agentmem.neural.states import from_bytes, to_bytes
from agentmem.neural.task_training import following
from agentmem.neural.text import Stretches
from agentmem.neural.tokens import Output, TokenModel
from agentmem.neural.train import Step
from agentmem.neural.transformer import State
from agentmem.neural.view import View

SPARSE = 4  # every so manieth unit is reconstructed
REPEATS = 128  # repeated tokens of a chunk whose readings are trained


@dataclass
class TextTraining:
    """streams: read side by side, `chunk` tokens at a time, each anew after the stretches' length.

    write_read, reconstruction, importance: weights of those losses; that of the next token is 1. The streams are kept
    with the training. Raises InvalidInputError for no streams, and for a chunk that is no part of a stretch.
    """

    stretches: Stretches
    streams: int = 4
    chunk: int = 1_000
    write_read: float = 0.2
    reconstruction: float = 0.5
    importance: float = 0.1
    _streams: Streams | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        at_least(1, streams=self.streams, chunk=self.chunk)
        if self.chunk > self.stretches.length:
            raise InvalidInputError(
                f"chunk={self.chunk} of stretches of {self.stretches.length} tokens: 1 to that many are needed"
            )

    def step(self, model: TokenModel, stage: int, generator: torch.Generator) -> Step:
        """The losses of the next chunk of every stream, and the share of the first stream's next tokens that the head
        alone found the likeliest.
        """
        now = self._streams
        if now is None or now.state.position + self.chunk >= now.tokens.shape[1]:
            tokens = self.stretches.draw(self.streams, generator).to(next(model.parameters()).device)
            now = Streams.of(tokens, model.transformer.start(self.streams))
        here = now.tokens[:, now.state.position : now.state.position + self.chunk + 1]
        output, after = model.through(here[:, :-1], now.state)
        self._streams = now.read(output, after)
        parts = {"next_token": -output.of(here[:, 1:]).mean()}
        if output.readings:  # there are none before the first unit
            parts |= self._memory_losses(model, output, Chunk.of(self._streams, now.state.position), generator)
        right = float((output.logits[0].detach().argmax(-1) == here[0, 1:]).float().mean())
        return Step(parts, right, here[:, 1:].numel())

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return False

    def kept(self, model: TokenModel) -> dict[str, Tensor]:
        """The streams: their tokens, what was surprising, and their state as the bytes of `to_bytes`, uint8."""
        if self._streams is None:
            return {}
        now = self._streams
        state = torch.frombuffer(bytearray(to_bytes(model, now.state)), dtype=torch.uint8)
        return {"tokens": now.tokens, "surprise": now.surprise, "state": state}

    def take_up(self, model: TokenModel, kept: dict[str, Tensor]) -> None:
        """The streams that `kept` gave; new ones where it gave none. Earlier versions kept no `surprise`."""
        self._streams = None
        if kept:
            device = next(model.parameters()).device
            begun = Streams.of(kept["tokens"].to(device), from_bytes(model, kept["state"].numpy().tobytes()))
            self._streams = replace(begun, surprise=kept.get("surprise", begun.surprise).to(device))

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

    pairs: a number for each token with the next, [B, T]; -1 at the end, which has none. telling: [B, T] in [0, 1], 0
    for a pair that stands nowhere else in the stretch; of others the more, the rarer the token. surprise: [B, T] in
    [0, 1], 1 - p(next token) with nothing copied, by the model as it was when it read; 0 for what it has not read.
    """

    tokens: Tensor
    pairs: Tensor
    telling: Tensor
    surprise: Tensor
    state: State

    @classmethod
    def of(cls, tokens: Tensor, state: State) -> Streams:
        pairs = tokens * (int(tokens.max()) + 1) + tokens.roll(-1, 1)
        pairs[:, -1] = -1
        again = _others(pairs) > 0
        telling = again / (1 + _others(tokens)).sqrt()
        return cls(tokens, pairs, telling, torch.zeros_like(telling), state)

    def read(self, output: Output, after: State) -> Streams:
        """The same, when `output` has been said of what comes next and the state is `after` it."""
        start, end = self.state.position, after.position
        following = self.tokens[:, start + 1 : end + 1].unsqueeze(-1)
        surprise = self.surprise.clone()
        surprise[:, start:end] = 1 - output.logits.detach().float().softmax(-1).gather(-1, following).squeeze(-1)
        return replace(self, surprise=surprise, state=after)


@dataclass(frozen=True)
class Chunk:
    """tokens: of the streams [B, T + 1] up to the one after the chunk, which starts at `start`; pairs: [B, T].

    needed: [B, T] in [0, 1], how much a reading gains from what was said here: surprise times how telling the pair is.
    """

    tokens: Tensor
    pairs: Tensor
    start: int
    needed: Tensor

    @classmethod
    def of(cls, streams: Streams, start: int) -> Chunk:
        """What has been read since `start`."""
        end = streams.state.position
        needed = streams.surprise[:, :end] * streams.telling[:, :end]
        return cls(streams.tokens[:, : end + 1], streams.pairs[:, :end], start, needed)

    def repeated(self, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Up to `number` places per stream that were said before: int64 [B, number], in the chunk, and where: bool
        [B, number, T]. Those that are needed more often; a place that was not said before is nowhere.
        """
        order = self.pairs.sort(dim=1, stable=True)
        again = torch.zeros_like(self.pairs, dtype=torch.bool)
        again.scatter_(1, order.indices[:, 1:], order.values[:, 1:] == order.values[:, :-1])
        wanted = (self.needed * again)[:, self.start :]
        luck = torch.rand(wanted.shape, generator=generator).to(wanted.device)
        at = (luck * wanted).topk(min(number, wanted.shape[1]), 1).indices
        place = at + self.start
        earlier = torch.arange(again.shape[1], device=at.device) < place.unsqueeze(-1)
        return at, (self.pairs.unsqueeze(1) == self.pairs.gather(1, place).unsqueeze(-1)) & earlier


def _others(numbers: Tensor) -> Tensor:
    """How many others in a row have the same number: [B, T]."""
    order = numbers.sort(dim=1, stable=True)
    starts = torch.ones_like(order.values, dtype=torch.bool)
    starts[:, 1:] = order.values[:, 1:] != order.values[:, :-1]
    group = starts.cumsum(1) - 1
    sizes = torch.zeros_like(numbers).scatter_add(1, group, torch.ones_like(numbers))
    return torch.zeros_like(numbers).scatter(1, order.indices, sizes.gather(1, group) - 1)


def contrast_of_layers(reading: Reading, bound: Tensor, at: Tensor, repeats: Tensor, chunk: Chunk) -> Tensor:
    """The write-read loss of each layer by itself: one that finds what it kept does not excuse another.

    at, repeats: what `chunk.repeated` gave. bound: [B, N, bound], what the view's slots say. Right are slots taken from
    where it was said before; of those whose place was not kept, the ones that cover it and say the right next token.
    Where a layer has none, those of it that cover it.
    """
    view = reading.view
    following = chunk.tokens.gather(1, at + chunk.start + 1)
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
