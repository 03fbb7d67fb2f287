"""Where a run of steps turned: the words of deeds that had an effect, and those that say where one came to.

Knows what states steps bring about; nothing of a log beyond these steps, of budgets or of what else is salient. Each
span comes with a vote, which `agentmem.salience` adds to those of its words: what changed a total tells more than what
took a thing, and that more than a way gone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agentmem.salience import Source
from agentmem.states import Run, states
from agentmem.types import Record

PLACE = 2.5
EFFECTS = {"total": 3.0, "thing": 2.0, "place": 1.5}  # votes for a deed, by the form of state it brought about
LONGEST = 200  # characters of a deed that are told
_LINE = re.compile(rf"\S[^\n]{{0,{LONGEST - 1}}}(?!\S)|\S{{1,{LONGEST}}}")


class Words(NamedTuple):
    """Characters [start, end) of the text of the source with this number."""

    source: int
    start: int
    end: int


class Told(NamedTuple):
    """Telling words, their vote, and, of a deed, the words that say where it was done."""

    words: Words
    vote: float
    where: Words | None = None
    deed: bool = False


@dataclass
class _Past:
    """By what an episode's next step is understood: its run, the action it answers, the words that say where it is."""

    run: Run = field(default_factory=Run)
    deed: Words | None = None
    where: Words | None = None


def told(steps: Sequence[Record], sources: Sequence[Source]) -> list[Told]:
    """The telling words of steps in log order, of one episode or of several."""
    pasts: dict[str, _Past] = {}
    found: list[Told] = []
    for number, (step, source) in enumerate(zip(steps, sources, strict=True)):
        past = pasts.setdefault(step.episode or "", _Past())
        effects = {state.form: state.value for state in states(step, source, past.run)}
        if source.kind != "action":
            found += _effect(past, effects)
        past.deed = _first(number, source.text, _LINE) if source.kind == "action" else None
        if "place" in effects and (place := _first(number, source.text, _said(effects["place"]))):
            past.where = place
            found.append(Told(place, PLACE))
    return found


def _effect(past: _Past, effects: dict[str, str]) -> list[Told]:
    vote = max((EFFECTS[form] for form in effects if form in EFFECTS), default=0.0)
    return [Told(past.deed, vote, past.where, deed=True)] if vote and past.deed is not None else []


def _said(value: str) -> re.Pattern[str]:
    return re.compile(re.escape(value), re.I)


def _first(number: int, text: str, pattern: re.Pattern[str]) -> Words | None:
    match = pattern.search(text)
    return Words(number, *match.span()) if match else None
