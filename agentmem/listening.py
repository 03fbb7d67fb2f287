"""Listening: sockets, whom a request is for, and serving an application until a signal ends it.

Knows addresses, names of hosts and uvicorn; knows nothing of what is served.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agentmem.errors import InvalidInputError, MissingExtraError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names by which a server of this machine may always be called."""
WAITING = 2_048  # connections that were not taken up yet
HEAD = 64 << 10  # bytes of a request's head
KEPT = 75  # seconds that an idle connection is kept: longer than clients keep theirs, so none is closed as it is used
STOPPING = b"the server is stopping; send it again when it is back"
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{0,5})?", re.IGNORECASE)


def listening(host: str, port: int) -> tuple[socket.socket, str]:
    """The socket, and its address as in a URL; port 0: any that is free.

    It says that it is TCP's: else asyncio lets the second half of each answer wait 40 ms for the first to be received.
    Raises InvalidInputError for an address that cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        made = _bound(socket.socket(family, kind, protocol), address)
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        taken = getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES)
        then = "give --port 0 for any that is free, or another" if taken else "choose --host or --port"
        raise InvalidInputError(f"{host} port {port} cannot be had ({why}); {then}") from error
    shown = f"[{host}]" if ":" in host else host
    return made, f"http://{shown}:{made.getsockname()[1]}"


def check_address(host: str, port: int) -> None:
    """InvalidInputError for an address that cannot be had, before anything is made that is to be served there."""
    listening(host, port)[0].close()


def _bound(made: socket.socket, address: Any) -> socket.socket:
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(WAITING)
    except BaseException:
        made.close()
        raise
    return made


# ---- whom a request is for -------------------------------------------------------------------------------------------


def host_of(header: str) -> str | None:
    """The name in a Host header, in small letters, without port and brackets; None for what is none."""
    found = _HOST.fullmatch(header)
    return None if found is None else (found["six"] or found["name"]).lower()


def headers_of(scope: Mapping[str, Any], name: bytes) -> list[str]:
    """Every value of a header in an ASGI request, as it was sent; name: in small letters."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def names_of(hosts: Iterable[str]) -> frozenset[str]:
    """The names a server goes by: LOOPBACK and these, but for addresses that stand for every address."""
    return LOOPBACK | {host.lower() for host in hosts if host and not _is("is_unspecified", host)}


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches what is bound to a host."""
    return host.lower() == "localhost" or _is("is_loopback", host)


def _is(what: str, host: str) -> bool:
    try:
        return bool(getattr(ipaddress.ip_address(host), what))
    except ValueError:
        return False


# ---- serving ---------------------------------------------------------------------------------------------------------


def serve(app: Any, host: str, port: int, ready: Callable[[str], None], grace: int) -> None:
    """Serve an ASGI application until SIGTERM, and return; or until Ctrl-C, which raises KeyboardInterrupt at the end.

    ready: called with the address, once it can be reached. grace: seconds that open requests have to be answered.
    Raises InvalidInputError for an address that cannot be had, MissingExtraError without uvicorn.
    """
    made, address = listening(host, port)
    run(app, made, lambda: ready(address), grace)


def run(app: Any, made: socket.socket, ready: Callable[[], None], grace: int, most: int | None = None) -> None:
    """`serve` on a socket of `listening`, which it closes. most: requests that are answered at a time."""
    with made:
        try:
            import uvicorn
        except ModuleNotFoundError as error:
            raise MissingExtraError("a server needs uvicorn: pip install 'agentmem-crystal[serve]'") from error
        ending = _Ending(app)
        config = uvicorn.Config(
            ending, http="h11", ws="none", lifespan="on", access_log=False, log_config=None, server_header=False,
            proxy_headers=False, timeout_keep_alive=KEPT, timeout_graceful_shutdown=grace, limit_concurrency=most,
            h11_max_incomplete_event_size=HEAD,
        )  # fmt: skip
        ending.server = uvicorn.Server(config)
        with _stopped_softly(ending.server):
            ready()
            ending.server.run(sockets=[made])


@contextmanager
def _stopped_softly(server: Any) -> Iterator[None]:
    """uvicorn stops at a signal and then raises it once more: SIGTERM does nothing then, so that a caller can tidy up.

    One that comes before uvicorn heeds signals stops it too, between two of its steps rather than within one.
    """
    heard = set()

    def stop(number: int, frame: object) -> None:
        heard.add(number)
        server.should_exit = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if signal.SIGINT in heard:
        raise KeyboardInterrupt


class _Ending:
    """Answers 503 to a request that uvicorn cancels as its grace is over, where nothing was answered yet.

    Once the server stops, a connection that it took up in that moment, and so does not know, ends with its next answer.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.server: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        begun = False

        async def told(message: Any) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start" and self.server.should_exit:
                message = message | {"headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        try:
            await self.app(scope, receive, told)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            if not begun:
                await send({"type": "http.response.start", "status": 503, "headers": [(b"connection", b"close")]})
                await send({"type": "http.response.body", "body": STOPPING})
