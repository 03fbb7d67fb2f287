"""Choosing what goes into a token budget, best first, and cutting what is too long.

Knows candidates with scores and how to ask for their text; knows nothing of how scores came about. Greedy by score per
token with skipping: at these sizes it fills a budget to within a few tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from agentmem.recall.render import Line, arrange, fold, line, render
from agentmem.segment import sentences
from agentmem.tokens import truncate
from agentmem.types import CountTokens, Hit
from agentmem.words import stems

PAIRED = 80  # tokens up to which the other half of an action and its observation comes along
LONG = 0.7  # share of the budget over which a step gives its best passages only
PASSAGE = 0.15  # share of the budget those passages may take
TRIES = 400  # candidates that do not fit, in a row, after which packing stops
SURE = 0.8  # of the least rate of tokens seen, below which no step is expected to go
LEAST = 8  # tokens left with which nothing useful can be added


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be recalled. size: its tokens as stored. story: ids that tell the same, so it is told once."""

    key: int
    position: int
    label: str
    text: str
    size: int
    head: str
    section: str
    score: float
    id: str
    layer: str
    story: frozenset[str]
    sources: tuple[str, ...] = ()
    reasons: Callable[[], dict[str, float]] = dict
    partner: int | None = None
    fallback: tuple[str, ...] = ()


@dataclass
class Packer:
    """Fills one budget. `count` is the caller's counter; lines are summed up, the whole is checked at the end."""

    budget: int
    count: CountTokens
    terms: frozenset[str]
    marks: bool = False
    goal: str | None = None
    used: int = 0
    lines: dict[int, Line] = field(default_factory=dict)
    _heads: set[tuple[str, str]] = field(default_factory=set)
    _texts: set[str] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)
    _rate: float | None = None  # least tokens by the caller's counter per token as stored, as far as seen

    def fill(self, candidates: Iterator[Candidate], partner: Callable[[int], Candidate | None]) -> list[Line]:
        """Take candidates, best first, while they fit; return the lines in printing order, within the budget."""
        self.used = self.count(f"goal: {fold(self.goal)}\n") if self.goal else 0
        first: Candidate | None = None
        misses = 0
        for candidate in candidates:
            first = first or candidate
            if self.budget - self.used < LEAST or misses > TRIES:
                break
            taken = self.add(candidate)
            misses = 0 if taken else misses + 1
            other = partner(candidate.partner) if taken and candidate.partner is not None else None
            if other is not None and self.count(line(other.label, other.text)) <= PAIRED:
                self.add(other)
        if not self.lines and first is not None:
            self._cut(first)
        return self._settle()

    def add(self, candidate: Candidate) -> bool:
        """Add a candidate, whole or by its best passages; False if it does not fit or was told already."""
        if candidate.key in self.lines or candidate.text in self._texts or candidate.story & self._told:
            return False
        if self.hopeless(candidate.size):
            return False
        room = self.budget - self.used - self._head_cost(candidate)
        if not self._is_long(candidate.size):
            whole = line(candidate.label, candidate.text, candidate.id if self.marks else None)
            cost = self.count(whole + "\n")
            self._learn(cost, candidate.size)
            if cost <= min(room, self.budget * LONG):
                return self._take(candidate, whole, (0, len(candidate.text)), cost)
            if cost <= self.budget * LONG:
                return False
        return self._add_passages(candidate, min(room, int(self.budget * PASSAGE)))

    def hopeless(self, size: int) -> bool:
        """Whether something of so many tokens as stored need not be looked at: neither it nor a passage will fit."""
        room = self.budget - self.used
        if self._is_long(size):
            return room < 4 * LEAST
        return self._rate is not None and size * self._rate * SURE > room

    def _is_long(self, size: int) -> bool:
        return self._rate is not None and size * self._rate * SURE > self.budget * LONG

    def _learn(self, cost: int, size: int) -> None:
        rate = cost / max(1, size)
        self._rate = rate if self._rate is None else min(self._rate, rate)

    def _add_passages(self, candidate: Candidate, room: int) -> bool:
        if room < 4 * LEAST:
            return False
        text, span = best_passages(candidate.text, self.terms, room - LEAST, self.count)
        said = line(candidate.label, text, candidate.id if self.marks else None)
        cost = self.count(said + "\n")
        return bool(text) and cost <= room and self._take(candidate, said, span, cost)

    def _cut(self, candidate: Candidate) -> None:
        """Nothing fitted whole: the best part of the best candidate, then of what condenses it."""
        room = self.budget - self.used - self._head_cost(candidate)
        bare = room < 2 * LEAST
        mark = candidate.id if self.marks else None
        fixed = self.count(line(candidate.label, "", mark) + "\n")
        room = (self.budget - self.used if bare else room) - fixed
        passage, span = best_passages(candidate.text, self.terms, room, self.count)
        for text in (passage, *candidate.fallback, truncate(candidate.text, room, self.count)):
            part = truncate(text, room, self.count) if text else ""
            if part:
                said = line(candidate.label, part, mark)
                self._take(candidate, said, span if part == passage else (0, len(part)), self.count(said), bare)
                return

    def _take(self, candidate: Candidate, said: str, span: tuple[int, int], cost: int, bare: bool = False) -> bool:
        self.used += cost + (0 if bare else self._head_cost(candidate))
        head = "" if bare else candidate.head
        self._heads.add((candidate.section, head))
        self._texts.add(candidate.text)
        self._told |= candidate.story
        hit = Hit(
            id=candidate.id,
            layer=candidate.layer,  # type: ignore[arg-type]
            position=candidate.position,
            score=round(candidate.score, 6),
            reasons=candidate.reasons(),
            span=span if candidate.layer == "step" else None,
            section=candidate.section,
            text=candidate.text[span[0] : span[1]] if candidate.layer == "step" else candidate.text,
            tokens=cost,
            sources=candidate.sources,
        )
        self.lines[candidate.key] = Line(candidate.position, candidate.section, head, said, hit)
        return True

    def _head_cost(self, candidate: Candidate) -> int:
        if not candidate.head or (candidate.section, candidate.head) in self._heads:
            return 0
        new_section = 0 if any(s == candidate.section for s, _ in self._heads) or candidate.section == "past" else 8
        return self.count(candidate.head + "\n") + new_section

    def _settle(self) -> list[Line]:
        """Drop the weakest lines until the whole text, counted at once, is within the budget."""
        lines = arrange(self.lines.values())
        while lines and self.count(render(lines, self.goal)) > self.budget:
            weakest = min(lines, key=lambda one: (one.hit.score, -one.position))
            lines.remove(weakest)
        return lines


