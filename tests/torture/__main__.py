"""`python -m torture`: run the drills, show how far they are, print what was counted."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID
from rich.table import Table

from torture.drill import Drill
from torture.drills import DRILLS
from torture.run import State, run

NEVER = float("inf")
MEMORY = "/dev/shm"  # where nothing waits for a disk


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="torture", description="Try to break a memory, and count.")
    parser.add_argument("--minutes", type=float, default=5.0, help="stop after this long; default 5")
    parser.add_argument("--release", action="store_true", help="until every drill was done as often as promised")
    parser.add_argument("--only", metavar="NAME", action="append", help="a drill, by a part of its name; repeatable")
    parser.add_argument("--state", type=Path, default=Path("torture.json"), help="what was done; goes on from there")
    parser.add_argument("--folder", type=Path, help="where memories are made; those that failed stay there")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


class Bars:
    """How far each drill is, on standard error."""

    def __init__(self, drills: list[Drill], state: State) -> None:
        done = "{task.completed:,.0f} of {task.total:,.0f}", "{task.fields[failed]}"
        self.progress = Progress("{task.description}", BarColumn(), *done, console=Console(stderr=True))
        self.tasks: dict[str, TaskID] = {}
        self.state = state
        for drill in drills:
            self.tasks[drill.name] = self.progress.add_task(drill.name, total=drill.wanted, failed="")
            self.show(drill, state.of(drill))

    def show(self, drill: Drill, here: dict[str, Any]) -> None:
        failed = f"{len(here['failed'])} failed" if here["failed"] else ""
        self.progress.update(self.tasks[drill.name], completed=self.state.done(drill), failed=failed)


def table(drills: list[Drill], state: State) -> Table:
    made = Table("drill", "done", "failed", "minutes", "counted", box=SIMPLE_HEAD)
    for drill in drills:
        here = state.of(drill)
        counted = ", ".join(f"{n:,} {what}" for what, n in here["counts"].items() if what != drill.unit)
        done = f"{state.done(drill):,} of {drill.wanted:,} {drill.unit}"
        made.add_row(drill.name, done, str(len(here["failed"])), f"{here['seconds'] / 60:.1f}", counted)
    return made


def main() -> int:
    given = arguments()
    chosen = [one for one in DRILLS if not given.only or any(name in one.name for name in given.only)]
    for drill in chosen:
        if lacking := drill.needs():
            print(f"{drill.name}: left out, this machine lacks {lacking}", file=sys.stderr)
    drills, state = [drill for drill in chosen if not drill.needs()], State(given.state)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="torture-", dir=MEMORY if os.path.isdir(MEMORY) else None))
    bars = Bars(drills, state)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    well = False
    try:
        with bars.progress:
            well = run(drills, state, folder, NEVER if given.release else 60 * given.minutes, 1.0, bars.show)
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on from {given.state}", file=sys.stderr)
    if given.json:
        print(json.dumps(state.drills))
    else:
        Console(width=140).print(table(drills, state))
    for drill in drills:
        for failed in state.of(drill)["failed"]:
            print(f"{drill.name}, part {failed['part']}, in {folder}:\n{failed['why']}", file=sys.stderr)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
