"""Commands that take something out: forget (reversible) and erase (not)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agentmem.cli import show
from agentmem.cli.app import JsonOption, MemoryPath, NamespaceOption, namespace_of, open_memory
from agentmem.types import EraseReport

Steps = Annotated[list[str] | None, typer.Option("--step", help="A step's id; repeatable.")]
EpisodeOption = Annotated[str | None, typer.Option(help="Every step of this episode.")]


def register(app: typer.Typer) -> None:
    app.command()(forget)
    app.command()(erase)


def forget(
    path: MemoryPath,
    step: Steps = None,
    episode: EpisodeOption = None,
    derived_from: Annotated[str | None, typer.Option(help="Every step this crystal was condensed from.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Recall them again.")] = False,
    namespace: NamespaceOption = "",
) -> None:
    """Leave steps out of recall.

    They stay in the log, and --undo brings them back.
    """
    given = {"steps": step, "episode": episode, "derived_from": derived_from}
    chosen = _one(given, "--step, --episode, --derived-from")
    with open_memory(path, namespace) as memory:
        n_steps = memory.forget(**chosen, undo=undo)
    done = "recalled again" if undo else "forgotten"
    show.say(done, f"{show.number(n_steps)} steps")


def erase(
    path: MemoryPath,
    subject: Annotated[str | None, typer.Option(help="Every step about this subject.")] = None,
    episode: EpisodeOption = None,
    step: Steps = None,
    whole_namespace: Annotated[bool, typer.Option("--whole-namespace", help="Every step of --namespace.")] = False,
    namespace: NamespaceOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Erase steps and everything condensed from them, for good.

    The exit code is 1 when the erased text is still found somewhere, which the report then names.
    """
    whole = namespace_of(namespace) if whole_namespace else None
    chosen = _one(
        {"subject": subject, "episode": episode, "steps": step, "namespace": whole},
        "--subject, --episode, --step, --whole-namespace",
    )
    with open_memory(path, namespace, read_only=dry_run) as memory:
        if not dry_run and not yes:
            _confirm(memory.erase(**chosen, dry_run=True))
        with show.Waiting("erasing"):
            report = memory.erase(**chosen, dry_run=dry_run)
    if json:
        show.as_json(report.model_dump(mode="json"))
    else:
        _tell(report)
    if report.residue and not dry_run:
        raise typer.Exit(1)


def _one(given: dict[str, Any], names: str) -> dict[str, Any]:
    """The one criterion that was given."""
    chosen = {name: value for name, value in given.items() if value not in (None, [])}
    if len(chosen) != 1:
        raise typer.BadParameter(f"give exactly one of {names}")
    return chosen


def _confirm(report: EraseReport) -> None:
    typer.confirm(f"Erase {_counts(report)} for good?", abort=True, err=True)


def _counts(report: EraseReport) -> str:
    return (
        f"{show.number(report.steps)} steps, {show.number(report.crystals)} crystals"
        f" and {show.number(report.episodes)} episodes"
    )


def _tell(report: EraseReport) -> None:
    show.say("would erase" if report.dry_run else "erased", _counts(report))
    for place in report.residue:
        show.say("still found:", place, style="red")
