"""Running totals: `your score has gone up by five points` says what the score is only with what it was."""

from __future__ import annotations

import re

from agentmem.types import Record, State

_KEY = r"\b(?P<key>score|balance|health|level|energy|money|points)\b"
_TOTAL = re.compile(_KEY + r"(?: (?:is|was|now|reached|stands at))*[ :=]+(?P<value>-?\d{1,15})(?!\d)", re.I)
_GAIN = re.compile(
    rf"{_KEY}[^.!?\n]{{0,24}}?\b(?P<way>up|down|increased|decreased|risen|fallen)\b (?:again )?by (?P<by>[\w-]+)", re.I
)
_DOWN = frozenset(("down", "decreased", "fallen"))
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True))

LONGEST = 15  # digits of a number that is read
Found = dict[tuple[str, str], State]


def totals(step: Record, known: dict[str, int], found: Found) -> None:
    """Add the totals a step changes to the states found in it; `known` are the totals so far, and moves on."""
    said = {match["key"].casefold(): int(match["value"]) for match in _TOTAL.finditer(step.text)}
    for match in _GAIN.finditer(step.text):
        key, by = match["key"].casefold(), number(match["by"])
        if by is not None and key not in said:
            said[key] = known.get(key, 0) + (-by if match["way"].casefold() in _DOWN else by)
    for key, value in said.items():
        for other in [other for other in found if other[0] == "reading" and other[1].endswith(key)]:
            del found[other]
        if known.get(key) != value:
            found["total", key] = State(step.position, "total", key, str(value))
    known.update(said)


def number(text: str) -> int | None:
    """A whole number in digits, or in words below a hundred; None for anything else."""
    text = text.casefold()
    if text.isdecimal():
        return int(text) if len(text) <= LONGEST else None
    tens, _, rest = text.partition("-")
    if tens in _TENS and (not rest or rest in _SMALL):
        return _TENS[tens] + (_SMALL.index(rest) if rest else 0)
    return 1 if text in ("a", "an") else _SMALL.index(text) if text in _SMALL else None
