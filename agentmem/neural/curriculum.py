"""From easy to hard: which streams a model is trained on next.

Knows stages and when to leave one. Knows nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.neural.recall_task import RecallTask
from agentmem.neural.settings import ATOM, CLUSTER, UNIT

DENSITY = (4, 2, 1)  # facts per 100 tokens where units, clusters, atoms are read: a crystal has two slots


@dataclass(frozen=True)
class Stage:
    """layers: those read in training, one of them per batch. near, overwritten: see RecallTask. hard: hard merges.

    until: share of exact answers that ends it.
    """

    horizon: int
    layers: tuple[int, ...]
    near: float = 0.0
    overwritten: float = 0.0
    hard: bool = True
    until: float = 0.7

    def task(self, layer: int) -> RecallTask:
        facts = max(1, self.horizon // 100 * DENSITY[layer])
        return RecallTask(self.horizon, facts, self.near, self.overwritten)


RECALL = (
    Stage(200, (UNIT,), hard=False),
    Stage(200, (UNIT, CLUSTER), hard=False),
    Stage(200, (UNIT, CLUSTER, ATOM), hard=False),
    Stage(400, (UNIT, CLUSTER, ATOM)),
    Stage(600, (UNIT, CLUSTER, ATOM), near=0.75),
    Stage(1_000, (UNIT, CLUSTER, ATOM), near=0.75, until=2.0),
)
"""One layer, then three; longer horizons; hard merges; keys that collide. The last stage does not end."""
