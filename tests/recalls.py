"""What the tests of recall share: a small log of doors, and the texts of a context."""

from __future__ import annotations

from collections.abc import Sequence

from agentmem import Memory, PlanningContext


def doors(memory: Memory, names: Sequence[str] = ("ada", "bo"), each: int = 3) -> None:
    for name in names:
        with memory.episode(id=f"run of {name}", agent=name) as episode:
            episode.log_many([f"{name} sees that the red door {n} is open." for n in range(each)])


def texts(context: PlanningContext) -> list[str]:
    return [hit.text for hit in context.hits]
