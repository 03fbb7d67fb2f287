"""A shift as a picture: one square for each closed ticket, and a bar of the time that has passed. Holds no text."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE, SQUARE = 256, 8
PAPER, INK = (250, 250, 248), (60, 60, 64)
COLOURS = {
    (False, True): (120, 180, 120),
    (False, False): (225, 180, 170),
    (True, True): (20, 120, 60),
    (True, False): (190, 40, 40),
}
"""(does it turn on a hidden fact, is it solved): colour."""


def board(results: Sequence[Mapping[str, Any]], step: int, steps: int) -> NDArray[np.uint8]:
    """[256, 256, 3]. The newest tickets that fit, row by row: dark is hidden, light visible, green solved, red not."""
    picture = np.full((SIDE, SIDE, 3), PAPER, np.uint8)
    columns = SIDE // SQUARE
    fitting = columns * (columns - 1)
    for place, result in enumerate(results[-fitting:]):
        top, left = (place // columns) * SQUARE, (place % columns) * SQUARE
        colour = COLOURS[bool(result["hidden"]), bool(result["solved"])]
        picture[top : top + SQUARE - 1, left : left + SQUARE - 1] = colour
    picture[SIDE - SQUARE + 2 :, : SIDE * step // steps] = INK
    return picture
