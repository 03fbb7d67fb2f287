"""Key-value recall: facts at random offsets in filler of the same vocabulary, asked for long after.

A fact is FACT k k k v v, a question ASK k k k and then v v; keys are 3 symbols of 64 and values 2 of 64, so chance is
1 in 4,096. The filler is of the same 64 symbols. Knows tokens and a generator; the same seed gives the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.tasks import layout
from agentmem.neural.tasks.layout import KEY
from agentmem.neural.tasks.task import ASK, FACT, NOW, SYMBOLS, Questions

VOCABULARY = ASK + 1
VALUE = 2
LENGTH = 1 + KEY + VALUE
EVERY = 10  # tokens from one question to the next
AMPLE = 200  # tokens after a fact in which it becomes an atom


@dataclass(frozen=True)
class Facts:
    """Facts of B streams in order of writing. keys: [B, n, 3]. values: [B, n, 2]. at: [B, n], where FACT stands.

    until: [B, n], where FACT of the next fact with the same key stands, NOW if there is none.
    """

    keys: Tensor
    values: Tensor
    at: Tensor
    until: Tensor

    @property
    def latest(self) -> Tensor:
        """bool [B, n], no later fact has the same key."""
        return self.until == NOW

    @property
    def anew(self) -> Tensor:
        """bool [B, n], no later fact has the same key and an earlier one has."""
        following = torch.searchsorted(self.at, self.until.minimum(self.at[:, -1:]))
        again = torch.zeros_like(self.at).scatter_reduce(1, following, (~self.latest).long(), "amax")
        return again.bool() & self.latest

    @property
    def past(self) -> Tensor:
        """bool [B, n], facts to ask for as of a time when their key had not yet been set anew: with 200 tokens or more
        between, if the stream has such.
        """
        ample = ~self.latest & (self.until - self.at >= LENGTH + AMPLE)
        return torch.where(ample.any(1, True), ample, ~self.latest)


@dataclass(frozen=True)
class FactQuestions(Questions):
    """fact: [B, Q], which fact is asked for."""

    fact: Tensor


@dataclass(frozen=True)
class RecallTask:
    """Streams of `horizon` tokens with `facts` facts each.

    near: share of batches whose keys collide, two of three symbols alike, in the whole batch. overwritten: share of
    facts that set an earlier key anew; the latest value is asked for. earlier: share of batches of questions that ask,
    as of then, for values that were set anew. No two streams of a batch share a key.
    """

    horizon: int
    facts: int
    near: float = 0.0
    overwritten: float = 0.0
    earlier: float = 0.0

    def __post_init__(self) -> None:
        layout.check_fits(self.facts, "facts", LENGTH, self.horizon)
        for name in ("near", "overwritten", "earlier"):
            layout.check_share(name, getattr(self, name))
        if self.earlier and not self.overwritten:
            raise InvalidInputError(
                f"earlier={self.earlier} asks for facts that were set anew: overwritten > 0 is needed"
            )

    @property
    def vocabulary(self) -> int:
        return VOCABULARY

    @property
    def askable(self) -> int:
        return max(1, round(self.facts * (1 - self.overwritten)))

    @property
    def distinct(self) -> bool:
        return True

    def stream(self, streams: int, generator: torch.Generator) -> tuple[Tensor, Facts]:
        """Tokens [streams, horizon] and the facts in them."""
        tokens = layout.filler(streams, self.horizon, generator)
        facts = self._facts(streams, generator)
        return layout.put(tokens, facts.at, layout.marked(FACT, facts.keys, facts.values)), facts

    def questions(self, facts: Facts, number: int, generator: torch.Generator) -> FactQuestions:
        """`number` questions per stream, about latest facts, or about earlier ones as of then."""
        if self.earlier and torch.rand((), generator=generator) < self.earlier:
            return earlier_questions(facts, number, generator)
        return questions(facts, number, generator)

    def _facts(self, streams: int, generator: torch.Generator) -> Facts:
        keys = layout.distinct_keys(streams, self.facts, self.near, generator)
        again = torch.rand(streams, self.facts, generator=generator) < self.overwritten
        again[:, 0] = False
        earlier = (torch.rand(streams, self.facts, generator=generator) * torch.arange(self.facts)).long()
        for i in range(1, self.facts) if again.any() else ():
            old = keys[torch.arange(streams), earlier[:, i]]
            keys[:, i] = torch.where(again[:, i, None], old, keys[:, i])
        values = torch.randint(SYMBOLS, (streams, self.facts, VALUE), generator=generator)
        at = layout.spread(streams, self.facts, LENGTH, self.horizon, generator)
        return Facts(keys, values, at, _until(keys, at))


def questions(facts: Facts, number: int, generator: torch.Generator, allowed: Tensor | None = None) -> FactQuestions:
    """`number` questions per stream, 10 tokens apart in filler, about latest facts; no fact twice if enough.

    allowed: bool [B, n], one or more in every stream; which of the latest facts, all by default.
    """
    return _about(facts, layout.drawn(facts.latest if allowed is None else allowed, number, generator), generator)


def earlier_questions(facts: Facts, number: int, generator: torch.Generator) -> FactQuestions:
    """`number` questions per stream about past facts, as of then; no fact twice if enough.

    That time is at least 200 tokens after the fact, if the stream has such facts. A stream that has set nothing anew is
    asked for what is latest.
    """
    fact = layout.drawn(torch.where(facts.past.any(1, True), facts.past, facts.latest), number, generator)
    until = facts.until.gather(1, fact)
    least = (facts.at.gather(1, fact) + LENGTH + AMPLE).minimum(until)
    later = torch.rand(fact.shape, generator=generator, dtype=torch.float64)
    as_of = least + (later * (until - least + 1).where(until < NOW, 0)).long()
    return replace(_about(facts, fact, generator), as_of=as_of.where(until < NOW, NOW))


def _about(facts: Facts, fact: Tensor, generator: torch.Generator) -> FactQuestions:
    """Questions about facts [B, Q]."""
    rows = torch.arange(len(fact))[:, None]
    keys = facts.keys[rows, fact]
    last = facts.at + KEY
    asked = layout.asked(
        layout.marked(ASK, keys), facts.values[rows, fact], last[rows, fact].unsqueeze(-1), generator, EVERY
    )  # fmt: skip
    same = (keys[:, :, None] == facts.keys[:, None]).all(-1).scatter(2, fact.unsqueeze(-1), False)
    parts = {each.name: getattr(asked, each.name) for each in fields(Questions)}
    return FactQuestions(**parts | {"stale": layout.others(same, last)}, fact=fact)


def _until(keys: Tensor, at: Tensor) -> Tensor:
    """[B, n]: the position, of at [B, n], of the next of keys [B, n, 3] that is the same; NOW if there is none."""
    numbers = (keys[..., 0] * SYMBOLS + keys[..., 1]) * SYMBOLS + keys[..., 2]
    order = numbers.sort(dim=1, stable=True)
    following = at.gather(1, order.indices).roll(-1, 1)
    again = order.values[:, :-1] == order.values[:, 1:]
    following = torch.cat((following[:, :-1].where(again, NOW), torch.full_like(at[:, :1], NOW)), 1)
    return torch.zeros_like(at).scatter(1, order.indices, following)
