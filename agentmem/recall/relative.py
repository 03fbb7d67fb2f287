"""Time expressions that speak from today, as spans of days. English only; a week begins on Monday."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta

Span = tuple[date, date]
"""The first day and the last."""

DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
SIZES = {"day": 1, "week": 7, "month": 30, "year": 365}
_COUNT = rf"(?P<count>\d{{1,3}}|an?|{'|'.join(NUMBERS)}|a couple of|couple of|a few|few|several)"
_UNIT = r"(?P<unit>day|week|month|year)s?"
_SAID = {"a": 1, "an": 1, "couple": 2, "few": 3, "several": 4} | {word: n for n, word in enumerate(NUMBERS)}


def spans(cue: str, today: date) -> Iterator[Span]:
    """What a cue's expressions mean as of a day; "two weeks ago" is the week around that day."""
    for pattern, meaning in _MEANINGS:
        for found in pattern.finditer(cue):
            try:
                yield meaning(found, today)
            except OverflowError:
                continue  # before the year 1
        cue = pattern.sub(" ", cue)


def _shift(days: int) -> Callable[[re.Match[str], date], Span]:
    return lambda found, today: (today - timedelta(days), today - timedelta(days))


def _ago(found: re.Match[str], today: date) -> Span:
    size = SIZES[found["unit"].casefold()]
    then, around = today - timedelta(_count(found) * size), timedelta(size // 2)
    return then - around, then + around


def _within(found: re.Match[str], today: date) -> Span:
    return today - timedelta(_count(found) * SIZES[found["unit"].casefold()]), today


def _count(found: re.Match[str]) -> int:
    said = (found["count"] or "one").casefold().removeprefix("a ").split()[0]
    return int(said) if said.isdecimal() else _SAID[said]


def _calendar(found: re.Match[str], today: date) -> Span:
    """This week, month or year, or the one before it."""
    first = _begin(found["unit"].casefold(), today)
    if found["which"].casefold() == "this":
        return first, today
    return _begin(found["unit"].casefold(), first - timedelta(1)), first - timedelta(1)


def _begin(unit: str, day: date) -> date:
    if unit == "week":
        return day - timedelta(day.weekday())
    return day.replace(day=1) if unit == "month" else day.replace(month=1, day=1)


def _weekday(found: re.Match[str], today: date) -> Span:
    """The last one there was, today left out."""
    back = (today.weekday() - DAYS.index(found["day"].casefold()) - 1) % 7 + 1
    return today - timedelta(back), today - timedelta(back)


def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(rf"\b{expression}\b", re.I)


_MEANINGS = (
    (_pattern("the day before yesterday"), _shift(2)),
    (_pattern("yesterday|last night"), _shift(1)),
    (_pattern("today|tonight|this (?:morning|afternoon|evening)"), _shift(0)),
    (_pattern(rf"{_COUNT} {_UNIT} ago"), _ago),
    (_pattern(rf"(?:the )?(?:past|last) {_COUNT} {_UNIT}"), _within),
    (_pattern(r"the (?:past|last) (?P<count>)(?P<unit>week|month|year)(?! of)"), _within),
    (_pattern(r"(?P<which>this|last|previous) (?P<unit>week|month|year)(?! of)"), _calendar),
    (_pattern(rf"(?:on|last|this|since) (?P<day>{'|'.join(DAYS)})"), _weekday),
)
