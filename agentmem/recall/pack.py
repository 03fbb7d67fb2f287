"""Choosing what goes into a token budget, best first, and cutting what is too long.

Knows candidates with scores and how to ask for their text; knows nothing of how scores came about. Greedy by score per
token with skipping: at these sizes it fills a budget to within a few tokens. Untrusted text is quoted and has a smaller
budget of its own, in which nothing else is counted; what that costs others is its tokens and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agentmem.recall.render import Line, arrange, fold, line, quoted, quoted_line, render
from agentmem.segment import sentences
from agentmem.tokens import MARK, truncate
from agentmem.trust import UNTRUSTED
from agentmem.types import CountTokens, Hit, Trust
from agentmem.words import stems

PAIRED = 80  # tokens up to which the other half of an action and its observation comes along
PLACED = 4  # steps that bring along where they happened, where the cue asks for a place
LONG = 0.7  # share of the budget over which a step gives its best passages only
PASSAGE = 0.15  # share of the budget those passages may take
SHORT = 64  # tokens that they may take of a small budget, up to half of it
BEST = 4  # candidates of which a part is tried where none fits whole
TRIES = 400  # candidates that do not fit, in a row, after which packing stops
SURE = 0.8  # of the least rate of tokens seen, below which no step is expected to go
LEAST = 8  # tokens left with which nothing useful can be added
Sizes = int | np.ndarray


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be recalled. size: its tokens as stored. story: ids that tell the same, so it is told once.

    partner: row of the other half of an action and its observation; place: row of the step that says where it was.
    """

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
    place: int | None = None
    trust: Trust | None = None

    @property
    def untrusted(self) -> bool:
        return self.trust in UNTRUSTED

    def hit(self, span: tuple[int, int], tokens: int) -> Hit:
        """What it is to whoever asked, of which a part is shown at a cost."""
        return Hit(
            id=self.id,
            layer=self.layer,  # type: ignore[arg-type]
            position=self.position,
            score=round(self.score, 6),
            reasons=self.reasons(),
            span=span if self.layer == "step" else None,
            section=self.section,
            text=self.text[slice(*span)],
            tokens=tokens,
            sources=self.sources,
            trust=self.trust,
        )


