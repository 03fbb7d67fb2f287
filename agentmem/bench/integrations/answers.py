"""A peer's answers to the questions of one history, as a system that `bench.recall` scores. Knows no package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agentmem.bench.peers.peer import Answer, Item, Said
from agentmem.bench.recall.floors import Newest
from agentmem.bench.recall.histories import History, Step
from agentmem.types import CountTokens


def line_of(step: Step) -> str:
    """The text that a peer is given, and that its contexts show.

    No time stands in it: one in front of each text would take room in a budget, and part of its vector.
    """
    return f"{step.actor or step.kind}: {step.text}"


def items_of(history: History) -> list[Item]:
    """Each step as a text, and in parts for who keeps these apart."""
    return [Item(f"i{place:06d}", line_of(step), _said(history, step)) for place, step in enumerate(history.steps)]


def _said(history: History, step: Step) -> Said:
    session = "/".join(filter(None, (history.id, step.session)))
    return Said(step.text, step.kind, step.actor, step.time, session)


class Told:
    """Answers that are read as they stand."""

    def __init__(self, name: str, history: History, answers: Mapping[str, str]) -> None:
        self.name, self.history, self.answers = name, history, answers

    def recall(self, cue: str, budget: int, upto: int) -> str:
        """Whatever it was told; one over the budget is counted as such by whoever scores."""
        return self.answers[cue]

    def ranked(self, cue: str, upto: int) -> list[int]:
        return []

    def kept(self, place: int, upto: int) -> str:
        return self.history.steps[place].text


class Ranked(Newest):
    """Texts in the order the peer found them, packed whole while they fit, and then put into the log's order."""

    def __init__(
        self, name: str, steps: Sequence[Step], count: CountTokens, answers: Mapping[str, Sequence[str]]
    ) -> None:
        super().__init__(steps, count)
        self.name, self.answers, self.lines = name, answers, [line_of(step) for step in steps]
        self._places = {line: place for place, line in reversed(list(enumerate(self.lines)))}

    def order(self, cue: str, upto: int) -> Iterable[int]:
        """KeyError for a text that nobody gave the peer."""
        return dict.fromkeys(self._places[text] for text in self.answers[cue])


def system_of(name: str, history: History, count: CountTokens, answers: Mapping[str, Answer]) -> Told | Ranked:
    told = {cue: answer for cue, answer in answers.items() if isinstance(answer, str)}
    if told:
        return Told(name, history, told)
    found = {cue: answer for cue, answer in answers.items() if not isinstance(answer, str)}
    return Ranked(name, history.steps, count, found)
