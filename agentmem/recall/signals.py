"""How well each step, or crystal, matches a cue: one array per signal, summed with weights.

Knows arrays and stems; no text and no store. Every signal is a z-score or a bounded prior, so that a sum makes sense
(z-score sums beat reciprocal ranks here); a weight of 0 switches a signal off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentmem.decay import log_decay
from agentmem.index import View
from agentmem.recall.asked import asks
from agentmem.recall.stated import date_signal, state_signal
from agentmem.salience import AGENTS
from agentmem.types import KINDS
from agentmem.words import content_stems, stems, words

ACTION, OBSERVATION, MESSAGE = KINDS.index("action"), KINDS.index("observation"), KINDS.index("message")
_USERS = ("user", "human", "customer")
ROLES = frozenset((*_USERS, *AGENTS, "tool", "environment", "shell", "terminal", "browser"))


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal counts for. Chosen by hand on development data; 0 switches a signal off.

    lexical: BM25. dense: similarity of vectors. neighbours: share of the two neighbours' lexical and dense scores.
    episode: BM25 of the step's whole episode. best_episode: bonus inside the best one. name: the cue names the
    episode, its goal or agent. kind: the cue asks for what was done, or seen. user: what users say. speaker: the
    cue names who said it. state: what it asks for came to hold there, see agentmem.recall.stated. date: it names
    the day, or the month. end: the last step of an episode that it names, when it asks how that ended. ends: the
    first or last step of an episode of deeds. late: the end of episodes, when the cue asks for the last. length:
    per ln(tokens), so that a step must be worth its tokens. decay: per ln D, see agentmem.decay. pinned: a bonus.
    """

    lexical: float = 1.0
    dense: float = 1.0
    neighbours: float = 0.3
    episode: float = 0.5
    best_episode: float = 0.8
    name: float = 6.0
    kind: float = 1.5
    user: float = 1.0
    speaker: float = 2.0
    state: float = 5.0
    date: float = 2.0
    end: float = 4.0
    ends: float = 1.0
    late: float = 2.0
    length: float = 0.8
    decay: float = 0.1
    pinned: float = 3.0


Groups = tuple[np.ndarray, np.ndarray]  # (number of a group, row of a step in it) pairs


@dataclass(frozen=True, slots=True)
class Match:
    """Where the cue's stems stand: stem -> (step rows, passages of the step that have it), int64 arrays."""

    terms: tuple[str, ...]
    counts: Mapping[str, tuple[np.ndarray, np.ndarray]]


def cue_terms(cue: str) -> tuple[str, ...]:
    """The stems a cue is searched by."""
    return tuple(content_stems(cue))


def zscore(values: np.ndarray) -> np.ndarray:
    """(v - mean) / std; zeros when all are the same."""
    spread = values.std() if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros(len(values))


def bm25(
    counts: Sequence[tuple[np.ndarray, np.ndarray]], lengths: np.ndarray, k1: float = 0.9, b: float = 0.75
) -> np.ndarray:
    """Okapi BM25 (Robertson et al. 1994) of documents with these lengths [n]; counts: one (rows, frequencies) per
    term.
    """
    n = len(lengths)
    score = np.zeros(n)
    norm = k1 * (1 - b + b * lengths / max(1.0, lengths.mean() if n else 1.0))
    for rows, frequency in counts:
        idf = math.log(1 + (n - len(rows) + 0.5) / (len(rows) + 0.5))
        score[rows] += idf * frequency * (k1 + 1) / (frequency + norm[rows])
    return score


