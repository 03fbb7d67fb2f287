"""Questions that are ready to be asked again with other weights, and the memories that answer them.

Knows histories, memories and recall; nothing of a search. What does not depend on weights is worked out once: the view
that a question is asked of, where its words stand, how similar each step is, texts of steps and their tokens. A recall
depends on the weights of those signals alone that tell the steps of its view apart: it is made once for each choice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

import agentmem
from agentmem.bench.recall.floors import BM25
from agentmem.bench.recall.histories import History, Question
from agentmem.bench.recall.measure import Prepared
from agentmem.bench.recall.memories import SIGNALS, Logged
from agentmem.bench.recall.metrics import Asked, Text
from agentmem.bench.recall.reading import Dataset
from agentmem.memory.recalling import Seen, look, query_of
from agentmem.recall import Query, Weights, recall, render
from agentmem.recall.signals import step_signals
from agentmem.types import CountTokens, Record

By = Literal["history", "type"]
PARTS = ("A", "B")
Scores = Mapping[str, float]
Read = Callable[[Sequence[int]], list[Record]]


class Place(NamedTuple):
    """Where a question stands: its file, the number of its history there, its type, and the part it belongs to."""

    file: str
    history: int
    type: str
    part: str


class Ready:
    """One question. floor: what BM25 scores."""

    def __init__(self, place: Place, asked: Asked, floor: Scores, query: Query, seen: Seen, read: Read) -> None:
        self.place, self.floor = place, floor
        self._asked, self._query, self._seen, self._read = asked, query, seen, read
        signals = step_signals(query.cue, seen.view, seen.match, seen.similarity)
        self.telling = tuple(name for name in SIGNALS if tells(signals[name]))
        self._known: dict[tuple[float, ...], Scores] = {}

    def scores(self, weights: Weights) -> Scores:
        """evidence, all and exact, as far as they can be asked."""
        chosen = tuple(getattr(weights, name) for name in self.telling)
        if chosen not in self._known:
            self._known[chosen] = self._asked.scores(Text(self.text(weights)), None)
        return self._known[chosen]

    def text(self, weights: Weights) -> str:
        """What a memory with these weights recalls."""
        seen = self._seen
        return render(recall(replace(self._query, weights=weights), seen.view, seen.match, seen.similarity, self._read))


def tells(signal: np.ndarray) -> bool:
    """Whether a signal tells any step from another."""
    return bool(len(signal)) and bool(signal.max() > signal.min())


def part_of(by: By, types: Sequence[str], history: int, type: str) -> str:
    """Every other history, or every other type of a file's; types: all of the file, sorted."""
    return PARTS[(history if by == "history" else types.index(type)) % 2]


@contextmanager
def memory_of(history: History, folder: Path, count: CountTokens) -> Iterator[Logged]:
    """A history in a memory in this folder, made unless it is there whole."""
    name = hashlib.sha256(repr((agentmem.__version__, history.id, history.steps)).encode("utf-8", "replace"))
    path = folder / f"{name.hexdigest()[:16]}.mem"
    whole = path.with_suffix(".json")  # written last
    if not whole.exists():
        for left in folder.glob(f"{path.name}*"):
            left.unlink()
    ids = json.loads(whole.read_text(encoding="utf-8")) if whole.exists() else ()
    logged = Logged(history, path, "keep", count, ids)
    with closing(logged.memory):
        if not ids:
            whole.write_text(json.dumps(logged.ids), encoding="utf-8")
        yield logged


def questions_of(file: Dataset, number: int, logged: Logged, questions: int, budget: int, by: By) -> Iterator[Ready]:
    """The questions of one history that anything can be recalled for and scored by."""
    one = Prepared(number, file.histories[number], questions, logged.count)
    types = sorted({question.type for history in file.histories for question in history.questions})
    floor, read = BM25(one.history.steps, logged.count), _remembering(logged)
    for question in one.questions:
        asked = one.asked(question)
        if question.upto and (asked.evidence or asked.answer):
            place = Place(file.name, number, question.type, part_of(by, types, number, question.type))
            beaten = asked.scores(Text(floor.recall(question.text, budget, question.upto)), None)
            query = query_of(question.text, budget, logged.count, None, None, None, False)
            yield Ready(place, asked, beaten, query, _seen(logged, question), read)


def _seen(logged: Logged, question: Question) -> Seen:
    memory = logged.memory
    return look(memory._core, memory.namespaces, question.text, logged.as_of(question.upto))


def _remembering(logged: Logged) -> Read:
    """Reads records, each once."""
    known: dict[int, Record] = {}

    def read(positions: Sequence[int]) -> list[Record]:
        missing = [position for position in positions if position not in known]
        if missing:
            known.update((record.position, record) for record in logged.memory._core.read(missing))
        return [known[position] for position in positions if position in known]

    return read
