"""Commands for how long steps stay: rules by which they expire, holds, and removing what has expired."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from agentmem.cli import show
from agentmem.cli.app import Once, open_memory
from agentmem.cli.options import JsonOption, MemoryPath, NamespaceOption, example, flag, path_of, small_file
from agentmem.cli.remove import CertificateOption, Steps, check_certificate, confirm, elsewhere, tell, write_certificate
from agentmem.errors import NotFoundError
from agentmem.types import Hold, Rule

DryRun = Annotated[bool, flag("--dry-run", "Only say what would expire.")]


def register(app: typer.Typer) -> None:
    app.command(cls=Once, epilog=example("agentmem retain agent.mem rules.json --dry-run"))(retain)
    holds = "agentmem hold agent.mem case-17 --subject alice", "agentmem hold agent.mem case-17 --lift"
    app.command(cls=Once, epilog=example(*holds))(hold)
    app.command(cls=Once, epilog=example("agentmem expire agent.mem --yes"))(expire)


def retain(
    path: MemoryPath,
    rules: Annotated[
        Path | None,
        typer.Argument(metavar="[RULES]", parser=path_of, help="A JSON list of rules to set.", show_default=False),
    ] = None,
    namespace: NamespaceOption = "",
    dry_run: DryRun = False,
    json: JsonOption = False,
) -> None:
    """Show the rules by which steps expire, and the holds; or set rules.

    A rule says which steps, by kind, subject, trust and agent, and how long: max_age ("P30D"), max_steps or
    min_salience. What has expired is not recalled; `agentmem expire` removes it.
    """
    if rules is None:
        with open_memory(path, namespace, read_only=True) as memory:
            _show(list(memory.rules()), memory.holds(), json)
        return
    if not rules.is_file():
        raise NotFoundError(f"there is no file {rules} with rules; give a JSON list, such as [] for none")
    with open_memory(path, namespace, read_only=dry_run) as memory:
        report = memory.retain(small_file(rules).decode(errors="replace"), dry_run=dry_run)
    if json:
        show.as_json(report.model_dump(mode="json"))
    else:
        _tell_expired(report.steps, path, namespace, dry_run)


def _tell_expired(n_steps: int, path: str, namespace: str, dry_run: bool) -> None:
    """Setting rules takes steps out of recall; none is removed by it."""
    if dry_run:
        show.say("would expire", show.count(n_steps, "steps"))
        return
    command = shlex.join(["agentmem", "expire", show.path(path), *(["--namespace", namespace] if namespace else [])])
    then = f"`{command}` removes them" if n_steps else ""
    show.say("set", f"{show.count(n_steps, 'steps')} out of recall by these rules", then)


def _show(rules: list[Rule], holds: list[Hold], json: bool) -> None:
    told = {
        name: [one.model_dump(mode="json", exclude_defaults=True) for one in given]
        for name, given in (("rules", rules), ("holds", holds))
    }
    if json:
        show.as_json(told)
        return
    for one in told["rules"]:
        show.say("rule", ", ".join(f"{name} {value}" for name, value in one.items()))
    for hold in holds:
        on = f"subject {hold.subject}" if hold.subject else f"episode {hold.episode}"
        on = show.count(len(hold.steps), "steps") if hold.steps else on
        show.say("hold", f"{hold.name} on {on}", hold.reason or "")
    if not (rules or holds):
        show.say("no rules, and no holds: nothing expires")


def hold(
    path: MemoryPath,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the hold.")],
    subject: Annotated[str | None, typer.Option(metavar="NAME", help="Every step about this subject.")] = None,
    episode: Annotated[str | None, typer.Option(metavar="ID", help="Every step of this episode.")] = None,
    step: Steps = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for whoever looks later.")] = None,
    lift: Annotated[bool, flag("--lift", "End the hold.")] = False,
    namespace: NamespaceOption = "",
) -> None:
    """Hold steps: no rule removes them, and erasing them is refused, until the hold is lifted.

    Those about a subject or of an episode are held also if they are logged later.
    """
    if lift and (subject or episode or step):
        raise typer.BadParameter("--lift ends a hold by its name alone; leave --subject, --episode and --step out")
    with open_memory(path, namespace) as memory:
        n_steps = memory.lift(name) if lift else memory.hold(name, subject, episode, step, reason)
        hint = elsewhere(memory, subject) if subject and not n_steps else ""
    show.say("lifted" if lift else "held", show.count(n_steps, "steps"))
    if not (lift or n_steps):
        show.line("; ".join(filter(None, ("none is there yet; those that are logged later will be held", hint))))


def expire(
    path: MemoryPath,
    namespace: NamespaceOption = "",
    dry_run: DryRun = False,
    yes: Annotated[bool, flag("--yes", "Do not ask.", "-y")] = False,
    certificate: CertificateOption = None,
    json: JsonOption = False,
) -> None:
    """Remove what has expired by the rules of a namespace, and everything condensed from it, for good.

    Attachments of the namespace go too, since they may hold it. It asks first. The exit code is 1 where expired text is
    still found, which is then named.
    """
    check_certificate(certificate, path)
    with open_memory(path, namespace, read_only=dry_run) as memory:
        report = memory.expire(dry_run=True)
        if report.steps and not dry_run:
            if not yes:
                confirm([report])
            with show.Waiting("erasing"):
                report = memory.expire()
    write_certificate(report, certificate, path)
    if json:
        show.as_json(report.model_dump(mode="json"))
    elif report.steps:
        tell(report, path)
    else:
        show.say("nothing has expired")
    if report.residue:
        raise typer.Exit(1)
