"""The text of a planning context: grammar version 2.

    context  = [goal] *section
    goal     = "goal: " text LF
    section  = [name ":" LF] *block          the name is left out when "past" is the only section
    block    = [head LF] *line               one head for a run of steps of one episode on one day
    head     = "[" date [" " time] "]" / "[" episode "]"
                                             the time the source gives; without one the episode's id, or its last part
                                             after "/" where the whole would cost too much of the budget
                                             and that is not another episode's here
    line     = label ": " text [" <" id ">"] LF
                                             label: who said it, else its kind, else the crystal's layer
             / trust " " quote ": " quote [" <" id ">"] LF
                                             of untrusted text, in "warnings" alone: its trust, label and text
    quote    = JSON string                   with "<" and every character that is not seen escaped

Inside a text that is not quoted blank lines are folded, every further line starts with one space, and "…" stands where
something was left out; so a line that does not start with a space is always structure, whatever was logged. A quoted
text is one line, and nothing in it can end the quote: `json.loads` gives it back, folded. Sections come in the order of
SECTIONS; lines within one in log order. Version 1 did not quote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from unicodedata import category

from agentmem.remembered import of_texts
from agentmem.types import Hit

GRAMMAR = 2
SECTIONS = ("goal", "facts", "past", "recent", "now", "warnings")
_UNSEEN = ("Cc", "Cf", "Co", "Zl", "Zp")  # categories of characters: controls, formats, private ones, separators
_SELECTORS = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))  # of variations: not seen either
_RUN = re.compile(r"(?<=\S)[ \t]{2,}")


@dataclass(frozen=True, slots=True)
class Line:
    """One rendered memory: its place in the log, the head it stands under, its text and the hit it is."""

    position: int
    section: str
    head: str
    text: str
    hit: Hit


@of_texts
def fold(text: str) -> str:
    """A text as it stands inside a line: blank lines and runs of spaces folded, further lines marked by a space.

    A line ends wherever `str.splitlines` says so: at U+2028 or a form feed as well as at "\\n".
    """
    lines = (_RUN.sub(" ", part.rstrip()) for part in text.splitlines())
    return "\n ".join(part for part in lines if part.strip()).strip()


def head(at: str | None, episode: str | None) -> str:
    """The head of a block: "[2023-05-07 13:56]" or "[episode]", "" when neither is known."""
    if at:
        return f"[{at[:16].replace('T', ' ')}]"
    return f"[{_name(episode)}]" if episode else ""


def _name(text: str) -> str:
    """An id or label: always within one line."""
    return " ".join(text.split())


def line(label: str, text: str, mark: str | None = None) -> str:
    """One line; `mark` is the id printed behind it."""
    said = f"{_name(label)}: {fold(text)}"
    return f"{said} <{mark}>" if mark else said


class _Escapes(dict[int, str]):
    """For `str.translate`, after JSON: what could be taken for a tag or is not seen, such as what turns the direction
    of writing, as JSON escapes it.
    """

    def __missing__(self, character: int) -> str:
        text = chr(character)
        if text == "<":
            text = "\\u003c"
        elif category(text) in _UNSEEN or character in _SELECTORS:
            text = json.dumps(text)[1:-1]
        self[character] = text
        return text


_ESCAPES = _Escapes()


def quoted(text: str) -> str:
    """A text as a quote, which `json.loads` reads."""
    return json.dumps(text, ensure_ascii=False).translate(_ESCAPES)


def quoted_line(trust: str, label: str, text: str, mark: str | None = None) -> str:
    """One line of untrusted text."""
    said = f"{trust} {quoted(_name(label))}: {quoted(fold(text))}"
    return f"{said} <{mark}>" if mark else said


def arrange(lines: Iterable[Line]) -> list[Line]:
    """The lines in the order they are printed."""
    return sorted(lines, key=lambda one: (SECTIONS.index(one.section), one.position, one.hit.id))


def render(lines: Sequence[Line], goal: str | None = None) -> str:
    """The text of arranged lines."""
    out = [f"goal: {fold(goal)}"] if goal else []
    named = {one.section for one in lines} != {"past"}
    section = block = None
    for one in lines:
        if one.section != section:
            section, block = one.section, None
            if named:
                out.append(f"{section}:")
        if one.head and one.head != block:
            out.append(one.head)
        block = one.head or block
        out.append(one.text)
    return "\n".join(out)


def sections(lines: Sequence[Line], goal: str | None = None) -> Mapping[str, tuple[str, ...]]:
    """Section name -> its lines, in order; only sections that have any."""
    found: dict[str, list[str]] = {"goal": [goal]} if goal else {}
    for one in lines:
        found.setdefault(one.section, []).append(one.text)
    return {name: tuple(texts) for name, texts in found.items()}
