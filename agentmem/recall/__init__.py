"""A cue to a planning context: ranking, then packing, then rendering. Pure: values in, a context out.

Knows a view of the log as of one position, where the cue's stems stand, the cue's similarity to each step, and a
function that gives records by position. Knows no store, clock or randomness: the same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice

import numpy as np

from agentmem.index import View, step_id
from agentmem.recall.layers import best_steps, crystal_signals, near, place_signal, steps_of, with_steps
from agentmem.recall.pack import Candidate, Packer
from agentmem.recall.render import GRAMMAR, Line, fold, head, render, sections
from agentmem.recall.signals import Match, Weights, cue_terms, largest, reasons, step_signals, weigh
from agentmem.recall.standing import nothing, says_nothing
from agentmem.recall.stated import concerns, holds_now, places
from agentmem.recall.trusted import trust_of_crystal
from agentmem.records import values_of
from agentmem.tokens import count
from agentmem.trust import SHARE, UNTRUSTED, trust_of
from agentmem.types import KINDS, CountTokens, Hit, Layer, Record

__all__ = [
    "GRAMMAR",
    "Line",
    "Match",
    "Query",
    "Weights",
    "concerns",
    "cue_terms",
    "rank",
    "recall",
    "render",
    "sections",
]

Read = Callable[[Sequence[int]], list[Record]]

SIMILAR = 0.5  # estimated cosine from which a step counts as found without a shared word
CHUNK = 48  # candidates read at once, at first
FAR = 4 * CHUNK  # candidates read at once
BEST = 1_000  # candidates sorted at first
NAME = 1 / 64  # of the budget: what the name of an episode may cost over its steps


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: see Memory.recall. `current` is the episode that asks, `goal` its goal.

    thinned: steps may have lost text since they were counted. without: log positions of steps that who asks has before
    him already; they are not told. own: whether `count` is a caller's. untrusted: the share of the budget, 0..1, that
    untrusted text may take; None for what is usual.
    """

    cue: str
    budget: int
    count: CountTokens
    layers: tuple[Layer, ...] | None = None
    episode: str | None = None
    agent: str | None = None
    marks: bool = False
    current: str | None = None
    goal: str | None = None
    thinned: bool = False
    without: frozenset[int] = frozenset()
    own: bool = False
    untrusted: float | None = None
    weights: Weights = field(default_factory=Weights)


def recall(query: Query, view: View, match: Match, similarity: np.ndarray | None, read: Read) -> list[Line]:
    """The lines of the planning context, in printing order; [] when nothing matches the cue."""
    if query.budget <= 0:
        return []
    quoted = int(query.budget * (SHARE if query.untrusted is None else query.untrusted))
    packer = Packer(query.budget, query.count, frozenset(match.terms), query.marks, query.goal, quoted)
    sought = _sought(query, view, match, similarity, _Texts(read), packer)
    return packer.fill(iter(sought), sought.partner) if sought is not None else []


def rank(
    query: Query, view: View, match: Match, similarity: np.ndarray | None, read: Read, matching: bool = True
) -> Iterator[Hit]:
    """The steps, or the crystals of the layers asked for, best first and whole, read as far as one looks.

    matching: none when nothing matches the cue. read: may leave out what is not there any more.
    """
    packer = Packer(query.budget, query.count, frozenset(match.terms))
    sought = _sought(query, view, match, similarity, _Texts(read), packer, matching)
    for candidate in sought.ranked() if sought is not None else ():
        yield candidate.hit((0, len(candidate.text)), candidate.size)


