"""A socket that a server listens on. Knows addresses; knows nothing of what is served."""

from __future__ import annotations

import socket

from agentmem.errors import InvalidInputError

WAITING = 2_048  # connections that were not taken up yet


def listening(host: str, port: int) -> tuple[socket.socket, str]:
    """The socket, and its address as in a URL; port 0: any that is free.

    It says that it is TCP's: else asyncio lets the second half of each answer wait 40 ms for the first to be received.
    Raises InvalidInputError for an address that cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(WAITING)
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InvalidInputError(f"{host} port {port} cannot be had ({why}); choose --host or --port") from error
    shown = f"[{host}]" if ":" in host else host
    return made, f"http://{shown}:{made.getsockname()[1]}"