@dataclass
class Packer:
    """Fills one budget. `count` is the caller's counter; lines are summed up, the whole is checked at the end.

    quoted: of the budget, what untrusted lines may take, with their section's name and heads.
    """

    budget: int
    count: CountTokens
    terms: frozenset[str]
    marks: bool = False
    goal: str | None = None
    quoted: int = 0
    used: int = 0
    lines: dict[int, Line] = field(default_factory=dict)
    _heads: set[tuple[str, str]] = field(default_factory=set)
    _texts: set[str] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)
    _best: list[Candidate] = field(default_factory=list)
    _untrusted: list[Candidate] = field(default_factory=list)  # the best of those
    _placed: int = 0
    _rate: float | None = None  # least tokens by the caller's counter per token as stored, as far as seen
    _usual: float | None = None  # the same of texts that cost anything: an empty one says nothing of others
    _most: float = 0.0  # and the most

    def fill(self, candidates: Iterator[Candidate | None], partner: Callable[[int], Candidate | None]) -> list[Line]:
        """Take candidates, best first, while they fit; return the lines in printing order, within the budget."""
        self.used = self.count(f"goal: {fold(self.goal)}\n") if self.goal else 0
        misses = 0
        for candidate in candidates:
            if candidate is not None and not candidate.text.strip():
                continue  # it says nothing
            best = self._untrusted if candidate is not None and candidate.untrusted else self._best
            if candidate is not None and len(best) < BEST:
                best.append(candidate)
            if self.budget - self.used < LEAST or misses > TRIES:
                break
            taken = candidate is not None and self.add(candidate)
            if best is not self._untrusted:  # or many that are not let in would end the search for others
                misses = 0 if taken else misses + 1
            if candidate is not None and taken:
                self._add_along(candidate, partner)
        lines = self._settle()
        if len(self._quotes(lines)) < len(lines):
            return lines
        return self._cut(self._best) or lines or self._cut(self._untrusted)  # what is trusted comes first

    def _add_along(self, candidate: Candidate, step: Callable[[int], Candidate | None]) -> None:
        """What makes a step understood: its other half, if that is short, and for the best ones where it was."""
        other = step(candidate.partner) if candidate.partner is not None else None
        if other is not None and other.text.strip() and self.count(line(other.label, other.text)) <= PAIRED:
            self.add(other)
        where = step(candidate.place) if candidate.place is not None and self._placed < PLACED else None
        self._placed += where is not None
        if where is not None:
            self.add(where)

    def add(self, candidate: Candidate) -> bool:
        """Add a candidate, whole or by its best passages; False if it does not fit or was told already."""
        if candidate.key in self.lines or candidate.text in self._texts or candidate.story & self._told:
            return False
        size = candidate.size
        if self.hopeless(size):
            return False
        room = self._room(candidate)
        if candidate.untrusted and room < LEAST:
            return False
        if self._least(size) <= self.budget * LONG:
            whole = self._said(candidate, candidate.text)
            cost = self.count(whole + "\n")
            if not candidate.untrusted:  # a quote costs more than its text
                self._learn(cost - self.count(self._said(candidate, "") + "\n"), candidate.size)
            if cost <= min(room, self.budget * LONG):
                return self._take(candidate, whole, (0, len(candidate.text)), cost)
            if cost <= self.budget * LONG and not candidate.untrusted:
                return False
        return self._add_passages(candidate, min(room, max(int(self.budget * PASSAGE), min(SHORT, self.budget // 2))))

    def _room(self, candidate: Candidate) -> int:
        """What of the budget is left to a line."""
        head = self._head_cost(candidate)
        room = self.budget - self.used - head
        if not candidate.untrusted:
            return room
        quotes = self._quotes(self.lines.values())
        return min(room, self.quoted - (self.count(render(quotes) + "\n") if quotes else 0) - head)

    def _quotes(self, lines: Iterable[Line]) -> list[Line]:
        """Those of untrusted text, in printing order."""
        return arrange(one for one in lines if one.hit.trust in UNTRUSTED)

    def _overquoted(self, lines: Iterable[Line]) -> int:
        """By how much the untrusted ones exceed their share."""
        quotes = self._quotes(lines)
        return self.count(render(quotes)) - self.quoted if quotes else 0

    def hopeless(self, sizes: Sizes) -> Any:
        """Which of so many tokens as stored need not be looked at: neither they nor a passage of them will fit."""
        least, room = self._least(sizes), self.budget - self.used
        return (least > room) & ((least <= self.budget * LONG) | (room < 4 * LEAST))

    def unlikely(self, sizes: Sizes) -> Any:
        """Which of so many tokens as stored need not be read to know that they would be tried in vain.

        None of the best, a part of which may be shown.
        """
        if len(self._best) < BEST:
            return False if isinstance(sizes, int) else np.zeros(len(sizes), bool)
        least, most = sizes * (self._usual or 0.0), sizes * self._most
        room = self.budget - self.used
        return (least * SURE > room) & ((most / SURE <= self.budget * LONG) | (room < 4 * LEAST))

    def _least(self, sizes: Sizes) -> Any:
        """What so many tokens as stored will surely cost."""
        return sizes * (self._rate or 0.0) * SURE

    def _learn(self, cost: int, size: int) -> None:
        """cost: of the text alone, as a label is a large part of a short line."""
        rate = max(0, cost) / max(1, size)
        self._rate = rate if self._rate is None else min(self._rate, rate)
        if rate:
            self._usual, self._most = min(self._usual or rate, rate), max(self._most, rate)

    def _add_passages(self, candidate: Candidate, room: int) -> bool:
        if room < 4 * LEAST:
            return False
        text, span = best_passages(candidate.text, self.terms, room - LEAST, self._counter(candidate))
        said = self._said(candidate, text)
        cost = self.count(said + "\n")
        return bool(text) and cost <= room and self._take(candidate, said, span, cost)

    def _cut(self, best: Sequence[Candidate]) -> list[Line]:
        """Nothing fitted whole: a part of the best candidate of which any fits, under its head if that leaves room."""
        for candidate in best:
            none = [self._line(candidate, self._said(candidate, ""), (0, 0), candidate.head, 0)]
            room = -max(self._over(none), self._overquoted(none) if candidate.untrusted else -self.budget)
            for head in dict.fromkeys((candidate.head if room >= 2 * LEAST else "", "")):
                cut = self._fitted(candidate, head)
                if cut is not None:
                    return [cut]
        return []

    def _fitted(self, candidate: Candidate, head: str) -> Line | None:
        """Under a head, a line of a part of a candidate that leaves the whole within the budget; None for none."""
        room = self.quoted if candidate.untrusted else self.budget
        counter = self._counter(candidate)
        while room > 0:
            text, span = best_passages(candidate.text, self.terms, room, counter)
            if not text:
                text, end = _beginning(candidate.text, room, counter)
                span = (0, end)
            said = self._said(candidate, text)
            cut = self._line(candidate, said, span, head, self.count(said))
            over = max(self._over([cut]), self._overquoted([cut]))
            if over <= 0:
                return cut if text else None
            room -= over
        return None

    def _over(self, lines: Sequence[Line]) -> int:
        """By how much a whole exceeds the budget."""
        return self.count(render(lines, self.goal)) - self.budget

    def _take(self, candidate: Candidate, said: str, span: tuple[int, int], cost: int) -> bool:
        self.used += cost + self._head_cost(candidate)
        self._heads.add((candidate.section, candidate.head))
        self._texts.add(candidate.text)
        self._told |= candidate.story
        self.lines[candidate.key] = self._line(candidate, said, span, candidate.head, cost)
        return True

    def _said(self, candidate: Candidate, text: str) -> str:
        mark = candidate.id if self.marks else None
        if candidate.untrusted:
            return quoted_line(candidate.trust or "", candidate.label, text, mark)
        return line(candidate.label, text, mark)

    def _counter(self, candidate: Candidate) -> CountTokens:
        """What parts of a candidate's text are counted by: as they will be printed."""
        return (lambda text: self.count(quoted(text))) if candidate.untrusted else self.count

    def _line(self, candidate: Candidate, said: str, span: tuple[int, int], head: str, cost: int) -> Line:
        """What is said of a candidate, and the hit that it is."""
        return Line(candidate.position, candidate.section, head, said, candidate.hit(span, cost))

    def _head_cost(self, candidate: Candidate) -> int:
        if not candidate.head or (candidate.section, candidate.head) in self._heads:
            return 0
        sections = {section for section, _ in self._heads}
        names = {candidate.section} - sections if {candidate.section, *sections} != {"past"} else set()
        names |= {"past"} & sections if names and sections == {"past"} else set()
        return self.count(candidate.head + "\n") + sum(self.count(f"{name}:\n") for name in names)

    def _settle(self) -> list[Line]:
        """Drop the weakest lines until the whole text, counted at once, is within the budget, and quotes in theirs."""
        lines = arrange(self.lines.values())
        while lines:
            if self._overquoted(lines) > 0:
                among = self._quotes(lines)
            elif self._over(lines) > 0:
                among = lines
            else:
                break
            lines.remove(min(among, key=lambda one: (one.hit.score, -one.position)))
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
            best, shown = _beginning(text[start:end], room - 2, count)
            return (f"… {best}" if start and best else best), (start, start + shown)
        if room - used < LEAST:
            break
    if not chosen:
        return "", (0, 0)
    chosen.sort()
    return _join(text, spans, chosen), (spans[chosen[0]][0], spans[chosen[-1]][1])


def _beginning(text: str, room: int, count: CountTokens) -> tuple[str, int]:
    """The beginning of a text within `room` tokens, and how many of its characters are in it."""
    best = truncate(text, room, count)
    return best, len(best) if best == text else max(0, len(best) - len(MARK))


def _ranked(text: str, spans: Sequence[tuple[int, int]], terms: frozenset[str]) -> list[int]:
    own = [float(len(terms & set(stems(text[start:end])))) for start, end in spans]
    padded = [0.0, *own, 0.0]
    score = [value + (padded[i] + padded[i + 2]) / 3 for i, value in enumerate(own)]
    return sorted(range(len(spans)), key=lambda i: (-score[i], i))


def _join(text: str, spans: Sequence[tuple[int, int]], chosen: Sequence[int]) -> str:
    parts = [] if chosen[0] == 0 else ["… "]
    for before, number in zip((None, *chosen), chosen, strict=False):
        if before is not None:
            parts.append(text[spans[before][1] : spans[number][0]] if number == before + 1 else " … ")
        parts.append(text[spans[number][0] : spans[number][1]])
    return "".join(parts) + ("" if chosen[-1] == len(spans) - 1 else " …")
