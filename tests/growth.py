"""How the time of a function grows with what it is given: a ratio within one run, the same on slow machines."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMES = 10
LINEAR = 3.0
"""Growth of what is linear, with room for noise; of what is quadratic it is TIMES."""


def growth(function: Callable[[str], object], text: str) -> float:
    """Processor time for the whole text by that for the first tenth of it, by TIMES."""
    least = min(_seconds(function, text[: len(text) // TIMES]) for _ in range(3))
    return _seconds(function, text) / least / TIMES


def _seconds(function: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    function(text)
    return time.process_time() - began
