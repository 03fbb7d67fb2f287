"""Commands that carry a memory elsewhere: export, backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentmem.cli import show
from agentmem.cli.app import MemoryPath, NamespaceOption, open_memory


def register(app: typer.Typer) -> None:
    app.command()(export)
    app.command()(backup)


def export(
    path: MemoryPath,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines are written here.")],
    derived: Annotated[bool, typer.Option("--derived", help="Also write the crystals.")] = False,
    namespace: NamespaceOption = "",
) -> None:
    """Write the log as JSON lines, one step per line, in log order.

    Without --namespace, all namespaces.
    """
    from agentmem.transfer import export

    with open_memory(path, namespace, read_only=True) as memory:
        store = memory._core.store
        export(store, [memory.namespace] if namespace else store.namespaces(), file, derived)
    _written("exported", file)


def backup(
    path: MemoryPath,
    to: Annotated[Path, typer.Argument(metavar="COPY", help="A path where nothing is yet.")],
) -> None:
    """Copy a memory, consistently, while others go on using it."""
    with open_memory(path, read_only=True) as memory:
        memory.backup(to)
    _written("backed up", to)


def _written(verb: str, file: Path) -> None:
    show.say(verb, str(file), show.size(file.stat().st_size))
