"""The command that serves a memory to other programs: mcp."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentmem.cli import show
from agentmem.cli.app import make_memory, serves_writes
from agentmem.cli.options import MemoryPath, NamespaceOption, example, flag, typed

HOST, PORT = "127.0.0.1", 8765


def register(app: typer.Typer) -> None:
    app.command(epilog=example("agentmem mcp agent.mem", "agentmem mcp agent.mem --http --port 8765"))(mcp)


def mcp(
    context: typer.Context,
    path: MemoryPath,
    namespace: NamespaceOption = "",
    agent: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this agent's episodes; what is logged is its.")
    ] = None,
    http: Annotated[bool, flag("--http", "Serve over HTTP to many clients, not to one on standard input.")] = False,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Of --http.")] = HOST,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65_535, help="Of --http; 0 for any free one.")] = PORT,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            envvar="AGENTMEM_MCP_TOKEN",
            help="Of --http: what clients must send; better in the environment, out of sight. Made if not given.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Of --http: a name the server is called by; repeatable.")
    ] = None,
) -> None:
    """Serve a memory to MCP clients: Claude, editors, agents.

    On standard input and output, for a client that starts it; with --http at http://127.0.0.1:8765/mcp. The memory is
    made if need be.
    """
    from agentmem import mcp as serving
    from agentmem.listening import is_loopback

    serve_stdio = serving.serve_stdio
    if not http:
        if of_http := typed(context, "host", "port", "token", "allow_host"):
            what = f"{' and '.join(of_http)} {'is' if len(of_http) == 1 else 'are'} of --http"
            raise typer.BadParameter(f"{what}; give it as well, or leave {' and '.join(of_http)} out")
        with make_memory(str(Path(path).expanduser()), namespace) as memory:
            serves_writes(memory, path)
            serve_stdio(memory, agent)
        return
    from agentmem.mcp.http import check

    secret = token or serving.new_token()

    def ready(url: str) -> None:
        show.line(f"serving {show.path(path)} at {url}; Ctrl-C ends it")
        if token is None:
            show.line(f"the token of this run, told once: {secret}")
        if not is_loopback(host):
            show.line("what is sent can be read on the network: have a proxy with TLS in front of it")

    check(secret, host, port)
    with make_memory(str(Path(path).expanduser()), namespace) as memory:
        serves_writes(memory, path)
        serving.serve_http(memory, secret, agent, host, port, allow_host or [], ready)
