"""What an ingest found and did: steps in episodes, lines that were left out, files that were passed over.

Knows no format. A line is named by its file and its number, from 1; number 0 is the file as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from agentmem.transfer import LineError
from agentmem.types import Frozen

Bad = Callable[[int, str], None]
"""Called with a line's number and what is wrong with it; raises LineError, or takes note."""
Progress = Callable[[int, int], None]
"""Called with (bytes read, bytes in all files)."""
OUTSIDE = "it is a link that leads out of the folder"


class Found(NamedTuple):
    """A step as a file has it.

    step: fields of an export's line, with a key; None ends the episode. episode: None where `step` is a whole line of
    an export. goal: what the episode begins with. number: of the line it is from.
    """

    number: int
    episode: str | None
    step: dict[str, Any] | None
    goal: str | None = None


class BadLine(NamedTuple):
    """A line that was left out: its number, from 1 (0: the whole file), what is wrong with it, and its file."""

    number: int
    problem: str
    file: str


class Passed(NamedTuple):
    """A file, or the end of one, that was passed over, and why."""

    file: str
    why: str


class IngestReport(Frozen):
    """What one ingest did, or with dry_run would do.

    format: the formats met, joined by commas. lines: of the files, up to the last that was read. steps: newly logged.
    known: logged before. files, episodes: that had any. bad: lines left out. passed: files that hold nothing to log.
    """

    format: str
    files: int
    lines: int
    steps: int
    known: int
    episodes: int
    bad: tuple[BadLine, ...]
    passed: tuple[Passed, ...]
    seconds: float
    dry_run: bool = False


class Problems:
    """Raises on the first bad line, or with `skip` takes note of each."""

    def __init__(self, skip: bool) -> None:
        self.skip = skip
        self.path = Path()
        self.found: list[BadLine] = []
        self.passed: list[Passed] = []

    def __call__(self, number: int, problem: str) -> None:
        if not self.skip:
            what = "the line" if number else "the file"
            hint = f"mend {what}, or leave such {what.split()[1]}s out with skip_bad=True (--skip-bad)"
            raise LineError(f"{self.path}{f', line {number}' if number else ''}: {problem}; {hint}")
        self.found.append(BadLine(number, problem, str(self.path)))

    def passing(self, why: str) -> None:
        """Take note that the file, or what was left of it, is passed over."""
        self.passed.append(Passed(str(self.path), why))
