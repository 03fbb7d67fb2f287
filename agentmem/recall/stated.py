"""What the state table says to a cue: the steps at which a state that is asked for came to be.

Knows the states of a view and what a cue asks for, also whether that still holds; no texts. A state counts for as much
as its key is named by the cue, and as its value, or its being the first or the last of its key in the episode, is what
is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from agentmem.index import Stated, View
from agentmem.recall.asked import Date, asks, dates, numbers
from agentmem.recall.relative import Span, spans
from agentmem.recall.standing import nothing, says_nothing, standing
from agentmem.remembered import of_texts
from agentmem.types import KINDS, STATE_FORMS
from agentmem.words import stems

ACTION, OBSERVATION = KINDS.index("action"), KINDS.index("observation")
PLACE, THING, READING, FILE, OUTCOME, DEED, TOTAL, DATE, INVENTORY = range(len(STATE_FORMS))
_CHANGED = ("edited", "created", "written")
_LASTING = (PLACE, THING, READING, FILE, TOTAL, INVENTORY)
ASKED = 0.7  # of a state's signal from which it is what the cue asks for
DID = 0.9  # of what a state counts for at the action whose observation says so
_ASKED = ("carried", "left", "got", "changed", "last", "is", "first", "place")
_GENERIC = {THING: "carri", FILE: "file"}  # the first stem of every key of these forms


@of_texts
def concerns(cue: str) -> bool:
    """Whether the state table may say anything to a cue."""
    return bool(numbers(cue)) or any(asks(cue, what) for what in _ASKED) or speaks_of_time(cue)


@of_texts
def speaks_of_time(cue: str) -> bool:
    """Whether a cue names a date, or a time that is counted from today."""
    return next(dates(cue), None) is not None or next(spans(cue, date.max), None) is not None


def state_signal(cue: str, view: View) -> np.ndarray:
    """Per step, how much a state that the cue asks for came to be there: 0..1, or -1 for a list that is outdated."""
    if not concerns(cue):
        return nothing(len(view.position))
    signal, stated = np.zeros(len(view.position)), view.stated()
    if len(stated.row):
        form, named = stated.form[stated.key], _named(cue, stated)[stated.key]
        parts = [of(cue, stated, form, named) for of in (_readings, _things, _files)]
        np.maximum.at(signal, stated.row, np.maximum.reduce([*parts, _here(cue, stated, form)]))
        answered = view.prev[stated.row]
        deeds = (answered >= 0) & (view.kind[answered] == ACTION) & (view.kind[stated.row] == OBSERVATION)
        np.maximum.at(signal, answered[deeds], DID * signal[stated.row[deeds]])
        if asks(cue, "carried"):
            signal[stated.row[(form == INVENTORY) & ~stated.last]] = -1.0
    return signal


def holds_now(signal: np.ndarray, view: View) -> np.ndarray:
    """Per step, whether it says what a cue asks for as it stands: a state that no later step of any episode changes.

    signal: that of the cue. bool [n]; an action counts by the observation that answers it.
    """
    now = np.zeros(len(view.position), bool)
    if says_nothing(signal):
        return now
    stated = view.stated()
    lasting = np.isin(stated.form[stated.key], _LASTING) & _newest(stated)
    now[stated.row[lasting & (signal[stated.row] >= ASKED)]] = True
    deeds = view.prev[now & (view.kind == OBSERVATION)]
    deeds = deeds[deeds >= 0]
    now[deeds[view.kind[deeds] == ACTION]] = True
    return now


def _newest(stated: Stated) -> np.ndarray:
    """Which states no later step of any episode changes, bool [n]."""
    newest = np.full(len(stated.form), -1)
    np.maximum.at(newest, stated.key, stated.row)
    return np.asarray(stated.row == newest[stated.key])


def _readings(cue: str, stated: Stated, form: np.ndarray, named: np.ndarray) -> np.ndarray:
    """Numbers: one that became what the cue says, best from what the cue says it was."""
    reading = np.isin(form, (READING, OUTCOME, TOTAL)) & (named > 0.5)
    said = np.array(numbers(cue))
    now = stated.numbers[stated.value]
    was = np.where(stated.before >= 0, now[stated.before], 0.0)
    became = np.isin(now, said)
    score = np.where(became & np.isin(was, said) & (was != now), 1.0, np.where(became, 0.4, 0.0))
    if len(said) == 2:
        score = np.maximum(score, 0.3 * (np.abs(now - was) == abs(said[0] - said[1])))
    if asks(cue, "last") or asks(cue, "is"):
        score = np.maximum(score, 0.8 * stated.last + 0.1 * _newest(stated))
    return np.asarray(reading * score)


def _things(cue: str, stated: Stated, form: np.ndarray, named: np.ndarray) -> np.ndarray:
    """Things: what is carried now; where one that the cue names was last left, or first taken."""
    thing, carried = form == THING, stated.has(("carried",))
    score = np.zeros(len(form))
    if asks(cue, "carried"):
        score = 1.0 * stated.last * (carried | (form == INVENTORY))
    meant = named >= 0.5
    if asks(cue, "place"):
        score = np.maximum(score, meant * stated.last)
    if asks(cue, "left"):
        score = np.maximum(score, (meant & ~carried) * np.where(stated.last, 1.0, 0.4))
    if asks(cue, "got"):
        score = np.maximum(score, (meant & carried) * np.where(stated.before < 0, 1.0, 0.6))
    return np.asarray((thing | (form == INVENTORY)) * score)


def _here(cue: str, stated: Stated, form: np.ndarray) -> np.ndarray:
    """Where one is now: the last place of each episode."""
    return np.asarray(1.0 * (form == PLACE) * stated.last * asks(cue, "here"))


def _files(cue: str, stated: Stated, form: np.ndarray, named: np.ndarray) -> np.ndarray:
    """Changes: deeds that change something, files that were changed, a file that the cue names first or last."""
    changed = (form == FILE) & stated.has(_CHANGED)
    meant = changed & (named > 0.99)
    score = 0.5 * meant
    if asks(cue, "changed"):
        score = np.maximum(score, 0.7 * (changed | (form == DEED)))
    if asks(cue, "last"):
        score = np.maximum(score, 1.0 * meant * stated.last)
    if asks(cue, "first"):
        score = np.maximum(score, 1.0 * meant * (stated.before < 0))
    return np.asarray(score)


def _named(cue: str, stated: Stated) -> np.ndarray:
    """Per key, 0..1: the share of its stems that the cue has; the one that all keys of its form begin with aside."""
    count = np.zeros(len(stated.form))
    size = stated.words - np.isin(stated.form, list(_GENERIC))
    for stem in dict.fromkeys(stems(cue)):
        found = stated.keys_with(stem)
        for form in (form for form, first in _GENERIC.items() if first == stem):
            found = found[stated.form[found] != form]
        count[found] += 1
    return np.asarray(count / np.maximum(1, size))


def date_signal(cue: str, view: View) -> np.ndarray:
    """Per step, 1 where its date is one that the cue names to the day, 0.6 where it is of a longer time that it names.

    Today is the date of the newest step.
    """
    if not speaks_of_time(cue) or not len((stated := view.stated()).row):
        return nothing(len(view.position))
    days = np.flatnonzero(stated.form[stated.key] == DATE)
    if not len(days):
        return nothing(len(view.position))
    texts = {value: stated.text(value) for value in np.unique(stated.value[days]).tolist()}
    today = texts[int(stated.value[days[stated.row[days].argmax()]])]
    named, counted = list(dates(cue)), list(spans(cue, date.fromisoformat(today)))
    dated = {value: _dated(day, named, counted) for value, day in texts.items()}
    worth = np.zeros(len(stated.row) + 1)
    worth[days] = [dated[value] for value in stated.value[days].tolist()]
    return np.asarray(worth[holding(view, stated, days)])


def _dated(day: str, named: Sequence[Date], counted: Sequence[Span]) -> float:
    """What a day is worth to the dates that a cue names, and to the spans of days that it counts from today."""
    parts = [int(part) for part in day.split("-")]
    exact = [
        1.0 if asked.day else 0.6 for asked in named if all(s in (0, is_) for s, is_ in zip(asked, parts, strict=True))
    ]
    within = [1.0 if first == last else 0.6 for first, last in counted if first <= date.fromisoformat(day) <= last]
    return max(*exact, *within, 0.0, 0.0)


def places(cue: str, view: View) -> np.ndarray:
    """Per step, the row from which on the place holds where it happened; -1 if unknown, or if no place is asked for."""
    if not asks(cue, "place") or not len((stated := view.stated()).row):
        return np.full(len(view.position), -1, np.int64)
    place = stated.form[stated.key] == PLACE
    moved = (stated.before < 0) | (stated.value != stated.value[stated.before])
    at = holding(view, stated, np.flatnonzero(place & moved))
    return np.where(at < 0, -1, stated.row[at])


def holding(view: View, stated: Stated, among: Sequence[int] | np.ndarray) -> np.ndarray:
    """Per step, which of these states came last in its episode up to it; -1 for none."""
    at = np.full(len(view.position), -1, np.int64)
    at[stated.row[among]] = among
    at = at[view.order]
    latest = np.maximum.accumulate(np.where(at >= 0, np.arange(len(at)), -1))
    held = np.empty(len(at), np.int64)
    held[view.order] = np.where(latest >= standing(view).begins, at[latest], -1)
    return held
