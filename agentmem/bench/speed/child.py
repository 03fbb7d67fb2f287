"""One measurement of a memory in a process of its own: a JSON job in, JSON figures out.

    python -m agentmem.bench.speed.child < job

Knows Memory and how to read what this process holds resident. A job names a file and what to do with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import agentmem
from agentmem.memory import Memory

WARM = 5
"""Recalls before those that are timed."""
BUDGET = 1024


def ask(job: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a job, from a fresh process. CalledProcessError, with what it wrote shown, where it fails."""
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(
        command, input=json.dumps(job), stdout=subprocess.PIPE, text=True, check=True, env=environment()
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


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


def read(path: str, cues: Sequence[str]) -> dict[str, Any]:
    """Open and recall once, then every cue once, each timed; then what is resident."""
    first, warm, tokens = Timed(), Timed(), 0
    memory = first(partial(Memory.open, path))
    first(partial(memory.recall, cues[0], budget=BUDGET))
    for cue in cues[1 : 1 + WARM]:
        memory.recall(cue, budget=BUDGET)
    for cue in cues[1 + WARM :]:
        tokens += warm(partial(memory.recall, cue, budget=BUDGET)).tokens
    held = resident()
    memory.close()
    return {
        "first_s": sum(first.wall) / 1e3,
        "first_cpu_s": sum(first.cpu) / 1e3,
        "wall_ms": warm.wall,
        "cpu_ms": warm.cpu,
        "context_tokens": tokens / max(1, len(warm.wall)),
        "resident": held,
    }


def observe(path: str, texts: Sequence[str]) -> dict[str, Any]:
    """Log texts one at a time in an episode of a memory that is given for it."""
    timed = Timed()
    with Memory.open(path, durability="process") as memory:
        episode = memory.episode(id="more of it")
        for text in texts:
            timed(partial(episode.observe, text))
        episode.end()
    return {"wall_ms": timed.wall, "cpu_ms": timed.cpu}


def sizes(path: str) -> dict[str, Any]:
    """Bytes by part, as the memory tells them, and those of its closed files together."""
    files = sum(file.stat().st_size for file in Path(path).parent.glob(f"{Path(path).name}*") if file.is_file())
    with Memory.open(path, read_only=True) as memory:
        stats = memory.stats()
    parts = {name: size for name, size in stats.bytes.items() if name != "total" and size}
    layers = {layer.value: report.crystals for layer, report in stats.layers.items()}
    return {"parts": parts, "files": files, "crystals": layers}


def resident() -> int:
    """Bytes of memory this process holds: Linux's VmRSS, elsewhere the peak."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


JOBS: dict[str, Callable[..., dict[str, Any]]] = {"read": read, "observe": observe, "sizes": sizes}


def main() -> None:
    job = json.load(sys.stdin)
    json.dump(JOBS[job.pop("do")](**job), sys.stdout)


if __name__ == "__main__":
    main()
