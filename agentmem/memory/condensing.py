"""Running the crystallizer over what was logged since the last time, and publishing what it makes.

Each batch of crystals, their codes and the watermark are stored together, so an interrupted run goes on where it was; a
run that another process overtook, or that something was erased under, starts again from where the log then stands.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from agentmem.crystallize import Crystallizer, Sealed
from agentmem.errors import NotFoundError
from agentmem.index import Index, step_position
from agentmem.memory.core import Core
from agentmem.sources import CODED, chunks
from agentmem.types import Batch, Codes, Condenser, Crystal, CrystallizeReport, Layer, LayerReport, Namespace, Record

Progress = Callable[[int, int], None]
BATCH = 2_000  # records to a batch
COARSE = 2_000  # tokens that share one code under retain="crystals"


class _Overtaken(Exception):
    """Another process published in between."""


def crystallize(
    core: Core, namespace: Namespace, condenser: Condenser | None, progress: Progress | None = None
) -> CrystallizeReport:
    """Crystallize a namespace up to the end of its log. progress: called with (steps read, steps to read)."""
    began = time.perf_counter()
    made: list[Crystal] = []
    retired = steps = 0
    with core.crystallizing:
        while True:
            try:
                for crystals, gone, sealed in _batches(core, namespace, condenser, progress):
                    made += crystals
                    retired += gone
                    steps += sum(len(one.steps) for one in sealed)
                break
            except _Overtaken:
                continue
    return CrystallizeReport(
        layers={layer: _made(made, layer) for layer in Layer},
        retired=retired,
        steps=steps,
        watermark=core.store.version(namespace).watermark,
        seconds=time.perf_counter() - began,
    )


def _batches(
    core: Core, namespace: Namespace, condenser: Condenser | None, progress: Progress | None
) -> Iterator[tuple[list[Crystal], int, list[Sealed]]]:
    with core.lock, _unless_erased(core, namespace):
        index = core.index(namespace)
        version, (mark, state) = index.version, core.store.watermark(namespace)
        todo, coding, atoms = index.positions(after=mark), Coding(core, index), dict(index.live_atoms)
    unpacked = zlib.decompress(state) if state else b""
    maker = Crystallizer(namespace, core.store.read, atoms, unpacked, condenser, core.sparing)
    for start in range(0, len(todo), BATCH):
        positions = todo[start : start + BATCH].tolist()
        try:
            for record in core.store.read(positions):
                maker.feed(record)
        except NotFoundError:
            if core.store.version(namespace) == version:
                raise
            raise _Overtaken from None  # by an erasure
        crystals, retired, sealed = maker.drain()
        packed = zlib.compress(maker.state(), 6)
        codes, states = coding.of(sealed), maker.drain_states()
        batch = Batch(crystals, retired, codes, core.code_id, positions[-1], packed, states)
        if not core.store.publish(namespace, batch, version):
            raise _Overtaken
        version = version._replace(watermark=positions[-1])
        if progress is not None:
            progress(start + len(positions), len(todo))
        yield crystals, len(retired), sealed


@contextmanager
def _unless_erased(core: Core, namespace: Namespace) -> Iterator[None]:
    """What is not there any more was overtaken by an erasure, if there was one."""
    generation = core.store.version(namespace).generation
    try:
        yield
    except NotFoundError:
        if core.store.version(namespace).generation == generation:
            raise
        raise _Overtaken from None


class Coding:
    """Binary codes of units as they are sealed: a few to each unit, or one to some COARSE tokens of units.

    What units have waited for a coarse code is seen from the index, so that runs may be interrupted anywhere.
    """

    def __init__(self, core: Core, index: Index) -> None:
        self.core, self.coarse = core, core.sparing
        self.missing = index.uncoded(self.coarse) if core.encoder is not None else []
        self._waiting = [Sealed(unit, _steps(core, unit)) for unit in self.missing] if self.coarse else []

    def of(self, sealed: Sequence[Sealed]) -> list[Codes]:
        """Codes of newly sealed units; none without an encoder."""
        if self.core.encoder is None:
            return []
        return (
            [codes for group in self._groups(sealed) for codes in self._joined(group)]
            if self.coarse
            else self._each(sealed)
        )

    def _each(self, sealed: Sequence[Sealed], size: int = CODED) -> list[Codes]:
        parts = [list(chunks(one.steps, size)) for one in sealed]
        rows = self.core.coder.encode(self._vectors([text for part in parts for _, _, text in part]))
        codes, at = [], 0
        for one, part in zip(sealed, parts, strict=True):
            first, last = (np.array([chunk[side] for chunk in part], np.int64) for side in (0, 1))
            codes.append(Codes(one.unit.id, first, last, rows[at : at + len(part)]))
            at += len(part)
        return codes

    def _groups(self, sealed: Sequence[Sealed]) -> Iterator[list[Sealed]]:
        waiting, self._waiting, tokens = [*self._waiting, *sealed], [], 0
        for one in waiting:
            self._waiting.append(one)
            tokens += one.unit.source_tokens
            if tokens >= COARSE:
                yield self._waiting
                self._waiting, tokens = [], 0

    def _joined(self, group: Sequence[Sealed]) -> list[Codes]:
        """One code of several units: that of the mean of their chunks' vectors. A huge unit at the end has its own."""
        if group[-1].unit.source_tokens > 2 * COARSE:
            return [*(self._joined(group[:-1]) if len(group) > 1 else ()), *self._each(group[-1:], COARSE)]
        vectors = self._vectors([text for one in group for _, _, text in chunks(one.steps)])
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        covers = np.array([one.unit.covers for one in group], np.int64)
        rows = self.core.coder.encode(vectors.mean(axis=0, keepdims=True))
        return [Codes(group[-1].unit.id, covers.min(keepdims=True)[0], covers.max(keepdims=True)[0], rows)]

    def _vectors(self, texts: list[str]) -> np.ndarray:
        assert self.core.encoder is not None
        return np.array(self.core.encoder.encode(texts))


def reencode(core: Core, namespace: Namespace) -> None:
    """Codes, by this encoder, of the units that have none of it."""
    if core.code_id is None:
        return
    with core.lock:
        coding = Coding(core, core.index(namespace))
    if coding.coarse:
        core.store.add_codes(namespace, core.code_id, coding.of([]))
        return
    for start in range(0, len(coding.missing), 200):
        sealed = [Sealed(unit, _steps(core, unit)) for unit in coding.missing[start : start + 200]]
        core.store.add_codes(namespace, core.code_id, coding.of(sealed))


def _steps(core: Core, unit: Crystal) -> tuple[Record, ...]:
    return tuple(core.store.read([step_position(source) for source in unit.sources]))


def _made(crystals: Sequence[Crystal], layer: Layer) -> LayerReport:
    own = [crystal for crystal in crystals if crystal.layer is layer]
    sources = {source for crystal in own for source in crystal.sources} if layer is Layer.ATOM else set()
    return LayerReport(
        crystals=len(own),
        tokens=sum(crystal.tokens for crystal in own),
        source_tokens=sum(c.tokens for c in crystals if c.id in sources) or sum(c.source_tokens for c in own),
    )
