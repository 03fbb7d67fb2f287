"""Commands that carry a memory elsewhere: export, backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentmem.cli import show
from agentmem.cli.app import open_memory, writable
from agentmem.cli.options import MemoryPath, NamespaceOption, example, flag
from agentmem.records import check_path


def register(app: typer.Typer) -> None:
    app.command(epilog=example("agentmem export agent.mem log.jsonl.gz"))(export)
    app.command(epilog=example("agentmem backup agent.mem copy.mem"))(backup)


def export(
    path: MemoryPath,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="JSON lines are written here, in the place of what is there; gzipped if in .gz."
        ),
    ],
    derived: Annotated[bool, flag("--derived", "Also write the crystals and the attachments.")] = False,
    namespace: NamespaceOption = "",
) -> None:
    """Write the log as JSON lines, one step per line, in log order.

    Without --namespace, all namespaces.
    """
    from agentmem.memory.accounts import access, digest_of, note
    from agentmem.store import check_target
    from agentmem.transfer import export

    with open_memory(path, namespace, read_only=not writable(path), every=True) as memory:
        store = memory._core.store
        target, space = check_path("FILE", file), memory.namespace if namespace else None
        check_target(target, store.path)
        access(memory._core, "export", memory.who, [space], file)
        export(store, [memory.namespace] if namespace else store.namespaces(), target, derived)
        if not memory._core.read_only:
            note(memory._core, "export", memory.who, space, name=digest_of(memory._core, file), derived=derived)
    _written("exported", file)


def backup(
    path: MemoryPath,
    to: Annotated[str, typer.Argument(metavar="COPY", help="A path where nothing is yet.")],
) -> None:
    """Copy a memory, consistently, while others go on using it."""
    with open_memory(path, read_only=not writable(path), every=True) as memory:
        memory.backup(to)
    _written("backed up", to)


def _written(verb: str, file: str) -> None:
    show.say(verb, show.path(file), show.size(Path(file).stat().st_size))
