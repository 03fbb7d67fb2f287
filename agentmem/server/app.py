"""The application: routes to operations, bodies to models, answers to JSON. Knows HTTP, and nothing of memories.

A body is read once the guard let its request through, and no further than the limit. The work is done in threads.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import agentmem
from agentmem.memory import Memory, check_memory
from agentmem.records import NAME_LIMIT
from agentmem.server.guard import TOKEN, Guard, Limits
from agentmem.server.models import Health, StepsToLog
from agentmem.server.openapi import document
from agentmem.server.operations import OPERATIONS, Operation
from agentmem.server.place import Place
from agentmem.server.problems import Refused, problem_of
from agentmem.server.tokens import Tokens
from agentmem.server.watch import ROUTE, TEXT, Metrics, Watch
from agentmem.server.writers import Writers

logger = logging.getLogger("agentmem.server")
THREADS, LONG = 32, 2  # for all that is quick, and for what may keep its thread for seconds
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def make_app(memory: Memory, tokens: Tokens, hosts: tuple[str, ...] = (), limits: Limits | None = None) -> ASGIApp:
    """An ASGI application that serves a memory, and closes it as it stops."""
    limits = limits or Limits()
    metrics = Metrics(check_memory(memory))
    served = _Served(memory, metrics, limits)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await run_sync(memory.close)

    app = Starlette(routes=served.routes(), lifespan=lifespan, exception_handlers={HTTPException: _not_there})
    app.router.redirect_slashes = False
    return Watch(Guard(_Whole(app), tokens, hosts, limits), metrics)


class _Whole:
    """Routes by the path as it was sent: an encoded slash is part of an id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("raw_path"):
            scope["path"] = scope["raw_path"].decode("latin-1")
        await self.app(scope, receive, send)


async def _not_there(request: Request, error: Exception) -> Response:
    """No route, or not by this method."""
    assert isinstance(error, HTTPException)
    said = {404: "there is no such route", 405: f"this route is not for {request.method[:20]}"}
    detail = f"{said.get(error.status_code, error.detail)}; /openapi.json has those there are"
    return problem_of(Refused(error.status_code, detail, dict(error.headers or {})))


class _Served:
    """One memory behind the routes."""

    def __init__(self, memory: Memory, metrics: Metrics, limits: Limits) -> None:
        self.memory, self.metrics, self.limits = memory, metrics, limits
        self.writers = Writers()
        self.threads = {False: CapacityLimiter(THREADS), True: CapacityLimiter(LONG)}
        self.document = document(agentmem.__version__)

    def routes(self) -> list[Route]:
        paths: dict[str, dict[str, Operation]] = {}
        for one in OPERATIONS:
            paths.setdefault(one.path, {})[one.method] = one
        made = [self._route(path, by_method) for path, by_method in paths.items()]
        return [
            *made,
            Route("/health", self._health),
            Route("/openapi.json", self._document),
            Route("/metrics", self._metrics),
        ]

    def _route(self, path: str, by_method: dict[str, Operation]) -> Route:
        async def endpoint(request: Request) -> Response:
            request.scope[ROUTE] = path
            operation = by_method["GET" if request.method == "HEAD" else request.method]
            try:
                return await self._answer(operation, request)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody hears it
            except Exception as error:
                response = problem_of(error, 404 if operation.method == "GET" else 409)
                if response.status_code == 500:
                    _log_failure(path, error)
                return response

        return Route(path, endpoint, methods=list(by_method))

    async def _answer(self, operation: Operation, request: Request) -> Response:
        inside = {name: _unquoted(value) for name, value in request.path_params.items()}
        asked = await self._asked(operation, request)
        token = request.scope[TOKEN]
        place = Place(self.memory.scoped(*token.namespace).acting(f"token {token.id}"), self.writers)
        given = await run_sync(lambda: _done(operation, place, asked, inside), limiter=self.threads[operation.long])
        if isinstance(asked, StepsToLog):
            self.metrics.steps.inc(len(asked.steps))
        media = "application/octet-stream" if operation.answers is bytes else "application/json"
        return Response(given, operation.status, HEADERS, media)

    async def _asked(self, operation: Operation, request: Request) -> BaseModel | None:
        if request.method == "POST":
            body = await self._body(request)
            if operation.takes is not None:
                return operation.takes.model_validate_json(body)
            if body:
                raise Refused(422, "this route takes no body; leave it out")
        elif operation.takes is not None:
            return operation.takes.model_validate(_query(request))
        elif request.query_params:
            raise Refused(422, "this route takes nothing in the query; leave it out")
        return None

    async def _body(self, request: Request) -> bytes:
        """The body, no more of it than the limit, whatever length it says it has."""
        said = int(request.headers.get("content-length") or 0)
        parts, size = list[bytes](), 0
        try:
            async with asyncio.timeout(self.limits.seconds):
                while said <= self.limits.body and size <= self.limits.body:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {self.limits.seconds:g} s; send it again") from None
        if max(said, size) > self.limits.body:
            limit = f"the limit of {self.limits.body:,} bytes"
            raise Refused(413, f"the body is over {limit}; send fewer steps at once, or serve with --body-limit")
        if size and request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "send the body as application/json, and say so in Content-Type")
        return b"".join(parts)

    async def _health(self, request: Request) -> Response:
        request.scope[ROUTE] = "/health"
        return Response(Health().model_dump_json(), 200, HEADERS, "application/json")

    async def _document(self, request: Request) -> Response:
        request.scope[ROUTE] = "/openapi.json"
        return JSONResponse(self.document, headers=HEADERS)

    async def _metrics(self, request: Request) -> Response:
        request.scope[ROUTE] = "/metrics"
        if request.scope[TOKEN].namespace:
            make = "`agentmem serve MEMORY --new-token ''` makes one"
            return problem_of(Refused(403, f"metrics are of all namespaces, for a token of the root namespace; {make}"))
        return Response(await run_sync(self.metrics.text), 200, HEADERS | {"Content-Type": TEXT})


def _done(operation: Operation, place: Place, asked: BaseModel | None, inside: dict[str, str]) -> bytes:
    """Do it, and write the answer; in a thread."""
    given: Any = operation.call(place, asked, **inside)
    return given if isinstance(given, bytes) else given.model_dump_json().encode()


def _query(request: Request) -> dict[str, str]:
    pairs = request.query_params.multi_items()
    if len(dict(pairs)) < len(pairs):
        raise Refused(422, "a name stands in the query more than once; give each once")
    return dict(pairs)


def _unquoted(value: str) -> str:
    try:
        name = unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise Refused(400, "the path is not UTF-8, percent-encoded") from None
    if len(name) > NAME_LIMIT:
        raise Refused(422, f"a name of {len(name):,} characters in the path is over the limit of {NAME_LIMIT:,}")
    return name


def _log_failure(path: str, error: Exception) -> None:
    """Where it failed, without the message of an error that is not ours: it may quote what was logged."""
    ours = str(error) if isinstance(error, agentmem.AgentMemError) else "its message may quote a text and is left out"
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s failed: %s (%s)\n%s", path, type(error).__name__, ours, frames)
