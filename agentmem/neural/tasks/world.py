"""A small world of people, places and things: what happens in it, told in sentences, and what may be asked after.

Knows names, events and what follows from them. Knows nothing of tokens. Names are rare ones, so that a book's people
are not taken for them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import torch

PEOPLE = ("Ansa", "Bero", "Cilka", "Dovan", "Elke", "Faro", "Gisla", "Hobart")
PLACES = ("orchard", "attic", "harbour", "cellar", "bakery", "library", "stable", "garden")
THINGS = ("lantern", "compass", "kettle", "violin", "ledger", "telescope")
MOVES = ("{0} walked to the", "{0} is now in the", "{0} hurried to the")
TAKES = ("The {0} was taken by", "The {0} passed to", "The {0} is now carried by")
PERSON, THING, BEFORE = KINDS = ("person", "thing", "before")


@dataclass(frozen=True)
class Event:
    """A sentence: opening, the word that tells, and a full stop. about: a person who moved, or a thing that was taken.

    word: the place moved to, or the person who took it.
    """

    about: str
    word: str
    opening: str


@dataclass(frozen=True)
class Query:
    """text: a question. answer: one word. evidence: numbers of the events it follows from, all of them needed.

    stale: numbers of the events that once told the same.
    """

    text: str
    answer: str
    evidence: tuple[int, ...]
    stale: tuple[int, ...]


@dataclass
class World:
    """What has happened so far. moves, takes: for each person and each thing, numbers of its events."""

    events: list[Event] = field(default_factory=list)
    moves: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    takes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def happen(self, event: Event) -> None:
        (self.moves if event.about in PEOPLE else self.takes)[event.about].append(len(self.events))
        self.events.append(event)

    def told(self, events: list[int]) -> str:
        """What the last of these events says."""
        return self.events[events[-1]].word

    def queries(self, kinds: tuple[str, ...]) -> list[Query]:
        """All that may be asked of these kinds, with what it follows from."""
        asked = {PERSON: self._of_people, THING: self._of_things, BEFORE: self._of_holders}
        return [query for kind in kinds for query in asked[kind]()]

    def _of_people(self) -> list[Query]:
        """Where a person is: the last move."""
        return [
            Query(f"Where is {person}?", self.told(moves), (moves[-1],), tuple(moves[:-1]))
            for person, moves in self.moves.items()
        ]

    def _of_things(self) -> list[Query]:
        """Where a thing is: who took it last, and the last move of that person."""
        found = []
        for thing, takes in self.takes.items():
            moves = self.moves[self.told(takes)]
            stale = (*takes[:-1], *moves[:-1])
            found.append(Query(f"Where is the {thing}?", self.told(moves), (takes[-1], moves[-1]), stale))
        return found

    def _of_holders(self) -> list[Query]:
        """Who had a thing before the one who has it: the last time it was taken, and the time before."""
        return [
            Query(f"Who had the {thing} before {self.told(takes)}?", self.told(takes[:-1]), (takes[-1], takes[-2]),
                  tuple(takes[:-2]))
            for thing, takes in self.takes.items()
            if len(takes) > 1
        ]  # fmt: skip


def world(events: int, people: int, things: int, generator: torch.Generator) -> World:
    """What happens in so many events: first each person goes somewhere and each thing is taken twice, then anything.

    A thing is never taken by the one who has it, and nobody goes to where they are.
    """
    told = World()
    cast, kept = _some(PEOPLE, people, generator), _some(THINGS, things, generator)
    for person in cast:
        told.happen(_move(told, person, generator))
    for thing in [*kept, *_some(kept, things, generator)]:
        told.happen(_take(told, thing, cast, generator))
    for _ in range(events - len(told.events)):
        actor = _some((*cast, *kept), 1, generator)[0]
        told.happen(_move(told, actor, generator) if actor in cast else _take(told, actor, cast, generator))
    return told


def everything_said() -> list[str]:
    """Texts with every word that sentences, questions and answers are made of."""
    sentences = [form.format(name) + " ." for form in MOVES for name in PEOPLE]
    sentences += [form.format(name) + " ." for form in TAKES for name in THINGS]
    return [*sentences, *PLACES, "Where is the ? Who had before"]


def _move(told: World, person: str, generator: torch.Generator) -> Event:
    here = told.told(told.moves[person]) if told.moves[person] else None
    place = _some(tuple(each for each in PLACES if each != here), 1, generator)[0]
    return Event(person, place, _some(MOVES, 1, generator)[0].format(person))


def _take(told: World, thing: str, cast: list[str], generator: torch.Generator) -> Event:
    holder = told.told(told.takes[thing]) if told.takes[thing] else None
    taker = _some([each for each in cast if each != holder], 1, generator)[0]
    return Event(thing, taker, _some(TAKES, 1, generator)[0].format(thing))


def _some(names: tuple[str, ...] | list[str], number: int, generator: torch.Generator) -> list[str]:
    return [names[i] for i in torch.randperm(len(names), generator=generator)[:number].tolist()]
