"""Copying: a passage said early in the stream, to be repeated after it, symbol by symbol.

A passage is SAY s1 .. sn END, the question REPEAT and then s1 .. sn. Knows tokens and a generator; the same seed gives
the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.tasks import layout
from agentmem.neural.tasks.task import END, REPEAT, SAY, SYMBOLS, Questions

EARLY = 10  # a passage is in the first tenth, if that has room
GAP = 4  # tokens of filler with each question


@dataclass(frozen=True)
class Passages:
    """said: [B, n]. at: [B], where SAY stands."""

    said: Tensor
    at: Tensor


@dataclass(frozen=True)
class Copying:
    """Streams of `horizon` tokens, each with one passage of `length` symbols, all as likely.

    A stream has one question, and others' passages answer it just as well: `distinct` is false.
    """

    horizon: int
    length: int = 6

    def __post_init__(self) -> None:
        if self.length < 1 or self.horizon < self.length + 2:
            raise InvalidInputError(
                f"length={self.length}, horizon={self.horizon}: 1 symbol or more is needed, and a horizon of length + 2"
            )

    @property
    def vocabulary(self) -> int:
        return REPEAT + 1

    @property
    def askable(self) -> int:
        return 1

    @property
    def distinct(self) -> bool:
        return False

    def stream(self, streams: int, generator: torch.Generator) -> tuple[Tensor, Passages]:
        """Tokens [streams, horizon] and the passages in them."""
        said = torch.randint(SYMBOLS, (streams, self.length), generator=generator)
        room = max(1, self.horizon // EARLY - self.length - 1)
        at = torch.randint(room, (streams,), generator=generator)
        span = torch.cat((layout.marked(SAY, said), torch.full((streams, 1), END)), 1)
        tokens = layout.filler(streams, self.horizon, generator)
        return layout.put(tokens, at[:, None], span[:, None]), Passages(said, at)

    def questions(self, facts: Passages, number: int, generator: torch.Generator) -> Questions:
        """`number` times the same question: from the second on, the window may hold the answer."""
        answers = facts.said[:, None].repeat(1, number, 1)
        said = torch.full((*answers.shape[:2], 1), REPEAT)
        evidence = (facts.at[:, None, None] + torch.arange(self.length)).repeat(1, number, 1)
        return layout.asked(said, answers, evidence, generator, 1 + self.length + GAP, step=1)
