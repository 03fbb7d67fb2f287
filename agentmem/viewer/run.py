"""The process: a socket of this machine alone, a token for this start, uvicorn. Knows no questions."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable

import uvicorn

from agentmem.listening import listening
from agentmem.viewer.app import make_app
from agentmem.viewer.look import Look

HOST = "127.0.0.1"
STOPPING = 5  # seconds that open requests have to finish
HEAD = 64 << 10  # bytes of a request's head
OPEN = 64  # requests that are answered at a time


def serve(look: Look, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page until SIGTERM or Ctrl-C, then close the memory.

    port: 0 for any that is free. ready: called with the address, whose part after # is the token: a browser sends that
    part to nobody. Raises InvalidInputError for a port that cannot be had.
    """
    token = secrets.token_urlsafe(32)
    socket, address = listening(HOST, port)
    app = make_app(look, socket.getsockname()[1], token)
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="on", access_log=False, log_config=None, server_header=False,
        proxy_headers=False, timeout_graceful_shutdown=STOPPING, limit_concurrency=OPEN,
        h11_max_incomplete_event_size=HEAD,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # uvicorn stops at it, and then raises it once more
    ready(f"{address}/#token={token}")
    uvicorn.Server(config).run(sockets=[socket])
