"""What is measured of one size: the memory is built, then read and logged to by fresh processes. Knows no bar.

Cues are the histories' questions, spread over all cycles whose evidence is in; where there are none, spans of steps.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentmem.bench.processes import percentiles
from agentmem.bench.speed.build import Built, Progress, Workshop, spread
from agentmem.bench.speed.child import WARM, ask
from agentmem.memory import Memory
from agentmem.types import Retain

SPAN = 10
"""Words of a span of a step that is a cue."""
SHOWN = 200


def measure(workshop: Workshop, retain: Retain, size: int, n_cues: int, progress: Progress) -> dict[str, Any]:
    """Figures of a memory of at least `size` tokens, as JSON values: seconds, milliseconds, bytes."""
    path, built = workshop.build(retain, size, progress)
    asked = cues(built, n_cues + WARM + 1, workshop.seed)
    sizes = ask({"do": "sizes", "path": str(path)})
    reading = ask({"do": "read", "path": str(path), "cues": asked})
    return {
        "retain": retain,
        "size": size,
        "tokens": built.tokens,
        "steps": built.steps,
        "vocabulary": {
            "stems": built.stems,
            "by_heaps": built.stems_by_heaps,
            "exponent": built.exponent,
            "cycles": built.cycles,
        },
        "log_many_steps_s": built.logged / built.log_s,
        "log_many_tokens_s": built.crystallized / built.log_s,
        "crystallize_tokens_s": built.crystallized / built.crystallize_s,
        "observe_ms": _observed(path, spread(built.recent, n_cues * 2)),
        "bytes": sizes["parts"],
        "files": sizes["files"],
        "crystals": sizes["crystals"],
        "first_recall_s": reading["first_s"],
        "first_recall_cpu_s": reading["first_cpu_s"],
        "recall_ms": percentiles(reading["wall_ms"]),
        "recall_cpu_ms": percentiles(reading["cpu_ms"]),
        "cues": len(reading["wall_ms"]),
        "slowest": _slowest(asked[1 + WARM :], reading["cpu_ms"]),
        "context_tokens": reading["context_tokens"],
        "resident": reading["resident"],
        "resident_of_one_step": _of_one_step(retain, asked),
    }


def cues(built: Built, wanted: int, seed: int) -> list[str]:
    """So many questions in random order, or spans of the newest steps; some again where there are too few."""
    rng = random.Random(seed)
    known = spread(built.cues, wanted) or [_span(rng, text) for text in spread(built.recent, wanted)]
    rng.shuffle(known)
    return [known[n % len(known)] for n in range(wanted)]


def _slowest(asked: Sequence[str], milliseconds: Sequence[float]) -> list[dict[str, Any]]:
    """The five cues that took the most CPU."""
    ranked = sorted(zip(milliseconds, asked, strict=True), reverse=True)[:5]
    return [{"cpu_ms": took, "cue": cue[:SHOWN]} for took, cue in ranked]


def _span(rng: random.Random, text: str) -> str:
    words = text.split()
    start = rng.randrange(max(1, len(words) - SPAN + 1))
    return " ".join(words[start : start + SPAN])


def _observed(path: Path, texts: Sequence[str]) -> dict[str, float]:
    """Of steps logged to a copy, so that the memory stays as it is."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, folder)
        return percentiles(ask({"do": "observe", "path": str(Path(folder) / path.name), "texts": texts})["wall_ms"])


def _of_one_step(retain: Retain, asked: Sequence[str]) -> int:
    """What a reader of a memory of one step holds: its encoder and everything else that does not grow."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.mem"
        with Memory.open(path, retain=retain) as memory, memory.episode() as episode:
            episode.observe(" ".join(asked[:2]))
        return int(ask({"do": "read", "path": str(path), "cues": list(asked)})["resident"])
