"""Recall by the age of a fact: how far back what is asked for was said, in groups of half a decade of tokens.

Knows facts of one stream and a memory that may have lost some. Knows nothing of why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import count
from typing import Any

import torch
from torch import Tensor

from agentmem.neural.measure import answers
from agentmem.neural.tasks.key_value import Facts, questions
from agentmem.neural.tokens import TokenModel
from agentmem.neural.transformer import State
from agentmem.neural.view import View

YOUNGEST = 100


@dataclass(frozen=True)
class Age:
    """Facts said more than `above` and at most `upto` tokens before. facts: how many; exact: of those `asked`."""

    above: int
    upto: int
    facts: int
    asked: int
    exact: float


def groups(tokens: int) -> Iterator[tuple[int, int]]:
    """0 to 100, 300, 1,000, 3,000 and so on, until `tokens` are covered."""
    above = 0
    for upto in (YOUNGEST * 10**power * first for power in count() for first in (1, 3)):
        yield above, min(upto, tokens)
        if upto >= tokens:
            return
        above = upto


def chosen(facts: Facts, which: Tensor) -> Facts:
    """The facts of one stream for which bool [n] is true."""
    return Facts(**{each.name: getattr(facts, each.name)[:, which] for each in fields(Facts)})


@torch.no_grad()
def remembered(
    model: TokenModel, state: State, facts: Facts, number: int, generator: torch.Generator, view: View | None = None
) -> Tensor:
    """Whether each of `number` of the facts, or of all if they are fewer, is recalled exactly: bool [Q]."""
    view = view or state.memory.view()
    asked = questions(facts, min(number, facts.at.shape[1]), generator)
    return answers(model, state, view, asked).all(-1)


def by_age(model: TokenModel, state: State, facts: Facts, number: int, generator: torch.Generator) -> list[Age]:
    """Of each group of facts that has any, `number` asked at most. Groups are made up to the stream's length."""
    view, age = state.memory.view(), state.position - facts.at[0]
    found = []
    for above, upto in groups(state.position):
        which = (age > above) & (age <= upto)
        if which.any():
            told = remembered(model, state, chosen(facts, which), number, generator, view)
            found.append(Age(above, upto, int(which.sum()), len(told), float(told.double().mean())))
    return found


def of_all(ages: Sequence[Age]) -> float:
    """Exact, every fact as likely to be asked for."""
    return sum(each.exact * each.facts for each in ages) / sum(each.facts for each in ages)


def of_late(ages: Sequence[Age]) -> float:
    """Exact, every group as likely to be asked for: a fact's odds fall about as 1 / age, as need does in practice."""
    return sum(each.exact for each in ages) / len(ages)


def pooled(runs: Sequence[Sequence[Age]]) -> list[Age]:
    """Groups of several streams together, by what was asked of each."""
    found = []
    for bounds in dict.fromkeys((each.above, each.upto) for run in runs for each in run):
        same = [each for run in runs for each in run if (each.above, each.upto) == bounds]
        asked = sum(each.asked for each in same)
        exact = sum(each.exact * each.asked for each in same) / asked
        found.append(Age(*bounds, sum(each.facts for each in same), asked, exact))
    return sorted(found, key=lambda each: each.upto)


def as_json(ages: Sequence[Age]) -> list[dict[str, Any]]:
    return [asdict(each) for each in ages]
