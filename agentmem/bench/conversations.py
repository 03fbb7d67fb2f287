"""The main job on public data: log five people's conversations, crystallize them, recall for 155 labelled questions.

Each person has a namespace of one memory. The score is the share of questions whose evidence step stands in the text
that was recalled, beside two floors at the same budget and the same token counter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from agentmem.bench.bfcl import load
from agentmem.bench.evidence import BM25, History, Newest, Question, holds
from agentmem.bench.totals import add_stats
from agentmem.errors import NotFoundError
from agentmem.memory import Memory
from agentmem.tokens import count
from agentmem.types import Frozen, PlanningContext, Stats

Progress = Callable[[int, int], None]
SHOWN = "memory_4-customer-4"
"""The question that is shown whole, unless another is asked for."""


class Sample(Frozen):
    """One question with what was recalled for it."""

    person: str
    id: str
    question: str
    answers: tuple[str, ...]
    evidence: str
    recalled: bool
    context: PlanningContext


class DemoReport(Frozen):
    """evidence: system -> share of questions whose evidence was recalled; by_person: the same per person.

    stats: of all five namespaces together. seconds: of logging, crystallizing and recalling.
    """

    stats: Stats
    questions: int
    budget: int
    evidence: dict[str, float]
    by_person: dict[str, dict[str, float]]
    seconds: dict[str, float]
    sample: Sample


def run(path: str | Path, budget: int = 512, shown: str = SHOWN, progress: Progress | None = None) -> DemoReport:
    """Do the main job in a new memory at a path. shown: id of the question to show whole.

    Bytes are counted after closing. Raises MissingExtraError without the data, NotFoundError for an unknown question.
    """
    histories = load()
    history, question = _find(histories, shown)
    seconds: dict[str, float] = {}
    with Memory.open(path) as memory:
        _log_all(memory, histories, seconds)
        began = time.perf_counter()
        contexts = recall_all(memory, histories, budget, progress)
        seconds["recall"] = time.perf_counter() - began
    systems: dict[str, Callable[[History], list[str]]] = {
        "agentmem": lambda history: [contexts[question.id].text for question in history.questions],
        "BM25": _floor(BM25, budget),
        "newest steps": _floor(Newest, budget),
    }
    by_person = {name: {h.person: score(h, recalled(h)) for h in histories} for name, recalled in systems.items()}
    with Memory.open(path, read_only=True) as memory:
        stats = add_stats([memory.scoped(history.person).stats() for history in histories])
    return DemoReport(
        stats=stats,
        questions=len(contexts),
        budget=budget,
        evidence={name: _mean(histories, shares) for name, shares in by_person.items()},
        by_person=by_person,
        seconds=seconds,
        sample=_sample(history, question, contexts[shown]),
    )


def _log_all(memory: Memory, histories: Sequence[History], seconds: dict[str, float]) -> None:
    """Log and crystallize; how long each took goes into `seconds`."""
    views = [memory.scoped(history.person) for history in histories]
    began = time.perf_counter()
    for view, history in zip(views, histories, strict=True):
        log(view, history)
    logged = time.perf_counter()
    for view in views:
        view.crystallize()
    seconds |= {"log": logged - began, "crystallize": time.perf_counter() - logged}


def log(memory: Memory, history: History) -> None:
    """Each conversation is an episode, its topic the goal. Crystallizing is left for later, to be timed apart."""
    for episode_id, turns in groupby(history.turns, key=lambda turn: turn.episode):
        said = list(turns)
        episode = memory.episode(goal=said[0].goal, id=episode_id)
        episode.log_many([{"kind": "message", "actor": "user", "text": turn.text} for turn in said])
        episode.end()


def recall_all(
    memory: Memory, histories: Sequence[History], budget: int, progress: Progress | None = None
) -> dict[str, PlanningContext]:
    """question id -> planning context"""
    asked = [(history, question) for history in histories for question in history.questions]
    contexts = {}
    for done, (history, question) in enumerate(asked, 1):
        contexts[question.id] = memory.scoped(history.person).recall(question.text, budget=budget)
        if progress:
            progress(done, len(asked))
    return contexts


def score(history: History, texts: Sequence[str]) -> float:
    """Share of the questions whose evidence stands in the text recalled for them."""
    said = {turn.id: turn.text for turn in history.turns}
    found = [holds(text, said[q.evidence]) for text, q in zip(texts, history.questions, strict=True)]
    return sum(found) / max(1, len(found))


def _floor(kind: type[Newest], budget: int) -> Callable[[History], list[str]]:
    def recalled(history: History) -> list[str]:
        floor = kind(history.turns, count)
        return [floor.recall(question.text, budget) for question in history.questions]

    return recalled


def _mean(histories: Sequence[History], shares: dict[str, float]) -> float:
    """Over all questions, not over people."""
    n_found = sum(shares[history.person] * len(history.questions) for history in histories)
    return n_found / sum(len(history.questions) for history in histories)


def _find(histories: Sequence[History], shown: str) -> tuple[History, Question]:
    for history in histories:
        for question in history.questions:
            if question.id == shown:
                return history, question
    raise NotFoundError(f"there is no question {shown!r}; one is {SHOWN!r}")


def _sample(history: History, question: Question, context: PlanningContext) -> Sample:
    evidence = next(turn.text for turn in history.turns if turn.id == question.evidence)
    return Sample(
        person=history.person,
        id=question.id,
        question=question.text,
        answers=tuple(question.answers),
        evidence=evidence,
        recalled=holds(context.text, evidence),
        context=context,
    )
