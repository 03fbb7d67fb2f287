"""What a server answers as text, each within a budget: contexts, explained hits, episodes, timelines, crystals.

Knows a scope and the texts in it; knows no protocol. Every list says how long it is, and how to go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from agentmem.answers import NOTHING, beginning, explained, framed, paged
from agentmem.errors import InvalidInputError
from agentmem.index import step_position
from agentmem.mcp.scope import Scope
from agentmem.mcp.sessions import Session, Sessions, recall_id
from agentmem.tokens import MARK, count, truncate
from agentmem.types import Crystal, Episode, Hit, Step

PAGE = 4_000
"""Tokens of a page."""
STEP = 200
"""Tokens of one step in a page, and of a goal."""
BRIEF = 60  # tokens of a step in the timeline
WIDEST = 40  # characters of a token
HEAD = "What memory holds: a record, no request. Ids are in <>."


def planned(sessions: Sessions, session: Session, goal: str, budget: int) -> str:
    """A planning context in its frame, all of it within the budget of tokens."""
    room = budget - count(framed("", HEAD, "0" * 10))
    while True:
        context = session.recall(goal, max(room, 0))
        id = recall_id(goal, context)
        text = framed(context.text, HEAD, id) if context.text else NOTHING
        if (over := count(text) - budget) <= 0:
            session.told(goal, context)
            sessions.keep(id, context)
            return text
        room -= over


def explained_page(hits: Sequence[Hit], session: Session, offset: int, limit: int) -> str:
    """The hits of a recall with what their scores are made of."""
    _check_offset(offset, len(hits), "hits")
    lines = [Line(hit.position, beginning(hit), explained([hit])) for hit in hits[offset : offset + limit]]
    return _page(lines, session, offset, len(hits), "hits", "")


def episode_page(scope: Scope, session: Session, episode: Episode, offset: int, limit: int) -> str:
    """The steps of an episode from one on."""
    positions = scope.rows(episode.id).position
    _check_offset(offset, len(positions), f"steps of {episode.id}")
    steps = scope.read(positions[offset : offset + limit], "steps", episode.id)
    goal = f", goal: {clipped(episode.goal, BRIEF)}" if episode.goal else ""
    head = f"episode {episode.id}{f' of {episode.agent}' if episode.agent else ''}{goal}"
    lines = (_line(step, STEP) for step in steps)
    return _page(lines, session, offset, len(positions), "steps", head)


def whole_page(session: Session, id: str, steps: Sequence[Step], offset: int) -> str:
    """What stands behind an id, a step or the steps of a crystal, from a character on."""
    text = paged(id, steps, offset, "offset")
    place = 0 if step_position(id) >= 0 else len(steps[0].id) + 2  # of a step's text in all of it
    for step in steps:
        session.show([(step.position, step.text[max(0, offset - place) : max(0, offset + len(text) - place)])])
        place += len(step.text) + len(step.id) + 3
    return text


def timeline_page(scope: Scope, session: Session, offset: int, limit: int) -> str:
    """Steps of all episodes, newest first."""
    positions = scope.rows().position
    _check_offset(offset, len(positions), "steps")
    steps = scope.read(np.flip(positions)[offset : offset + limit], "steps", None)
    lines = (_line(step, BRIEF, f"{step.episode} ") for step in steps)
    return _page(lines, session, offset, len(positions), "steps, newest first", "")


def crystal_page(crystal: Crystal, session: Session) -> str:
    """A crystal: what it is, and its text."""
    shown = truncate(crystal.text, PAGE)
    session.show([(crystal.covers[0], shown)])
    sources = ", ".join(crystal.sources[:20]) + (
        f" and {len(crystal.sources) - 20} more" if crystal.sources[20:] else ""
    )
    head = f"{crystal.layer} {crystal.id}, {crystal.tokens:,} tokens of {crystal.source_tokens:,}, from {sources}"
    return f"{head}\n{shown}"


def clipped(text: str, budget: int) -> str:
    """A text on one line, cut to a budget of tokens; of a long one no more is looked at."""
    beginning = " ".join(text[: WIDEST * budget].split())
    cut = truncate(beginning, budget)
    return cut if len(text) <= WIDEST * budget or cut.endswith(MARK) else cut + MARK


class Line(NamedTuple):
    """A line of a page. position, text: the step it shows, and what of its text."""

    position: int
    text: str
    line: str


def _line(step: Step, budget: int, before: str = "") -> Line:
    """A step on one line, its text cut to a budget. before: what the line begins with."""
    at = (step.at or step.logged_at).isoformat(" ", "minutes")[:16]
    who = f"{step.kind} of {step.actor}" if step.actor else step.kind
    text = clipped(step.text, budget)
    return Line(step.position, text, f"{before}<{step.id}> {at} {who}: {text}")


def _page(lines: Iterable[Line], session: Session, offset: int, total: int, what: str, head: str) -> str:
    """As many of the lines as PAGE holds, below what they are, and how to go on; those count as shown."""
    shown: list[Line] = []
    for line in lines:
        shown.append(line)
        if count(_told(shown, offset, total, what, head)) > PAGE and len(shown) > 1:
            shown.pop()
            break
    session.show((line.position, line.text) for line in shown)
    return _told(shown, offset, total, what, head)


def _told(shown: Sequence[Line], offset: int, total: int, what: str, head: str) -> str:
    end = offset + len(shown)
    range_ = f"{offset + 1:,} to {end:,} of {total:,} {what}" if shown else f"none of {total:,} {what}"
    more = [f"[offset {end} goes on]"] if end < total else []
    return "\n".join([f"{head}: {range_}" if head else range_, *(line.line for line in shown), *more])


def _check_offset(offset: int, total: int, what: str) -> None:
    if offset > total:
        raise InvalidInputError(f"offset {offset:,}: there are {total:,} {what}; give a smaller one")
