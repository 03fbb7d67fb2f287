"""What recall reads: the steps of one namespace, or of several, as of one log position, as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from agentmem.index.timeline import Stated, join_stated
from agentmem.types import Crystal, Episode, Namespace


@dataclass(frozen=True, slots=True)
class View:
    """The steps of a namespace as of one log position, hidden ones left out: arrays [n] in log order.

    episode: index into `episodes`; prev, next: index of the neighbour in the same episode, -1 for none; place: 0 at
    the start of the episode, 1 at its end; age: tokens logged since; unit: index into `crystals` of the unit that
    covers the step and exists as of then, -1 for none; salience: of that unit, 1 without one. bags: namespace ->
    crystal id -> its stems, filled by whoever ranks crystals and dropped with the index. stated: the states of the
    steps, made when first asked for.
    """

    as_of: int
    position: np.ndarray
    kind: np.ndarray
    episode: np.ndarray
    actor: np.ndarray
    tokens: np.ndarray
    length: np.ndarray
    prev: np.ndarray
    next: np.ndarray
    place: np.ndarray
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

    def rows(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(index of each log position in this view, mask of those that are in it)."""
        at = np.searchsorted(self.position, positions)
        at[at == len(self.position)] = 0
        known = self.position[at] == positions if len(self.position) else np.zeros(len(positions), bool)
        return at, known


@dataclass(frozen=True, slots=True)
class Dense:
    """All codes of a namespace: rows uint8 [k, 96]; owner, position int64 [m]: code row and log position of each pair
    of a code and a step it stands for; born int64 [k]: log position from which the code's crystal exists.
    """

    rows: np.ndarray
    born: np.ndarray
    owner: np.ndarray
    position: np.ndarray


def join(views: Sequence[View]) -> View:
    """Several namespaces as one view, in log order."""
    order = np.argsort(np.concatenate([view.position for view in views]), kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    starts = np.cumsum([0, *(len(view.position) for view in views)])
    episodes = np.cumsum([0, *(len(view.episodes) for view in views)])
    crystals = np.cumsum([0, *(len(view.crystals) for view in views)])

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(view, name) for view in views])[order]

    def shifted(name: str, by: np.ndarray, to: np.ndarray | None = None) -> np.ndarray:
        parts = []
        for view, shift in zip(views, by, strict=False):
            values = getattr(view, name)
            moved = values + shift
            parts.append(np.where(values < 0, -1, to[np.maximum(moved, 0)] if to is not None and len(to) else moved))
        return np.concatenate(parts)[order]

    plain = ("position", "kind", "actor", "tokens", "length", "place", "age", "uses", "pinned", "salience")
    return View(
        as_of=max(view.as_of for view in views),
        **{name: column(name) for name in plain},
        episode=shifted("episode", episodes),
        prev=shifted("prev", starts, place),
        next=shifted("next", starts, place),
        unit=shifted("unit", crystals),
        episodes=[episode for view in views for episode in view.episodes],
        episode_terms=[terms for view in views for terms in view.episode_terms],
        goal_terms=[terms for view in views for terms in view.goal_terms],
        actors={name: text for view in views for name, text in view.actors.items()},
        crystals=[crystal for view in views for crystal in view.crystals],
        live=np.concatenate([view.live for view in views]),
        bags={namespace: bags for view in views for namespace, bags in view.bags.items()},
        stated=cache(
            lambda: join_stated(
                [view.stated() for view in views],
                [place[first : first + len(view.position)] for first, view in zip(starts, views, strict=False)],
                shifted("episode", episodes),
            )
        ),
    )
