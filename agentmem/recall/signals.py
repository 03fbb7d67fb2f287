"""How well each step, or crystal, matches a cue: one array per signal, summed with weights.

Knows arrays and stems; no text and no store. Every signal is a z-score or a bounded prior, so that a sum makes sense
(z-score sums beat reciprocal ranks here); a weight of 0 switches a signal off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentmem.index import View
from agentmem.recall.asked import asks, quotations
from agentmem.recall.standing import Called, called, nothing, says_nothing, standing
from agentmem.recall.stated import date_signal, state_signal
from agentmem.types import KINDS
from agentmem.words import content_stems, stems, words

ACTION, OBSERVATION = KINDS.index("action"), KINDS.index("observation")
SAMPLED = 16  # one of so many is looked at to guess where the best begin


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal counts for; 0 switches it off. Chosen by hand on development data, and held against the fits
    of `agentmem bench fit`.

    lexical: BM25. dense: similarity of vectors. neighbours: share of the two neighbours' lexical and dense scores.
    episode: BM25 of the step's whole episode. best_episode: bonus inside the best one. name: the cue names the episode,
    its goal or agent. kind: the cue asks for what was done, or seen. user: what users say. speaker: the cue names who
    said it. quoted: it has all words of a text that the cue has in double quotes. state: what it asks for came to hold
    there, see agentmem.recall.stated. date: it names the day, or the month. end: the last step of an episode that it
    names, when it asks how that ended. ends: the first or last step of an episode of deeds. late: the end of episodes,
    when the cue asks for the last. length: per ln(tokens), so that a step must be worth its tokens. decay: per ln D,
    see agentmem.decay. pinned: a bonus.
    """

    lexical: float = 1.0
    dense: float = 1.0
    neighbours: float = 0.15
    episode: float = 0.5
    best_episode: float = 0.8
    name: float = 6.0
    kind: float = 1.5
    user: float = 1.0
    speaker: float = 2.0
    quoted: float = 10.0
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
    if not len(values):
        return np.zeros(0)
    apart = values - values.mean()
    spread = math.sqrt(np.add.reduce(apart * apart) / len(values))
    if not spread > 1e-9:
        return np.zeros(len(values))
    apart /= spread
    return np.asarray(apart)


def bm25(
    counts: Sequence[tuple[np.ndarray, np.ndarray]], lengths: np.ndarray, k1: float = 0.9, b: float = 0.75
) -> np.ndarray:
    """Okapi BM25 (Robertson et al. 1994) of documents with these lengths [n]; counts: one (rows, frequencies) per
    term.
    """
    n = len(lengths)
    score = np.zeros(n)
    usual = max(1.0, lengths.mean() if n else 1.0)
    for rows, frequency in counts:
        norm = k1 * (1 - b + b * lengths[rows] / usual)
        score[rows] += _idf(n, len(rows)) * frequency * (k1 + 1) / (frequency + norm)
    return score


def _idf(n: int, having: int) -> float:
    return math.log(1 + (n - having + 0.5) / (having + 0.5))


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
    n, usual = len(view.position), standing(view)
    by_name = _name_signal(cue, view)
    named = by_name[view.episode] if by_name.any() else nothing(n)
    lexical = zscore(bm25(_telling(match, view, by_name), usual.lengths))
    dense = zscore(similarity) if similarity is not None else nothing(n)
    by_episode, best = _episode_signals(view, match)
    return {
        "lexical": lexical,
        "dense": dense,
        "neighbours": _neighbours((lexical, dense), view),
        "episode": by_episode,
        "best_episode": best,
        "name": named,
        "kind": _kind_signal(cue, view),
        "user": usual.user,
        "speaker": _speaker_signal(cue, view),
        "quoted": _quoted_signal(cue, view, match),
        "state": _both(state_signal(cue, view), named),
        "date": date_signal(cue, view),
        "end": _end_signal(cue, view, named),
        "ends": usual.ends,
        "late": _late_signal(cue, view),
        "length": usual.length,
        "decay": usual.decay,
        "pinned": usual.pinned,
    }


