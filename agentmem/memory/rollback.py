"""What a namespace would hold had some of its steps never been logged: crystals, codes, states and uses of the rest.

Steps that were forgotten together with all that derives from them are rolled back: recall reads the log without them.
What was crystallized with them is made again without them, in memory and from the log; the file keeps what it has, so
that undoing gives back what was there, byte for byte. Knows the core; writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from agentmem.crystallize import Crystallizer, runs_of
from agentmem.index import STEP, Index, step_positions
from agentmem.types import Columns, Crystal, Layer, Namespace, Outlines, Record

if TYPE_CHECKING:
    from agentmem.memory.core import Core

KEPT = 2  # rollbacks that are kept ready
SLICE = 2_000  # records that are crystallized at once
LAYERS = tuple(Layer)


class Apart:
    """A namespace without some steps, as far as it was logged and crystallized when it was last brought up to date.

    gone: their log positions. A recall that showed one of them counts as no use of the others.
    """

    def __init__(self, core: Core, plain: Index, gone: frozenset[int]) -> None:
        self._core, self.gone, self._gone = core, gone, np.array(sorted(gone), np.int64)
        self._crystals: list[tuple[int, Crystal]] = []
        self._serial = self._fed = 0
        self._maker = Crystallizer(plain.namespace, core.store.read, {}, sparing=core.sparing)
        self.index = Index(plain.namespace, plain.generation, plain.names, lambda after: self._crystals[after:])
        self.index.runs = {}

    def grow(self, plain: Index) -> None:
        """Take in what is new."""
        log = plain.columns
        log = Columns(*(column[np.searchsorted(log.position, self.index.head, "right") :] for column in log))
        log = Columns(*(column[~np.isin(log.position, self._gone)] for column in log))
        if len(log.position):
            events = self._core.store.read(log.position[log.type != STEP].tolist())
            self.index.extend(log, [event for event in events if not self._showed(event)])
        position = self.index.positions(self._fed)
        self._crystallize(position[position <= plain.watermark].tolist(), plain.watermark)

    def _showed(self, event: Record) -> bool:
        return event.type == "recall" and not self.gone.isdisjoint(json.loads(event.body).get("steps", ()))

    def _crystallize(self, positions: Sequence[int], watermark: int) -> None:
        for start in range(0, len(positions), SLICE):
            for record in self._core.store.read(positions[start : start + SLICE]):
                self._maker.feed(record)
            self._take(positions[start : start + SLICE][-1])
        if self.index.watermark < watermark:
            self.index.add_states([], watermark)
            self.index.watermark = self._fed = watermark
            if self.index.runs is None:  # or states were read further ahead
                self.index.runs = runs_of(self._maker.state())

    def _take(self, upto: int) -> None:
        """Take in what was crystallized up to a log position."""
        crystals, retired, sealed = self._maker.drain()
        self._crystals += enumerate(crystals, len(self._crystals) + 1)
        made = outlines(self._crystals[len(self._crystals) - len(crystals) :])
        self.index.add_crystals(made, [(self._next(), name, position) for name, position in retired.items()])
        self.index.add_states([(self._next(), state) for state in self._maker.drain_states()], upto)
        if not self._core.sparing:
            codes = self._core.codes([(one.unit.id, one.steps) for one in sealed])
            self.index.add_codes([(self._next(), one) for one in codes])

    def _next(self) -> int:
        self._serial += 1
        return self._serial


class Rollbacks:
    """Those that were asked for last."""

    def __init__(self) -> None:
        self._ready: dict[tuple[Namespace, frozenset[int]], Apart] = {}

    def index(self, core: Core, plain: Index, gone: frozenset[int]) -> Index:
        """The index of a namespace without these steps, as far as `plain` reaches. Hold `core.lock`."""
        key = (plain.namespace, gone)
        found = self._ready.pop(key, None) or Apart(core, plain, gone)
        found.grow(plain)  # an Apart that was interrupted is not kept: it may have taken in a part
        self._ready[key] = found
        while len(self._ready) > KEPT:
            del self._ready[next(iter(self._ready))]
        return found.index

    def of(self, namespace: Namespace) -> list[Index]:
        """Those of a namespace that are ready."""
        return [one.index for (name, _), one in self._ready.items() if name == namespace]

    def clear(self) -> None:
        """The log was written anew."""
        self._ready.clear()


def outlines(crystals: Sequence[tuple[int, Crystal]]) -> Outlines:
    """What an index takes of crystals, each with its serial."""
    made = [crystal for _, crystal in crystals]
    steps = [one.sources if one.layer is Layer.UNIT else () for one in made]
    return Outlines(
        serial=np.array([serial for serial, _ in crystals], np.int64),
        layer=np.array([LAYERS.index(one.layer) for one in made], np.int64),
        born=np.array([one.born for one in made], np.int64),
        tokens=np.array([one.tokens for one in made], np.int64),
        salience=np.array([one.salience for one in made], np.float64),
        sources=np.array(list(map(len, steps)), np.int64),
        spans=np.array([len(one.spans) for one in made], np.int64),
        steps=step_positions([step for own in steps for step in own]),
        held=np.array([span.position for one in made for span in one.spans], np.int64),
        ids=[one.id for one in made],
    )
