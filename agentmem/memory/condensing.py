"""Running the crystallizer over what was logged since the last time, and publishing what it makes.

Each batch of crystals, their codes and the watermark are stored together, so an interrupted run goes on where it was; a
run that another process overtook gives way to it.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from agentmem.crystallize import CODED, Crystallizer, Sealed, chunks
from agentmem.index import step_position
from agentmem.memory.core import Core
from agentmem.segment import LONGEST as MOST
from agentmem.types import Batch, Codes, Condenser, Crystal, CrystallizeReport, Layer, LayerReport, Namespace, Record

Progress = Callable[[int, int], None]
BATCH = 2_000  # records to a batch


class _Overtaken(Exception):
    """Another process published in between."""


def crystallize(
    core: Core, namespace: Namespace, condenser: Condenser | None, progress: Progress | None = None
) -> CrystallizeReport:
    """Crystallize a namespace up to the end of its log. progress: called with (steps read, steps to read)."""
    began = time.perf_counter()
    made: list[Crystal] = []
    retired = steps = 0
    with core.lock:
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
            watermark=core.store.watermark(namespace).position,
            seconds=time.perf_counter() - began,
        )


def _batches(
    core: Core, namespace: Namespace, condenser: Condenser | None, progress: Progress | None
) -> Iterator[tuple[list[Crystal], int, list[Sealed]]]:
    index = core.index(namespace)
    mark = core.store.watermark(namespace)
    todo = index.positions(after=mark.position)
    state = zlib.decompress(mark.state) if mark.state else b""
    maker = Crystallizer(namespace, core.store.read, index.live_atoms(), state, condenser)
    at = mark.position
    for start in range(0, len(todo), BATCH):
        for record in core.store.read(todo[start : start + BATCH].tolist()):
            maker.feed(record)
        crystals, retired, sealed = maker.drain()
        last = int(todo[min(start + BATCH, len(todo)) - 1])
        packed = zlib.compress(maker.state(), 6)
        codes, encoder = codes_of(core, sealed), core.code_id
        if not core.store.publish(namespace, Batch(crystals, retired, codes, encoder, last, packed), at):
            raise _Overtaken
        at = last
        if progress is not None:
            progress(min(start + BATCH, len(todo)), len(todo))
        yield crystals, len(retired), sealed


def codes_of(core: Core, sealed: Sequence[Sealed]) -> list[Codes]:
    """Binary codes of sealed units; none without an encoder."""
    if core.encoder is None or not sealed:
        return []
    size = MOST if core.store.setting("retain") == "crystals" else CODED
    parts = [list(chunks(one.steps, size)) for one in sealed]
    rows = core.coder.encode(core.encoder.encode([text for part in parts for _, _, text in part]))
    codes, at = [], 0
    for one, part in zip(sealed, parts, strict=True):
        first, last = (np.array([chunk[side] for chunk in part], np.int64) for side in (0, 1))
        codes.append(Codes(one.unit.id, first, last, rows[at : at + len(part)]))
        at += len(part)
    return codes


def reencode(core: Core, namespace: Namespace) -> int:
    """Codes, by this encoder, of the units that have none of it; returns how many units."""
    encoder = core.code_id
    if encoder is None:
        return 0
    with core.lock:
        index = core.index(namespace)
        have = {codes.crystal for codes in index.codes}
        missing = [c for c in index.crystals if c.layer is Layer.UNIT and c.id not in have]
        for start in range(0, len(missing), 200):
            sealed = [Sealed(unit, _steps(core, unit)) for unit in missing[start : start + 200]]
            core.store.add_codes(namespace, encoder, codes_of(core, sealed))
        return len(missing)


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
