"""The one fixed rule: what multiplies the surprisal of a piece, and how weight is shared within phrases and lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agentmem.salience.pieces import CODE, DATE, DIGIT, OUTCOME, QUOTE, SELF
from agentmem.salience.reading import ACTION, Bools, Floats, Ints, Reading, changes

TOLD = 6.0  # nats at least of a word that a deed or a place is told by, be it `n`


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
    """What multiplies surprisal: exp of the sum of the votes.

    For pieces: a digit, a name, a date, something quoted, a word like `error` (its line has the vote); in actions a
    digit and a value more. For lines: a word like `error`, first person, code, indentation, and `edge` shared with the
    distance from the nearer end of the step. `apart`: tokens added to a phrase, so that longer ones are worth their
    mark.

    Chosen on development logs of nine kinds (chat, tools, games, coding), half of each against the other half.
    """

    digit: float = 1.3
    named: float = 1.0
    date: float = 1.0
    quote: float = 0.5
    outcome_word: float = -0.8
    deed_digit: float = 0.5
    deed_valued: float = 0.5
    outcome: float = 0.5
    self: float = 0.2
    code: float = -0.4
    indent: float = -0.3
    edge: float = 0.6
    apart: float = 0.8
    kinds: tuple[Manner, Manner, Manner, Manner] = (
        Manner(vote=0.3, brevity=0.15, seen=0.4, again=1.1, shape=0.0, phrase=0.55, line=0.3),  # a person says
        Manner(vote=-0.2, brevity=0.1, seen=0.9, again=0.85, shape=0.0, phrase=0.9, line=0.25),  # the agent says
        Manner(vote=0.2, brevity=0.5, seen=0.0, again=0.0, shape=0.66, phrase=0.3, line=1.0),  # it acts
        Manner(vote=0.0, brevity=0.25, seen=0.0, again=0.2, shape=0.0, phrase=0.15, line=0.65),  # it observes
    )


VOTES = Votes()
Lift = tuple[int, int, int, float]  # source, start, end: characters of a text that tell more; and the vote for that


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


def lift(read: Reading, told: Sequence[Lift]) -> Floats:
    """Per piece the greatest vote of those told of it."""
    lifted = np.zeros(len(read.source))
    first = np.searchsorted(read.source, np.arange(len(read.kind) + 1))
    for source, start, end, vote in told:
        here = slice(first[source], first[source + 1])
        inside = (read.start[here] >= start) & (read.start[here] < end)
        lifted[here] = np.maximum(lifted[here], vote * inside)
    return lifted


def weigh(read: Reading, votes: Votes, seen: Ints, shaped: Ints, lifted: Floats) -> Scored:
    """Weights of a reading's pieces, given how often their words and line shapes were met before, and their lifts."""
    kind = read.kind[read.source]
    manner = {name: np.array([getattr(m, name) for m in votes.kinds]) for name in Manner._fields}
    vote = _of_pieces(read, votes, kind) + _of_lines(read, votes, manner["shape"], shaped)[read.line]
    step = manner["vote"][read.kind] - manner["brevity"][read.kind] * np.log(np.maximum(read.size, 4.0) / 30)
    vote = vote + step[read.source]
    vote = vote - manner["seen"][kind] * np.log1p(seen) - manner["again"][kind] * np.log1p(_again(read.word))
    vote = vote + lifted
    nats = np.where(lifted > 0, np.maximum(read.nats, TOLD), read.nats)
    weight = nats * np.exp(vote)
    weight = _share(weight, read.cost, read.phrase, manner["phrase"][kind], votes.apart)
    weight = _share(weight, read.cost, read.line, manner["line"][kind], 1.0)
    opens = changes(read.source)
    cost = read.cost + (changes(read.line) & ~opens)
    return Scored(read.source, read.start, read.end, weight, cost, opens, read.barred)


def _of_pieces(read: Reading, votes: Votes, kind: Ints) -> Floats:
    deed = kind == ACTION
    vote: Floats = (votes.digit + votes.deed_digit * deed) * read.has(DIGIT) + votes.deed_valued * (deed & read.valued)
    vote = vote + votes.named * read.named + votes.date * read.has(DATE) + votes.quote * read.has(QUOTE)
    return vote + votes.outcome_word * read.has(OUTCOME)


def _of_lines(read: Reading, votes: Votes, shape: Floats, shaped: Ints) -> Floats:
    if not len(read.head):
        return np.zeros(0)
    any_of = np.bitwise_or.reduceat(read.flags, read.head)
    last = read.flags[np.append(read.head[1:], len(read.line)) - 1]
    vote: Floats = votes.outcome * ((any_of & OUTCOME) > 0) + votes.self * ((any_of & SELF) > 0)
    vote = vote + votes.code * ((last & CODE) > 0) + votes.indent * (read.indent >= 4) + votes.edge / (1 + read.edge)
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
