"""Serving over streamable HTTP: who may come in, and on which address.

Knows ASGI. A request is refused by its headers alone, before any of its body is read; the token is never logged.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Sequence

from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from agentmem.errors import InvalidInputError
from agentmem.listening import check_address, headers_of, host_of, names_of, serve
from agentmem.mcp.server import mcp_server
from agentmem.mcp.sessions import MOST
from agentmem.memory import Memory

PATH = "/mcp"
BODY = 4 << 20  # bytes of a request
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


def check(token: str, host: str, port: int) -> None:
    """What `serve_http` raises for these, before there is a memory."""
    check_token(token)
    check_address(host, port)


def serve_http(
    memory: Memory,
    token: str,
    agent: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    names: Sequence[str] = (),
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve clients that have the token, until SIGTERM or Ctrl-C. port: 0 for any that is free. names: hosts by which
    it is called, beside this machine's own and `host`. ready: called with the URL. Raises InvalidInputError for a token
    that cannot be, and an address that cannot be listened on.
    """
    app = http_app(memory, token, agent, [host, *names])
    serve(app, host, port, lambda address: ready(address + PATH), GRACE_S)


def http_app(memory: Memory, token: str, agent: str | None = None, names: Sequence[str] = ()) -> ASGIApp:
    """The ASGI application, for whoever runs a server of his own. names: as in `serve_http`."""
    app = mcp_server(memory, agent).streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=BODY,
        max_sessions=MOST,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # the gate does it
    )
    return Gate(app, check_token(token), names)


class Gate:
    """Lets in requests to this machine or one of these hosts, from no page or one of theirs, that have the token."""

    def __init__(self, app: ASGIApp, token: str, names: Collection[str]) -> None:
        self._app, self._token = app, f"Bearer {token}".encode()
        self._names = names_of(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        hosts, origins, tokens = (headers_of(scope, name) for name in (b"host", b"origin", b"authorization"))
        if len(hosts) != 1 or host_of(hosts[0]) not in self._names:
            return PlainTextResponse(f"this server is not called {_sent(hosts)}; see --allow-host", 421)
        if len(origins) > 1 or not all(map(self._is_own_page, origins)):
            return PlainTextResponse(f"a page of {_sent(origins)} may not call this server; see --allow-host", 403)
        if len(tokens) != 1 or not secrets.compare_digest(tokens[0].encode("latin-1"), self._token):
            return PlainTextResponse(
                "a token is needed: Authorization: Bearer TOKEN", 401, {"www-authenticate": "Bearer"}
            )
        return None

    def _is_own_page(self, origin: str) -> bool:
        """Whether a page is of one of the hosts, on whichever port."""
        scheme, _, host = origin.partition("://")
        return scheme in ("http", "https") and host_of(host) in self._names


def _sent(values: Sequence[str]) -> str:
    """What a header said, as it is told back."""
    return repr(", ".join(values)[:80])
