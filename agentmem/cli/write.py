"""Commands that add to a memory: ingest, import, crystallize."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from agentmem.bench.totals import add_reports
from agentmem.cli import show
from agentmem.cli.app import JsonOption, MemoryPath, NamespaceOption, open_memory
from agentmem.types import CrystallizeReport, Layer

if TYPE_CHECKING:
    from agentmem.ingest import IngestReport
    from agentmem.memory import Memory

SourceFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="JSON lines, plain or .gz.", exists=True, dir_okay=False)
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out lines that cannot be read, and list them.")]
Later = Annotated[bool, typer.Option("--later", help="Only log; crystallize another time.")]


def register(app: typer.Typer) -> None:
    app.command()(ingest)
    app.command(name="import")(import_export)
    app.command()(crystallize)


def ingest(
    path: MemoryPath,
    file: SourceFile,
    format: Annotated[
        str | None, typer.Option(help="export or history; read from the first line if not given.")
    ] = None,
    skip_bad: SkipBad = False,
    later: Later = False,
    namespace: NamespaceOption = "",
    json: JsonOption = False,
) -> None:
    """Log what a file holds, and crystallize it.

    FILE holds an export, or one history per line. The memory is made if need be; repeating adds nothing.
    """
    _log_file(path, file, format, skip_bad, later, namespace, json)


def import_export(
    path: MemoryPath,
    file: SourceFile,
    skip_bad: SkipBad = False,
    later: Later = False,
    namespace: NamespaceOption = "",
    json: JsonOption = False,
) -> None:
    """Log what `agentmem export` wrote, and crystallize it.

    The memory is made if need be; repeating adds nothing. Without --namespace each line goes to its own.
    """
    _log_file(path, file, "export", skip_bad, later, namespace, json)


def _log_file(
    path: str, file: Path, format: str | None, skip_bad: bool, later: bool, namespace: str, json: bool
) -> None:
    from agentmem.ingest import ingest

    with open_memory(path, namespace, create=True) as memory:
        with show.Waiting(f"logging {file.name}") as waiting:
            report = ingest(memory, file, format=format, skip_bad=skip_bad, progress=waiting)
        crystallized = None if later else _crystallize(memory, namespace)
    if json:
        show.as_json(
            {
                "ingest": report.model_dump(mode="json"),
                "crystallize": crystallized and crystallized.model_dump(mode="json"),
            }
        )
        return
    _show_ingest(report)
    if crystallized:
        _show_crystallize(crystallized)


def crystallize(path: MemoryPath, namespace: NamespaceOption = "", json: JsonOption = False) -> None:
    """Condense what was logged since last time.

    Safe to stop and to repeat. Without --namespace, all namespaces.
    """
    with open_memory(path, namespace) as memory:
        report = _crystallize(memory, namespace)
    if json:
        show.as_json(report.model_dump(mode="json"))
    else:
        _show_crystallize(report)


def _crystallize(memory: Memory, namespace: str) -> CrystallizeReport:
    spaces = [memory.namespace] if namespace else memory._core.store.namespaces() or [memory.namespace]
    with show.Waiting("crystallizing") as waiting:
        return add_reports([memory.scoped(*space).crystallize(progress=waiting) for space in spaces])


def _show_ingest(report: IngestReport) -> None:
    known = f", {show.number(report.known)} known already" if report.known else ""
    said = f"{show.number(report.steps)} steps in {show.number(report.episodes)} episodes{known}"
    show.say("logged", said, f"{report.seconds:.2f} s")
    for number, problem in report.bad:
        show.err().print(Text.assemble(("left out ", "yellow"), f"line {number}: {problem}"))


def _show_crystallize(report: CrystallizeReport) -> None:
    made = ", ".join(f"{show.number(report.layers[layer].crystals)} {layer}s" for layer in Layer)
    show.say("crystallized", made, f"{report.seconds:.2f} s")
