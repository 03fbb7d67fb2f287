"""`agentmem serve MEMORY`: a memory over HTTP, and tokens for it. Knows options."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from agentmem.cli import show
from agentmem.cli.app import check_memory_path, make_memory, serves_writes
from agentmem.cli.options import MemoryPath, example, finite, namespace_of, path_of, written
from agentmem.cli.stopping import stoppable
from agentmem.errors import InvalidInputError

PORT = 8766


def register(app: typer.Typer) -> None:
    app.command(
        epilog=example(
            "agentmem serve agent.mem",
            "agentmem serve agent.mem --new-token acme/alice",
            "agentmem serve agent.mem --host 0.0.0.0 --allow-host memory.example.org",
        )
    )(serve)


def serve(
    path: MemoryPath,
    host: Annotated[str, typer.Option(metavar="HOST", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 for any that is free.")] = PORT,
    new_token: Annotated[
        str | None,
        typer.Option(metavar="A/B", help="Print a new token for this namespace, and serve nothing; '' is the root."),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=path_of, help="The file of tokens; MEMORY.tokens.", show_default=False),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name that it is asked by, such as a proxy's; repeatable."),
    ] = None,
    rate: Annotated[
        float, typer.Option(metavar="N", min=0.01, callback=finite, help="Requests a second of one token.")
    ] = 100,
    body_limit: Annotated[
        float, typer.Option(metavar="MIB", min=0.001, callback=finite, help="Of a request's body.")
    ] = 2,
) -> None:
    """Serve a memory over HTTP: log, recall, erase; each token sees its namespace alone.

    The first start makes the memory and a token, which is shown once. /openapi.json tells what can be asked.
    """
    from agentmem import server
    from agentmem.server.run import check

    file = tokens or Path(f"{path}.tokens")
    if new_token is not None:
        check_memory_path(path)
        typer.echo(server.new_token(file, namespace_of(new_token)))
        show.line(f"for namespace {new_token or '(root)'}; kept in {show.path(file)} is its hash alone")
        if not Path(path).exists():
            show.line(f"there is no memory at {show.path(path)} yet; `agentmem serve {shlex.quote(path)}` makes one")
        return
    limits = server.Limits(body=int(body_limit * (1 << 20)), rate=rate)
    check(file, host, port)
    with stoppable("what was acknowledged is kept"), make_memory(path) as memory:
        serves_writes(memory, path)
        _check_reached(memory.namespace, memory._core.store.namespaces(), path, bool(len(server.Tokens(file))))

        def ready(address: str) -> None:
            if not len(server.Tokens(file)):
                show.say("token", server.new_token(file, ()), "shown this once; send it as Authorization: Bearer TOKEN")
            show.say("serving", f"{show.path(path)} at {address}", f"{address}/openapi.json")

        server.serve(memory, file, host, port, tuple(allow_host or ()), limits, ready)


def _check_reached(root: tuple[str, ...], spaces: list[tuple[str, ...]], path: str, tokens: bool) -> None:
    """The token of a first start is the root namespace's; where all is in others, it would see nothing."""
    if tokens or not spaces or root in spaces:
        return
    some = written(spaces[0])
    command = f"agentmem serve {shlex.quote(path)} --new-token {shlex.quote(some)}"
    raise InvalidInputError(f"all of {path} is in namespaces, and none has a token yet; make one, such as: {command}")