def _sought(
    query: Query,
    view: View,
    match: Match,
    similarity: np.ndarray | None,
    texts: _Texts,
    packer: Packer,
    matching: bool = True,
) -> _Steps | _Crystals | None:
    """What may be recalled, ranked; None where nothing matches the cue, if something has to."""
    if not len(view.position) or (matching and not query.cue.strip()):
        return None
    allowed = _allowed(query, view)
    if query.layers is not None:
        if matching and not _found(match, nothing(len(allowed)), similarity, allowed):
            return None
        return _Crystals(query, view, match, similarity, texts, allowed)
    signals = step_signals(query.cue, view, match, similarity)
    named = [signal for name in ("name", "state", "date") if not says_nothing(signal := signals[name])]
    if matching and not _found(match, sum(named, nothing(len(allowed))), similarity, allowed):
        return None
    return _Steps(query, view, texts, signals, allowed, packer)


def _allowed(query: Query, view: View) -> np.ndarray:
    """Which steps the filters let through, bool [n]."""
    told = np.ones(len(view.position), bool)
    at, known = view.rows(np.array(sorted(query.without), np.int64))
    told[at[known]] = False
    if query.episode is None and query.agent is None:
        return told
    fits = [
        (query.episode is None or episode.id == query.episode) and (query.agent is None or episode.agent == query.agent)
        for episode in view.episodes
    ]
    return np.asarray(told & np.array(fits, bool)[view.episode])


def _found(match: Match, named: np.ndarray, similarity: np.ndarray | None, allowed: np.ndarray) -> bool:
    """Whether any allowed step shares a word, an episode's name, a state, a date or a meaning with the cue."""
    said = any(allowed[rows].any() for rows, _ in match.counts.values()) or bool(named[allowed].any())
    alike = similarity is not None and bool((similarity[allowed] > SIMILAR).any())
    return said or alike


