"""agentmem itself as what is measured: a memory of a history, asked as a whole, by single layers, or with a signal off.

Knows Memory, and how to hand weights to the recall beneath it, which is no public option. A run of steps of one session
is one episode, logged a step at a time and crystallized at its end, as an agent does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from agentmem.bench.recall.histories import History, Step
from agentmem.bench.recall.system import Built
from agentmem.index import step_position
from agentmem.memory import Memory, recalling
from agentmem.recall import Weights
from agentmem.types import CountTokens, Crystal, Layer, PlanningContext, Retain

WIDE = 32_768
"""Tokens of the recall whose hits rank sessions: enough for ten sessions nearly always."""


SIGNALS = tuple(field.name for field in fields(Weights))
"""What recall sums up: what `off` may name."""


class Logged:
    """A history in a memory of its own. ids: of its steps, where it was logged at this path before."""

    def __init__(
        self, history: History, path: Path, retain: Retain, count: CountTokens, ids: Sequence[str] = ()
    ) -> None:
        self.history, self.path, self.count = history, path, count
        self.seconds = {"log": 0.0, "crystallize": 0.0}
        self.ids = list(ids)
        self.memory = Memory.open(path, retain=retain)
        for session, steps in groupby(history.steps[len(ids) :], key=lambda step: step.session):
            self._log(session, list(steps))
        self.places = {step_position(id): place for place, id in enumerate(self.ids)}

    def _log(self, session: str, steps: Sequence[Step]) -> None:
        began, first = time.perf_counter(), len(self.ids)
        name = "/".join(filter(None, (self.history.id, session, str(first))))
        episode = self.memory.episode(id=name)
        for step in steps:
            self.ids.append(episode.log(step.text, kind=step.kind, actor=step.actor, at=step.time).id)
        episode.end()
        logged = time.perf_counter()
        self.memory.crystallize()
        self.seconds["log"] += logged - began
        self.seconds["crystallize"] += time.perf_counter() - logged

    def as_of(self, upto: int) -> str | None:
        """The step that is the last one known; None for all of them."""
        return self.ids[upto - 1] if upto < len(self.ids) else None

    def close(self) -> dict[str, int]:
        """Bytes by part, and `files`: of everything there once closed."""
        self.memory.close()
        files = sum(file.stat().st_size for file in self.path.parent.rglob("*") if file.is_file())
        with Memory.open(self.path, read_only=True) as memory:
            parts = {name: size for name, size in memory.stats().bytes.items() if name != "total" and size}
        return {**parts, "files": files}


class Whole:
    """Recall as users have it; with `off`, one signal weighs nothing."""

    def __init__(self, name: str, logged: Logged, off: str | None = None) -> None:
        self.name, self.logged, self.off = name, logged, off

    def recall(self, cue: str, budget: int, upto: int) -> str:
        return self._context(cue, budget, upto).text if upto else ""

    def _context(self, cue: str, budget: int, upto: int) -> PlanningContext:
        memory, count, as_of = self.logged.memory, self.logged.count, self.logged.as_of(upto)
        if self.off is None:
            return memory.recall(cue, budget=budget, as_of=as_of, count_tokens=count)
        query = recalling.query_of(cue, budget, count, None, None, None, False)
        query = replace(query, weights=replace(Weights(), **{self.off: 0.0}))
        return recalling.run(memory._core, memory.namespaces, query, as_of)

    def ranked(self, cue: str, upto: int) -> list[int]:
        hits = sorted(self._context(cue, WIDE, upto).hits if upto else (), key=lambda hit: -hit.score)
        return [self.logged.places[hit.position] for hit in hits]

    def kept(self, place: int, upto: int) -> str:
        return self.logged.memory.step(self.logged.ids[place]).text


class Single(Whole):
    """Recall from the crystals of one layer alone, never expanded."""

    def __init__(self, name: str, logged: Logged, layer: Layer) -> None:
        super().__init__(name, logged)
        self.layer = layer
        self._texts = lru_cache(maxsize=2)(self._texts_as_of)

    def _context(self, cue: str, budget: int, upto: int) -> PlanningContext:
        memory, count, as_of = self.logged.memory, self.logged.count, self.logged.as_of(upto)
        return memory.recall(cue, budget=budget, as_of=as_of, count_tokens=count, layers=[self.layer])

    def kept(self, place: int, upto: int) -> str:
        return self._texts(upto).get(place, "") if upto else ""

    def _texts_as_of(self, upto: int) -> dict[int, str]:
        """Place of a step -> the text of the layer's crystals that cover it."""
        as_of, memory = self.logged.as_of(upto), self.logged.memory
        units = {unit.id: unit for unit in memory.crystals([Layer.UNIT], as_of)}
        texts: dict[int, str] = {}
        for crystal in memory.crystals([self.layer], as_of):
            for position in covered(crystal, units):
                if (place := self.logged.places.get(position)) is not None:
                    texts[place] = f"{texts[place]}\n{crystal.text}" if place in texts else crystal.text
        return texts

    @property
    def size(self) -> int:
        """Bytes of the layer's own text: what it would take alone."""
        return sum(len(crystal.text.encode()) for crystal in self.logged.memory.crystals([self.layer]))


def covered(crystal: Crystal, units: Mapping[str, Crystal]) -> set[int]:
    """Log positions of the steps that a crystal condenses."""
    own = {span.position for span in crystal.spans}
    steps = {step_position(source) for source in crystal.sources}
    below = {step_position(step) for unit in crystal.sources if unit in units for step in units[unit].sources}
    return {position for position in own | steps | below if position > 0}


class Rows(NamedTuple):
    """Which rows of one retention are wanted beside the whole: single layers, and signals switched off."""

    retain: Retain
    layers: Sequence[Layer] = ()
    off: Sequence[str] = ()

    @property
    def name(self) -> str:
        return "agentmem" if self.retain == "keep" else f"agentmem {self.retain}"

    def build(self, history: History, folder: Path, count: CountTokens) -> Built:
        logged = Logged(history, folder / "history.mem", self.retain, count)
        single = [Single(f"{self.name} {layer}", logged, layer) for layer in self.layers]
        ablated = [Whole(f"{self.name} -{signal}", logged, signal) for signal in self.off]

        def close() -> Mapping[str, Mapping[str, int]]:
            alone = {row.name: {"text": row.size} for row in single}
            whole = logged.close()
            return {self.name: whole, **{row.name: whole for row in ablated}, **alone}

        return Built([Whole(self.name, logged), *single, *ablated], logged.seconds, close)
