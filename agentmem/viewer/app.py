"""The page's application: its files, and questions to a memory. Knows HTTP, and nothing of memories.

Every question is a POST of JSON, answered in a thread, so that a slow one holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from agentmem.errors import AgentMemError, InvalidInputError, NotFoundError, ReadOnlyError
from agentmem.replay.plain import to_json
from agentmem.viewer import page
from agentmem.viewer.guard import Guard, Refused, refusal
from agentmem.viewer.look import Look
from agentmem.viewer.questions import QUESTIONS, Answer

logger = logging.getLogger("agentmem.viewer")
BODY = 1 << 20  # bytes of a question
SECONDS = 30  # that one may take to arrive
THREADS = 8


def make_app(look: Look, port: int, token: str) -> ASGIApp:
    """An ASGI application for one page; port: where it is reached. The memory is closed as it stops."""
    limiter = CapacityLimiter(THREADS)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await run_sync(look.memory.close)

    async def question(request: Request) -> Response:
        try:
            model, answer = _known(request.path_params["name"])
            given = model.model_validate_json(await _body(request))
            made = await run_sync(lambda: to_json(answer(look, given)), limiter=limiter)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody hears it
        except Exception as error:
            return _refused(error)
        return Response(made, media_type="application/json")

    async def file(request: Request) -> Response:
        name = request.path_params.get("name", page.INDEX)
        if name not in page.files():
            return refusal(404, "there is no such file")
        return Response(page.read(name), media_type=page.media(name))

    routes = [
        Route("/", file),
        Route("/static/{name}", file),
        Route("/api/{name}", question, methods=["POST"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _not_there})
    return Guard(app, port, token)


def _known(name: str) -> tuple[type[BaseModel], Answer]:
    if name not in QUESTIONS:
        raise Refused(404, f"there is no such question; there are {', '.join(QUESTIONS)}")
    return QUESTIONS[name]


async def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, error.detail)


async def _body(request: Request) -> bytes:
    """The body, no more of it than the limit."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "send the question as application/json")
    parts, size = list[bytes](), 0
    try:
        async with asyncio.timeout(SECONDS):
            async for part in request.stream():
                parts.append(part)
                if (size := size + len(part)) > BODY:
                    raise Refused(413, f"the question is over {BODY:,} bytes; make it shorter")
    except TimeoutError:
        raise Refused(408, f"the question did not arrive within {SECONDS} s; send it again") from None
    return b"".join(parts)


def _refused(error: Exception) -> Response:
    """What is answered to an error: what it says, if it is one of ours; else the log alone is told."""
    if isinstance(error, Refused):
        return refusal(error.status, error.detail)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return refusal(422, f"{'.'.join(map(str, first['loc']))[:200]}: {first['msg']}")
    for kind, status in ((NotFoundError, 404), (InvalidInputError, 422), (ReadOnlyError, 409), (AgentMemError, 503)):
        if isinstance(error, kind):
            return refusal(status, str(error))
    logger.error("a question failed", exc_info=error)
    return refusal(500, "the server could not do it; its log says why")
