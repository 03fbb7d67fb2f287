"""The process: a socket of this machine alone, and a token for this start. Knows no questions."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from agentmem.listening import listening, run
from agentmem.viewer.app import make_app
from agentmem.viewer.look import Look

HOST = "127.0.0.1"
STOPPING = 5  # seconds that open requests have to finish
OPEN = 64  # requests that are answered at a time


def serve(look: Look, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page until SIGTERM or Ctrl-C, then close the memory.

    port: 0 for any that is free. ready: called with the address, whose part after # is the token: a browser sends that
    part to nobody. Raises InvalidInputError for a port that cannot be had.
    """
    token = secrets.token_urlsafe(32)
    socket, address = listening(HOST, port)
    app = make_app(look, socket.getsockname()[1], token)
    run(app, socket, lambda: ready(f"{address}/#token={token}"), STOPPING, OPEN)
