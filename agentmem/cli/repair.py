"""The command that repairs a damaged memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentmem.cli import show
from agentmem.cli.app import open_memory
from agentmem.cli.options import JsonOption, MemoryPath, example, flag, key_file, path_of
from agentmem.errors import NotFoundError
from agentmem.types import RepairReport


def register(app: typer.Typer) -> None:
    app.command(epilog=example("agentmem repair agent.mem --backup yesterday.mem --dry-run"))(repair)


def repair(
    path: MemoryPath,
    backup: Annotated[
        Path | None,
        typer.Option(
            metavar="MEMORY", parser=path_of, help="An older copy, for steps that nothing else can give back."
        ),
    ] = None,
    dry_run: Annotated[bool, flag("--dry-run", "Only say what would be done.")] = False,
    json: JsonOption = False,
) -> None:
    """Make again what is damaged, and note as lost what nothing can prove.

    Copy the files first if what cannot be proven may be worth something to you: it goes.

    The exit code is 1 where something is lost.
    """
    from agentmem.memory import repair as repaired

    if not Path(path).exists():
        raise NotFoundError(f"there is no memory at {path}; give the path of one")
    with show.Waiting("repairing"):
        report = repaired(path, backup, dry_run, key_file())
        if report.problems and not dry_run:
            _crystallize(path)
    if json:
        show.as_json(report.model_dump(mode="json"))
    else:
        _tell(report)
    if report.lost:
        raise typer.Exit(1)


def _crystallize(path: str) -> None:
    """What was condensed is made again at once, so that the first recall does not miss it."""
    with open_memory(path, every=True) as memory:
        for namespace in memory._core.store.namespaces():
            memory.scoped(*namespace).crystallize()


def _tell(report: RepairReport) -> None:
    if not report.problems:
        show.say("ok", "nothing is damaged", style="bold green")
    for problem in report.problems:
        show.say("damaged:", problem)
    would = "would be " if report.dry_run else ""
    for part in report.rebuilt:
        show.say(f"{would}made again:", part)
    if report.restored:
        show.say(f"{would}restored:", show.count(len(report.restored), "records"), f"{report.restored[0]} and on")
    for loss in report.lost:
        show.say("lost:", loss.what, style="bold red")
