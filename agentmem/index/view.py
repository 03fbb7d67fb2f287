"""What recall reads: the steps of one namespace, or of several, as of one log position, as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import numpy as np

from agentmem.index.crystals import Chained
from agentmem.index.timeline import Stated, Timeline, join_stated
from agentmem.types import Crystal, Episode, Namespace

Made = TypeVar("Made")
SPARSE = 4  # log positions to a step from which on looking up rows in a table is not worth its room


@dataclass(frozen=True, slots=True)
class View:
    """The steps of a namespace as of one log position, hidden ones left out: arrays [n] in log order. Crystals are
    those of the log up to `sealed`.

    episode: index into `episodes`; prev, next: index of the neighbour in the same episode, -1 for none; place: 0 at
    the start of the episode, 1 at its end; order: the steps by episode; age: tokens logged since; unit: index into
    `crystals` of the unit that covers the step and exists as of then, -1 for none; salience: of that unit, 1 without
    one. bags: namespace -> crystal id -> its stems, filled by whoever ranks crystals and dropped with the index.
    stated: the states of the steps, made when first asked for. kept, kept_of_episodes: what recall made of the view
    alone, or of its episodes alone, see `once`.
    """

    as_of: int
    sealed: int
    position: np.ndarray
    kind: np.ndarray
    episode: np.ndarray
    actor: np.ndarray
    tokens: np.ndarray
    length: np.ndarray
    prev: np.ndarray
    next: np.ndarray
    place: np.ndarray
    order: np.ndarray
    age: np.ndarray
    uses: np.ndarray
    pinned: np.ndarray
    unit: np.ndarray
    salience: np.ndarray
    episodes: Sequence[Episode]
    episode_terms: Sequence[Sequence[str]]
    goal_terms: Sequence[Sequence[str]]
    actors: Mapping[int, str]
    crystals: Sequence[Crystal]
    live: np.ndarray
    bags: Mapping[Namespace, dict[str, Counter[str]]]
    stated: Callable[[], Stated]
    kept: dict[str, Any]
    kept_of_episodes: dict[str, Any]

    def once(self, name: str, make: Callable[[View], Made], of_episodes: bool = False) -> Made:
        """What `make` gives for this view, made once. of_episodes: it depends on the episodes and their terms alone."""
        kept = self.kept_of_episodes if of_episodes else self.kept
        if name not in kept:
            kept[name] = make(self)
        made: Made = kept[name]
        return made

    def rows(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(index of each log position in this view, mask of those that are in it)."""
        if len(self.position) and self.position[-1] < SPARSE * len(self.position):
            table = self.once("table", _table)
            at = table[np.minimum(positions, len(table) - 1)]
            known = at >= 0
            return np.where(known, at, 0), known
        at = np.searchsorted(self.position, positions)
        at[at == len(self.position)] = 0
        known = self.position[at] == positions if len(self.position) else np.zeros(len(positions), bool)
        return at, known


def _table(view: View) -> np.ndarray:
    """Log position -> index in the view, -1 for none; the last one stands for all that are later."""
    table = np.full(int(view.position[-1]) + 2, -1, np.int32)
    table[view.position] = np.arange(len(view.position))
    return table


def without_states(view: View) -> View:
    """A view that knows no states, whatever was read of them."""
    return replace(view, stated=lambda: Timeline().cut(view.position, view.episode, view.as_of))


def join(views: Sequence[View]) -> View:
    """Several namespaces as one view, in log order."""
    order = np.argsort(np.concatenate([view.position for view in views]), kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    starts = np.cumsum([0, *(len(view.position) for view in views)])[:-1]
    rows = [place[first : first + len(view.position)] for first, view in zip(starts, views, strict=True)]
    episode = _shifted(views, "episode", [len(view.episodes) for view in views])[order]
    plain = ("position", "kind", "actor", "tokens", "length", "place", "age", "uses", "pinned", "salience")
    return View(
        as_of=max(view.as_of for view in views),
        sealed=max(view.sealed for view in views),
        **{name: np.concatenate([getattr(view, name) for view in views])[order] for name in plain},
        episode=episode,
        prev=_moved(views, "prev", rows)[order],
        next=_moved(views, "next", rows)[order],
        order=np.concatenate([to[view.order] for to, view in zip(rows, views, strict=True)]),
        unit=_shifted(views, "unit", [len(view.crystals) for view in views])[order],
        episodes=[episode for view in views for episode in view.episodes],
        episode_terms=[terms for view in views for terms in view.episode_terms],
        goal_terms=[terms for view in views for terms in view.goal_terms],
        actors={name: text for view in views for name, text in view.actors.items()},
        crystals=Chained([view.crystals for view in views]),
        live=np.concatenate([view.live for view in views]),
        bags={namespace: bags for view in views for namespace, bags in view.bags.items()},
        stated=cache(lambda: join_stated([view.stated() for view in views], rows, episode)),
        kept={},
        kept_of_episodes={},
    )


def _shifted(views: Sequence[View], name: str, sizes: Sequence[int]) -> np.ndarray:
    """Numbers of something as those of all of it together, -1 as it is."""
    before = np.cumsum([0, *sizes])
    values = [getattr(view, name) for view in views]
    return np.concatenate([np.where(v < 0, -1, v + shift) for v, shift in zip(values, before, strict=False)])


def _moved(views: Sequence[View], name: str, rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of each view as rows of all, -1 as it is."""
    values = [getattr(view, name) for view in views]
    return np.concatenate([np.append(to, -1)[v] for v, to in zip(values, rows, strict=True)])
