"""Refusals and errors as problem+json (RFC 9457): a status, and what to do. Knows no routes.

What a memory says of a request is told as it says it; what is wrong with the server's own file is told to its log.
"""

from __future__ import annotations

from http import HTTPStatus

from pydantic import ValidationError
from starlette.responses import Response

from agentmem.errors import (
    AgentMemError,
    ClosedError,
    FullError,
    HeldError,
    InvalidInputError,
    KeyConflictError,
    LockedError,
    NotFoundError,
    ReadOnlyError,
    TooLargeError,
    said_of,
)
from agentmem.records import brief
from agentmem.server.models import Problem, Wrong

MEDIA = "application/problem+json"
SHOWN = 10  # wrong values that are told at once
OURS = "the server could not do it; its log says why, and nothing of this request is acknowledged"
STATUSES: dict[type[AgentMemError], int] = {
    TooLargeError: 413,
    KeyConflictError: 409,
    HeldError: 409,
    InvalidInputError: 422,
    LockedError: 503,
    ClosedError: 503,
    ReadOnlyError: 503,
    FullError: 507,
}
"""By the first that an error is one of."""
SAID: dict[type[AgentMemError], str] = {
    LockedError: "another process kept the memory's lock too long; nothing was logged: send it again with its keys",
    ClosedError: "the server is stopping; nothing was logged: send it again with its keys when it is back",
    ReadOnlyError: "the memory's file cannot be written; nothing was changed: let whoever runs the "
    "server write the file and its folder, start it again, and send it again with its keys",
    FullError: "the disk of the server is full; nothing was logged: make room, and send it again with its keys",
}
"""In place of messages that name the server's files."""
LIFT = "POST /v1/holds/{name}/lift, with the name percent-encoded"


class Refused(Exception):
    """A request that is answered with a problem, and the headers beside it."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.detail, self.headers = status, detail, headers or {}


def answer(
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    error: str | None = None,
    wrong: tuple[Wrong, ...] = (),
) -> Response:
    """A problem as a response."""
    title = HTTPStatus(status).phrase
    problem = Problem(title=title, status=status, detail=detail, error=error, wrong=wrong)
    return Response(problem.model_dump_json(exclude_defaults=False), status, headers, MEDIA)


def problem_of(error: Exception, missing: int = 404) -> Response:
    """What is answered to an error; 500 for one that is no refusal. missing: to one that says what is not there."""
    if isinstance(error, Refused):
        return answer(error.status, error.detail, error.headers, _named(error.__cause__))
    if isinstance(error, ValidationError):
        return _invalid(error)
    for kind, status in (STATUSES | {NotFoundError: missing}).items():
        if isinstance(error, kind):
            retry = {"Retry-After": "1"} if status == 503 else None
            said = f"{error}: {LIFT}" if kind is HeldError else SAID.get(kind, str(error))
            return answer(status, said, retry, _named(error))
    return answer(500, OURS, error=_named(error))


def _named(error: BaseException | None) -> str | None:
    return type(error).__name__ if isinstance(error, AgentMemError) else None


def _invalid(error: ValidationError) -> Response:
    """What is wrong with the values of a request, each with its place; 400 for what is no JSON."""
    found = error.errors(include_url=False)
    if found[0]["type"] == "json_invalid":
        return answer(400, f"{found[0]['msg']}; send one JSON document in UTF-8, at most 200 levels deep")
    wrong = tuple(Wrong(at=_place(one["loc"]), said=said_of(one, brief)) for one in found[:SHOWN])
    first = f"{wrong[0].at}: {wrong[0].said}" if wrong[0].at else wrong[0].said
    more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
    return answer(422, f"{first}{more}; /openapi.json says what is taken", wrong=wrong)


def _place(path: tuple[int | str, ...]) -> str:
    """("steps", 0, "kind") -> steps.0.kind, cut where a key of the caller's own is long."""
    return ".".join(map(str, path))[:200]
