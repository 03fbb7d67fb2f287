"""A memory's slow verbs for asyncio: the same, in threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from agentmem.types import CrystallizeReport, PlanningContext

Returned = TypeVar("Returned")


async def in_thread(call: Callable[..., Returned], *given: Any, **options: Any) -> Returned:
    """What a call returns, made in a thread."""
    from asyncio import to_thread  # loaded where anything is awaited, and slow to load where nothing is

    return await to_thread(call, *given, **options)


class Awaited:
    """What is awaited; `Memory` has the verbs themselves."""

    recall: Callable[..., PlanningContext]
    crystallize: Callable[..., CrystallizeReport]
    close: Callable[[], None]

    async def arecall(self, cue: str, **options: Any) -> PlanningContext:
        """`recall` in a thread."""
        return await in_thread(self.recall, cue, **options)

    async def acrystallize(self) -> CrystallizeReport:
        """`crystallize` in a thread."""
        return await in_thread(self.crystallize)

    async def aclose(self) -> None:
        """`close` in a thread."""
        await in_thread(self.close)
