"""Cutting: one text into passages and sentences, the steps of one episode into segments.

Knows where text can be cut (paragraph, line, sentence, word) and where a run of steps turns. Knows nothing of memories,
stores or what the text says. All spans are [start, end) in characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from agentmem.errors import InvalidInputError
from agentmem.remembered import WORTH
from agentmem.tokens import costs, count, count_spaced, pieces
from agentmem.types import Record
from agentmem.words import content_stems

PASSAGE = 256
CHUNK = 24  # characters of the parts that a long word is cut into
LONGEST = 800
SHORTEST = 250
GAP = 3600.0
SHIFT = 0.2
SHIFT_STEMS = 8
JUDGED = 2_000  # characters of a step by which its vocabulary is judged

_CLOSERS = "\"'”’)\\]»"
_BREAKS = (
    re.compile(r"\n(?:[ \t\r]*\n)+"),
    re.compile(r"\n+"),
    re.compile(rf"[.!?][{_CLOSERS}]*\s+|[。！？]"),
    re.compile(r"\s+"),
)
_SENTENCE = re.compile(rf"[.!?…][{_CLOSERS}]*(?=\s)|[。！？][{_CLOSERS}」』]*|\n+")
_NO_END = re.compile(r"(?:^|[\s(\"'“‘])(?:Mr|Mrs|Ms|Dr|St|Prof|vs|cf|Fig|e\.g|i\.e|[A-Z])\.\Z")
_NO_END_BEFORE_SMALL = re.compile(r"(?:^|[\s(\"'“‘])(?:etc|a\.m|p\.m|[Nn]o|Inc|Co|Jr|Sr|approx)\.\s+[a-z\d]")
_NUMBERED = re.compile(r"\s*[(\[]?\d{1,3}\.\Z")


# ---- one text ----------------------------------------------------------------------------------------------------


def passages(text: str, limit: int = PASSAGE) -> list[tuple[int, int]]:
    """Spans that tile the text, each at most `limit` tokens by `tokens.count`; [] for "".

    Cut at paragraphs, else lines, sentences, words, and inside a word only when it alone is longer. A character that
    costs more than `limit` stands alone. Linear in the text.
    """
    if limit < 1:
        raise InvalidInputError(f"a passage of at most {limit} tokens is empty: give a limit of 1 or more")
    if _surely_fits(text, limit):
        return [(0, len(text))] if text else []
    return list(_fitting(text, 0, len(text), limit, limit - limit // 16))


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences and lines of a text, in order, stripped of surrounding space and never empty."""
    spans, start = [], 0
    for match in _SENTENCE.finditer(text):
        if match[0][0] != "." or not _is_abbreviation(text, start, match.start() + 1):
            spans.append((start, match.end()))
            start = match.end()
    spans.append((start, len(text)))
    return [span for span in (_strip(text, *span) for span in spans) if span[0] < span[1]]


def _surely_fits(text: str, limit: int) -> bool:
    """No text has more tokens than bytes, no character more than 4 bytes; `count` may say a third more."""
    return len(text) * (4 if text.isascii() else 16) <= 3 * limit


