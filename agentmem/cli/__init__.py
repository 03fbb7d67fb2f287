"""The command line: `agentmem COMMAND`. Knows no algorithm; each command is a few calls on a Memory.

Results go to standard output, remarks and progress to standard error. Exit codes: 0 done (also a recall that found
nothing), 1 it failed, `verify` found a problem, `repair` a loss, or there was nothing to erase or forget, 2 wrong
usage, 130 stopped by Ctrl-C, 143 by SIGTERM (a server
ends with 0).
"""

from __future__ import annotations

try:
    from agentmem.cli import (
        bench,
        demo,
        graph,
        mcp,
        move,
        owner,
        read,
        remove,
        repair,
        replay,
        retain,
        rollout,
        serve,
        train,
        view,
        write,
    )
    from agentmem.cli.app import app
    from agentmem.cli.options import with_key_file
    from agentmem.cli.stopping import heed_sigterm
except KeyboardInterrupt:  # loading takes a second, in which no command can catch it
    raise SystemExit(130) from None

__all__ = ["app", "main"]

for _group in (
    demo,
    write,
    read,
    repair,
    replay,
    graph,
    view,
    remove,
    retain,
    owner,
    move,
    mcp,
    serve,
    rollout,
    train,
    bench,
):
    _group.register(app)
for _command in app.registered_commands:
    if _command.callback is not None:
        _makes = _command.callback in (write.ingest, write.import_export, mcp.mcp, serve.serve)
        _command.callback = with_key_file(_command.callback, _makes)


def main() -> None:
    heed_sigterm()
    app(prog_name="agentmem")
