"""The arguments of `agentmem bench rollout`, and its table. What is timed is in `measure`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from agentmem.bench.arguments import bars, parser_of, positive
from agentmem.bench.printed import json_of
from agentmem.bench.rollout.measure import measure

NOTES = """\
The environment waits so many milliseconds a step and shows sentences like those of a help desk. The bare one is
stepped by Gymnasium's SyncVectorEnv, or AsyncVectorEnv with --apart, with as many workers and the same actions.
Every step is logged, at durability "process"; nothing is recalled. Bare and logged runs take turns.
"""


def parser() -> argparse.ArgumentParser:
    made = parser_of("rollout", "Steps per second with memory logging on, as a share of the bare environment's.", NOTES)
    add = made.add_argument
    add("--ms", type=_milliseconds, default=[0.0, 1.0, 5.0], metavar="N,N", help="milliseconds a step; 0,1,5")
    add("--steps", type=positive, default=1000, metavar="N", help="steps of each run; 1000")
    add("--workers", type=positive, default=1, metavar="N", help="environments at a time; 1")
    add("--apart", action="store_true", help="each in a process of its own")
    add("--rounds", type=positive, default=3, metavar="N", help="runs of each, of which the median counts; 3")
    add("--json", action="store_true", help="print results as JSON")
    return made


def _milliseconds(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 <= each <= 1000 for each in found):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of milliseconds from 0 to 1000, such as 0,1,5")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print Markdown, or JSON."""
    asked = parser().parse_args(arguments)
    with bars(live=False) as progress:  # a bar that is drawn while steps are timed would be timed with them
        task = progress.add_task("runs", total=2 * asked.rounds * len(asked.ms))
        progress.refresh()

        def done() -> None:
            progress.update(task, advance=1, refresh=True)

        rows = [measure(ms / 1000, asked.steps, asked.workers, asked.apart, asked.rounds, done) for ms in asked.ms]
    sys.stdout.write(json_of({"rows": rows}, indent=1) + "\n" if asked.json else markdown(rows))


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table."""
    lines = [
        "| ms a step | bare steps/s | logged steps/s | share | logging, ms a step | of CPU |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        speeds = f"{row['bare_steps_s']:,.0f} | {row['logged_steps_s']:,.0f} | {row['share']:.2f}"
        lines.append(f"| {row['ms']:g} | {speeds} | {row['logging_ms']:.3f} | {row['logging_cpu_ms']:.3f} |")
    return "\n".join(lines) + "\n"
