"""Running the crystallizer over what was logged since the last time, and publishing what it makes.

Each batch of crystals, their codes and the watermark are stored together, so an interrupted run goes on where it was; a
run that another process overtook, or that something was erased under, starts again from where the log then stands.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from agentmem.crystallize import Crystallizer, Sealed
from agentmem.errors import NotFoundError
from agentmem.memory.core import UNITS, Core
from agentmem.store import STRIPPED, SQLiteStore
from agentmem.telemetry import traced
from agentmem.types import Batch, Condenser, Crystal, CrystallizeReport, Layer, LayerReport, Namespace

Progress = Callable[[int, int], None]
BATCH = 2_000  # records to a batch


class _Overtaken(Exception):
    """Another process published in between."""


def restore(core: Core, store: SQLiteStore, condenser: Condenser | None) -> None:
    """Make again the crystals that a backup of an encrypted memory left out; called as a memory is opened."""
    if not core.read_only and store.setting(STRIPPED) == "crystals":
        for namespace in store.namespaces():
            crystallize(core, namespace, condenser)
        store.put_setting(STRIPPED, "")


def crystallize(
    core: Core, namespace: Namespace, condenser: Condenser | None, progress: Progress | None = None
) -> CrystallizeReport:
    """Crystallize a namespace up to the end of its log. progress: called with (steps read, steps to read)."""
    with traced("upsert_memory", core.store.path, namespace=namespace, what="crystallize") as tell:
        report = _crystallize(core, namespace, condenser, progress)
        made = report.layers.values()
        tell(count=sum(layer.crystals for layer in made), tokens=sum(layer.tokens for layer in made))
    return report


def _crystallize(
    core: Core, namespace: Namespace, condenser: Condenser | None, progress: Progress | None
) -> CrystallizeReport:
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
        todo, atoms = index.positions(after=mark), dict(index.live_atoms)
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
        coded = [] if core.sparing else core.codes([(one.unit.id, one.steps) for one in sealed])
        batch = Batch(crystals, retired, coded, core.code_id, positions[-1], packed, maker.drain_states())
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


def reencode(core: Core, namespace: Namespace) -> None:
    """Codes, by this encoder, of the units that have none of it."""
    if core.code_id is None or core.sparing:
        return
    with core.lock:
        missing = core.index(namespace).uncoded()
        if missing and any(one != core.code_id for one in core.store.encoders(namespace)):
            core.store.note(core.clock(), "encoder", None, namespace, {"encoder": core.code_id, "units": len(missing)})
    for start in range(0, len(missing), UNITS):
        core.store.add_codes(namespace, core.code_id, core.read_codes(missing[start : start + UNITS]))


def _made(crystals: Sequence[Crystal], layer: Layer) -> LayerReport:
    own = [crystal for crystal in crystals if crystal.layer is layer]
    sources = {source for crystal in own for source in crystal.sources} if layer is Layer.ATOM else set()
    return LayerReport(
        crystals=len(own),
        tokens=sum(crystal.tokens for crystal in own),
        source_tokens=sum(c.tokens for c in crystals if c.id in sources) or sum(c.source_tokens for c in own),
    )
