"""Ids of steps: their log positions, written so that they sort."""

from __future__ import annotations

from agentmem.types import RECORD_TYPES

STEP = RECORD_TYPES.index("step")


def step_id(position: int) -> str:
    """The id of the step at a log position; ids sort as positions do."""
    return f"s{position:011d}"


def step_position(step: str) -> int:
    """The log position in a step's id; -1 if it is no step id."""
    if not isinstance(step, str) or len(step) != 12 or step[0] != "s" or not (step.isascii() and step[1:].isdigit()):
        return -1
    return int(step[1:])
