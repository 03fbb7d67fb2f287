"""One measurement of a memory in a process of its own: a JSON job in, JSON figures out.

    python -m agentmem.bench.speed.child < job

Knows Memory. A job names a file and what to do with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agentmem.bench.peers.peer import BUDGET
from agentmem.bench.processes import Timed, environment, resident
from agentmem.memory import Memory

WARM = 5
"""Recalls before those that are timed."""


def ask(job: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a job, from a fresh process. CalledProcessError, with what it wrote shown, where it fails."""
    command = [sys.executable, "-m", __name__]
    done = subprocess.run(
        command, input=json.dumps(job), stdout=subprocess.PIPE, text=True, check=True, env=environment()
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


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


JOBS: dict[str, Callable[..., dict[str, Any]]] = {"read": read, "observe": observe, "sizes": sizes}


def main() -> None:
    job = json.load(sys.stdin)
    json.dump(JOBS[job.pop("do")](**job), sys.stdout)


if __name__ == "__main__":
    main()
