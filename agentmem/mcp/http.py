"""Serving over streamable HTTP: who may come in, and on which address.

Knows ASGI. A request is refused by its headers alone, before any of its body is read; the token is never logged.
"""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Callable, Collection, Sequence
from urllib.parse import urlsplit

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from agentmem.errors import InvalidInputError
from agentmem.mcp.server import mcp_server
from agentmem.memory import Memory

PATH = "/mcp"
HERE = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("", "0.0.0.0", "::")
BODY = 4 << 20  # bytes of a request
SESSIONS = 256  # that are open at a time
GRACE_S = 5  # for requests that are being answered when the server is to stop
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,1000}")


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(32)


def check_token(token: str) -> str:
    """InvalidInputError, which does not show it, for what cannot be a token or is too easy to guess."""
    if not _TOKEN.fullmatch(token):
        raise InvalidInputError(
            f"this token of {len(token)} characters cannot be used: give 16 to 1,000 letters, digits and ._~+/=- , "
            "or none to have one made"
        )
    return token


def serve_http(
    memory: Memory,
    token: str,
    agent: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    names: Sequence[str] = (),
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve clients that have the token, until SIGINT or SIGTERM. port: 0 for any that is free. names: hosts by which
    it is called, beside this machine's own and `host`. ready: called with the URL. Raises InvalidInputError for a token
    that cannot be, and an address that cannot be listened on.
    """
    listening = _listening(host, port)
    with listening:
        at = listening.getsockname()[1]
        app = http_app(memory, token, agent, [host, *names])
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=GRACE_S,
        )
        ready(f"http://{f'[{host}]' if ':' in host else host}:{at}{PATH}")
        uvicorn.Server(config).run(sockets=[listening])


def http_app(memory: Memory, token: str, agent: str | None = None, names: Sequence[str] = ()) -> ASGIApp:
    """The ASGI application, for whoever runs a server of his own. names: as in `serve_http`."""
    known = [*HERE, *(name for name in names if name not in EVERYWHERE)]
    app = mcp_server(memory, agent).streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=BODY,
        max_sessions=SESSIONS,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # the gate does it
    )
    return Gate(app, check_token(token), known)


class Gate:
    """Lets in requests to one of these hosts, from no page or one of theirs, that have the token."""

    def __init__(self, app: ASGIApp, token: str, names: Collection[str]) -> None:
        self._app, self._token = app, f"Bearer {token}".encode()
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        hosts, origins, tokens = (
            [value for name, value in scope["headers"] if name == wanted]
            for wanted in (b"host", b"origin", b"authorization")
        )
        if len(hosts) != 1 or not self._is_ours(b"//" + hosts[0]):
            return PlainTextResponse("this server is not called that; see --allow-host", 421)
        if len(origins) > 1 or not all(map(self._is_ours, origins)):
            return PlainTextResponse("pages of other hosts may not call this server; see --allow-host", 403)
        if len(tokens) != 1 or not secrets.compare_digest(tokens[0], self._token):
            return PlainTextResponse(
                "a token is needed: Authorization: Bearer TOKEN", 401, {"www-authenticate": "Bearer"}
            )
        return None

    def _is_ours(self, address: bytes) -> bool:
        """Whether a URL, or a host after //, is of one of the hosts, on whichever port."""
        try:
            parts = urlsplit(address.decode("ascii"))
            _ = parts.port
        except ValueError:
            return False
        plain = parts.scheme in ("", "http", "https") and not (parts.path or parts.query or parts.fragment)
        return plain and parts.username is None and (parts.hostname or "").lower() in self._names


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        raise InvalidInputError(
            f"{host} cannot be listened on at port {port} ({error}); choose others with --host and --port"
        ) from error
