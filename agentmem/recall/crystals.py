"""The crystals of the layers asked for as candidates, best first. Knows rankings and candidates; knows no packing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice

import numpy as np

from agentmem.index import View, step_id
from agentmem.recall.layers import best_steps, crystal_signals, near, place_signal, steps_of, with_steps
from agentmem.recall.pack import Candidate
from agentmem.recall.query import CHUNK, Query, Texts
from agentmem.recall.render import head
from agentmem.recall.signals import Match, reasons, step_signals, weigh
from agentmem.recall.stated import places
from agentmem.recall.trusted import trust_of_crystal
from agentmem.records import values_of
from agentmem.trust import UNTRUSTED
from agentmem.types import Layer


@dataclass(frozen=True, slots=True)
class _Ranked:
    """The crystals of one layer: arrays [n]. The rows of the steps of each lie at [starts[n], starts[n + 1]); best: the
    row of the one that matches best.
    """

    numbers: list[int]
    signals: dict[str, np.ndarray]
    score: np.ndarray
    allowed: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    best: np.ndarray

    def __iter__(self) -> Iterator[tuple[float, int, int, _Ranked]]:
        """(-score, number, place, self) of those that hold an allowed step, best first."""
        order = np.argsort(-self.score, kind="stable")
        for place in near(self.score, order[self.allowed[order]]).tolist():
            yield -float(self.score[place]), self.numbers[place], place, self

    def steps(self, place: int) -> np.ndarray:
        return self.rows[self.starts[place] : self.starts[place + 1]]

    def holding(self, row: int) -> list[int]:
        """The places of the allowed crystals that condense the step at a row."""
        places = np.searchsorted(self.starts, np.flatnonzero(self.rows == row), side="right") - 1
        return [place for place in places.tolist() if self.allowed[place]]


class Crystals:
    """Crystals of the layers asked for as candidates, best first."""

    def __init__(
        self,
        query: Query,
        view: View,
        match: Match,
        similarity: np.ndarray | None,
        texts: Texts,
        allowed: np.ndarray,
    ) -> None:
        self.query, self.view, self.match, self.similarity, self.texts = query, view, match, similarity, texts
        self.allowed = allowed
        self.signals = step_signals(query.cue, view, match, similarity)
        self.signals["state"] = np.maximum(self.signals["state"], place_signal(query.cue, view))
        self.places = places(query.cue, view)
        self.layers = [self._ranked(layer) for layer in query.layers or ()]

    def _ranked(self, layer: Layer) -> _Ranked:
        view = self.view
        live = np.flatnonzero(view.live).tolist()
        numbers = [number for number in live if view.crystals[number].layer is layer and view.crystals[number].text]
        owner, rows = steps_of(view, numbers)
        best = best_steps((owner, rows), len(numbers), weigh(self.signals, self.query.weights))
        own = crystal_signals(view, numbers, self.match, self.similarity, (owner, rows))
        signals = with_steps(own, self.signals, best)
        holds = np.bincount(owner[self.allowed[rows]], minlength=len(numbers)) > 0
        starts = np.searchsorted(owner, np.arange(len(numbers) + 1))
        return _Ranked(numbers, signals, weigh(signals, self.query.weights), holds, starts, rows, best)

    def __iter__(self) -> Iterator[Candidate]:
        best = merge(*self.layers)
        while some := [(ranked, place) for _, _, place, ranked in islice(best, CHUNK)]:
            self.texts.fetch([int(self.view.position[ranked.steps(place)[0]]) for ranked, place in some])
            for ranked, place in some:
                yield self._candidate(ranked, place)

    def ranked(self) -> Iterator[Candidate]:
        return iter(self)

    def partner(self, row: int) -> Candidate | None:
        """The first crystal that condenses the step at a row."""
        found = ((ranked, place) for ranked in self.layers for place in ranked.holding(row))
        return next((self._candidate(ranked, place) for ranked, place in found), None)

    def _candidate(self, ranked: _Ranked, place: int) -> Candidate:
        crystal = self.view.crystals[ranked.numbers[place]]
        positions = self.view.position[ranked.steps(place)].tolist()
        first = self.texts[positions[0]]
        where = int(self.places[ranked.best[place]])
        trust = trust_of_crystal(self.view, ranked.numbers[place], self.texts)
        return Candidate(
            key=-1 - _hash(crystal.id),
            position=positions[0],
            label=crystal.key or crystal.layer.value,
            text=crystal.text,
            size=crystal.tokens,
            head=head(values_of(first.body).get("at"), first.episode),
            section="warnings" if trust in UNTRUSTED else "facts" if crystal.layer is Layer.ATOM else "past",
            score=float(ranked.score[place]),
            id=crystal.id,
            layer=crystal.layer.value,
            story=frozenset(step_id(position) for position in positions),
            sources=crystal.sources,
            reasons=lambda: reasons(ranked.signals, self.query.weights, place),
            place=where if where >= 0 else None,
            trust=trust,
        )


def _hash(crystal_id: str) -> int:
    """A crystal's id as a number, the same in every process."""
    return int(crystal_id[1:], 16)