def _fitting(text: str, start: int, end: int, limit: int, room: int) -> Iterator[tuple[int, int]]:
    """Spans packed by the sum of their parts to `room`, and again to less where together they count over the limit."""
    packed: list[list[int]] = []
    _pack(text, start, end, 0, room, packed)
    for begin, stop, _ in packed:
        part = text[begin:stop]
        if room > 1 and len(part) > 1 and not _surely_fits(part, limit) and count(part) > limit:
            yield from _fitting(text, begin, stop, limit, room * 7 // 8)
        else:
            yield begin, stop


def _pack(text: str, start: int, end: int, level: int, limit: int, packed: list[list[int]]) -> None:
    """Appends [start, end, tokens] of text[start:end] to `packed`, joining to the last one what still fits."""
    inside = level == len(_BREAKS)
    for begin, stop, tokens in (_chunks if inside else _pieces)(text, start, end, level, limit):
        last = text[stop - 1] == " "
        if packed and packed[-1][2] + tokens + last <= limit:
            packed[-1][1:] = [stop, packed[-1][2] + tokens]
            continue
        if begin and text[begin - 1] == " " and not inside:
            tokens = max(tokens, _cost(text, begin, stop, limit, alone=True))
        if tokens + last > limit and not inside:
            _pack(text, begin, stop, level + 1, limit, packed)
        else:
            packed.append([begin, stop, tokens])


def _cost(text: str, start: int, end: int, limit: int, alone: bool = False) -> int:
    """Tokens of a piece with the space before it, unless alone, and without the one after, as tokens own spaces."""
    if end - start > 16 * limit:
        return limit + 1
    part = text[start : end - (text[end - 1] == " ")]
    return count_spaced(part) if not alone and start > 0 and text[start - 1] == " " else count(part)


def _pieces(text: str, start: int, end: int, level: int, limit: int) -> Iterator[tuple[int, int, int]]:
    for match in _BREAKS[level].finditer(text, start, end):
        yield start, match.end(), _cost(text, start, match.end(), limit)
        start = match.end()
    if start < end:
        yield start, end, _cost(text, start, end, limit)


def _chunks(text: str, start: int, end: int, _: int, limit: int) -> Iterator[tuple[int, int, int]]:
    """Parts of a word of up to CHUNK characters, cut where tokens are cut anyway, if that is anywhere."""
    size = max(1, min(CHUNK, limit // 4))
    begin = at = start
    tokens, known = 1, costs()  # `count` adds one to as many as a chunk may have
    for piece in pieces(text[start:end]):
        dear = len(piece) > WORTH  # `count` takes more for it, in the same parts
        step = min(WORTH, max(1, limit // 3)) if dear else size
        for part in [piece] if len(piece) <= step else [piece[i : i + step] for i in range(0, len(piece), step)]:
            if begin < at and at + len(part) - begin > size:
                yield begin, at, tokens
                begin, tokens = at, 1
            at += len(part)
            tokens += known[part] * 5 // 4 + 1 if dear else known[part]
    if begin < at:
        yield begin, at, tokens


def _is_abbreviation(text: str, start: int, dot: int) -> bool:
    """Whether the full stop before `dot` ends no sentence: after Mr, an initial, or the number of a list item."""
    near = max(start, dot - 8)
    if _NO_END.search(text, near, dot) or _NO_END_BEFORE_SMALL.search(text, near, dot + 3):
        return True
    return dot - start <= 12 and _NUMBERED.match(text, start, dot) is not None


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


# ---- the steps of one episode --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Segmenter:
    """Says, one step at a time, where the segments of one episode begin.

    A step begins a segment when the running one would exceed `longest` tokens (a longer step stands alone), when more
    than `gap` seconds lie between it and the step before, and, once `shortest` tokens are collected, when it starts a
    turn or shares few of its words with the segment. Depends only on the steps fed so far, in order.
    """

    longest: int = LONGEST
    shortest: int = SHORTEST
    gap: float = GAP
    tokens: int = 0
    kind: str | None = None
    actor: str | None = None
    at: float | None = None
    vocabulary: set[str] = field(default_factory=set)

    def starts(
        self, kind: str, actor: str | None, tokens: int, stems: Iterable[str], at: datetime | float | None = None
    ) -> bool:
        """Feeds the next step, its stems (see `words.content_stems`) and its time; True when it begins a segment.

        The first step begins one. `at`: a datetime (UTC when it names no zone), or seconds, or None when not known.
        """
        distinct, seconds = set(stems), _seconds(at)
        begins = self.kind is None or self._breaks(kind, actor, tokens, distinct, seconds)
        if begins:
            self.tokens, self.vocabulary = 0, set()
        self.tokens += tokens
        self.vocabulary |= distinct
        self.kind, self.actor = kind, actor
        self.at = self.at if seconds is None else seconds
        return begins

    def _breaks(self, kind: str, actor: str | None, tokens: int, stems: set[str], at: float | None) -> bool:
        if self.tokens and self.tokens + tokens > self.longest:
            return True
        if at is not None and self.at is not None and abs(at - self.at) > self.gap:
            return True
        return self.tokens >= self.shortest and (self._turns(kind, actor) or self._shifts(stems))

    def _turns(self, kind: str, actor: str | None) -> bool:
        """An action after an observation, or a message of somebody who is not answering as the assistant."""
        if kind == "action":
            return self.kind == "observation"
        return kind == "message" and actor not in _ANSWERING and (actor != self.actor or self.kind != "message")

    def _shifts(self, stems: set[str]) -> bool:
        return len(stems) >= SHIFT_STEMS and len(stems & self.vocabulary) < SHIFT * len(stems)


class Asleep(NamedTuple):
    """An open segment as it is stored: when its episode was heard of last, in seconds, and its steps' positions."""

    at: float | None
    steps: list[int]


@dataclass
class Open:
    """The segment of one episode that is still open."""

    segmenter: Segmenter = field(default_factory=Segmenter)
    steps: list[Record] = field(default_factory=list)

    def starts(self, step: Record) -> bool:
        """Whether the next step begins another segment."""
        own = content_stems(step.text[:JUDGED])
        return self.segmenter.starts(step.kind or "", step.actor, step.tokens, own, _time(step))

    def asleep(self) -> Asleep:
        return Asleep(self.segmenter.at, [step.position for step in self.steps])

    @classmethod
    def woken(cls, steps: list[Record], at: float | None) -> Open:
        """The segment of these steps: fed again in a row, none of them begins another."""
        segment = cls(steps=steps)
        for step in steps:
            segment.starts(step)
        segment.segmenter.at = at
        return segment


_ANSWERING = frozenset({"assistant", "agent", "ai", "bot", "model", "system", "tool"})


def _seconds(at: datetime | float | None) -> float | None:
    if isinstance(at, datetime):
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return at


def _time(step: Record) -> datetime | None:
    at = json.loads(step.body).get("at")
    return datetime.fromisoformat(at) if at else None
