"""Commands that take something out: forget (reversible) and erase (not)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from agentmem.cli import show
from agentmem.cli.app import Once, open_memory
from agentmem.cli.options import (
    JsonOption,
    MemoryPath,
    NamespaceOption,
    example,
    flag,
    namespace_of,
    path_of,
    small_file,
    written,
)
from agentmem.errors import NotFoundError, StoreError
from agentmem.records import check_path
from agentmem.types import EraseReport, Namespace, Repeat

if TYPE_CHECKING:
    from agentmem.memory import Memory

SHOWN = 10  # steps that repeat what is erased

Steps = Annotated[list[str] | None, typer.Option("--step", metavar="ID", help="This step; repeatable.")]
CertificateOption = Annotated[
    Path | None, typer.Option(metavar="FILE", parser=path_of, help="Write the certificate of the erasure here.")
]
EpisodeOption = Annotated[str | None, typer.Option(metavar="ID", help="Every step of this episode.")]


def register(app: typer.Typer) -> None:
    app.command(cls=Once, epilog=example("agentmem forget agent.mem --step s00000000012"))(forget)
    app.command(cls=Once, epilog=example("agentmem erase agent.mem --subject alice --dry-run"))(erase)


def forget(
    path: MemoryPath,
    step: Steps = None,
    episode: EpisodeOption = None,
    derived_from: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Of a step, or a crystal for those it condenses: with what derives from them, as if never logged.",
        ),
    ] = None,
    undo: Annotated[bool, flag("--undo", "Recall them again.")] = False,
    trust: Annotated[
        str | None, typer.Option(metavar="TRUST", help="Every step of this trust: web, tool, agent, user and so on.")
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for whoever looks later.")] = None,
    namespace: NamespaceOption = "",
) -> None:
    """Leave steps out of recall.

    They stay in the log, and --undo brings them back. `agentmem recall --why` shows ids.

    The exit code is 1 where nothing matches.
    """
    given = {"steps": step, "episode": episode, "derived_from": derived_from, "trust": trust}
    chosen = _one(given, "--step, --episode, --derived-from, --trust")
    with open_memory(path, namespace) as memory:
        n_steps = memory.forget(**chosen, undo=undo, reason=reason)
    if not n_steps:
        _nothing(path, chosen)
    show.say("recalled again" if undo else "forgotten", show.count(n_steps, "steps"))


def erase(
    path: MemoryPath,
    subject: Annotated[str | None, typer.Option(metavar="NAME", help="Every step about this subject.")] = None,
    episode: EpisodeOption = None,
    step: Steps = None,
    whole_namespace: Annotated[bool, flag("--whole-namespace", "Every step of --namespace.")] = False,
    namespace: NamespaceOption = "",
    dry_run: Annotated[bool, flag("--dry-run", "Only say what would be erased.")] = False,
    yes: Annotated[bool, flag("--yes", "Do not ask.", "-y")] = False,
    scan: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", parser=path_of, help="An export or backup to look into; repeatable."),
    ] = None,
    certificate: CertificateOption = None,
    again: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=path_of, help="Erase from a restored copy what this certificate says."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Erase steps and everything condensed from them, for good.

    Attachments of the namespace go too, since they may hold what is erased.

    It asks first. The exit code is 1 where nothing matches, and where erased text is still found, which is then named,
    with the steps that say it too.
    """
    if again is not None:
        if subject or episode or step or whole_namespace or namespace or scan or certificate:
            raise typer.BadParameter("--again does what its certificate says; leave all but --dry-run and --yes out")
        _again(path, again, dry_run, yes, json)
        return
    whole = namespace_of(namespace) if whole_namespace else None
    chosen = _one(
        {"subject": subject, "episode": episode, "steps": step, "namespace": whole},
        "--subject, --episode, --step, --whole-namespace",
    )
    check_certificate(certificate, path)
    with open_memory(path, namespace, read_only=dry_run) as memory:
        would = memory.erase(**chosen, dry_run=True)
        if not (would.steps or would.attachments):
            _nothing(path, chosen, elsewhere(memory, subject) if subject is not None else "")
        if not dry_run and not yes:
            confirm([would])
        with show.Waiting("erasing"):
            report = would if dry_run else memory.erase(**chosen, scan=scan or ())
    write_certificate(report, certificate, path)
    if json:
        show.as_json(report.model_dump(mode="json"))
    else:
        tell(report, path)
    if report.residue and not dry_run:
        raise typer.Exit(1)


def _again(path: str, file: Path, dry_run: bool, yes: bool, json: bool) -> None:
    """Do what a certificate says."""
    if not file.is_file():
        raise NotFoundError(f"there is no certificate {file}; `agentmem erase --certificate` writes one")
    said = small_file(file)
    with open_memory(path, every=True, read_only=dry_run) as memory:
        reports = memory.erase_again(said, dry_run=True)
        if not dry_run:
            if not yes and any(one.steps or one.attachments for one in reports):
                confirm(reports)
            with show.Waiting("erasing"):
                reports = memory.erase_again(said)
    if json:
        show.as_json([report.model_dump(mode="json") for report in reports])
    for report in [] if json else reports:
        tell(report, path)
    if any(report.residue for report in reports):
        raise typer.Exit(1)


