"""Logging what a file holds: agentmem's own export, or histories of conversations.

The first line tells which. An export has one step per line, described in `agentmem.transfer`. A history file has one
history per line, `{id, steps: [{id, time, actor, kind, text, session}, ...]}`: each session becomes the episode
`{history}/{session}`, each step gets the key `{history}/{step}`, and what else a line holds (questions, licence) is left.
Every step has a key, so repeating an ingest adds nothing and one that was interrupted can be run again.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.memory import Memory
from agentmem.transfer import Importer
from agentmem.types import Frozen

Format = Literal["export", "history"]
Progress = Callable[[int, int], None]
"""Called with (bytes read, bytes in the file)."""

BATCH = 500
_STEP_FIELDS = ("id", "text", "kind")
_HINT = "mend the line, or leave such lines out with skip_bad=True (--skip-bad)"


class BadLine(NamedTuple):
    """A line that was left out: its number from 1, and what is wrong with it."""

    number: int
    problem: str


class IngestReport(Frozen):
    """What one ingest did: steps newly logged, steps that were logged before, episodes touched, lines left out."""

    format: Format
    lines: int
    steps: int
    known: int
    episodes: int
    bad: tuple[BadLine, ...]
    seconds: float


class Line(NamedTuple):
    number: int
    value: dict[str, Any]


class Tally:
    """Counts steps by whether they came after the log's end as it was."""

    def __init__(self, memory: Memory) -> None:
        self.end = memory.head().position
        self.steps = self.known = 0
        self.episodes: set[tuple[tuple[str, ...], str]] = set()
        self.bad: list[BadLine] = []

    def add(self, namespace: tuple[str, ...], episode: str, positions: list[int]) -> None:
        new = sum(position > self.end for position in positions)
        self.steps += new
        self.known += len(positions) - new
        self.episodes.add((namespace, episode))


def ingest(
    memory: Memory,
    path: str | Path,
    *,
    format: Format | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Log every step of a file (`.jsonl`, or the same gzipped as `.gz`) that is not logged yet.

    format: "export" or "history"; read from the first line if not given. skip_bad: leave out lines that cannot be read
    and report them, where otherwise the first one raises InvalidInputError; what stands before it is logged by then.
    """
    began, path, lines = time.perf_counter(), Path(path), 0
    tally, importer = Tally(memory), Importer(memory)
    for line in read_lines(path, progress, tally.bad if skip_bad else None):
        lines = line.number
        try:
            format = format or detect(line.value)
            if format == "history":
                _log_history(memory, line.value, tally)
            else:
                importer.add(line.value, tally.add)
        except InvalidInputError as error:
            _bad(path, line.number, str(error), tally.bad if skip_bad else None)
    importer.flush(tally.add)
    ...
