"""What measurements in processes of their own share: the environment of one, its clocks, and what it holds resident."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import agentmem


def environment() -> dict[str, str]:
    """This process's, in which a child finds the same agentmem."""
    root = str(Path(agentmem.__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}


class Timed:
    """Milliseconds of wall and of CPU of each call."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def __call__(self, work: Callable[[], Any]) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.wall.append((time.perf_counter() - wall) * 1e3)
        self.cpu.append((time.process_time() - cpu) * 1e3)
        return result


def percentiles(milliseconds: Sequence[float], high: int = 99) -> dict[str, float]:
    """The median, and what so many in a hundred stay within: {"p50": ..., "p99": ...}."""
    found = np.percentile(np.array(milliseconds), [50, high])
    return {"p50": float(found[0]), f"p{high}": float(found[1])}


def resident() -> int:
    """Bytes of memory this process holds: Linux's VmRSS, elsewhere the peak."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