def best_passages(text: str, terms: frozenset[str], room: int, count: CountTokens) -> tuple[str, tuple[int, int]]:
    """The sentences of a text that say most of the cue, in order, within `room` tokens: (text, [start, end) they span).

    A sentence counts for the cue's stems it has, and a third of what its neighbours have; "…" stands for those left
    out.
    """
    spans = sentences(text)
    ranked = _ranked(text, spans, terms)
    chosen: list[int] = []
    used = 0
    for number in ranked:
        start, end = spans[number]
        cost = count(text[start:end]) + 2
        if used + cost <= room:
            chosen.append(number)
            used += cost
        elif not chosen:
            best = truncate(text[start:end], room - 2, count)
            return (f"… {best}" if start and best else best), (start, start + len(best.rstrip("…")))
        if room - used < LEAST:
            break
    if not chosen:
        return "", (0, 0)
    chosen.sort()
    return _join(text, spans, chosen), (spans[chosen[0]][0], spans[chosen[-1]][1])


def _ranked(text: str, spans: Sequence[tuple[int, int]], terms: frozenset[str]) -> list[int]:
    own = [float(len(terms & set(stems(text[start:end])))) for start, end in spans]
    padded = [0.0, *own, 0.0]
    score = [value + (padded[i] + padded[i + 2]) / 3 for i, value in enumerate(own)]
    if score:
        score[0] += 0.3
    return sorted(range(len(spans)), key=lambda i: (-score[i], i))


def _join(text: str, spans: Sequence[tuple[int, int]], chosen: Sequence[int]) -> str:
    parts = [] if chosen[0] == 0 else ["… "]
    for before, number in zip((None, *chosen), chosen, strict=False):
        if before is not None:
            parts.append(text[spans[before][1] : spans[number][0]] if number == before + 1 else " … ")
        parts.append(text[spans[number][0] : spans[number][1]])
    return "".join(parts) + ("" if chosen[-1] == len(spans) - 1 else " …")
