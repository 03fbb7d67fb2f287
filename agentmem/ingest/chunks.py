"""Cutting a document into pieces of a few hundred tokens, each with its lines and the headings it stands under.

Knows headings of Markdown and reStructuredText, paragraphs and sentences, and definitions of Python; knows no file. A
piece is a part of the text as it is. It ends with a section, else with a paragraph, else with a sentence; only what is
longer in itself is cut within.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agentmem.segment import passages
from agentmem.tokens import count

LONGEST = 300
DEEP = 6

_HEADING = re.compile(r"(#{1,6})\s+(.+?)[\s#]*$")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_UNDERLINE = re.compile(r"([=\-~^\"'`*+#:.])\1{2,}\s*$")
_DEFINED = re.compile(r"(?:async\s+)?(?:def|class)\s+(\w+)")
_SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？][」』]*|\n(?=\s*(?:[-*+|>]|\d+[.)]\s))")  # or an item of a list
LEVELS = "=-~^\"'`*+#:."


class Line(NamedTuple):
    """A line of a document: its number in the file, and, of a heading, its level from 1 (0: none) and title."""

    number: int
    text: str
    level: int = 0
    title: str = ""


class Piece(NamedTuple):
    """A part of a document: its text, first and last line, and the headings above, outermost first."""

    text: str
    first: int
    last: int
    place: tuple[str, ...]


def lines_of(text: str, suffix: str) -> list[Line]:
    """The lines of a text, with the headings that its kind of file has."""
    lines = [Line(number, line.rstrip()) for number, line in enumerate(text.split("\n"), 1)]
    if suffix == ".py":
        return [_defined(line) for line in lines]
    if suffix in (".md", ".markdown", ".rst", ".txt", ""):
        return list(_headed(lines, suffix))
    return lines


def pieces(lines: Sequence[Line], prose: bool, longest: int = LONGEST) -> Iterator[Piece]:
    """The pieces of a document, in order. prose: long paragraphs are cut at sentences, where others are at lines."""
    for place, section in _sections(lines):
        batch: list[Line] = []
        for paragraph in _paragraphs(section):
            if _says(batch) and count(_text([*batch, *paragraph])) > longest:
                yield from _cut(batch, place, prose, longest)
                batch = []
            batch += paragraph
        yield from _cut(batch, place, prose, longest)


def _defined(line: Line) -> Line:
    match = _DEFINED.match(line.text)
    return line._replace(level=1, title=match[1]) if match else line


def _headed(lines: Sequence[Line], suffix: str) -> Iterator[Line]:
    fenced, marks = False, LEVELS if suffix == ".rst" else LEVELS[:2]
    for place, line in enumerate(lines):
        fenced ^= bool(_FENCE.match(line.text))
        match = _HEADING.match(line.text) if suffix != ".rst" and not fenced else None
        if match:
            yield line._replace(level=len(match[1]), title=match[2])
        elif not fenced and (level := _underlined(lines, place, marks)):
            yield line._replace(level=level, title=line.text.strip())
        else:
            yield line


def _underlined(lines: Sequence[Line], place: int, marks: str) -> int:
    """The level of a title with a line of one character under it; 0 if it is none."""
    title = lines[place].text
    below = lines[place + 1].text if place + 1 < len(lines) else ""
    match = _UNDERLINE.match(below)
    if not match or match[1] not in marks or not title.strip() or len(below) < len(title) or _UNDERLINE.match(title):
        return 0
    before = lines[place - 1].text if place else ""
    return LEVELS.index(match[1]) + 1 if not before.strip() or _UNDERLINE.match(before) else 0


def _sections(lines: Sequence[Line]) -> Iterator[tuple[tuple[str, ...], list[Line]]]:
    """(headings, lines from one heading up to the next); a heading without lines goes with what follows."""
    path: list[tuple[int, str]] = []
    section: list[Line] = []
    for line in lines:
        if line.level:
            if _says(section):
                yield tuple(title for _, title in path), section
                section = []
            path = [*(one for one in path if one[0] < line.level), (line.level, line.title)][-DEEP:]
        section.append(line)
    yield tuple(title for _, title in path), section


def _says(lines: Sequence[Line]) -> bool:
    """Whether there is more than headings."""
    return any(line.text.strip() and not line.level for line in lines)


def _paragraphs(section: Sequence[Line]) -> Iterator[list[Line]]:
    """Runs of lines with the blank ones after them."""
    run: list[Line] = []
    for line in section:
        if run and not run[-1].text and line.text:
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _cut(lines: Sequence[Line], place: tuple[str, ...], prose: bool, longest: int) -> Iterator[Piece]:
    text = _text(lines)
    if not text.strip():
        return
    at = lines[0].number
    numbers = [line.number for line in lines]
    passed = 0  # ends of lines before the span
    for start, end in _spans(text, prose, longest):
        part = text[start:end]
        if part.strip():
            first = passed + part.count("\n", 0, len(part) - len(part.lstrip()))
            last = passed + part.count("\n", 0, len(part.rstrip()))
            yield Piece(_trimmed(part), _number(numbers, first, at), _number(numbers, last, at), place)
        passed += part.count("\n")


def _trimmed(part: str) -> str:
    """What a piece says of its span: the space before its first line stays."""
    return part.strip("\n").rstrip()


def _number(numbers: Sequence[int], place: int, default: int) -> int:
    return numbers[place] if place < len(numbers) else default


def _text(lines: Sequence[Line]) -> str:
    return "\n".join(line.text for line in lines)


def _spans(text: str, prose: bool, longest: int) -> Iterator[tuple[int, int]]:
    """Spans of at most `longest` tokens that tile the text."""
    if count(_trimmed(text)) <= longest:
        yield 0, len(text)
    elif prose:
        for start, end in _packed(text, [*(match.end() for match in _SENTENCE.finditer(text)), len(text)], longest):
            yield from _fitting(text, start, end, longest)
    else:
        yield from passages(text, longest)


def _fitting(text: str, start: int, end: int, longest: int) -> Iterator[tuple[int, int]]:
    """A span, cut if it has too many tokens: it may have more than its parts together."""
    if count(_trimmed(text[start:end])) <= longest:
        yield start, end
    else:
        yield from ((start + first, start + last) for first, last in passages(text[start:end], longest))


def _packed(text: str, ends: Sequence[int], longest: int) -> Iterator[tuple[int, int]]:
    """As many sentences at a time as fit by the sum of their tokens, or one that does not."""
    start = reached = tokens = 0
    for end in ends:
        own = count(text[reached:end])
        if reached > start and tokens + own > longest:
            yield start, reached
            start, tokens = reached, 0
        reached, tokens = end, tokens + own
    if start < reached:
        yield start, reached
