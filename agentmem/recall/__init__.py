"""A cue to a planning context: ranking, then packing, then rendering. Pure: values in, a context out.

Knows a view of the log as of one position, where the cue's stems stand, the cue's similarity to each step, and a
function that gives records by position. Knows no store, clock or randomness: the same values give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from agentmem.index import View, step_id
from agentmem.recall.crystals import Crystals
from agentmem.recall.pack import Candidate, Packer
from agentmem.recall.query import CHUNK, Query, Read, Texts
from agentmem.recall.render import GRAMMAR, Line, fold, head, render, sections
from agentmem.recall.signals import Match, Weights, cue_terms, largest, reasons, step_signals, weigh
from agentmem.recall.standing import nothing, says_nothing
from agentmem.recall.stated import concerns, holds_now, places
from agentmem.records import values_of
from agentmem.tokens import count
from agentmem.trust import SHARE, UNTRUSTED, trust_of
from agentmem.types import KINDS, Hit

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

SIMILAR = 0.5  # estimated cosine from which a step counts as found without a shared word
FAR = 4 * CHUNK  # candidates read at once
BEST = 1_000  # candidates sorted at first
NAME = 1 / 64  # of the budget: what the name of an episode may cost over its steps


def recall(query: Query, view: View, match: Match, similarity: np.ndarray | None, read: Read) -> list[Line]:
    """The lines of the planning context, in printing order; [] when nothing matches the cue."""
    if query.budget <= 0:
        return []
    quoted = int(query.budget * (SHARE if query.untrusted is None else query.untrusted))
    packer = Packer(query.budget, query.count, frozenset(match.terms), query.marks, query.goal, quoted)
    sought = _sought(query, view, match, similarity, Texts(read), packer)
    return packer.fill(iter(sought), sought.partner) if sought is not None else []


def rank(
    query: Query, view: View, match: Match, similarity: np.ndarray | None, read: Read, matching: bool = True
) -> Iterator[Hit]:
    """The steps, or the crystals of the layers asked for, best first and whole, read as far as one looks.

    matching: none when nothing matches the cue. read: may leave out what is not there any more.
    """
    packer = Packer(query.budget, query.count, frozenset(match.terms))
    sought = _sought(query, view, match, similarity, Texts(read), packer, matching)
    for candidate in sought.ranked() if sought is not None else ():
        yield candidate.hit((0, len(candidate.text)), candidate.size)


def _sought(
    query: Query,
    view: View,
    match: Match,
    similarity: np.ndarray | None,
    texts: Texts,
    packer: Packer,
    matching: bool = True,
) -> _Steps | Crystals | None:
    """What may be recalled, ranked; None where nothing matches the cue, if something has to."""
    if not len(view.position) or (matching and not query.cue.strip()):
        return None
    allowed = _allowed(query, view)
    if query.layers is not None:
        if matching and not _found(match, nothing(len(allowed)), similarity, allowed):
            return None
        return Crystals(query, view, match, similarity, texts, allowed)
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


class _Steps:
    """The steps of a view as candidates, best first."""

    def __init__(
        self,
        query: Query,
        view: View,
        texts: Texts,
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
