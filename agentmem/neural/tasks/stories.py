"""Stories told sentence by sentence between sentences of books, and questions about what they come to.

Where is a person (one supporting sentence), where is a thing (two: who has it, where that person is), who had it before
(two). Knows how sentences become tokens of a stream; what happens is `world`'s, the book text `prose`'s. The form
follows BABILong (Kuratov et al. 2024, arXiv:2406.10149); sentences and names are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.tasks.prose import Prose, Tokenizer
from agentmem.neural.tasks.task import NOW, Questions
from agentmem.neural.tasks.world import BEFORE, KINDS, PEOPLE, PERSON, PLACES, THING, THINGS, Query, World, world

GAP = 4  # tokens of book text with each question, at least


@dataclass(frozen=True)
class Told:
    """worlds: what happened in each of B streams. at: [B, events], positions before the words that tell it."""

    worlds: tuple[World, ...]
    at: Tensor


@dataclass(frozen=True)
class Stories:
    """Streams of `horizon` tokens with a story of `events` sentences each, between sentences of prose.

    tokenize: text to tokens below `vocabulary`, the same that made the prose; it is given pieces that begin with a
    space. kinds: which questions are asked, of ("person", "thing", "before"). No two streams are `distinct`:
    people and things are the same in all of them.
    """

    horizon: int
    prose: Prose
    tokenize: Tokenizer
    vocabulary: int
    events: int = 20
    people: int = 4
    things: int = 3
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        self._check_sizes()
        tokens = [tuple(self._tokens(word)) for word in (*PEOPLE, *PLACES, *THINGS)]
        if len(set(tokens)) < len(tokens) or () in tokens:
            raise InvalidInputError("the tokenizer gives two names of a story the same tokens; it has to know them all")
        largest = max(int(self.prose.tokens.max()), *(token for each in tokens for token in each))
        if largest >= self.vocabulary:
            raise InvalidInputError(f"vocabulary={self.vocabulary}: the tokenizer gives {largest}; one more is needed")

    @property
    def askable(self) -> int:
        return sum(self.people if kind == PERSON else self.things for kind in self.kinds)

    @property
    def distinct(self) -> bool:
        return False

    def stream(self, streams: int, generator: torch.Generator) -> tuple[Tensor, Told]:
        """Tokens [streams, horizon] and what is told in them. Raises InvalidInputError if a story is longer."""
        worlds = tuple(world(self.events, self.people, self.things, generator) for _ in range(streams))
        told = [self._scattered(each, generator) for each in worlds]
        return torch.stack([tokens for tokens, _ in told]), Told(worlds, torch.stack([at for _, at in told]))

    def questions(self, facts: Told, number: int, generator: torch.Generator) -> Questions:
        """`number` questions per stream, of all kinds alike; none twice if there are enough."""
        queries = [_drawn(each.queries(self.kinds), number, generator) for each in facts.worlds]
        said = [[self._tokens(each.text) for each in row] for row in queries]
        answers = _padded([[self._tokens(each.answer) for each in row] for row in queries])
        longest = max(len(each) for row in said for each in row)
        every = longest + answers.shape[-1] + GAP
        at = (torch.arange(number) * every + longest + GAP - 1).expand(len(said), -1)
        return Questions(
            tokens=self._asked(said, answers, at, every, generator),
            at=at,
            answers=answers,
            evidence=_positions([[each.evidence for each in row] for row in queries], facts.at),
            reads=at[..., None].expand(-1, -1, max(len(each.evidence) for row in queries for each in row)),
            stale=_positions([[each.stale for each in row] for row in queries], facts.at),
            as_of=torch.full_like(at, NOW),
        )

    def _asked(
        self, said: list[list[list[int]]], answers: Tensor, at: Tensor, every: int, generator: torch.Generator
    ) -> Tensor:
        """Book text [B, Q x every] with questions that end at [B, Q], and their answers, written over it."""
        tokens = torch.stack([self.prose.read(at.shape[1] * every, generator)[0] for _ in said])
        for row, questions in enumerate(said):
            for question, last, answer in zip(questions, at[row].tolist(), answers[row], strict=True):
                spoken = answer[answer >= 0]
                tokens[row, last + 1 - len(question) : last + 1] = torch.tensor(question)
                tokens[row, last + 1 : last + 1 + len(spoken)] = spoken
        return tokens

    def _scattered(self, told: World, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A stream [horizon] with these events, each before a sentence of prose; and the positions [events] in it."""
        openings = [self._tokens(event.opening) for event in told.events]
        sentences = [
            torch.tensor([*opening, *self._tokens(event.word), *self.tokenize(".")])
            for opening, event in zip(openings, told.events, strict=True)
        ]
        length = sum(len(each) for each in sentences)
        if length > self.horizon:
            raise InvalidInputError(f"horizon={self.horizon}: a story of {self.events} events has {length} tokens")
        prose, starts = self.prose.read(self.horizon - length, generator)
        starts = starts if len(starts) else torch.zeros(1, dtype=torch.int64)
        cuts = starts[torch.randint(len(starts), (self.events,), generator=generator)].sort().values
        pieces = prose.tensor_split(cuts)
        tokens = torch.cat([each for pair in zip(pieces, sentences, strict=False) for each in pair] + [pieces[-1]])
        before = torch.tensor([0, *(len(each) for each in sentences[:-1])]).cumsum(0)
        return tokens, cuts + before + torch.tensor([len(each) - 1 for each in openings])

    def _tokens(self, text: str) -> list[int]:
        return self.tokenize(f" {text}")

    def _check_sizes(self) -> None:
        least = self.people + 2 * self.things
        if not (2 <= self.people <= len(PEOPLE) and 1 <= self.things <= len(THINGS)) or self.events < least:
            raise InvalidInputError(
                f"people={self.people}, things={self.things}, events={self.events}: 2 to {len(PEOPLE)} people, "
                f"1 to {len(THINGS)} things and at least {least} events for them are needed"
            )
        if not self.kinds or not set(self.kinds) <= {PERSON, THING, BEFORE}:
            raise InvalidInputError(f"kinds={self.kinds}: one or more of {', '.join(KINDS)} are needed")


def _drawn(queries: list[Query], number: int, generator: torch.Generator) -> list[Query]:
    order = torch.randperm(len(queries), generator=generator).tolist()
    return [queries[order[i % len(order)]] for i in range(number)]


def _padded(rows: list[list[list[int]]]) -> Tensor:
    """Lists of different lengths as [B, Q, longest], -1 past the end of each."""
    longest = max(len(each) for row in rows for each in row)
    flat = [[[*each, *[-1] * (longest - len(each))] for each in row] for row in rows]
    return torch.tensor(flat, dtype=torch.int64).view(len(rows), len(rows[0]), longest)


def _positions(rows: list[list[tuple[int, ...]]], at: Tensor) -> Tensor:
    """Positions at [B, events] of the events of each question: [B, Q, most], -1 where fewer."""
    events = _padded([[list(each) for each in row] for row in rows])
    found = at.gather(1, events.clamp(min=0).flatten(1)).view_as(events)
    return found.where(events >= 0, -1)
