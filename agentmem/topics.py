"""Which units are about the same thing: an online grouping by rare words they share.

Knows signatures (a unit's most telling stems) and a bounded number of waiting units; knows no crystals and no text
beyond that. The same signatures in the same order give the same topics.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agentmem.types import Record
from agentmem.words import STOPWORDS, stems, words

FULL = 5  # units to a cluster
WAITING = 20  # units that may wait for their cluster
MEMORY = 128  # signatures from which the rarity of a stem is judged
TERMS = 16  # stems of a signature
READ = 100_000  # characters of a step that its signature is made from
ALIKE = 3.0  # nats of shared rarity from which a unit joins a topic


@dataclass
class Topic:
    """Units that wait for their cluster, oldest first, and the stems they have in common."""

    units: list[str] = field(default_factory=list)
    terms: Counter[str] = field(default_factory=Counter)

    @property
    def label(self) -> str:
        """The three stems most of its units share."""
        return ", ".join(term for term, _ in sorted(self.terms.items(), key=lambda item: (-item[1], item[0]))[:3])


class Topics:
    """The topics that wait for more units, longest waiting first."""

    def __init__(self) -> None:
        self._topics: list[Topic] = []
        self._recent: list[list[str]] = []
        self._seen: Counter[str] = Counter()
        """In how many of the recent signatures a stem is."""

    def add(self, unit: str, terms: Sequence[str]) -> list[Topic]:
        """Put a unit into its topic; returns the topics that are complete by that."""
        topic = self._best(terms) or self._new()
        topic.units.append(unit)
        topic.terms.update(terms)
        self._learn(terms)
        done = [topic] if len(topic.units) >= FULL else self._overfull()
        self._topics = [topic for topic in self._topics if not any(topic is other for other in done)]
        return done

    def _new(self) -> Topic:
        self._topics.append(Topic())
        return self._topics[-1]

    def _best(self, terms: Sequence[str]) -> Topic | None:
        rarity = self._rarity(terms)
        scored = [(sum(rarity[t] for t in terms if t in topic.terms), -i) for i, topic in enumerate(self._topics)]
        score, place = max(scored, default=(0.0, 0))
        return self._topics[-place] if score >= ALIKE else None

    def _rarity(self, terms: Sequence[str]) -> dict[str, float]:
        return {term: math.log((len(self._recent) + 1) / (self._seen[term] + 0.5)) for term in terms}

    def _learn(self, terms: Sequence[str]) -> None:
        self._recent.append(list(terms))
        self._seen.update(terms)
        if len(self._recent) > MEMORY:
            self._seen -= Counter(self._recent.pop(0))

    def _overfull(self) -> list[Topic]:
        """When too many units wait, the topic that waits longest takes in its nearest ones until it is full."""
        if sum(len(topic.units) for topic in self._topics) <= WAITING:
            return []
        oldest = self._topics[0]
        while len(oldest.units) < FULL and len(self._topics) > 1:
            nearest = max(self._topics[1:], key=lambda topic: len(topic.terms.keys() & oldest.terms.keys()))
            take = nearest.units[: FULL - len(oldest.units)]
            oldest.units += take
            nearest.units = nearest.units[len(take) :]
            if not nearest.units:
                oldest.terms += nearest.terms
                self._topics.remove(nearest)
        return [oldest]

    def to_state(self) -> Any:
        """JSON-able; `from_state` gives it back."""
        return [[[topic.units, dict(topic.terms)] for topic in self._topics], list(self._recent)]

    @classmethod
    def from_state(cls, state: Any) -> Topics:
        topics = cls()
        topics._topics = [Topic(list(units), Counter(terms)) for units, terms in state[0]]
        for terms in state[1]:
            topics._learn(terms)
        return topics


def signature(steps: Sequence[Record]) -> list[str]:
    """The stems that tell most about a segment: frequent in it and long enough to mean something, at most TERMS."""
    found: Counter[str] = Counter()
    for step in steps:
        kept = [word for word in words(step.text[:READ]) if len(word) > 2 and word not in STOPWORDS]
        found.update(stems(" ".join(kept)))
    ranked = sorted(found.items(), key=lambda item: (-item[1] * math.log(len(item[0])), item[0]))
    return [term for term, _ in ranked[:TERMS]]
