"""Logging what a file holds: agentmem's own export, or histories of conversations.

The first line tells which. An export has one step per line, described in `agentmem.transfer`. A history file has one
history per line, `{id, steps: [{id, time, actor, kind, text, session, subjects}, ...]}`: each session becomes the
episode `{history}/{session}`, or `{history}` where it is null; each step gets the key `{history}/{step}`; whatever else
the line holds (questions) is left. Every step has a key, so repeating an ingest adds nothing, and one that was
interrupted can be run again.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast, get_args

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.memory import Memory
from agentmem.records import brief, check_path
from agentmem.transfer import Importer
from agentmem.types import Frozen, Namespace

Format = Literal["export", "history"]
Progress = Callable[[int, int], None]
"""Called with (bytes read, bytes in the file)."""


class BadLine(NamedTuple):
    """A line that was left out: its number, from 1, and what is wrong with it."""

    number: int
    problem: str


class IngestReport(Frozen):
    """What one ingest did: steps newly logged, steps logged before, episodes met, lines left out, seconds."""

    format: Format
    lines: int
    steps: int
    known: int
    episodes: int
    bad: tuple[BadLine, ...]
    seconds: float


def ingest(
    memory: Memory,
    path: str | Path,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Log every step of a file that is not logged yet; the file is JSON lines, plain or gzipped.

    format: "export" or "history"; read from the first line if not given. skip_bad: leave out and report lines that
    cannot be read, where otherwise the first of them raises InvalidInputError; what stands before it is logged by then.
    """
    began, problems = time.perf_counter(), _Problems(check_path("path", path), skip_bad)
    importer = Importer(memory._core.store, memory.namespace, memory._core.clock, problems)
    last, known_format = _take(importer, problems, format, progress)
    return IngestReport(
        format=known_format,
        lines=last,
        steps=importer.steps,
        known=importer.known,
        episodes=len(importer.episodes),
        bad=tuple(problems.found),
        seconds=time.perf_counter() - began,
    )


def rehearse(path: str | Path, namespace: Namespace = (), *, format: str | None = None, skip_bad: bool = False) -> None:
    """Raise what `ingest` into a new memory would raise before it has logged anything."""
    problems = _Problems(check_path("path", path), skip_bad)
    with Memory.open(":memory:", encoder=None, durability="process") as memory:
        importer = Importer(memory._core.store, namespace, memory._core.clock, problems)
        _take(importer, problems, format, enough=lambda: importer.steps > 0)


def _take(
    importer: Importer,
    problems: _Problems,
    format: str | None,
    progress: Progress | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> tuple[int, Format]:
    """Hand lines to the importer until there are enough; the number of the last one, and their format."""
    known_format, last = _checked(format), 0
    for number, value in _values(problems.path, problems, progress):
        last, known_format = number, known_format or detect(value)
        if known_format == "history":
            _history(importer, number, value)
        else:
            importer.add(number, value)
        if enough():
            break
    importer.flush()
    return last, known_format or "export"


def detect(line: Mapping[str, Any]) -> Format:
    """Which format a file's first line is in."""
    return "history" if isinstance(line.get("steps"), list) and "type" not in line else "export"


def _checked(format: str | None) -> Format | None:
    if format is not None and format not in get_args(Format):
        raise InvalidInputError(f"format {format!r} is unknown; it is one of {', '.join(get_args(Format))}")
    return cast(Format | None, format)


class _Problems:
    """Raises on the first bad line, or with `skip` takes note of each."""

    def __init__(self, path: Path, skip: bool) -> None:
        self.path, self.skip = path, skip
        self.found: list[BadLine] = []

    def __call__(self, number: int, problem: str) -> None:
        if not self.skip:
            hint = "mend the line, or leave such lines out with skip_bad=True (--skip-bad)"
            raise InvalidInputError(f"{self.path}, line {number}: {problem}; {hint}")
        self.found.append(BadLine(number, problem))


def _values(path: Path, problems: _Problems, progress: Progress | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, JSON object) of each line that holds one; blank lines are passed over."""
    for number, data in enumerate(_lines(path, progress), 1):
        if not data.strip():
            continue
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            problems(number, f"it is not JSON ({error})")
            continue
        if isinstance(value, dict):
            yield number, value
        else:
            problems(number, f"it is a {type(value).__name__}, not an object")


def _lines(path: Path, progress: Progress | None) -> Iterator[bytes]:
    try:
        raw = path.open("rb")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}; check the path") from None
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}; give a file of JSON lines") from error
    with raw:
        total = path.stat().st_size
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        lines = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        while line := _next(lines, path):
            yield line
            if progress:
                progress(raw.tell(), total)


def _next(lines: BinaryIO, path: Path) -> bytes:
    """The next line; b"" at the end."""
    try:
        return lines.readline()
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidInputError(f"{path} cannot be read to its end ({error}); get a whole copy of it") from error


def _history(importer: Importer, number: int, history: Mapping[str, Any]) -> None:
    """Log one history: a line of an export for each of its steps."""
    name, steps = history.get("id"), history.get("steps")
    if not isinstance(name, str) or not isinstance(steps, list):
        importer.bad(number, "a history has an id, which is a str, and steps, which is a list")
        return
    episodes: dict[str, None] = {}
    for place, step in enumerate(steps):
        if problem := _problem(step):
            importer.bad(number, f"steps[{place}] {problem}")
            continue
        session = step["session"]
        episode = name if session is None else f"{name}/{session}"
        episodes[episode] = None
        importer.add(number, _line(name, episode, step))
    for episode in episodes:
        importer.end_episode(number, episode)


def _problem(step: Any) -> str:
    """What keeps a step of a history from being a line of an export; "" if nothing does."""
    if not isinstance(step, dict):
        return f"is {brief(step)}; give an object"
    for field in ("id", "text", "session"):
        if field not in step:
            return f"has no {field}"
    for field, absent in (("id", False), ("session", True)):
        value = step[field]
        if not (_is_name(value) or (absent and value is None)):
            return f"has the {field} {brief(value)}; give a str or a number{', or null for none' if absent else ''}"
    return ""


def _is_name(value: Any) -> bool:
    return value != "" and isinstance(value, str | int) and not isinstance(value, bool)


def _line(history: str, episode: str, step: Mapping[str, Any]) -> dict[str, Any]:
    """A history's step as a line of an export."""
    line = {"key": f"{history}/{step['id']}", "episode": episode, "text": step["text"]}
    line |= {"kind": step.get("kind") or "message", "actor": step.get("actor"), "at": step.get("time")}
    return line | {"subjects": step.get("subjects") or []}
