"""A memory of ten doors, for tests of how long steps stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from strategies import opened, said

from agentmem import Memory
from agentmem.testing import FakeClock
from agentmem.transfer.back import Importer

DAY = 86_400
WEEK = timedelta(days=7)


def ten_doors(file: Path, clock: FakeClock) -> Memory:
    """A step a day for ten days: of two agents, every other one about Ann, every third of the web."""
    memory = opened(file, clock=clock)
    writers = [memory.episode(id=name, agent=name) for name in ("porter", "guard")]
    for n in range(10):
        clock.advance(DAY)
        writers[n % 2].log(
            f"The red door {n} is open.",
            kind="action" if n == 4 else "observation",
            subjects=["ann"] if n % 2 else [],
            trust="web" if n % 3 == 0 else None,
        )
    return memory


def numbers(memory: Memory, **options: Any) -> list[int]:
    """Which doors are recalled."""
    return sorted(int(text.split()[3]) for text in said(memory, **options))


def there(memory: Memory) -> list[int]:
    """Which doors are in the log."""
    return [int(step.text.split()[3]) for step in memory.steps()]


def read_back(memory: Memory, lines: Sequence[str]) -> list[str]:
    refused: list[str] = []
    importer = Importer(memory._core.store, (), memory._core.clock, lambda _, problem: refused.append(problem))
    for number, line in enumerate(lines, 1):
        importer.add(number, json.loads(line))
    importer.flush()
    return refused
