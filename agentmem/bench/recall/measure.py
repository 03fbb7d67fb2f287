"""Asking every system every question of a file, and scoring what comes back.

Knows histories, systems and metrics; not what is behind a system, nor how results are shown. Systems are built one
after the other, each history in an empty folder. Only a question's first budget is timed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from agentmem.bench.recall.histories import History, Question
from agentmem.bench.recall.metrics import Asked, Text, session_scores
from agentmem.bench.recall.reading import Dataset
from agentmem.bench.recall.system import Build, System
from agentmem.bench.recall.tally import Tally
from agentmem.types import CountTokens

Progress = Callable[[int], None]
"""Called with the number of questions asked since the last call."""


@dataclass
class Measured:
    """One file: its data, tokens of its steps, and a tally for each system."""

    data: Dataset
    tokens: int
    tallies: dict[str, Tally]


class Prepared:
    """A history with what is the same for every system: texts as they are searched, tokens, what is asked."""

    def __init__(self, number: int, history: History, questions: int, count: CountTokens) -> None:
        self.number, self.history, self.questions = number, history, history.asked(questions)
        self.ends = list(accumulate((count(step.text) for step in history.steps), initial=0))
        wanted = {place for question in self.questions for place in question.evidence}
        self.texts = {place: Text(history.steps[place].text) for place in wanted}
        self.corpus = list(dict.fromkeys(step.session for step in history.steps))

    def evidence(self, question: Question) -> list[int]:
        """Places of the labelled steps that say anything."""
        return [place for place in question.evidence if self.texts[place].words]

    def asked(self, question: Question) -> Asked:
        return Asked.of(question.answer, [self.texts[place] for place in self.evidence(question)])


def measure(
    data: Dataset,
    builds: Sequence[Build],
    budgets: Sequence[int],
    questions: int,
    count: CountTokens,
    progress: Progress = lambda asked: None,
) -> Measured:
    """questions: at most so many of each history, 0 for all."""
    prepared = [Prepared(number, history, questions, count) for number, history in enumerate(data.histories)]
    tallies: dict[str, Tally] = {}
    for build in builds:
        for one in prepared:
            with tempfile.TemporaryDirectory() as folder:
                _ask(one, build, Path(folder), budgets, count, tallies)
            progress(len(one.questions))
    return Measured(data, sum(one.ends[-1] for one in prepared), tallies)


def _ask(
    one: Prepared,
    build: Build,
    folder: Path,
    budgets: Sequence[int],
    count: CountTokens,
    tallies: dict[str, Tally],
) -> None:
    """Build from one history, ask all its questions, let go, and add up what it cost."""
    built = build(one.history, folder, count)
    for system in built.systems:
        _Asking(one, system, budgets, count, tallies.setdefault(system.name, Tally())).all()
    for name, parts in built.close().items():
        tallies[name].bytes.update(parts)
        for part, seconds in built.seconds.items():
            tallies[name].seconds[part] += seconds


class _Asking:
    """One system and one history."""

    def __init__(self, one: Prepared, system: System, budgets: Sequence[int], count: CountTokens, tally: Tally) -> None:
        self.one, self.system, self.budgets, self.count, self.tally = one, system, budgets, count, tally
        self.previous: dict[int, Text] = {}

    def all(self) -> None:
        for question in self.one.questions:
            asked = self.one.asked(question)
            for budget in self.budgets:
                self._at(question, asked, budget)
            self._bound(question, asked)
            self._sessions(question)

    def _at(self, question: Question, asked: Asked, budget: int) -> None:
        began = time.perf_counter()
        said = self.system.recall(question.text, budget, question.upto)
        if budget == self.budgets[0]:
            self.tally.milliseconds.append((time.perf_counter() - began) * 1e3)
        self.tally.overruns += self.count(said) > budget
        text = Text(said)
        self.tally.add(self.one.number, question.type, budget, asked.scores(text, self.previous.get(budget)))
        self.previous[budget] = text
        for place in self.one.evidence(question):
            if (step := self.one.texts[place]).counts:
                age = max(0, self.one.ends[question.upto] - self.one.ends[place + 1])
                self.tally.age(budget, age, text.holds(step))

    def _bound(self, question: Question, asked: Asked) -> None:
        """What any retrieval could reach: the evidence, and the answer, in what is kept of the evidence's steps."""
        kept = {place: Text(self.system.kept(place, question.upto)) for place in self.one.evidence(question)}
        held = [text.holds(step) for place, text in kept.items() if (step := self.one.texts[place]).counts]
        scores = {"bound_evidence": sum(held) / len(held)} if held else {}
        if asked.answer:
            scores["bound_exact"] = float(any(text.says(asked.answer) for text in kept.values()))
        self.tally.add(self.one.number, question.type, 0, scores)

    def _sessions(self, question: Question) -> None:
        targets = self.one.history.answer_sessions
        if targets is not None:
            steps = self.one.history.steps
            ranked = dict.fromkeys(steps[place].session for place in self.system.ranked(question.text, question.upto))
            scores = session_scores(list(ranked), self.one.corpus, targets)
            self.tally.add(self.one.number, question.type, 0, scores)
