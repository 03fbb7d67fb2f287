"""The process: a socket, uvicorn, and a stop that loses nothing. Knows no routes."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn

from agentmem.errors import InvalidInputError
from agentmem.listening import listening
from agentmem.memory import Memory
from agentmem.server.app import make_app
from agentmem.server.guard import Limits, is_loopback
from agentmem.server.tokens import Tokens

STOPPING = 10  # seconds that open requests have to finish
HEAD = 64 << 10  # bytes of a request's head
KEPT = (
    75  # seconds that an idle connection is kept: longer than clients keep theirs, so that none is closed as it is used
)


def serve(
    memory: Memory,
    tokens: Path,
    host: str,
    port: int,
    hosts: tuple[str, ...],
    limits: Limits,
    ready: Callable[[str], None],
) -> None:
    """Serve a memory until SIGTERM or Ctrl-C; open requests are answered, then it is closed.

    tokens: their file. port: 0 for any that is free. hosts: names it is asked by, such as a proxy's. ready: called with
    the address once it can be reached. Raises InvalidInputError for an address that cannot be had, and for one that
    others reach while there is no token; SettingsError for a damaged file of tokens.
    """
    known = Tokens(tokens)
    if not len(known) and not is_loopback(host):
        raise InvalidInputError(
            f"{tokens} has no token, and others reach {host}; make one first: agentmem serve MEMORY --new-token A/B"
        )
    socket, address = listening(host, port)
    app = make_app(memory, known, (host, *hosts), limits)
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="on", access_log=False, log_config=None, server_header=False,
        proxy_headers=False, timeout_keep_alive=KEPT, timeout_graceful_shutdown=STOPPING,
        h11_max_incomplete_event_size=HEAD,
    )  # fmt: skip
    _log_to_stderr()
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # uvicorn stops at it, and then raises it once more
    ready(address)
    uvicorn.Server(config).run(sockets=[socket])


def _log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("agentmem.server").setLevel(logging.INFO)
