"""Key-value recall: facts at random offsets in filler of the same vocabulary, asked for long after.

A fact is FACT k k k v v, a question ASK k k k and then v v; keys are 3 symbols of 64 and values 2 of 64, so chance is
1 in 4,096. The filler is of the same 64 symbols. Knows tokens and a generator; the same seed gives the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError

SYMBOLS, FACT, ASK = 64, 64, 65
VOCABULARY = 66
KEY, VALUE = 3, 2
LENGTH = 1 + KEY + VALUE
EVERY = 10  # tokens from one question to the next


@dataclass(frozen=True)
class Facts:
    """Facts of B streams in order of writing. keys: [B, n, 3]. values: [B, n, 2]. at: [B, n], where FACT stands.

    latest: bool [B, n], no later fact has the same key.
    """

    keys: Tensor
    values: Tensor
    at: Tensor
    latest: Tensor


@dataclass(frozen=True)
class Questions:
    """tokens: [B, T]. at: [B, Q], where a key's last symbol stands. answers: [B, Q, 2]. fact: [B, Q], which fact."""

    tokens: Tensor
    at: Tensor
    answers: Tensor
    fact: Tensor


@dataclass(frozen=True)
class RecallTask:
    """Streams of `horizon` tokens with `facts` facts each.

    near: share of batches whose keys collide, two of three symbols alike, in the whole batch. overwritten: share of
    facts that set an earlier key anew; the latest value is asked for. No two streams of a batch share a key.
    """

    horizon: int
    facts: int
    near: float = 0.0
    overwritten: float = 0.0

    def __post_init__(self) -> None:
        if self.facts < 1 or self.horizon // self.facts < LENGTH:
            raise InvalidInputError(
                f"{self.facts} facts of {LENGTH} tokens do not fit evenly into horizon={self.horizon}"
            )

    def stream(self, streams: int, generator: torch.Generator) -> tuple[Tensor, Facts]:
        """Tokens [streams, horizon] and the facts in them."""
        tokens = filler(streams, self.horizon, generator)
        facts = self._facts(streams, generator)
        marker = torch.full((*facts.at.shape, 1), FACT)
        return _put(tokens, facts.at, torch.cat((marker, facts.keys, facts.values), -1)), facts

    def _facts(self, streams: int, generator: torch.Generator) -> Facts:
        keys = self._keys(streams, generator)
        again = torch.rand(streams, self.facts, generator=generator) < self.overwritten
        again[:, 0] = False
        earlier = (torch.rand(streams, self.facts, generator=generator) * torch.arange(self.facts)).long()
        for i in range(1, self.facts) if again.any() else ():
            old = keys[torch.arange(streams), earlier[:, i]]
            keys[:, i] = torch.where(again[:, i, None], old, keys[:, i])
        values = torch.randint(SYMBOLS, (streams, self.facts, VALUE), generator=generator)
        room = self.horizon // self.facts
        offsets = torch.randint(room - LENGTH + 1, (streams, self.facts), generator=generator)
        return Facts(keys, values, torch.arange(self.facts) * room + offsets, _latest(keys))

    def _keys(self, streams: int, generator: torch.Generator) -> Tensor:
        """Different keys [streams, facts, 3]; near ones are all of a small cube of symbols."""
        needed = streams * self.facts
        near = torch.rand((), generator=generator) < self.near
        side = min(SYMBOLS, max(2, int((1.5 * needed) ** (1 / KEY)) + 1)) if near else SYMBOLS
        if side**KEY < needed:
            raise InvalidInputError(f"{streams} streams of {self.facts} facts: there are {side**KEY} keys")
        cube = torch.stack([torch.randperm(SYMBOLS, generator=generator)[:side] for _ in range(KEY)])
        corners = torch.randperm(side**KEY, generator=generator)[:needed].view(streams, -1)
        places = torch.stack([corners // side**power % side for power in (2, 1, 0)], -1)
        return torch.stack([cube[i][places[..., i]] for i in range(KEY)], -1)


def questions(facts: Facts, number: int, generator: torch.Generator) -> Questions:
    """`number` questions per stream, 10 tokens apart in filler, about latest facts; no fact twice if enough."""
    streams = len(facts.at)
    few = int(facts.latest.sum(1).min()) < number
    fact = torch.multinomial(facts.latest.float(), number, replacement=few, generator=generator)
    rows = torch.arange(streams)[:, None]
    keys, answers = facts.keys[rows, fact], facts.values[rows, fact]
    offsets = torch.randint(EVERY - LENGTH + 1, (streams, number), generator=generator)
    at = torch.arange(number) * EVERY + offsets
    asked = torch.cat((torch.full((*at.shape, 1), ASK), keys, answers), -1)
    return Questions(_put(filler(streams, number * EVERY, generator), at, asked), at + KEY, answers, fact)


def filler(streams: int, tokens: int, generator: torch.Generator) -> Tensor:
    """Symbols [streams, tokens], the frequent ones far more often (Zipf's law)."""
    frequency = 1 / (torch.arange(SYMBOLS) + 3.0)
    return torch.multinomial(frequency, streams * tokens, replacement=True, generator=generator).view(streams, tokens)


def exact(log_probabilities: Tensor, asked: Questions) -> Tensor:
    """Which questions are answered right in both symbols: bool [B, Q], of log probabilities [B, T, vocabulary]."""
    rows = torch.arange(len(asked.at))[:, None, None]
    places = torch.stack((asked.at, asked.at + 1), -1)
    return (log_probabilities[rows, places].argmax(-1) == asked.answers).all(-1)


def _latest(keys: Tensor) -> Tensor:
    """bool [B, n]: no later one of keys [B, n, 3] is the same."""
    numbers = (keys[..., 0] * SYMBOLS + keys[..., 1]) * SYMBOLS + keys[..., 2]
    order = numbers.sort(dim=1, stable=True)
    last = torch.ones_like(numbers, dtype=torch.bool)
    last[:, :-1] = order.values[:, :-1] != order.values[:, 1:]
    return torch.zeros_like(last).scatter(1, order.indices, last)


def _put(tokens: Tensor, at: Tensor, spans: Tensor) -> Tensor:
    """Tokens with spans [B, n, length] written over them from positions at [B, n]."""
    places = at[..., None] + torch.arange(spans.shape[-1])
    return tokens.scatter(1, places.flatten(1), spans.flatten(1))
