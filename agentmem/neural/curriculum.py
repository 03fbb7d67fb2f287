"""From easy to hard: which streams a model is trained on next.

Knows stages and when to leave one. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentmem.neural.settings import ATOM, CLUSTER, UNIT
from agentmem.neural.tasks.key_value import RecallTask
from agentmem.neural.tasks.named import Sized
from agentmem.neural.tasks.task import Task

ALL = (UNIT, CLUSTER, ATOM)
DENSITY = (4, 2, 1)  # facts per 100 tokens where units, clusters, atoms are read: a crystal has two slots
NEVER = 2.0


@dataclass(frozen=True)
class Stage:
    """layers: those read in training, one of them per batch. task: of that layer.

    until: share of exact answers that ends it. over: share of the budget at which it ends in any case.
    """

    layers: tuple[int, ...]
    task: Callable[[int], Task[Any]]
    until: float = 0.7
    over: float = NEVER

    def left(self, right: float, done: float) -> bool:
        """Whether it ends, given the running share of exact answers and the share of the budget that is used up."""
        return right > self.until or done > self.over


def facts(horizon: int, layer: int) -> int:
    """As many as crystals of a layer have room for."""
    return max(1, horizon // 100 * DENSITY[layer])


def recall_stage(
    horizon: int, layers: tuple[int, ...], near: float = 0.0, overwritten: float = 0.0, until: float = 0.7
) -> Stage:
    """near, overwritten: see RecallTask."""
    return Stage(layers, lambda layer: RecallTask(horizon, facts(horizon, layer), near, overwritten), until)


RECALL = (
    recall_stage(203, (UNIT,)),
    recall_stage(203, ALL, until=0.6),
    recall_stage(403, ALL, near=0.5, overwritten=0.2),
    recall_stage(903, ALL, near=0.75, overwritten=0.3, until=NEVER),
)
"""One layer, then three; longer horizons; keys that collide and keys that are set anew. The last does not end.

Three tokens more than hundreds, so that all facts are in crystals when they are asked for.
"""


def growing(sized: Sized) -> tuple[Stage, ...]:
    """Any task in the same manner: units, then clusters, then atoms, each over longer horizons."""

    def stage(horizon: int, layers: tuple[int, ...], until: float, over: float) -> Stage:
        return Stage(layers, lambda layer: sized(horizon, facts(horizon, layer)), until, over)

    return (
        stage(203, (UNIT,), 0.7, 0.25),
        stage(403, (UNIT, CLUSTER), 0.7, 0.5),
        stage(903, ALL, NEVER, NEVER),
    )
