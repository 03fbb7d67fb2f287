"""Whom the page's server answers: this machine's own page, with the token of this start. Decided by a request's head.

Knows HTTP's headers; knows no memory.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ASKED = "/api/"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Refused(Exception):
    """A request that is answered with a status, and what to do."""

    def __init__(self, status: int, detail: str) -> None:
        self.status, self.detail = status, detail


def refusal(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"status": status, "detail": detail}, status)


class Guard:
    """port: the one that is listened at. token: of this start. Adds the page's headers to every answer."""

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self.app, self.token = app, token
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        try:
            self._check(scope["path"], Headers(scope=scope))
        except Refused as refused:
            await refusal(refused.status, refused.detail)(scope, receive, sent)
        else:
            await self.app(scope, receive, sent)

    def _check(self, path: str, headers: Mapping[str, str]) -> None:
        """Refuse a name that is not ours, a page of another origin, and who does not know the token."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self.hosts:
            raise Refused(421, f"this server is not {host[:80]!r}; open the address that `agentmem view` printed")
        if origin is not None and origin != f"http://{host}":
            raise Refused(403, f"a page of {origin[:80]!r} may not ask here")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refused(403, "a page of another site may not ask here")
        if not path.startswith(ASKED):
            return
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(secret.encode(), self.token.encode())
        if scheme.lower() != "bearer" or not same:
            raise Refused(401, "this token is not that of this start; open the address that `agentmem view` printed")
