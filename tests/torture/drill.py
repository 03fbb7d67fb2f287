"""What a drill is. Knows none of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Drill(NamedTuple):
    """A way to break a memory.

    part: seed and an empty folder -> what was done, counted, `unit` among it; AssertionError, or an error that nobody
    may see, where a promise broke. wanted: units of a whole run. proves: the promises it stands for. needs: "" or what
    this machine lacks.
    """

    name: str
    proves: str
    unit: str
    wanted: int
    part: Callable[[int, Path], Counter[str]]
    needs: Callable[[], str] = lambda: ""
