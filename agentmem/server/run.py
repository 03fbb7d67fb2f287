"""The process: tokens, logs, and a stop that loses nothing. Knows no routes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from agentmem import listening
from agentmem.errors import InvalidInputError
from agentmem.memory import Memory
from agentmem.server.app import make_app
from agentmem.server.guard import Limits
from agentmem.server.tokens import Tokens

STOPPING = 10  # seconds that open requests have to finish


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
    known = _tokens(tokens, host)
    _log_to_stderr()
    listening.serve(make_app(memory, known, (host, *hosts), limits), host, port, ready, STOPPING)


def check(tokens: Path, host: str, port: int) -> None:
    """What `serve` raises for these, before there is a memory."""
    _tokens(tokens, host)
    listening.check_address(host, port)


def _tokens(path: Path, host: str) -> Tokens:
    known = Tokens(path)
    if not len(known) and not listening.is_loopback(host):
        raise InvalidInputError(
            f"{path} has no token, and others reach {host}; make one first: agentmem serve MEMORY --new-token A/B"
        )
    return known


def _log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("agentmem.server").setLevel(logging.INFO)
