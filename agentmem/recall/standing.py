"""What a view says of its steps and episodes whatever the cue, made once for each view.

Knows arrays and stems; no cue and no text. A signal that says nothing of any step is `nothing`, which costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agentmem.decay import log_decay
from agentmem.index import View
from agentmem.salience import AGENTS
from agentmem.types import KINDS
from agentmem.words import stems, words

MESSAGE = KINDS.index("message")
_USERS = ("user", "human", "customer")
ROLES = frozenset((*_USERS, *AGENTS, "tool", "environment", "shell", "terminal", "browser"))


def nothing(n: int) -> np.ndarray:
    """A signal of 0 everywhere, float [n], read-only."""
    return np.broadcast_to(np.float64(0.0), (n,))


def says_nothing(signal: np.ndarray) -> bool:
    """Whether a signal is one of `nothing`'s."""
    return signal.strides == (0,) and not signal[:1].any()


class Called(NamedTuple):
    """What documents are called: how many stems each, and stem -> (documents that have it, how often)."""

    lengths: np.ndarray
    rows: dict[str, tuple[np.ndarray, np.ndarray]]


def called(names: Sequence[Sequence[str]]) -> Called:
    """Names, as stems, laid out for a look-up."""
    found: dict[str, tuple[list[int], list[int]]] = {}
    for number, name in enumerate(names):
        for stem, times in Counter(name).items():
            rows, frequency = found.setdefault(stem, ([], []))
            rows.append(number)
            frequency.append(times)
    arrays = {stem: (np.array(rows), np.array(times, float)) for stem, (rows, times) in found.items()}
    return Called(np.array([len(name) for name in names], float), arrays)


class Standing(NamedTuple):
    """Arrays [n] of the steps: lengths; share: of deeds in the episode; ends, user, length, decay, pinned: signals.

    people: name numbers of who speaks but for roles, with the words of their names; stems: of those names. By episode:
    episode_lengths; first: row of its first step. begins: where, in `View.order`, the episode of each begins.
    """

    lengths: np.ndarray
    share: np.ndarray
    ends: np.ndarray
    user: np.ndarray
    length: np.ndarray
    decay: np.ndarray
    pinned: np.ndarray
    people: list[tuple[int, frozenset[str]]]
    stems: frozenset[str]
    episode_lengths: np.ndarray
    first: np.ndarray
    begins: np.ndarray


def standing(view: View) -> Standing:
    """What holds for a view, made once."""
    return view.once("standing", _standing)


def _standing(view: View) -> Standing:
    size, n = len(view.episodes), len(view.position)
    actors = [number for number in np.flatnonzero(np.bincount(view.actor, minlength=1)).tolist() if number]
    names = {number: view.actors.get(number, "") for number in actors}
    people = [number for number in actors if names[number].casefold() not in ROLES]
    users = [number for number in actors if names[number].casefold() in _USERS]
    lengths = view.length.astype(float)
    sizes = np.bincount(view.episode, minlength=size)
    starts = np.cumsum(sizes) - sizes
    share = _share(view, sizes)
    return Standing(
        lengths=lengths,
        share=share,
        ends=(1.4 * (view.place == 1) + 0.7 * (view.place == 0)) * share,
        user=np.isin(view.actor, users).astype(float) if users else nothing(n),
        length=-np.log(view.tokens + 6.0),
        decay=log_decay(view.age, view.salience, view.uses),
        pinned=view.pinned.astype(float) if view.pinned.any() else nothing(n),
        people=[(number, frozenset(words(names[number]))) for number in people],
        stems=frozenset(stem for number in people for stem in stems(names[number])),
        episode_lengths=np.bincount(view.episode, weights=view.length, minlength=size),
        first=view.order[starts],
        begins=np.repeat(starts, sizes),
    )


def _share(view: View, sizes: np.ndarray) -> np.ndarray:
    """Per step, the share of its episode that is no message: where a run ends tells more than where a talk does."""
    talk = np.bincount(view.episode, weights=view.kind == MESSAGE, minlength=len(sizes))
    return np.asarray((1 - talk / np.maximum(1, sizes))[view.episode])
