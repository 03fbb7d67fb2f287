"""Commands that add to a memory: ingest, import, crystallize."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from agentmem.bench.totals import add_reports
from agentmem.cli import show
from agentmem.cli.app import make_memory, open_memory
from agentmem.cli.options import JsonOption, MemoryPath, NamespaceOption, example, flag, namespace_of
from agentmem.types import CrystallizeReport, Layer

if TYPE_CHECKING:
    from agentmem.ingest import IngestReport
    from agentmem.memory import Memory

SourceFile = Annotated[str, typer.Argument(metavar="FILE", help="JSON lines, plain or gzipped.", show_default=False)]
SkipBad = Annotated[bool, flag("--skip-bad", "Leave out lines that cannot be read, and list them.")]
Later = Annotated[bool, flag("--later", "Only log; crystallize another time.")]


def register(app: typer.Typer) -> None:
    app.command(epilog=example("agentmem ingest agent.mem history.jsonl.gz"))(ingest)
    app.command(name="import", epilog=example("agentmem import other.mem log.jsonl"))(import_export)
    app.command(epilog=example("agentmem crystallize agent.mem"))(crystallize)


def ingest(
    path: MemoryPath,
    file: SourceFile,
    format: Annotated[
        str | None, typer.Option(metavar="NAME", help="export or history; if not given, the first line tells.")
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
    path: str, file: str, format: str | None, skip_bad: bool, later: bool, namespace: str, json: bool
) -> None:
    from agentmem.ingest import ingest, rehearse

    if not Path(path).exists():  # what cannot be read leaves no empty memory behind
        rehearse(file, namespace_of(namespace), format=format, skip_bad=skip_bad)
    with make_memory(path, namespace) as memory:
        with show.Waiting(f"logging {Path(file).name}") as waiting:
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
    with open_memory(path, namespace, every=True) as memory:
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
    said = f"{show.count(report.steps, 'steps')} in {show.count(report.episodes, 'episodes')}{known}"
    show.say("logged", said, f"{report.seconds:.2f} s")
    for number, problem in report.bad:
        show.err().print(Text.assemble(("left out ", "yellow"), f"line {number}: {problem}"))


def _show_crystallize(report: CrystallizeReport) -> None:
    made = ", ".join(show.count(report.layers[layer].crystals, f"{layer}s") for layer in Layer)
    show.say("crystallized", made, f"{report.seconds:.2f} s")
