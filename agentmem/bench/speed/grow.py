"""Endless histories from real ones: their steps in cycles, rarer words varied so that the vocabulary grows as it did.

The first cycle is the histories as they are, their sessions in turns. In each further one every rare word (a name, a
number, an identifier, a word under one in 10,000) is another: as many as Heaps' law asks for are coined, the rest are
drawn from those used before, in proportion to their use (Simon's model, whose vocabulary grows by that law). No step of
a cycle is a step of an earlier one. Knows no memory. The same histories and seed give the same steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby, zip_longest
from typing import NamedTuple

from agentmem.bench.recall.histories import History, Step
from agentmem.bench.speed.forms import RUN, Forms, cased
from agentmem.bench.speed.heaps import Heaps
from agentmem.errors import InvalidInputError
from agentmem.types import CountTokens
from agentmem.words import STOPWORDS, distinct_stems

Run = tuple[History, Sequence[int]]
"""A session, or the part of one that stands together: places of its steps."""


class Grown(NamedTuple):
    """A step of a cycle, with its tokens and the questions whose evidence is complete with it, as cues."""

    step: Step
    tokens: int
    cues: tuple[str, ...]


class Growth:
    """Iterate once for `Grown` without end. `stems`: distinct stems so far; `heaps`: the law of the first cycle."""

    def __init__(self, histories: Sequence[History], count: CountTokens, seed: int = 0) -> None:
        if not any(history.steps for history in histories):
            raise InvalidInputError("the histories have no step to grow from; give others")
        self.histories, self.count, self.seed = histories, count, seed
        self.stems: set[str] = set()
        self.tokens, self.cycle = 0, 0
        self.heaps = Heaps()
        self._seen: set[int] = set()
        self._runs = list(in_turns(histories))
        self._asked = {id(history): _asked(history) for history in histories}
        self._spans = {id(history): _span(history) for history in histories}
        self._forms = Forms(step.text for history in histories for step in history.steps)

    def __iter__(self) -> Iterator[Grown]:
        while True:
            yield from self._one_cycle()
            if not self.cycle:
                self.heaps.fit()
            self.cycle += 1

    def _one_cycle(self) -> Iterator[Grown]:
        turn = self._turn()
        for history, places in self._runs:
            for place in places:
                yield self._step(turn, history, place)
        self._seen |= turn.said

    def _turn(self) -> Turn:
        rng = random.Random(f"{self.seed}/{self.cycle}")
        if not self.cycle:
            return Turn({}, self._forms, rng, self._seen)
        upto = self.tokens * (self.cycle + 1) / self.cycle
        wanted = self.heaps.at(upto) - len(self.stems)
        return Turn(self._forms.another(rng, round(wanted)), self._forms, rng, self._seen)

    def _step(self, turn: Turn, history: History, place: int) -> Grown:
        step = history.steps[place]
        text = turn.unlike(step.text) if self.cycle else turn.same(step.text)
        self.tokens += (tokens := self.count(text))
        self.stems.update(distinct_stems(text))
        if not self.cycle:
            self.heaps.see(self.tokens, len(self.stems))
        time = _later(step.time, self._spans[id(history)] * self.cycle) if self.cycle else step.time
        session = "/".join(filter(None, (history.id, step.session))) + (f"@{self.cycle}" if self.cycle else "")
        cues = tuple(map(turn.vary, self._asked[id(history)].get(place, ())))
        return Grown(step._replace(text=text, time=time, session=session), tokens, cues)


class Turn:
    """One cycle's way of saying things: another word for each rare one."""

    def __init__(self, others: dict[str, str], forms: Forms, rng: random.Random, earlier: set[int]) -> None:
        self.others, self.forms, self.rng, self.earlier = others, forms, rng, earlier
        self.said: set[int] = set()
        self._unlike: dict[str, str] = {}

    def same(self, text: str) -> str:
        self.said.add(hash(text))
        return text

    def vary(self, text: str) -> str:
        """The text with this cycle's words."""
        if not self.others:
            return text
        return RUN.sub(lambda found: cased(self.others.get(found[0].lower(), found[0]), found[0]), text)

    def unlike(self, text: str) -> str:
        """The same, changed further until no earlier cycle said it; a text's repeats within a cycle stay repeats."""
        if text not in self._unlike:
            varied = self.vary(text)
            if hash(varied) in self.earlier:
                varied = self._rarest_changed(varied)
            while hash(varied) in self.earlier:
                varied = f"{varied} {self.forms.drawn(self.rng)}".lstrip()
            self.said.add(hash(varied))
            self._unlike[text] = varied
        return self._unlike[text]

    def _rarest_changed(self, text: str) -> str:
        """With another known word in place of its rarest; as it is where it has but function words."""
        runs = [found for found in RUN.finditer(text) if found[0].lower() not in STOPWORDS]
        if not runs:
            return text
        rarest = min(runs, key=lambda found: self.forms.counts[found[0].lower()])
        return text[: rarest.start()] + cased(self.forms.drawn(self.rng), rarest[0]) + text[rarest.end() :]


def in_turns(histories: Sequence[History]) -> Iterator[Run]:
    """The first session of each history, then the second of each, and so on."""
    for row in zip_longest(*map(_sessions, histories)):
        yield from filter(None, row)


def _sessions(history: History) -> Iterator[Run]:
    for _, places in groupby(range(len(history.steps)), lambda place: history.steps[place].session):
        yield history, list(places)


def _asked(history: History) -> dict[int, list[str]]:
    """place -> the questions whose last evidence it is."""
    found: dict[int, list[str]] = {}
    for question in history.questions:
        if question.evidence:
            found.setdefault(max(question.evidence), []).append(question.text)
    return found


def _span(history: History) -> timedelta:
    """From its earliest time to its latest, and a day."""
    times = [datetime.fromisoformat(step.time) for step in history.steps if step.time]
    return max(times) - min(times) + timedelta(days=1) if times else timedelta(0)


def _later(time: str | None, by: timedelta) -> str | None:
    return (datetime.fromisoformat(time) + by).isoformat() if time else time
