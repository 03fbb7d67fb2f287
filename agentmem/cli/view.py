"""`agentmem view MEMORY`: a memory as a page, served to this machine or written into one file. Knows options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentmem.cli import show
from agentmem.cli.app import open_memory, reading, serves_writes
from agentmem.cli.options import MemoryPath, NamespaceOption, ReadOption, example, flag, path_of, typed

PORT = 8767


def register(app: typer.Typer) -> None:
    app.command(
        epilog=example(
            "agentmem view agent.mem",
            "agentmem view agent.mem --read-only --port 0",
            "agentmem view agent.mem --export run.html --episode monday",
        )
    )(view)


def view(
    context: typer.Context,
    path: MemoryPath,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 for any that is free.")] = PORT,
    read_only: Annotated[bool, flag("--read-only", "Change nothing: no pins, corrections or erasures.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=path_of,
            help="Write the page into this file, in the place of what is there, with what it shows inside.",
            show_default=False,
        ),
    ] = None,
    episode: Annotated[
        str | None, typer.Option(metavar="ID", help="Export this episode alone.", show_default=False)
    ] = None,
    namespace: NamespaceOption = "",
    read: ReadOption = None,
) -> None:
    """Show a memory as a page: its episodes step by step, what was recalled and why, its graph and its health.

    Only this machine can ask, and only with the address that is printed. Without --namespace all are shown.
    """
    if episode is not None and export is None:
        raise typer.BadParameter("--episode is of --export; in the page one chooses an episode")
    if export is not None:
        if served := typed(context, "port", "read_only"):
            then = "--export writes a page that changes nothing and needs no server; leave one of them out"
            raise typer.BadParameter(f"{' and '.join(served)}: {then}")
        _export(path, namespace, read, export, episode)
        return
    from agentmem import viewer

    with open_memory(path, namespace, read_only=read_only, every=True) as whole:

        def ready(address: str) -> None:
            show.say("open", address, "for this machine alone; Ctrl-C stops")

        memory, fixed = reading(whole, read, path), read_only or not serves_writes(whole, path)
        look = viewer.Look(memory, Path(path).name, only=bool(namespace), read_only=fixed)
        viewer.serve(look, port, ready)


def _export(path: str, namespace: str, read: list[str] | None, file: Path, episode: str | None) -> None:
    from agentmem import viewer

    with open_memory(path, namespace, read_only=True) as memory, show.Waiting("writing the page") as waiting:
        made = viewer.export(reading(memory, read, path), file, episode, Path(path).name, tell=waiting)
    counts = f"{show.count(made.frames, 'steps')} of {show.count(made.episodes, 'episodes')}, {show.size(made.bytes)}"
    show.say("wrote", show.path(file), counts)
    if made.left_out:
        show.line(f"{show.count(made.left_out, 'steps')} found no room; give one --episode, or look with agentmem view")
