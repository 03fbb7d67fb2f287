"""The one fixed rule: what multiplies the surprisal of a piece, and how weight is shared within phrases and lines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agentmem.salience.pieces import ASKS, CAPS, CODE, DATE, DIGIT, OUTCOME, PATH, QUOTE, SELF
from agentmem.salience.reading import ACTION, Bools, Floats, Ints, Reading, changes

LEAST = 2.0  # nats of any word that is not a function word


class Manner(NamedTuple):
    """How the pieces of one kind of step compete.

    vote: of the kind. brevity: weight falls with the step's tokens to this power. seen, again, shape: with the number
    of earlier steps that held the word, of times it was met in this segment, of earlier lines alike but for digits.
    phrase, line: the share of a piece's weight that its phrase, then its line, has in common.
    """

    vote: float
    brevity: float
    seen: float
    again: float
    shape: float
    phrase: float
    line: float


class Votes(NamedTuple):
    """What multiplies surprisal: exp of the sum. Chosen on development logs of seven kinds; see `docs/crystals.md`."""

    digit: float = 1.3
    named: float = 1.0
    caps: float = 0.0
    path: float = 0.0
    date: float = 1.0
    quote: float = 0.5
    valued: float = 0.0
    deed_digit: float = 0.5
    deed_valued: float = 0.5
    outcome_word: float = -0.8
    outcome: float = 0.5
    self: float = 0.2
    asks: float = 0.0
    code: float = -0.5
    indent: float = -0.5
    edge: float = 0.6
    cap: float = 12.5
    excess: float = -1.0
    apart: float = 0.8
    kinds: tuple[Manner, Manner, Manner, Manner] = (
        Manner(0.5, 0.1, 0.4, 1.1, 0.0, 0.55, 0.3),
        Manner(-0.1, 0.05, 0.9, 0.85, 0.0, 1.0, 0.25),
        Manner(0.2, 0.4, 0.0, 0.0, 0.66, 0.5, 1.0),
        Manner(0.0, 0.1, 0.0, 0.25, 0.0, 0.15, 0.65),
    )


VOTES = Votes()


class Scored(NamedTuple):
    """The pieces of a segment in order, arrays of one length.

    source: index into the sources; start, end: characters of its text; weight: salience; cost: tokens; opens: is the
    first piece of its source; barred: may not be kept.
    """

    source: Ints
    start: Ints
    end: Ints
    weight: Floats
    cost: Floats
    opens: Bools
    barred: Bools


def weigh(read: Reading, votes: Votes, seen: Ints, shaped: Ints) -> Scored:
    """Weights of a reading's pieces, given how often their words and line shapes were met before."""
    kind = read.kind[read.source]
    manner = {name: np.array([getattr(m, name) for m in votes.kinds]) for name in Manner._fields}
    nats = np.where(read.nats > votes.cap, votes.cap + votes.excess * (read.nats - votes.cap), read.nats)
    nats = np.where(read.nats > 0, np.maximum(nats, LEAST), 0.0)
    vote = _of_pieces(read, votes, kind) + _of_lines(read, votes, manner["shape"], shaped)[read.line]
    step = manner["vote"][read.kind] - manner["brevity"][read.kind] * np.log(np.maximum(read.size, 4.0) / 30)
    vote = vote + step[read.source]
    vote = vote - manner["seen"][kind] * np.log1p(seen) - manner["again"][kind] * np.log1p(_again(read.word))
    weight = nats * np.exp(vote)
    weight = _share(weight, read.cost, read.phrase, manner["phrase"][kind], votes.apart)
    weight = _share(weight, read.cost, read.line, manner["line"][kind], 1.0)
    opens = changes(read.source)
    cost = read.cost + (changes(read.line) & ~opens)
    return Scored(read.source, read.start, read.end, weight, cost, opens, read.barred)


def _of_pieces(read: Reading, votes: Votes, kind: Ints) -> Floats:
    digit, deed = (read.flags & DIGIT) > 0, kind == ACTION
    vote: Floats = (votes.digit + votes.deed_digit * deed) * digit
    vote = vote + (votes.valued + votes.deed_valued * deed) * read.valued
    vote = vote + votes.named * read.named
    for flag, value in (
        (CAPS, votes.caps),
        (PATH, votes.path),
        (DATE, votes.date),
        (QUOTE, votes.quote),
        (OUTCOME, votes.outcome_word),
    ):
        if value:
            vote = vote + value * ((read.flags & flag) > 0)
    return vote


def _of_lines(read: Reading, votes: Votes, shape: Floats, shaped: Ints) -> Floats:
    if not len(read.head):
        return np.zeros(0)
    any_of = np.bitwise_or.reduceat(read.flags, read.head)
    last = read.flags[np.append(read.head[1:], len(read.line)) - 1]
    vote: Floats = votes.outcome * ((any_of & OUTCOME) > 0) + votes.self * ((any_of & SELF) > 0)
    vote = vote + votes.asks * ((last & ASKS) > 0) + votes.code * ((last & CODE) > 0)
    vote = vote + votes.indent * (read.indent >= 4) + votes.edge / (1 + read.edge)
    return vote - shape[read.kind[read.source[read.head]]] * np.log1p(shaped)


def _again(word: Ints) -> Ints:
    """How often each word was met before in the segment."""
    order = np.argsort(word, kind="stable")
    heads = np.flatnonzero(changes(word[order]))
    again = np.empty(len(word), np.int64)
    again[order] = np.arange(len(word)) - np.repeat(heads, np.diff(np.append(heads, len(word))))
    return again


def _share(weight: Floats, cost: Floats, group: Ints, share: Floats, extra: float) -> Floats:
    """Give a share of each weight to the group's common density: its weight per token, `extra` tokens added."""
    if not len(group):
        return weight
    common = np.bincount(group, weights=weight) / (np.bincount(group, weights=cost) + extra)
    return (1 - share) * weight + share * cost * common[group]