class _Texts:
    """Records by position, fetched in batches and kept for the length of one recall."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known: dict[int, Record] = {}

    def fetch(self, positions: Sequence[int]) -> None:
        missing = [position for position in positions if position not in self._known]
        if missing:
            self._known.update((record.position, record) for record in self._read(missing))

    def __getitem__(self, position: int) -> Record:
        if position not in self._known:
            self.fetch([position])
        return self._known[position]

    def __contains__(self, position: int) -> bool:
        return position in self._known


class _Steps:
    """The steps of a view as candidates, best first."""

    def __init__(
        self,
        query: Query,
        view: View,
        texts: _Texts,
        signals: dict[str, np.ndarray],
        allowed: np.ndarray,
        packer: Packer,
    ) -> None:
        self.query, self.view, self.texts, self.signals, self.allowed = query, view, texts, signals, allowed
        self.packer = packer
        self.least = np.minimum(view.tokens, view.length) if query.thinned else view.tokens  # tokens left at least
        self.score = weigh(signals, query.weights)
        self.places = places(query.cue, view)
        self.now = holds_now(signals["state"], view)
        self._telling = {name: values for name, values in signals.items() if not says_nothing(values)}
        self._made: dict[int, Candidate] = {}
        self._short: dict[str, str] = {}

    def __iter__(self) -> Iterator[Candidate | None]:
        for rows in self._best_first():
            start, fetched, ahead = 0, 0, CHUNK
            while start < len(rows):
                near = rows[start : start + BEST]
                hopeful = np.flatnonzero(~self.packer.hopeless(self.least[near]))
                start += int(hopeful[0]) if len(hopeful) else len(near)
                if not len(hopeful):
                    continue
                if start >= fetched:  # what does not fit soon is searched for far: read more at once
                    self._fetch(rows[start : start + ahead])
                    fetched, ahead = start + ahead, min(2 * ahead, FAR)
                yield from self._candidates(rows[start : start + CHUNK])
                start += CHUNK

    def ranked(self) -> Iterator[Candidate]:
        """Every one that is still there, whatever its length."""
        for rows in self._best_first():
            for start in range(0, len(rows), CHUNK):
                chunk = rows[start : start + CHUNK]
                self.texts.fetch(positions := self.view.position[chunk].tolist())
                there = zip(chunk.tolist(), positions, strict=True)
                yield from (self._candidate(row) for row, position in there if position in self.texts)

    def _fetch(self, rows: np.ndarray) -> None:
        rows = rows[~self.packer.hopeless(self.least[rows]) & ~self.packer.unlikely(self.least[rows])]
        self.texts.fetch(self.view.position[rows].tolist())

    def _best_first(self) -> Iterator[np.ndarray]:
        """The rows that the filters let through, best first: the best, and more if it comes to that."""
        rows = np.flatnonzero(self.allowed)
        size = BEST
        while len(rows):
            score = self.score[rows] if len(rows) < len(self.score) else self.score
            least = largest(score, size) if len(rows) > size else -np.inf
            best = score >= least
            yield rows[best][np.argsort(-score[best], kind="stable")]
            rows, size = rows[~best], 16 * size

    def _candidates(self, rows: np.ndarray) -> Iterator[Candidate | None]:
        """Of some rows those that may fit, as they were logged or with the text they lost; None for one that cannot."""
        rows = rows[~self.packer.hopeless(self.least[rows])]
        sizes = self.view.tokens[rows]
        hopeless = self.packer.hopeless(sizes).tolist()
        for row, size, least, long in zip(
            *(a.tolist() for a in (rows, sizes, self.least[rows])), hopeless, strict=True
        ):
            if self.packer.unlikely(least):
                yield None
                continue
            candidate = self._once(row)
            yield candidate if not long or candidate.size < size else None

    def partner(self, row: int) -> Candidate | None:
        """The step at a row, if the filters let it through."""
        return self._once(row) if self.allowed[row] else None

    def _once(self, row: int) -> Candidate:
        if row not in self._made:
            self._made[row] = self._candidate(row)
        return self._made[row]

    def _candidate(self, row: int) -> Candidate:
        view, signals, weights = self.view, self._telling, self.query.weights  # no cycle: what is large goes at once
        position = int(view.position[row])
        record = self.texts[position]
        episode = view.episodes[view.episode[row]]
        body = values_of(record.body)
        trust = trust_of(body)
        return Candidate(
            key=position,
            position=position,
            label=record.actor or record.kind or "step",
            text=record.text,
            size=count(fold(record.text)) if "lost" in body else record.tokens,
            head=self._head(body.get("at"), episode.id),
            section=self._section(row, episode.id, trust),
            score=float(self.score[row]),
            id=step_id(position),
            layer="step",
            story=frozenset((step_id(position),)),
            reasons=lambda: reasons(signals, weights, row),
            partner=self._partner_row(row),
            place=int(self.places[row]) if self.places[row] not in (-1, row) else None,
            trust=trust,
        )

    def _head(self, at: str | None, episode: str) -> str:
        if at is None and self.query.count(episode) > self.query.budget * NAME:
            short = episode.rsplit("/", 1)[-1]
            if self._short.setdefault(short, episode) == episode:  # else two episodes would stand under one head
                episode = short
        return head(at, episode)

    def _section(self, row: int, episode: str, trust: str | None) -> str:
        if trust in UNTRUSTED:
            return "warnings"
        if self.now[row]:
            return "now"
        return "recent" if episode == self.query.current else "past"

    def _partner_row(self, row: int) -> int | None:
        """The observation of an action, the action of an observation."""
        kind = KINDS[self.view.kind[row]] if self.view.kind[row] >= 0 else ""
        other = self.view.next[row] if kind == "action" else self.view.prev[row] if kind == "observation" else -1
        if other < 0:
            return None
        return int(other) if {kind, KINDS[self.view.kind[other]]} == {"action", "observation"} else None


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


class _Crystals:
    """Crystals of the layers asked for as candidates, best first."""

    def __init__(
        self,
        query: Query,
        view: View,
        match: Match,
        similarity: np.ndarray | None,
        texts: _Texts,
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
            key=-1 - hash_of(crystal.id),
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


def hash_of(crystal_id: str) -> int:
    """A crystal's id as a number, the same in every process."""
    return int(crystal_id[1:], 16)
