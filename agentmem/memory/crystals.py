"""The crystals that hold, as callers see them: with what retired them, and how far they count. Knows the core."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agentmem.index import steps_beneath
from agentmem.memory.core import Core
from agentmem.trust import least, trust_of
from agentmem.types import Crystal, Layer, Namespace, Trust


def crystals_of(core: Core, namespace: Namespace, layers: Sequence[Layer] | None, as_of: int) -> list[Crystal]:
    """Those of these layers, or all, as of a log position. Hold `core.lock`."""
    index = core.recalled(namespace, as_of)
    live = [c for c in index.crystals if (layers is None or c.layer in layers) and index.exists(c, as_of)]
    trusts = _trusts(core, namespace) if live else {}

    def trust(crystal: Crystal) -> Trust | None:
        beneath = steps_beneath(crystal, index.crystal)
        return least(map(trusts.get, beneath))

    return [c.model_copy(update={"retired": index.retired.get(c.id), "trust": trust(c)}) for c in live]


def _trusts(core: Core, namespace: Namespace) -> dict[int, Trust | None]:
    """Log position -> trust, of the steps that have one."""
    steps = core.store.scan(namespace, types=["step"])
    return {one.position: trust_of(json.loads(one.body)) for one in steps if 'trust"' in one.body}
