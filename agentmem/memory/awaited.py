"""A memory's slow verbs for asyncio: the same, in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from agentmem.types import CrystallizeReport, PlanningContext


class Awaited:
    """What is awaited; `Memory` has the verbs themselves."""

    recall: Callable[..., PlanningContext]
    crystallize: Callable[..., CrystallizeReport]
    close: Callable[[], None]

    async def arecall(self, cue: str, **options: Any) -> PlanningContext:
        """`recall` in a thread."""
        return await asyncio.to_thread(self.recall, cue, **options)

    async def acrystallize(self) -> CrystallizeReport:
        """`crystallize` in a thread."""
        return await asyncio.to_thread(self.crystallize)

    async def aclose(self) -> None:
        """`close` in a thread."""
        await asyncio.to_thread(self.close)
