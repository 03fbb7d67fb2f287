"""What a cue asks for beside its words: which states, first or last, which dates; and what stands in quotes in it.

Generic words of English only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
_MONTH += r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DATES = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"\b{_YEAR}-(?P<number>\d\d)(?:-(?P<day>\d\d))?\b",
        rf"\b{_DAY} (?:of )?{_MONTH}\b,?(?: {_YEAR})?",
        rf"\b{_MONTH} {_DAY}\b(?!\d),?(?: {_YEAR})?",
        rf"\b{_MONTH}\b,? {_YEAR}",
        rf"\b(?:in|during|of|since|by|until|late|early|mid) {_MONTH}\b(?! \w+ing\b)",
    )
)
_QUOTED = re.compile(r'(?<![\d\\])"((?:[^"\\\n]|\\.)*)"(\s*:)?|\u201c([^\u201c\u201d\n]+)\u201d')
"""None begins at an inch mark, or at a quote that JSON escapes: the rest of its line would be paired amiss."""
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w-])")
_ASKS = {
    "place": r"where|(?:which|what) (?:place|room|location)s?",
    "here": r"where(?:['’]s| is| are| am| was| were)? (?:i|we|you|the agent|the player)|"
    r"(?:place|room|location) (?:am|are|is) (?:i|we|you|the agent)|(?:current|present) (?:place|room|location)",
    "carried": r"carry(?:ing)?|carrie[sd]|inventory|holding|possess\w*|have with|(?:still|do) (?:i |we )?have|have got",
    "left": r"drop(?:ped)?|le(?:ft|aves?)|los[te]|put|gave|give[ns]?|hands?|sold|threw",
    "got": r"got|gets?|took|taken?|pick(?:ed|s)? up|acquired?|obtain(?:ed)?|found",
    "changed": r"chang\w+|edit\w*|writ\w+|wrote|creat\w+|updat\w+|modif\w+|made|delet\w+|book\w*|cancel\w*",
    "is": r"(?:what|how much|how many)(?:['’]s| is| are)",
    "last": r"last|latest|final(?:ly)?|now|current(?:ly)?|most recent(?:ly)?",
    "first": r"first|initial(?:ly)?|originally|start(?:ed)?|begin|began",
    "done": r"command|action|edit(?:ed)?|created?|writes?|wrote|do|did|change[sd]?|call(?:ed)?|arguments|made|run|ran|"
    r"used?|search(?:ed)?|open(?:ed)?",
    "seen": r"print(?:ed)?|observed?|output|errors?|show(?:ed|n)?|find|found|match(?:es)?|exit|reading|read|saw|see|"
    r"results?|return(?:ed)?|says?|said",
    "end": r"ends?|ended|finish(?:ed)?|results?|resulted|outcome|exit(?:ed)?|conclu\w+|final(?:ly)?|last",
}
_PATTERNS = {name: re.compile(rf"\b(?:{words})\b", re.I) for name, words in _ASKS.items()}


class Date(NamedTuple):
    """A day, a month, or either of any year: what is not said is 0."""

    year: int
    month: int
    day: int


def asks(cue: str, what: str) -> bool:
    """Whether a cue has a word that asks for something: a kind of state, the first, the last, the end."""
    return bool(_PATTERNS[what].search(cue))


def numbers(cue: str) -> list[float]:
    """The numbers in a cue, in order."""
    return [float(found) for found in _NUMBER.findall(cue)]


def quotations(cue: str) -> list[str]:
    """The texts in double quotes in a line of a cue, each once; not the names of JSON, which a colon follows."""
    found = dict.fromkeys(straight or curly for straight, colon, curly in _QUOTED.findall(cue) if not colon)
    return [each for each in found if each.strip()]


def dates(cue: str) -> Iterator[Date]:
    """The dates and months in a cue."""
    for pattern in _DATES:
        for match in pattern.finditer(cue):
            said = match.groupdict()
            month = int(said["number"]) if said.get("number") else _month(said["month"])
            yield Date(int(said.get("year") or 0), month, int(said.get("day") or 0))
        cue = pattern.sub("", cue)


def _month(name: str) -> int:
    return next(number for number, month in enumerate(_MONTHS, 1) if month.startswith(name[:3].casefold()))
