"""Ids of steps: their log positions, written so that they sort. And ids of episodes that nobody chose."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np

from agentmem.types import RECORD_TYPES

STEP = RECORD_TYPES.index("step")
AUTOMATIC = re.compile(r"episode-\d+")  # of an episode that nobody named, and so no name that a cue can mean
_SIZE = 12


def step_id(position: int) -> str:
    """The id of the step at a log position; ids sort as positions do."""
    return f"s{position:011d}"


def step_position(step: str) -> int:
    """The log position in a step's id; -1 if it is no step id."""
    if not isinstance(step, str) or len(step) != _SIZE or step[0] != "s" or not (step.isascii() and step[1:].isdigit()):
        return -1
    return int(step[1:])


def import_key(episode: str | None, line_id: str) -> str:
    """The key of a step that is imported without one: the same line of the same episode always gets the same."""
    return f"import:{episode}/{line_id}"


def begin_key(episode: str) -> str:
    """The key of an episode's beginning, so that it begins once."""
    return f"\x00begin/{episode}"


def step_positions(steps: Sequence[str]) -> np.ndarray:
    """`step_position` of many, int64 [n]."""
    letters = "".join(steps).encode()
    if steps and len(letters) == _SIZE * len(steps) and set(map(len, steps)) == {_SIZE}:
        digits = np.frombuffer(letters, np.uint8).reshape(-1, _SIZE) - ord("0")
        if (digits[:, 0] == ord("s") - ord("0")).all() and (digits[:, 1:] <= 9).all():
            return np.asarray(digits[:, 1:] @ 10 ** np.arange(_SIZE - 2, -1, -1))
    return np.array([step_position(step) for step in steps], np.int64)


def runs_of(chosen: Collection[int], positions: np.ndarray) -> list[list[int]]:
    """[first, last] of the runs in which chosen log positions follow one another among these, which are sorted."""
    wanted = np.sort(np.fromiter(chosen, np.int64, len(chosen)))
    at = np.searchsorted(positions, wanted)
    known = at < len(positions)
    known[known] = positions[at[known]] == wanted[known]
    if not len(at := at[known]):
        return []
    ends = np.append(np.flatnonzero(at[1:] - at[:-1] > 1), len(at) - 1)
    begins = np.append(0, ends[:-1] + 1)
    runs = zip(positions[at[begins]].tolist(), positions[at[ends]].tolist(), strict=True)
    return [[first, last] for first, last in runs]


def in_runs(runs: Sequence[Sequence[int]], positions: np.ndarray) -> list[int]:
    """Which of these log positions are in such runs."""
    found = [positions[(first <= positions) & (positions <= last)] for first, last in runs]
    return [int(position) for part in found for position in part]
