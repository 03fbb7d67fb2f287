"""The crystals that hold, as callers see them: with what retired them, and how far they count. Knows the core."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from agentmem.index import Index, step_positions
from agentmem.memory.core import Core
from agentmem.trust import least, trust_of
from agentmem.types import Crystal, Layer, Namespace, Record, Trust

READ = 1_000  # steps read at once


def crystals_of(core: Core, namespace: Namespace, layers: Sequence[Layer] | None, as_of: int) -> list[Crystal]:
    """Those of these layers, or all, as of a log position. Hold `core.lock`."""
    index = core.recalled(namespace, as_of)
    live = [c for c in index.crystals if (layers is None or c.layer in layers) and index.exists(c, as_of)]
    _find_trusts(core, index, live)
    return [c.model_copy(update={"retired": index.retired.get(c.id), "trust": index.trusts[c.id]}) for c in live]


def _find_trusts(core: Core, index: Index, crystals: Sequence[Crystal]) -> None:
    """Have the index know the trust of these, and so of all beneath them: what one is made of never changes."""
    new = _unknown(index, crystals)
    sources = {one.id: step_positions(one.sources).tolist() for one in new.values() if one.layer is Layer.UNIT}
    steps = _trusts(core, sorted(set[int]().union(*sources.values())))
    for id, crystal in new.items():
        beneath = map(steps.get, sources[id]) if id in sources else map(index.trusts.__getitem__, crystal.sources)
        index.trusts[id] = least(beneath)


def _unknown(index: Index, crystals: Iterable[Crystal]) -> dict[str, Crystal]:
    """By id, those of these crystals and of all beneath them whose trust is unknown, the lower before the higher."""
    found: dict[str, Crystal] = {}
    for crystal in crystals:
        if crystal.id not in index.trusts and crystal.id not in found:
            if crystal.layer is not Layer.UNIT:
                found |= _unknown(index, map(index.crystal, crystal.sources))
            found[crystal.id] = crystal
    return found


def _trusts(core: Core, positions: Sequence[int]) -> dict[int, Trust | None]:
    """Log position -> trust of a step."""
    parts = (core.read_what_is_there(positions[start : start + READ]) for start in range(0, len(positions), READ))
    return {record.position: _trust(record) for part in parts for record in part}


def _trust(record: Record) -> Trust | None:
    return trust_of(json.loads(record.body)) if 'trust"' in record.body else None