def grouped(match: Match, groups: Groups, steps: int, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The counts of a match as those of groups of its steps: how many steps of each group have the stem."""
    group, row = groups
    out = []
    for rows, _ in match.counts.values():
        here = np.zeros(steps, bool)
        here[rows] = True
        totals = np.bincount(group[here[row]], minlength=size)
        found = np.flatnonzero(totals)
        if len(found):
            out.append((found, totals[found]))
    return out


def step_signals(cue: str, view: View, match: Match, similarity: np.ndarray | None) -> dict[str, np.ndarray]:
    """Unweighted signals of every step of a view; similarity: [n] of the cue to each step, or None without an
    encoder.
    """
    n = len(view.position)
    actors = np.flatnonzero(np.bincount(view.actor)).tolist()
    named = _name_signal(cue, view)[view.episode] if n else np.zeros(0)
    people = [number for number in actors if view.actors.get(number, "").casefold() not in ROLES]
    lexical = zscore(bm25(_telling(match, view, named, people), view.length.astype(float)))
    dense = zscore(similarity) if similarity is not None else np.zeros(n)
    by_episode, best = _episode_signals(view, match)
    return {
        "lexical": lexical,
        "dense": dense,
        "neighbours": sum(_shifted(s, at) for s in (lexical, dense) for at in (view.prev, view.next)),
        "episode": by_episode,
        "best_episode": best,
        "name": named,
        "kind": _kind_signal(cue, view),
        "user": _said_by(view, actors, lambda actor: actor.casefold() in _USERS),
        "speaker": _said_by(view, people, _named_in(cue)),
        "state": state_signal(cue, view) * (named if named.any() else 1.0),
        "date": date_signal(cue, view),
        "end": (view.place == 1) * _deeds(view) * asks(cue, "end") * named,
        "ends": (1.4 * (view.place == 1) + 0.7 * (view.place == 0)) * _deeds(view),
        "late": view.place * (asks(cue, "last") or asks(cue, "end")) + 0.5 * (1 - view.place) * asks(cue, "first"),
        "length": -np.log(view.tokens + 6.0),
        "decay": log_decay(view.age, view.salience, view.uses),
        "pinned": view.pinned.astype(float),
    }


def _telling(match: Match, view: View, named: np.ndarray, people: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The counts of the stems that tell a step from others: not those that name the episode, or who speaks.

    Whoever says "Thanks, Ann!" is not Ann, and every step of a run that the cue names is of that run.
    """
    names = {stem for number in people if number for stem in stems(view.actors[number])}
    if named.any():
        names.update(view.episode_terms[int(view.episode[int(named.argmax())])])
    telling = [counts for term, counts in match.counts.items() if term not in names]
    return telling or list(match.counts.values())


def weigh(signals: Mapping[str, np.ndarray], weights: Weights) -> np.ndarray:
    """The weighted sum, [n]."""
    return np.asarray(sum(getattr(weights, name) * values for name, values in signals.items()), float)


def reasons(signals: Mapping[str, np.ndarray], weights: Weights, row: int) -> dict[str, float]:
    """What each signal added to the score of one row; zeros left out."""
    parts = {name: round(float(getattr(weights, name) * values[row]), 4) for name, values in signals.items()}
    return {name: value for name, value in parts.items() if value}


def _episode_signals(view: View, match: Match) -> tuple[np.ndarray, np.ndarray]:
    size = len(view.episodes)
    if size < 2:
        return np.zeros(len(view.position)), np.zeros(len(view.position))
    lengths = np.bincount(view.episode, weights=view.length, minlength=size)
    counts = grouped(match, (view.episode, np.arange(len(view.episode))), len(view.episode), size)
    score = (
        bm25(counts, lengths, k1=1.2, b=0.3)
        + 2 * _named(match.terms, view.episode_terms)
        + _named(match.terms, view.goal_terms)
    )
    best = (score == score.max()) & (score > 0)
    return zscore(score)[view.episode], best.astype(float)[view.episode]


def _named(terms: Sequence[str], names: Sequence[Sequence[str]]) -> np.ndarray:
    """BM25 of what the episodes are called, or are for, [episodes]."""
    counts = []
    known = set().union(*names)
    for term in filter(known.__contains__, terms):
        frequency = np.array([name.count(term) for name in names], float)
        rows = np.flatnonzero(frequency)
        if len(rows):
            counts.append((rows, frequency[rows]))
    return bm25(counts, np.array([len(name) for name in names], float))


def _name_signal(cue: str, view: View) -> np.ndarray:
    """0..1 per episode: how well the cue names it; all 0 when it names none in particular."""
    score = _named(tuple(dict.fromkeys(stems(cue))), view.episode_terms)
    top = score.max() if len(score) else 0.0
    return np.asarray(score / top) if top > 1.2 and len(score) > 1 else np.zeros(len(score))


def _deeds(view: View) -> np.ndarray:
    """Per step, the share of its episode that is no message: where a run ends tells more than where a talk does."""
    size = len(view.episodes)
    talk = np.bincount(view.episode, weights=view.kind == MESSAGE, minlength=size)
    share = 1 - talk / np.maximum(1, np.bincount(view.episode, minlength=size))
    return np.asarray(share[view.episode])


def _kind_signal(cue: str, view: View) -> np.ndarray:
    done = (view.kind == ACTION) * asks(cue, "done")
    seen = (view.kind == OBSERVATION) * asks(cue, "seen")
    return np.asarray(done + seen, float)


def _named_in(cue: str) -> Callable[[str], bool]:
    cue_words = set(words(cue))
    return lambda actor: bool(cue_words & set(words(actor)))


def _said_by(view: View, actors: Sequence[int], test: Callable[[str], bool]) -> np.ndarray:
    chosen = [name for name in actors if name and test(view.actors[name])]
    return np.isin(view.actor, chosen).astype(float)


def _shifted(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    out = np.zeros(len(values))
    known = at >= 0
    out[known] = values[at[known]]
    return out
