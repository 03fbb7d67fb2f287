"""From easy to hard: which streams a model is trained on next.

Knows stages and when to leave one. Knows nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.neural.settings import ATOM, CLUSTER, UNIT
from agentmem.neural.tasks.key_value import RecallTask

DENSITY = (4, 2, 1)  # facts per 100 tokens where units, clusters, atoms are read: a crystal has two slots


@dataclass(frozen=True)
class Stage:
    """layers: those read in training, one of them per batch. near, overwritten: see RecallTask.

    until: share of exact answers that ends it.
    """

    horizon: int
    layers: tuple[int, ...]
    near: float = 0.0
    overwritten: float = 0.0
    until: float = 0.7

    def task(self, layer: int) -> RecallTask:
        facts = max(1, self.horizon // 100 * DENSITY[layer])
        return RecallTask(self.horizon, facts, self.near, self.overwritten)


RECALL = (
    Stage(203, (UNIT,)),
    Stage(203, (UNIT, CLUSTER, ATOM), until=0.6),
    Stage(403, (UNIT, CLUSTER, ATOM), near=0.5, overwritten=0.2),
    Stage(1_003, (UNIT, CLUSTER, ATOM), near=0.75, overwritten=0.3, until=2.0),
)
"""One layer, then three; longer horizons; keys that collide and keys that are set anew. The last does not end.

Three tokens more than hundreds, so that all facts are in crystals when they are asked for.
"""
