"""Who may ask, and how often: decided by the head of a request, before a byte of its body is read.

In this order: whom the request is for (Host), how many are open, who asks (a bearer token), how many of its own are
open, how often it asked. What is behind the guard finds the token in the scope; but for what is public, nothing is
reached without one.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from agentmem.errors import SettingsError
from agentmem.listening import headers_of, host_of, names_of
from agentmem.records import brief
from agentmem.server.problems import Refused, problem_of
from agentmem.server.rates import Rates
from agentmem.server.tokens import Token, Tokens

logger = logging.getLogger("agentmem.server")
PUBLIC = ("/health", "/openapi.json")
TOKEN = "agentmem.token"
MAKE = "`agentmem serve MEMORY --new-token A/B` makes one"


@dataclass(frozen=True)
class Limits:
    """body: bytes of a request's. rate: requests a second of one token. open: requests that are answered at a time, at
    most half of them of one token.

    seconds: that a body may take to arrive.
    """

    body: int = 2 << 20
    rate: float = 100.0
    open: int = 256
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for name in ("body", "rate", "open", "seconds"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise SettingsError(f"{name} {brief(value)} of the limits is no finite number above 0; give one")


class Guard:
    """hosts: names that this server is asked by, beside those of the machine itself."""

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        hosts: Collection[str],
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app, self.tokens, self.limits, self.clock = app, tokens, limits, clock
        self.hosts = names_of(hosts)
        self.rates = Rates(limits.rate)
        self.open = Counter[str]()  # by the token's id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            token = self._checked(scope)
        except Refused as refused:
            return await problem_of(refused)(scope, receive, send)
        if token is None:
            return await self.app(scope, receive, send)
        self.open[token.id] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.open[token.id] -= 1
            self.open += Counter()  # drops tokens that have none

    def _checked(self, scope: Scope) -> Token | None:
        """The token that asks; None for what is public."""
        self._check_host(scope)
        if scope["path"] in PUBLIC:
            return None
        if (open := self.open.total()) >= self.limits.open:
            detail = f"{open} requests are being answered, which is the limit; send it again"
            raise Refused(503, detail, {"Retry-After": "1"})
        token = scope[TOKEN] = self._token(scope)
        if (open := self.open[token.id]) >= max(1, self.limits.open // 2):
            detail = f"{open} requests of token {token.id} are being answered, which is its limit; send it again"
            raise Refused(429, detail, {"Retry-After": "1"})
        if wait := self.rates.wait(token.id, self.clock()):
            detail = f"token {token.id} asked more than {self.limits.rate:g} times a second; send it again in {wait} s"
            raise Refused(429, detail, {"Retry-After": str(wait)})
        return token

    def _check_host(self, scope: Scope) -> None:
        """Refuse a name that is not ours: a page that has its own name lead to this machine is not to read it."""
        given = headers_of(scope, b"host")
        if len(given) != 1 or host_of(given[0]) not in self.hosts:
            raise Refused(
                421, f"this server is not {', '.join(given)[:80]!r}; start it with --allow-host and the name it goes by"
            )

    def _token(self, scope: Scope) -> Token:
        given = headers_of(scope, b"authorization")
        scheme, _, secret = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not secret.strip():
            detail = f"send the header Authorization: Bearer TOKEN; {MAKE}"
            raise Refused(401, detail, {"WWW-Authenticate": 'Bearer realm="agentmem"'})
        try:
            token = self.tokens.find(secret.strip())
        except SettingsError as error:
            logger.error("%s", error)
            raise Refused(503, "the server's tokens cannot be read; its log says why", {"Retry-After": "10"}) from error
        if token is None:
            detail = f"this token is not, or no longer, one of this server's; {MAKE}"
            raise Refused(401, detail, {"WWW-Authenticate": 'Bearer realm="agentmem", error="invalid_token"'})
        return token
