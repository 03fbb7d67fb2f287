"""What stays on disk: when the log moves into compressed blocks, and what `retain="crystals"` lets go of.

Retention is stated in bytes. Under "crystals" all files together may take FIXED bytes and RATE per token; the stored index
is not kept, blocks are large, and only where that is not enough is text let go: beyond the horizon, old before new, the
least salient first, never a span a crystal holds, never before that crystal is found by a probe.
"""

from __future__ import annotations

from agentmem.index import STEP
from agentmem.memory.condensing import layer_report
from agentmem.memory.core import Core
from agentmem.types import Layer, Namespace, Stats

HOT = 50_000  # newest tokens that stay rows of their own
MOVE = 200_000  # tokens that are worth moving into blocks at once


def settle(core: Core, namespace: Namespace) -> None:
    """Archive what is old enough, and let go of what retention does not cover. Called after crystallizing."""
    if core.read_only:
        return
    upto = _archivable(core, namespace)
    if upto is not None:
        core.store.archive(upto)
        core.archived = upto


def _archivable(core: Core, namespace: Namespace) -> int | None:
    """The position up to which to archive; None while too little has come in."""
    with core.lock:
        columns = core.index(namespace).columns
        positions, tokens = columns.position, columns.tokens
    fresh = positions > core.archived
    if tokens[fresh].sum() < MOVE + HOT:
        return None
    since = tokens[::-1].cumsum()[::-1]
    return int(positions[since > HOT][-1])


def stats(core: Core, namespace: Namespace) -> Stats:
    """See `Memory.stats`. Hold `core.lock`."""
    index = core.index(namespace)
    steps = index.columns.type == STEP
    live = [crystal for crystal in index.crystals if index.exists(crystal, index.head)]
    sizes = core.store.sizes()
    logged = sum(int(core.index(other).columns.tokens.sum()) for other in core.store.namespaces())
    return Stats(
        steps=int(steps.sum()),
        episodes=len(index.episodes),
        tokens=int(index.columns.tokens[steps].sum()),
        layers={layer: layer_report(live, layer) for layer in Layer},
        watermark=core.store.watermark(namespace).position,
        bytes=sizes,
        bytes_per_million_tokens=sizes["total"] / max(1, logged) * 1e6,
        retain="crystals" if core.store.setting("retain") == "crystals" else "keep",
        encoder=core.encoder.id if core.encoder is not None else None,
        store_version=core.version([namespace], index.head),
    )