def _telling(match: Match, view: View, by_name: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The counts of the stems that tell a step from others: not those that name the episode, or who speaks.

    Whoever says "Thanks, Ann!" is not Ann, and every step of a run that the cue names is of that run.
    """
    names = set(standing(view).stems)
    if by_name.any():
        best = np.flatnonzero(by_name == by_name.max())
        names.update(view.episode_terms[int(best[standing(view).first[best].argmin()])])
    telling = [counts for term, counts in match.counts.items() if term not in names]
    return telling or list(match.counts.values())


def weigh(signals: Mapping[str, np.ndarray], weights: Weights) -> np.ndarray:
    """The weighted sum, [n]."""
    total = np.zeros(max(map(len, signals.values()), default=0))
    part = np.empty(len(total))
    for name, values in signals.items():
        if not says_nothing(values):
            weight = getattr(weights, name)
            total += values if weight == 1 else np.multiply(values, weight, out=part)
    return total


def largest(values: np.ndarray, size: int) -> float:
    """The size-th largest of more values than that, found among those above what a sample of them suggests."""
    sample = values[::SAMPLED]
    likely = 2 * size // SAMPLED
    if likely < len(sample):
        above = values[values >= np.partition(sample, -likely)[-likely]]
        values = above if len(above) >= size else values
    return float(np.partition(values, -size)[-size])


def reasons(signals: Mapping[str, np.ndarray], weights: Weights, row: int) -> dict[str, float]:
    """What each signal added to the score of one row; zeros left out."""
    parts = {name: round(getattr(weights, name) * float(values.item(row)), 4) for name, values in signals.items()}
    return {name: value for name, value in parts.items() if value}


def _episode_signals(view: View, match: Match) -> tuple[np.ndarray, np.ndarray]:
    size = len(view.episodes)
    if size < 2:
        return nothing(len(view.position)), nothing(len(view.position))
    counts = []
    for rows, _ in match.counts.values():
        totals = np.bincount(view.episode[rows], minlength=size)
        found = np.flatnonzero(totals)
        counts.append((found, totals[found]))
    score = (
        bm25(counts, standing(view).episode_lengths, k1=1.2, b=0.3)
        + 2 * _named(match.terms, _episode_names(view))
        + _named(match.terms, view.once("goals", lambda view: called(view.goal_terms), of_episodes=True))
    )
    best = (score == score.max()) & (score > 0)
    return zscore(score)[view.episode], best.astype(float)[view.episode]


def _episode_names(view: View) -> Called:
    return view.once("names", lambda view: called(view.episode_terms), of_episodes=True)


def _named(terms: Sequence[str], names: Called) -> np.ndarray:
    """BM25 of what the episodes are called, or are for, [episodes]."""
    return bm25([names.rows[term] for term in terms if term in names.rows], names.lengths)


def _name_signal(cue: str, view: View) -> np.ndarray:
    """0..1 per episode: how well the cue names it; all 0 when it names none in particular."""
    score = _named(tuple(dict.fromkeys(stems(cue))), _episode_names(view))
    top = score.max() if len(score) else 0.0
    return np.asarray(score / top) if top > 1.2 and len(score) > 1 else np.zeros(len(score))


def _neighbours(signals: Sequence[np.ndarray], view: View) -> np.ndarray:
    """The sum of what signals say of the two neighbours of each step."""
    total = np.zeros(len(view.position))
    for signal in signals:
        if not says_nothing(signal):
            padded = np.append(signal, 0.0)
            for neighbour in (view.prev, view.next):
                total += padded.take(neighbour, mode="wrap")  # -1, for no neighbour, is the last
    return total


def _kind_signal(cue: str, view: View) -> np.ndarray:
    wanted = [kind for kind, what in ((ACTION, "done"), (OBSERVATION, "seen")) if asks(cue, what)]
    return np.isin(view.kind, wanted).astype(float) if wanted else nothing(len(view.kind))


def _speaker_signal(cue: str, view: View) -> np.ndarray:
    cue_words = set(words(cue))
    chosen = [number for number, name in standing(view).people if name & cue_words]
    return np.isin(view.actor, chosen).astype(float) if chosen else nothing(len(view.actor))


def _quoted_signal(cue: str, view: View, match: Match) -> np.ndarray:
    """Per step, 0..1: how rare the rarest text in quotes is whose words it has all; 1 where no other step has them."""
    n = len(view.position)
    signal, known = nothing(n), np.zeros(n, bool)
    for terms in map(content_stems, quotations(cue)):
        having = _having(terms, match, known)
        if len(having):
            signal = np.zeros(n) if says_nothing(signal) else signal
            signal[having] = np.maximum(signal[having], _idf(n, len(having)) / _idf(n, 1))
    return signal


def _having(terms: Sequence[str], match: Match, known: np.ndarray) -> np.ndarray:
    """The rows of steps that have all these stems. known: [n] of False, before and after."""
    if not terms or not all(term in match.counts for term in terms):
        return np.zeros(0, np.int64)
    having, *others = sorted((match.counts[term][0] for term in terms), key=len)
    for rows in others if len(having) else ():
        known[rows] = True
        having = having[known[having]]
        known[rows] = False
    return having


def _both(signal: np.ndarray, named: np.ndarray) -> np.ndarray:
    """A signal within what the cue names, if it names anything."""
    return signal if says_nothing(signal) or says_nothing(named) else signal * named


def _end_signal(cue: str, view: View, named: np.ndarray) -> np.ndarray:
    if says_nothing(named) or not asks(cue, "end"):
        return nothing(len(named))
    return np.asarray((view.place == 1) * standing(view).share * named)


def _late_signal(cue: str, view: View) -> np.ndarray:
    late = view.place if asks(cue, "last") or asks(cue, "end") else nothing(len(view.place))
    return late + 0.5 * (1 - view.place) if asks(cue, "first") else late
