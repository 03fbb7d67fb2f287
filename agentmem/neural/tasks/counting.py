"""Counting: how often a key was marked, over the whole stream.

An occurrence is MARK k k k, a question COUNT k k k and then the symbol whose number is the count. Knows tokens and a
generator; the same seed gives the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.tasks import layout
from agentmem.neural.tasks.layout import KEY
from agentmem.neural.tasks.task import COUNT, MARK, SYMBOLS, Questions

LENGTH = 1 + KEY
EVERY = 10  # tokens from one question to the next


@dataclass(frozen=True)
class Marks:
    """keys: [B, n, 3]. counts: [B, n]. at: [B, n, most], where each MARK stands, ascending; -1 first where fewer."""

    keys: Tensor
    counts: Tensor
    at: Tensor


@dataclass(frozen=True)
class Counting:
    """Streams of `horizon` tokens in which each of `keys` keys is marked 1 to `most` times, all as likely.

    near: see RecallTask. No two streams of a batch share a key.
    """

    horizon: int
    keys: int
    most: int = 8
    near: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.most < SYMBOLS or self.keys < 1:
            raise InvalidInputError(
                f"keys={self.keys}, most={self.most}: 1 key or more, marked 1 to {SYMBOLS - 1} times, is needed"
            )
        layout.check_share("near", self.near)
        layout.check_fits(self.keys * self.most, "marks", LENGTH, self.horizon)

    @property
    def vocabulary(self) -> int:
        return COUNT + 1

    @property
    def askable(self) -> int:
        return self.keys

    @property
    def distinct(self) -> bool:
        return True

    def stream(self, streams: int, generator: torch.Generator) -> tuple[Tensor, Marks]:
        """Tokens [streams, horizon] and the marks in them."""
        keys = layout.distinct_keys(streams, self.keys, self.near, generator)
        counts = torch.randint(1, self.most + 1, (streams, self.keys), generator=generator)
        at = layout.spread(streams, self.keys * self.most, LENGTH, self.horizon, generator)
        at = layout.shuffled(at, generator).unflatten(1, (self.keys, self.most))
        at = at.where(torch.arange(self.most) < counts[..., None], -1).sort(-1).values
        spans = layout.marked(MARK, keys).repeat_interleave(self.most, 1)
        tokens = layout.filler(streams, self.horizon, generator)
        return layout.put(tokens, at.flatten(1), spans), Marks(keys, counts, at)

    def questions(self, facts: Marks, number: int, generator: torch.Generator) -> Questions:
        """`number` questions per stream; none twice if there are enough."""
        key = layout.drawn(torch.ones_like(facts.counts, dtype=torch.bool), number, generator)
        rows = torch.arange(len(key))[:, None]
        at = facts.at[rows, key]
        evidence = (at + KEY).where(at >= 0, -1)
        said = layout.marked(COUNT, facts.keys[rows, key])
        return layout.asked(said, facts.counts[rows, key].unsqueeze(-1), evidence, generator, EVERY)
