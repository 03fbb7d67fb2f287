"""A memory of a given size on the disk, built from grown histories: reused when whole, gone on with when not.

Knows Memory, and a JSON file beside each memory with how far it is and what it took. A session is an episode, logged
100 steps at a time and crystallized at its end. A larger memory goes on from a copy of the next smaller one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from agentmem import __version__
from agentmem.bench.recall.counting import Counter
from agentmem.bench.recall.histories import History, Step
from agentmem.bench.speed.grow import Grown, Growth
from agentmem.memory import Memory
from agentmem.store.whole import replaced
from agentmem.types import Retain

BATCH = 100
SAVE_S = 10.0
KEPT = 1000
"""Cues, and texts of the newest steps, that are remembered beside a memory."""
Progress = Callable[[int], None]
"""Called with the tokens logged so far."""


@dataclass
class Built:
    """How far a memory is. Seconds and the tokens and steps they were spent on; `whole` once its size is reached.

    cues: questions whose evidence is in, spread over all of them; recent: texts of the newest steps; both once whole.
    """

    whole: bool = False
    steps: int = 0
    tokens: int = 0
    log_s: float = 0.0
    logged: int = 0
    crystallize_s: float = 0.0
    crystallized: int = 0
    stems: int = 0
    stems_by_heaps: int = 0
    exponent: float = 0.0
    cycles: int = 1
    cues: list[str] = field(default_factory=list)
    recent: list[str] = field(default_factory=list)


class Workshop:
    """A folder of memories grown from the same histories: one for each retention and size."""

    def __init__(self, folder: Path, histories: Sequence[History], counter: Counter, seed: int = 0) -> None:
        self.folder, self.histories, self.counter, self.seed = folder, histories, counter, seed
        self.mark = _mark(histories, counter, seed)

    def path(self, retain: Retain, size: int) -> Path:
        return self.folder / f"{retain}-{size}-{self.mark}.mem"

    def build(self, retain: Retain, size: int, progress: Progress) -> tuple[Path, Built]:
        """The memory of a size, made if it is not there; and how it was made."""
        path = self.path(retain, size)
        built = _load(path) or self._begin(retain, path, size)
        if not built.whole:
            with Memory.open(path, retain=retain, durability="process") as memory:
                _Builder(memory, path, built, size, progress).run(Growth(self.histories, self.counter.count, self.seed))
        return path, built

    def _begin(self, retain: Retain, path: Path, size: int) -> Built:
        """From a copy of the largest whole memory that is smaller, or from nothing."""
        for file in self.folder.glob(f"{path.name}*"):
            file.unlink()
        smaller = [int(one.name.split("-")[1]) for one in self.folder.glob(f"{retain}-*-{self.mark}.mem")]
        for known in sorted((known for known in smaller if known < size), reverse=True):
            origin = self.path(retain, known)
            if (built := _load(origin)) and built.whole:
                for file in self.folder.glob(f"{origin.name}*"):
                    shutil.copy(file, self.folder / (path.name + file.name.removeprefix(origin.name)))
                begun = Built(steps=built.steps, tokens=built.tokens)
                _save(path, begun)
                return begun
        return Built()


class _Builder:
    """Logs what of a growth is not in a memory yet, up to a size."""

    def __init__(self, memory: Memory, path: Path, built: Built, size: int, progress: Progress) -> None:
        self.memory, self.path, self.built, self.size, self.progress = memory, path, built, size, progress
        self.cues: list[str] = []
        self.recent: deque[str] = deque(maxlen=KEPT)

    def run(self, growth: Growth) -> None:
        built = self.built
        there, built.steps, built.tokens = self.memory.stats().steps, 0, 0
        steps = self._upto(growth)
        for grown in islice(steps, there):
            self._count(grown)
        saved = time.monotonic()
        for session, several in groupby(steps, key=lambda grown: grown.step.session):
            self._episode(session, several)
            if time.monotonic() - saved > SAVE_S:
                _save(self.path, built)
                saved = time.monotonic()
        built.stems, built.stems_by_heaps = len(growth.stems), round(growth.heaps.at(growth.tokens))
        built.exponent, built.cycles, built.whole = growth.heaps.exponent, growth.cycle + 1, True
        built.cues, built.recent = spread(self.cues, KEPT), list(self.recent)
        _save(self.path, built)

    def _upto(self, growth: Growth) -> Iterator[Grown]:
        for grown in growth:
            yield grown
            if growth.tokens >= self.size:
                return

    def _episode(self, session: str, several: Iterator[Grown]) -> None:
        built, before = self.built, self.built.tokens
        episode = self.memory.episode(id=session)
        while batch := list(islice(several, BATCH)):
            steps = [_fields(grown.step) for grown in batch]
            began = time.perf_counter()
            episode.log_many(steps)
            built.log_s += time.perf_counter() - began
            built.logged += len(batch)
            for grown in batch:
                self._count(grown)
            self.progress(built.tokens)
        episode.end()
        began = time.perf_counter()
        self.memory.crystallize()
        built.crystallize_s += time.perf_counter() - began
        built.crystallized += built.tokens - before

    def _count(self, grown: Grown) -> None:
        built = self.built
        built.steps += 1
        built.tokens += grown.tokens
        self.cues += grown.cues
        if grown.step.text.strip():
            self.recent.append(grown.step.text)


def _fields(step: Step) -> dict[str, Any]:
    return {"text": step.text, "kind": step.kind, "actor": step.actor, "at": step.time}


def spread(texts: Sequence[str], most: int) -> list[str]:
    """At most so many, evenly from the whole list."""
    n = len(texts)
    return [texts[i * n // most] for i in range(most)] if n > most else list(texts)


def _mark(histories: Sequence[History], counter: Counter, seed: int) -> str:
    """What the memories of these histories have in their names."""
    digest = hashlib.sha256(f"{__version__}/{counter.name}/{seed}".encode())
    for history in histories:
        for step in history.steps:
            digest.update(f"{history.id}\0{step.session}\0{step.text}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:8]


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _load(path: Path) -> Built | None:
    """How far a memory is; None where there is none."""
    if not path.exists() or not _beside(path).exists():
        return None
    told: dict[str, Any] = json.loads(_beside(path).read_text(encoding="utf-8"))
    return Built(**told)


def _save(path: Path, built: Built) -> None:
    with replaced(_beside(path)) as out:
        out.write(f"{json.dumps(asdict(built))}\n".encode())
