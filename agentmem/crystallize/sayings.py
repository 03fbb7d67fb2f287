"""What of a cluster may become an atom, and what it is worth.

Knows scored steps, what they claim and what was done in them; knows no quota, and no atoms that there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from agentmem.claims import Claim, claims
from agentmem.condense import Source
from agentmem.salience import Scored
from agentmem.states.told import Told, Words
from agentmem.types import Span
from agentmem.words import words

DEED = 3.0  # times the worth of its words: a deed with an effect, and where it was done
LEAST = 2  # words of a plain span
MARGIN = 2  # tokens that are added to each, so that longer ones are worth their place


class Saying(NamedTuple):
    """What may become an atom: spans in order, worth, the claim that they make, if any, or whether they are a deed."""

    spans: tuple[Span, ...]
    worth: float
    claim: Claim | None = None
    deed: bool = False

    def apart_from(self, others: Sequence[Span]) -> bool:
        """Whether it shares no words with these."""
        return not any(_meet(own, other) for own in self.spans for other in others)


class Sayings:
    """Of a cluster's steps, what may become an atom."""

    def __init__(self, sources: Sequence[Source], scored: Scored) -> None:
        self.texts = {source.position: source.text for source in sources}
        self._sources, self._scored = sources, scored
        self._number = {source.position: number for number, source in enumerate(sources)}
        self._first = np.searchsorted(scored.source, np.arange(len(sources) + 1))

    def source(self, position: int) -> Source:
        return self._sources[self._number[position]]

    def best(self, telling: Sequence[Told], kept: Sequence[Span]) -> list[Saying]:
        """The newest claim of each key and the deeds told of, the most worth first; then the spans that were kept."""
        newest = {claim.key: (claim, source) for claim, source in claims_of(self._sources)}
        claimed = [self._said((Span(source.position, *claim.span),), claim) for claim, source in newest.values()]
        done = [self._said((self._span(one.where), self._span(one.words))) for one in telling if one.deed and one.where]
        deeds = [saying._replace(worth=DEED * saying.worth, deed=True) for saying in done]
        spans = [self._said((span,)) for span in kept if self._says(span)]
        return [*_ranked([*claimed, *_learnable(deeds)]), *_ranked(_learnable(spans))]

    def _says(self, span: Span) -> bool:
        """Whether it says anything by itself: a number or a single word does not."""
        found = words(self.texts[span.position][span.start : span.end])
        return sum(word.isalpha() for word in found) >= LEAST

    def _span(self, said: Words) -> Span:
        return Span(self._sources[said.source].position, said.start, said.end)

    def _said(self, spans: tuple[Span, ...], claim: Claim | None = None) -> Saying:
        """Worth nothing where any of it is recalled text."""
        sums = [self._sum(span) for span in spans]
        weight = sum(weight for weight, _ in sums) if all(weight for weight, _ in sums) else 0.0
        return Saying(spans, weight / (sum(cost for _, cost in sums) + MARGIN), claim)

    def _sum(self, span: Span) -> tuple[float, float]:
        """Weight and tokens."""
        number = self._number[span.position]
        here = slice(self._first[number], self._first[number + 1])
        start, end = self._scored.start[here], self._scored.end[here]
        if (self._scored.barred[here] & (start < span.end) & (end > span.start)).any():
            return 0.0, 0.0
        inside = (start >= span.start) & (end <= span.end)
        return float(self._scored.weight[here][inside].sum()), float(self._scored.cost[here][inside].sum())


def _learnable(sayings: Sequence[Saying]) -> list[Saying]:
    return [saying for saying in sayings if saying.worth > 0]


def _ranked(sayings: Sequence[Saying]) -> list[Saying]:
    return sorted(sayings, key=lambda saying: (-saying.worth, saying.spans[-1]))


def claims_of(sources: Sequence[Source]) -> Iterator[tuple[Claim, Source]]:
    """The claims of steps, recalled text left out."""
    return ((claim, source) for source in sources for claim in claims(source))


def _meet(one: Span, other: Span) -> bool:
    return one.position == other.position and one.start < other.end and other.start < one.end
