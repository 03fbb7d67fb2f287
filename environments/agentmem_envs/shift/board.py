"""A shift as a picture: what is read, one square for each closed ticket, and a bar of the time that has passed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentmem_envs.picture import INK, PAPER, page

SQUARE, ROWS = 8, 8
"""Pixels of a square, a line between two of them included, and rows of squares."""
COLOURS = {
    (False, True): (120, 180, 120),
    (False, False): (225, 180, 170),
    (True, True): (20, 120, 60),
    (True, False): (190, 40, 40),
}
"""(does it turn on a hidden fact, is it solved): colour."""


def board(text: str, results: Sequence[Mapping[str, Any]], step: int, steps: int) -> NDArray[np.uint8]:
    """[288, 576, 3]. Under the text the newest tickets that fit, row by row: dark is hidden, light visible, green
    solved, red not.
    """
    written = page(f"step {step:,} of {steps:,}; {_counted(results)}\n\n{text}")
    columns = written.shape[1] // SQUARE
    drawn = np.full((SQUARE * (ROWS + 1), written.shape[1], 3), PAPER, np.uint8)
    for place, result in enumerate(results[-columns * ROWS :]):
        top, left = (place // columns) * SQUARE, (place % columns) * SQUARE
        colour = COLOURS[bool(result["hidden"]), bool(result["solved"])]
        drawn[top : top + SQUARE - 1, left : left + SQUARE - 1] = colour
    drawn[2 - SQUARE :, : written.shape[1] * step // steps] = INK
    return np.concatenate((written, drawn))


def _counted(results: Sequence[Mapping[str, Any]]) -> str:
    hidden = [result["solved"] for result in results if result["hidden"]]
    solved = sum(result["solved"] for result in results)
    return f"tickets solved: {solved} of {len(results)}, of those with a hidden fact {sum(hidden)} of {len(hidden)}"
