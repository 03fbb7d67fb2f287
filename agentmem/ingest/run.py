"""Ingest: files into a log, each step once.

Joins files, formats and the log. What stands in each of these is their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from agentmem.errors import InvalidInputError
from agentmem.ingest.dry import DryStore
from agentmem.ingest.files import Given, files_of
from agentmem.ingest.formats import Format, UnknownError, detect, look, named
from agentmem.ingest.log import Beginnings, Logger
from agentmem.ingest.report import IngestReport, Problems, Progress
from agentmem.ingest.source import Source
from agentmem.memory import Memory, check_memory
from agentmem.records import check_flag, check_namespace
from agentmem.types import Namespace, Store

Paths = str | Path | Sequence[str | Path]
OWN = ("history", "export")  # formats of agentmem's own, which are taken at their word
UNREAD = ("documents", "minari")  # formats that are not told by JSON values


def ingest(
    memory: Memory,
    path: Paths,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Log every step of files that is not logged yet.

    path: a file, plain or gzipped, a folder, a pattern, or several of these. format: its name, see
    `agentmem.ingest.formats`; told by the content if not given. skip_bad: leave out and report lines that cannot be
    read, where otherwise the first of them raises InvalidInputError; batches before it are logged by then. dry_run: log
    nothing, only report. progress: called with (bytes read, bytes of all files). Raises NotFoundError without the file,
    InvalidInputError for one in no known format, and MissingExtraError where reading it needs what is not installed.
    """
    check_memory(memory)
    dry = check_flag("dry_run", dry_run)
    store = cast(Store, DryStore(memory._core.store)) if dry else memory._core.store
    run = _Run(store, memory.namespace, memory._core.clock, skip_bad, progress)
    return run.report(path, format, _beside(memory._core.store.path), dry)


def rehearse(
    path: Paths,
    namespace: Namespace = (),
    *,
    format: str | None = None,
    skip_bad: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Raise what `ingest` into a new memory would raise before it has logged anything; with dry_run, go to the end."""
    run = _Run(cast(Store, DryStore()), check_namespace(namespace), time.time, skip_bad, progress)
    run.enough = (lambda: False) if check_flag("dry_run", dry_run) else (lambda: run.importer.steps > 0)
    return run.report(path, format, "", dry_run=True)


class _Run:
    """One ingest into a store."""

    def __init__(
        self,
        store: Store,
        namespace: Namespace,
        clock: Callable[[], float],
        skip_bad: bool,
        progress: Progress | None,
    ) -> None:
        self.problems = Problems(check_flag("skip_bad", skip_bad))
        self.importer = Beginnings(store, namespace, clock, self.problems)
        self.logger = Logger(self.importer, store, namespace)
        self.enough: Callable[[], bool] = lambda: False
        self.progress = progress
        self.formats: dict[str, int] = {}
        self.lines = self.done = self.total = 0

    def report(self, path: Paths, format: str | None, but: str, dry_run: bool) -> IngestReport:
        began, chosen = time.perf_counter(), named(format) if format is not None else None
        files, passed = files_of(path, but)
        self.problems.passed += passed
        self.total = sum(given.size for given in files)
        for given in files:
            if not self.enough():
                self._file(given, chosen)
        return IngestReport(
            format=", ".join(sorted(self.formats)) or (chosen.name if chosen else ""),
            files=sum(self.formats.values()),
            lines=self.lines,
            steps=self.importer.steps,
            known=self.importer.known,
            episodes=len(self.importer.episodes),
            bad=tuple(self.problems.found),
            passed=tuple(self.problems.passed),
            seconds=time.perf_counter() - began,
            dry_run=dry_run,
        )

    def _file(self, given: Given, chosen: Format | None) -> None:
        self.problems.path = given.path
        source = Source(given.path, given.name, self.problems, self._tell)
        try:
            if format := self._format(source, given, chosen):
                self.formats[format.name] = self.formats.get(format.name, 0) + 1
                self._read(source, format)
        except InvalidInputError as error:
            if not self.problems.skip:
                raise
            self.problems(0, str(error).removeprefix(str(given.path)).lstrip(" ,:"))
        self.logger.close(source.last)
        self.done += given.size
        self.lines += source.last

    def _format(self, source: Source, given: Given, chosen: Format | None) -> Format | None:
        """The format a file is read in; None if it is passed over."""
        try:
            format = chosen or detect(source)
        except UnknownError as error:
            if not given.found:
                raise
            why = str(error).split("; the formats are")[0].removeprefix(f"{given.path} is ")
            self.problems.passing(f"it is {why}")
            return None
        if format is None:
            self.problems.passing("it is empty")
        elif chosen and format.name not in UNREAD:
            look(source)
        return format

    def _read(self, source: Source, format: Format) -> None:
        source.grows, source.mends = format.grows, format.name not in OWN
        reading = format.read(source)
        for found in list(reading) if source.whole else reading:  # a file that is read whole is logged if it is good
            self.logger.take(found, format.named)
            if self.enough():
                break

    def _tell(self, done: int) -> None:
        if self.progress:
            self.progress(self.done + done, self.total)


def _beside(path: str) -> str:
    """The start of the paths of a memory's own files, which are not read."""
    return "" if path == ":memory:" or "://" in path else str(Path(path).absolute())