def _one(given: dict[str, Any], names: str) -> dict[str, Any]:
    """The one criterion that was given."""
    chosen = {name: value for name, value in given.items() if value not in (None, [])}
    if len(chosen) != 1:
        raise typer.BadParameter(f"give exactly one of {names}")
    return chosen


def _nothing(path: str, chosen: dict[str, Any], hint: str = "") -> NoReturn:
    ((what, value),) = chosen.items()
    told = f"no step of {path} has the {what.replace('_', ' ')} {value!r}; nothing was changed"
    raise NotFoundError("; ".join(filter(None, (told, hint))))


def elsewhere(memory: Memory, subject: str) -> str:
    """Where a subject that no step of a namespace has is, or what may have been meant, in words."""
    from agentmem.memory.checks import instead
    from agentmem.store import subjects_of

    own, others = dict[str, None](), dict[Namespace, None]()
    for step in memory._accessed("steps").store.scan(types=["step"]):
        about = subjects_of(step.body)
        if step.namespace == memory.namespace:
            own |= dict.fromkeys(about)
        elif subject in about:
            others[step.namespace] = None
    where = [f"--namespace {shlex.quote(written(space))}" if space else "the root namespace" for space in others]
    told = f"it is a subject in {' and in '.join(where[:SHOWN])}{' and more' * (len(where) > SHOWN)}" if where else ""
    return "; ".join(filter(None, (told, instead(subject, list(own)) if own else "no step here has a subject")))


def confirm(reports: Sequence[EraseReport]) -> None:
    """Ask whether what these say would go may go."""
    typer.confirm(f"Erase {'; '.join(map(_counts, reports))} for good?", abort=True, err=True)


def check_certificate(file: Path | None, path: str) -> None:
    """InvalidInputError, before anything is erased, where the certificate of an erasure could not be written."""
    if file is not None:
        from agentmem.store import check_new

        check_new(check_path("--certificate", file), path)


def write_certificate(report: EraseReport, file: Path | None, path: str) -> None:
    """Write the certificate of an erasure, if there is one, to a new file, if one is named."""
    if file is None or report.certificate is None:
        return
    from agentmem.store.whole import created

    try:
        with created(file) as out:
            out.write(f"{report.certificate.model_dump_json(indent=1)}\n".encode())
    except OSError as error:
        again = f"agentmem log {shlex.quote(path)} --certificates"
        raise StoreError(
            f"it is erased, but the certificate cannot be written to {file} ({error.strerror}); `{again}` prints it"
        ) from error


def _counts(report: EraseReport) -> str:
    episodes, crystals = show.count(report.episodes, "episodes"), show.count(report.crystals, "crystals")
    names = ", ".join(f"{name} of {written(space)}" if space else name for space, name in report.attachments)
    more = f", and {show.count(len(report.attachments), 'attachments')}: {names}" if names else ""
    return f"{show.count(report.steps, 'steps')} of {episodes}, and {crystals}{more}"


def tell(report: EraseReport, path: str) -> None:
    show.say("would erase" if report.dry_run else "erased", _counts(report))
    if report.dry_run and (derived := _derived(report)):
        show.say("with them", derived)
    if report.others:
        show.say("also about", ", ".join(report.others))
    for place in report.residue:
        show.say("still found:", place, style="red")
    if report.repeats:
        _tell_repeats(report.repeats, path)


def _tell_repeats(repeats: Sequence[Repeat], path: str) -> None:
    """The steps that stay and say the same, and what erases them."""
    show.say("also said in", "; ".join(map(_place, repeats[:SHOWN])) + ("; ..." if len(repeats) > SHOWN else ""))
    space = repeats[0].namespace
    ids = [f"--step {one.step}" for one in repeats[:SHOWN] if one.namespace == space]
    option = f" --namespace {shlex.quote(written(space))}" if space else ""
    command = " ".join(["agentmem erase", shlex.quote(show.path(path)), *ids]) + option
    show.line(f"these stay, and so does what they say: erase that too if it is meant: {command}")


def _place(one: Repeat) -> str:
    space = f" in namespace {written(one.namespace)}" if one.namespace else ""
    return f"step {one.step} of episode {one.episode}{space}"


def _derived(report: EraseReport) -> str:
    """What goes with the steps, but for crystals and attachments."""
    parts = {"states": report.states, "recalls": report.recalls, "keys": report.keys, "blobs": report.blobs}
    layers = [f"{number:,} {layer}" for layer, number in report.layers.items()]
    return ", ".join([*layers, *(show.count(number, what) for what, number in parts.items() if number)])
