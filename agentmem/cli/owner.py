"""Commands for whom a memory answers to: consent, and what was done with a memory."""

from __future__ import annotations

from typing import Annotated

import typer

from agentmem.cli import show
from agentmem.cli.app import Once, open_memory
from agentmem.cli.options import JsonOption, MemoryPath, NamespaceOption, example, flag, written
from agentmem.types import Change


def register(app: typer.Typer) -> None:
    app.command(cls=Once, epilog=example("agentmem consent agent.mem alice --withdraw"))(consent)
    app.command(epilog=example("agentmem log agent.mem --json", "agentmem log agent.mem --certificates"))(log)
    app.command(epilog=example("agentmem audit agent.mem --namespace acme/alice"))(audit)


def consent(
    path: MemoryPath,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Whom steps are about.")],
    give: Annotated[bool, flag("--give", "Consent is given.")] = False,
    withdraw: Annotated[bool, flag("--withdraw", "Consent is withdrawn.")] = False,
    note: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Logged with it, until the subject is erased.")
    ] = None,
    namespace: NamespaceOption = "",
) -> None:
    """Log that a subject gave consent, or withdrew it.

    Withdrawn, nothing more is logged about it, and what there is stays out of recall. Given, both end, and a subject
    that was erased may be logged about again.
    """
    if give == withdraw:
        raise typer.BadParameter("say which it is: --give or --withdraw")
    with open_memory(path, namespace) as memory:
        n_steps = memory.consent(subject, given=give, note=note)
    show.say("withdrawn" if withdraw else "given", show.count(n_steps, "steps"))


def log(
    path: MemoryPath,
    certificates: Annotated[
        bool, flag("--certificates", "Print the certificate of every erasure instead, one on a line, the newest last.")
    ] = False,
    namespace: NamespaceOption = "",
    json: JsonOption = False,
) -> None:
    """Show what was done with a memory: by whom and when, and no content.

    Without --namespace, all namespaces.
    """
    from agentmem.memory.accounts import changes

    if certificates:
        _print_certificates(path, namespace, json)
        return
    with open_memory(path, namespace, read_only=True, every=True) as memory:
        found = changes(memory._core, [memory.namespace] if namespace else None)
    _print(found, json)


def _print_certificates(path: str, namespace: str, json: bool) -> None:
    """As JSON, of which `agentmem erase --again` and `agentmem verify --certificate` take one."""
    from agentmem.memory.certificates import certificates

    with open_memory(path, namespace, read_only=True, every=True) as memory:
        spaces = [memory.namespace] if namespace else memory._core.store.namespaces()
        found = certificates(memory._core, spaces)
    if json:
        show.as_json([one.model_dump(mode="json") for one in found])
        return
    for one in found:
        show.as_json(one.model_dump(mode="json"))
    if not found:
        show.line("nothing was erased")


def audit(path: MemoryPath, namespace: NamespaceOption = "", json: JsonOption = False) -> None:
    """Show who recalled and read, where a memory keeps a log of accesses.

    Cues and ids are shown as digests. Without --namespace, all namespaces. The exit code is 1 where none is kept.
    """
    from agentmem.memory.accounts import accesses

    with open_memory(path, namespace, read_only=True, every=True) as memory:
        found = accesses(memory._core, [memory.namespace] if namespace else None)
    _print(found, json)


def _print(found: list[Change], json: bool) -> None:
    if json:
        show.as_json([one.model_dump(mode="json") for one in found])
        return
    made = show.table("at", "what", "who", "namespace", "episode", "detail")
    made.columns[0].no_wrap = True
    for one in found:
        space = "" if one.namespace is None else written(one.namespace)
        detail = ", ".join(f"{name} {value}" for name, value in one.detail.items() if not isinstance(value, dict))
        counted = ", ".join(f"{value} {name}" for name, value in one.detail.get("counts", {}).items() if value)
        at = one.at.strftime("%Y-%m-%d %H:%M:%S")
        made.add_row(at, one.what, one.who or "", space, one.episode or "", counted or detail)
    show.out().print(made)
