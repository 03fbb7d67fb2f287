"""The tasks beside recall, by name and in any size: so many tokens with so many facts among them.

Knows how many things of a task are so many facts. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from agentmem.errors import InvalidInputError
from agentmem.neural.tasks.chains import Chains
from agentmem.neural.tasks.copying import Copying
from agentmem.neural.tasks.counting import Counting
from agentmem.neural.tasks.prose import Prose, Words
from agentmem.neural.tasks.stories import Stories
from agentmem.neural.tasks.task import Task
from agentmem.neural.tasks.world import everything_said

Sized = Callable[[int, int], Task[Any]]
"""A task of a horizon with a number of facts."""
STORIES = "stories"
WORDS = 2_000  # that stories and the books around them are told in
LEAST = 1_000  # words and marks of the books: a stream of training has no more, and none of them twice
SENTENCES = (10, 40)  # of a story, at least and at most


def _chains(horizon: int, facts: int) -> Chains:
    return Chains(horizon, max(1, facts // 2), hops=2)


def _counting(horizon: int, facts: int) -> Counting:
    return Counting(horizon, max(1, facts // 8), most=8)


def _copying(horizon: int, facts: int) -> Copying:
    return Copying(horizon)


SYMBOLIC: dict[str, Sized] = {"chains": _chains, "counting": _counting, "copying": _copying}
NAMES = (*SYMBOLIC, STORIES)


@dataclass(frozen=True)
class NamedTask:
    """sized: makes it. words: that its tokens are, where they are words; token 0 is any other."""

    name: str
    sized: Sized
    words: tuple[str, ...] = ()

    @property
    def vocabulary(self) -> int:
        return self.sized(1_000, SENTENCES[0]).vocabulary


def named(name: str, texts: Sequence[str] = (), words: Sequence[str] = ()) -> NamedTask:
    """A task by name. texts: of books, between whose sentences stories are told. words: of a model that knows them
    already, found in texts by default.

    Raises InvalidInputError for an unknown name, stories without texts or in fewer than LEAST words, and texts with
    another task.
    """
    if name not in NAMES:
        close = get_close_matches(str(name), NAMES, 1)
        meant = f"did you mean {close[0]!r}? There are" if close else "give one of"
        raise InvalidInputError(f"{name!r} is no task; {meant} {', '.join(NAMES)}")
    if (name == STORIES) != bool(texts):
        raise InvalidInputError(
            f"{STORIES} are told between the sentences of books: give text files, or folders of them"
            if name == STORIES
            else f"{name} has no use for text; give no text files"
        )
    return _stories(texts, words) if name == STORIES else NamedTask(name, SYMBOLIC[name])


def _stories(texts: Sequence[str], known: Sequence[str]) -> NamedTask:
    words = Words(known) if known else Words.of(texts, WORDS, everything_said())
    prose, (least, most) = Prose.of(texts, words), SENTENCES
    if (length := len(prose.tokens)) < LEAST:
        raise InvalidInputError(
            f"{STORIES} are told between {LEAST:,} words and marks of books at least, and these have {length}: give "
            "longer text files, or more of them"
        )

    def sized(horizon: int, facts: int) -> Stories:
        return Stories(horizon, prose, words, words.vocabulary, events=max(least, min(most, facts)))

    return NamedTask(STORIES, sized, tuple(words.words[1:]))
