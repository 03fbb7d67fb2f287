"""What every task has in common: a stream with facts in it, and questions about them, asked after it.

Knows the form of questions, the tokens that mark things, and when an answer is right. Knows nothing of any one task,
nor of models. Symbols are tokens 0 to 63; the markers of all tasks are different, so that one model can take them all.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

SYMBOLS = 64
FACT, ASK, LINK, HOP, MARK, COUNT, SAY, END, REPEAT = range(SYMBOLS, SYMBOLS + 9)
NOW = 2**62  # an `as_of` after every position

Facts = TypeVar("Facts")


@dataclass(frozen=True)
class Questions:
    """Q questions to each of B streams, each with its answer after it in a stretch of T / Q tokens of its own.

    tokens: [B, T]. at: [B, Q], the position in `tokens` before the answer. answers: [B, Q, n], -1 past an answer's end.
    evidence: [B, Q, E], positions in the stream whose crystals hold the answer: the last token of what is looked up,
    with what is found after it. reads: [B, Q, E], the position in `tokens` at which that evidence is needed.
    stale: [B, Q, S], positions like those of evidence that answer the same question as of another time. Evidence and
    stale are -1 where there are fewer. as_of: [B, Q], how many tokens of the stream count; NOW where all of them do.
    """

    tokens: Tensor
    at: Tensor
    answers: Tensor
    evidence: Tensor
    reads: Tensor
    stale: Tensor
    as_of: Tensor

    @property
    def places(self) -> Tensor:
        """Positions in `tokens` [B, Q, n] at which each token of an answer has to be said next."""
        return self.at[..., None] + torch.arange(self.answers.shape[-1], device=self.at.device)

    @property
    def times(self) -> Tensor:
        """`as_of` for each token of the first stream: [T]."""
        return self.as_of[0].repeat_interleave(self.tokens.shape[1] // self.at.shape[1])

    def to(self, device: torch.device) -> Self:
        """The same questions, on a device."""
        return replace(self, **{each.name: getattr(self, each.name).to(device) for each in fields(self)})

    def split(self, size: int) -> list[Questions]:
        """The same questions, `size` at a time."""
        number = self.at.shape[1]
        return [self._part(first, min(size, number - first)) for first in range(0, number, size)]

    def _part(self, first: int, size: int) -> Questions:
        every = self.tokens.shape[1] // self.at.shape[1]
        part = {each.name: getattr(self, each.name)[:, first : first + size] for each in fields(self)}
        part |= {name: part[name] - first * every for name in ("at", "reads")}
        return replace(self, **part | {"tokens": self.tokens[:, first * every : (first + size) * every]})


class Task(Protocol[Facts]):
    """Generated streams and questions; the same generator gives the same tokens.

    vocabulary: number of tokens. horizon: tokens of a stream. askable: how many different questions a stream has, about
    (asked twice, the second is answered by the first). distinct: whether no two streams of a batch share what is looked
    up, so that a reader may be shown the crystals of all of them.
    """

    @property
    def vocabulary(self) -> int: ...
    @property
    def horizon(self) -> int: ...
    @property
    def askable(self) -> int: ...
    @property
    def distinct(self) -> bool: ...

    def stream(self, streams: int, generator: torch.Generator) -> tuple[Tensor, Facts]:
        """Tokens [streams, horizon] and what is told in them."""
        ...

    def questions(self, facts: Facts, number: int, generator: torch.Generator) -> Questions:
        """`number` questions per stream; none twice if there are enough."""
        ...


def right(log_probabilities: Tensor, asked: Questions) -> Tensor:
    """Which tokens of the answers are the likeliest: bool [B, Q, n], of log probabilities [B, T, vocabulary].

    What is past an answer's end counts as right.
    """
    rows = torch.arange(len(asked.at), device=asked.at.device)[:, None, None]
    return (log_probabilities[rows, asked.places].argmax(-1) == asked.answers) | (asked.answers < 0)


def exact(log_probabilities: Tensor, asked: Questions) -> Tensor:
    """Which questions are answered right in every token: bool [B, Q], of log probabilities [B, T, vocabulary].

    Each token is judged after the right ones before it, which is to say whether greedy decoding gives the answer.
    """
    return right(log_probabilities, asked).all(-1)
