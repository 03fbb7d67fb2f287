"""Commands that add to a memory: ingest, import, crystallize."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from agentmem.bench.totals import add_reports
from agentmem.cli import show
from agentmem.cli.app import make_memory, open_memory
from agentmem.cli.options import JsonOption, MemoryPath, NamespaceOption, example, flag, key_file, namespace_of
from agentmem.cli.stopping import stoppable
from agentmem.types import CrystallizeReport, Layer

if TYPE_CHECKING:
    from agentmem.ingest import IngestReport
    from agentmem.memory import Memory

SourceFile = Annotated[str, typer.Argument(metavar="FILE", help="JSON lines, plain or gzipped.", show_default=False)]
SourcePaths = Annotated[
    list[str], typer.Argument(metavar="PATH", help="Files, plain or gzipped, folders, patterns.", show_default=False)
]
FormatOption = Annotated[str | None, typer.Option(metavar="NAME", help="If not given, the content tells.")]
SkipBad = Annotated[bool, flag("--skip-bad", "Leave out lines that cannot be read, and list them.")]
DryRun = Annotated[bool, flag("--dry-run", "Say what would be logged; log nothing.")]
Later = Annotated[bool, flag("--later", "Only log; crystallize another time.")]
LISTED = 10  # of what was passed over
LOGGED = "what was logged is kept: run the same command again to log the rest"


def register(app: typer.Typer) -> None:
    examples = "agentmem ingest agent.mem history.jsonl.gz", "agentmem ingest agent.mem docs/ --dry-run"
    app.command(epilog=example(*examples))(ingest)
    app.command(name="import", epilog=example("agentmem import other.mem log.jsonl"))(import_export)
    app.command(epilog=example("agentmem crystallize agent.mem"))(crystallize)


def ingest(
    path: MemoryPath,
    paths: SourcePaths,
    format: FormatOption = None,
    skip_bad: SkipBad = False,
    dry_run: DryRun = False,
    later: Later = False,
    namespace: NamespaceOption = "",
    json: JsonOption = False,
) -> None:
    """Log what files hold, and crystallize it.

    Formats: openai, chatgpt, langchain, claude, codex, documents, texts, transitions, minari, history, export.

    The memory is made if need be; repeating adds what is new, if anything.
    """
    with stoppable(LOGGED):
        _log_files(path, paths, format, skip_bad, later, namespace, json, dry_run)


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
    with stoppable(LOGGED):
        _log_files(path, [file], "export", skip_bad, later, namespace, json)


def _log_files(
    path: str,
    paths: list[str],
    format: str | None,
    skip_bad: bool,
    later: bool,
    namespace: str,
    json: bool,
    dry_run: bool = False,
) -> None:
    from agentmem.ingest import ingest, rehearse

    report = crystallized = None
    with show.Waiting(f"reading {Path(paths[0]).name}" if dry_run else f"logging {Path(paths[0]).name}") as waiting:
        if not Path(path).exists():  # what cannot be read leaves no empty memory behind
            space = namespace_of(namespace)
            report = rehearse(paths, space, format=format, skip_bad=skip_bad, dry_run=dry_run, progress=waiting)
        if not (dry_run and report):
            with _quick_memory(path, namespace) as memory:
                report = ingest(memory, paths, format=format, skip_bad=skip_bad, dry_run=dry_run, progress=waiting)
    if not (dry_run or later):
        with make_memory(path, namespace) as memory:
            crystallized = _crystallize(memory, namespace)
    if json:
        made = crystallized and crystallized.model_dump(mode="json")
        show.as_json({"ingest": report.model_dump(mode="json"), "crystallize": made})
        return
    _show_ingest(report)
    if crystallized:
        _show_crystallize(crystallized)


def _quick_memory(path: str, namespace: str) -> Memory:
    """The memory at a path, made if need be, which waits for the disk as it closes: an ingest can be repeated."""
    from agentmem.memory import Memory

    make_memory(path, namespace).close()
    scope = namespace_of(namespace)
    return Memory.open(path, namespace=scope, encoder=None, durability="process", key_file=key_file())


def crystallize(path: MemoryPath, namespace: NamespaceOption = "", json: JsonOption = False) -> None:
    """Condense what was logged since last time.

    Safe to stop and to repeat. Without --namespace, all namespaces.
    """
    goes_on = stoppable("what was condensed is kept: run the same command again to go on")
    with goes_on, open_memory(path, namespace, every=True) as memory:
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
    from agentmem.ingest.report import OUTSIDE

    known = f", {show.number(report.known)} known already" if report.known else ""
    files = f" from {show.count(report.files, 'files')}" if report.files > 1 else ""
    said = f"{show.count(report.steps, 'steps')} in {show.count(report.episodes, 'episodes')}{files}{known}"
    did = "would log" if report.dry_run else "logged"
    show.say(did, said, f"{report.format}, {report.seconds:.2f} s".lstrip(", "))
    for number, problem, file in report.bad:
        where = f"line {number}" if number else "all"
        show.err().print(Text.assemble(("left out ", "yellow"), f"{where} of {show.path(file)}: {problem}"))
    for file, why in report.passed[:LISTED]:
        show.line(f"passed over {show.path(file)}: {why}")
    if len(report.passed) > LISTED:
        show.line(f"passed over {len(report.passed) - LISTED} more")
    if outside := sum(why == OUTSIDE for _, why in report.passed):
        show.line(f"left out {show.count(outside, 'links')} out of the folder; to log such a file, give its own path")


def _show_crystallize(report: CrystallizeReport) -> None:
    made = ", ".join(show.count(report.layers[layer].crystals, f"{layer}s") for layer in Layer)
    show.say("crystallized", made, f"{report.seconds:.2f} s")
