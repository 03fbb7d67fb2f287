"""Running drills in turns until each was done as often as wanted, or time is up. Knows none of them.

What was done stands in a file after every part, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torture.drill import Drill

Shown = Callable[[Drill, dict[str, Any]], None]


class State:
    """The file of what was done: name of a drill -> parts, counts, seconds and the parts that failed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.drills: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}

    def of(self, drill: Drill) -> dict[str, Any]:
        return self.drills.setdefault(drill.name, {"parts": 0, "counts": {}, "seconds": 0.0, "failed": []})

    def done(self, drill: Drill) -> int:
        return int(self.of(drill)["counts"].get(drill.unit, 0))

    def add(self, drill: Drill, counts: Counter[str], seconds: float, failed: str | None) -> None:
        here = self.of(drill)
        if failed is not None:
            here["failed"].append({"part": here["parts"], "why": failed})
        here["parts"] += 1
        here["counts"] = dict(Counter(here["counts"]) + counts)
        here["seconds"] = round(here["seconds"] + seconds, 1)
        self._write()

    def _write(self) -> None:
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(self.drills, indent=1) + "\n")
        os.replace(beside, self.path)


def run(drills: Sequence[Drill], state: State, folder: Path, seconds: float, wanted: float, shown: Shown) -> bool:
    """Do parts, always of the drill that is furthest behind; whether nothing failed, now or in what the state knows.

    seconds: after which no part begins. wanted: as a share of a whole run.
    """
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        left = [drill for drill in drills if state.done(drill) < wanted * drill.wanted and not stuck(state, drill)]
        if not left:
            break
        drill = min(left, key=lambda one: state.done(one) / one.wanted)
        part(drill, state, folder)
        shown(drill, state.of(drill))
    return not any(state.of(drill)["failed"] for drill in drills)


def stuck(state: State, drill: Drill) -> bool:
    """Whether a drill failed so often that it only costs time."""
    return len(state.of(drill)["failed"]) >= 20


def part(drill: Drill, state: State, folder: Path) -> None:
    """The next part of a drill, in a folder of its own that stays only if it failed."""
    seed, counts, failed = state.of(drill)["parts"], Counter[str](), None
    here = folder / f"{drill.name} {seed}".replace(" ", "-")
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir(parents=True)
    began = time.monotonic()
    try:
        counts = drill.part(seed, here)
    except Exception:
        failed = traceback.format_exc()
    else:
        shutil.rmtree(here)
    state.add(drill, counts, time.monotonic() - began, failed)
