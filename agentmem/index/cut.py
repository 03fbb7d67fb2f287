"""An index cut back to one log position: the view that recall reads."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agentmem.index.crystals import SIXTEENTHS
from agentmem.index.ids import STEP
from agentmem.index.view import View
from agentmem.types import Columns, Episode

if TYPE_CHECKING:
    from agentmem.index.growing import Index

AHEAD = 20_000  # records that may be read ahead of the watermark


def cut(index: Index, as_of: int, sealed: int) -> View:
    """The steps of an index as of a log position, and the crystals as of `sealed`, which is not later."""
    log = index.columns
    log = Columns(*(column[: np.searchsorted(log.position, as_of, "right")] for column in log))
    at = _steps(index, log, as_of)
    position, tokens = log.position[at], log.tokens[at]
    runs = _in_episodes(log.episode[at])
    episodes = [_episode(index, name, as_of) for name in runs.names.tolist()]
    live = index.sealed.live(sealed)
    if index.hides:
        live = index.sealed.shown(live, position)
    unit = index.unit[at]
    unit = np.where(np.append(live, False)[unit], unit, -1)
    late = len(log.position) - np.searchsorted(log.position, index.sealed_upto, "right") > AHEAD
    upto = index.sealed_upto if late else as_of
    return View(
        as_of=as_of,
        sealed=sealed,
        position=position,
        kind=log.kind[at],
        episode=runs.episode,
        actor=log.actor[at],
        tokens=tokens,
        length=log.length[at],
        prev=runs.prev,
        next=runs.after,
        place=runs.place,
        order=runs.order,
        age=_age(_left(index, log))[at],
        uses=_uses(index, as_of, at, position),
        pinned=_count(index.pins.rows, as_of, position) > 0,
        unit=unit,
        salience=np.append(index.sealed.columns.rows[4] / SIXTEENTHS, 1.0)[unit],
        episodes=episodes,
        episode_terms=[index.episode_terms.get(one.id, []) for one in episodes],
        goal_terms=[index.goal_terms.get(one.id, []) for one in episodes],
        actors=index.names,
        crystals=index.crystals,
        live=live,
        bags={index.namespace: index.bags},
        stated=cache(lambda: index.timeline.cut(position, runs.episode, upto)),
        kept={},
        kept_of_episodes=index.kept_of(runs.names),
    )


def _steps(index: Index, log: Columns, as_of: int) -> np.ndarray:
    """Rows of the steps that are not hidden."""
    keep = log.type == STEP
    if index.hidden.rows.size:
        _, hide, steps = index.hidden.rows[:, index.hidden.rows[0] <= as_of]
        at, known = find(log.position, steps)
        keep[at] = hide[known] == 0  # of several, the last
        keep &= log.type == STEP
    if index.withdrawn:
        at, _ = find(log.position, index.without_consent)
        keep[at] = False
    if len(index.expired):
        keep[find(log.position, index.expired)[0]] = False
    return np.flatnonzero(keep)


def _left(index: Index, log: Columns) -> np.ndarray:
    """Tokens of each record, none of what has expired: as it will be once that is removed."""
    if not len(index.expired):
        return log.tokens
    tokens = log.tokens.copy()
    tokens[find(log.position, index.expired)[0]] = 0
    return tokens


def _uses(index: Index, as_of: int, at: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Of the steps at these rows, how many recalls showed each; without recalls that showed what has expired, which
    are removed with it."""
    uses = index.uses.rows
    if len(index.expired):
        showed = uses[0][np.isin(uses[1], index.expired)]
        return _count(uses[:, ~np.isin(uses[0], showed)], as_of, position)
    used = index.used(as_of)
    return _count(uses, as_of, position) if used is None else np.asarray(used[at])


def _age(tokens: np.ndarray) -> np.ndarray:
    """Tokens logged since each record."""
    total = np.cumsum(tokens, dtype=np.int64)
    return np.asarray(total[-1] - total) if len(total) else total


def _episode(index: Index, name: int, as_of: int) -> Episode:
    known = index.episodes[index.names[name]]
    if known.ended is not None and known.ended > as_of:
        return known.model_copy(update={"ended": None})
    return known


def find(haystack: np.ndarray, needles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(where the needles that are in a sorted array stand there, which of the needles those are)."""
    at = np.searchsorted(haystack, needles)
    known = at < len(haystack)
    known[known] = haystack[at[known]] == needles[known]
    return at[known], known


def _count(events: np.ndarray, as_of: int, position: np.ndarray) -> np.ndarray:
    """How many events up to a log position there are of each step."""
    at, steps = events
    return np.bincount(find(position, steps[at <= as_of])[0], minlength=len(position))


class _Runs(NamedTuple):
    """Steps within their episodes, which may interleave. names: of the episodes, by number; order: of the steps, by
    episode; prev, after: neighbours in the episode, -1 for none; place: 0..1."""

    names: np.ndarray
    episode: np.ndarray
    order: np.ndarray
    prev: np.ndarray
    after: np.ndarray
    place: np.ndarray


def _in_episodes(name: np.ndarray) -> _Runs:
    n = len(name)
    used = np.bincount(name, minlength=1) > 0
    names, episode = np.flatnonzero(used), (np.cumsum(used) - 1)[name]
    whole = not (episode[1:] < episode[:-1]).any()  # one after another, as most are logged
    order = np.arange(n) if whole else by_number(episode)
    there = episode if whole else episode[order]
    same = there[1:] == there[:-1]
    before, later = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    before[1:], later[:-1] = np.where(same, order[:-1], -1), np.where(same, order[1:], -1)
    size = np.bincount(episode, minlength=1)
    place = (np.arange(n) - (np.cumsum(size) - size)[there]) / np.maximum(1, size[there] - 1) if n else np.zeros(0)
    prev, after, place = (a if whole else _moved(a, order) for a in (before, later, place))
    return _Runs(names, episode, order, prev, after, place)


def _moved(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """What stands in an order, each where it belongs."""
    moved = np.empty_like(values)
    moved[order] = values
    return moved


def by_number(numbers: np.ndarray) -> np.ndarray:
    """The order that sorts small whole numbers, first come first; quickest in 16 bits."""
    few = int(numbers.max(initial=0)) < 1 << 16
    return np.argsort(numbers.astype(np.uint16) if few else numbers, kind="stable")
