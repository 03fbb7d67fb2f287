"""The OpenAPI 3.1 document, made from the operations and their models. Knows no application."""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from agentmem.server.models import Health, Problem
from agentmem.server.operations import OPERATIONS, Operation
from agentmem.server.problems import MEDIA

REF = "#/components/schemas/{model}"
WHY = {
    400: "The request cannot be read.",
    401: "There is no token, or it is not one of this server's.",
    403: "The token is not the root namespace's.",
    404: "What the path names is not in the token's namespace.",
    408: "The body did not arrive in time.",
    409: "The episode has ended, or a key stands for other content, or what the body names is not there, or is held.",
    413: "The body, or a value, is over its limit.",
    415: "The body is not application/json.",
    421: "The server does not go by this name.",
    422: "A value was refused; nothing was written.",
    429: "The token asked too often.",
    500: "The server failed; its log says why.",
    503: "The server is busy, stopping, or cannot write.",
    507: "The disk of the server is full.",
}
LEADS = {
    "begin": ("/id", ("episode", "end", "log", "steps", "recall_in", "frames")),
    "log": ("/steps/0", ("step", "recall_at")),
}
EVERY = (401, 421, 429, 500, 503)
TAKING = (400, 408, 413, 415, 422)
WAIT = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def document(version: str) -> dict[str, Any]:
    """Every route, what it takes and what it answers."""
    takes = {(one.takes, "validation") for one in OPERATIONS if one.takes}
    gives = {(one.answers, "serialization") for one in OPERATIONS if one.answers is not bytes}
    models = sorted(takes | gives | {(Problem, "serialization"), (Health, "serialization")}, key=lambda one: str(one))
    _, schema = models_json_schema(models, ref_template=REF)  # type: ignore[arg-type]
    schemas = _plain(schema["$defs"])
    del schemas["Step"]["properties"]["at"]["anyOf"][0]["format"]  # as its source told it: perhaps without a zone
    paths: dict[str, Any] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    paths["/health"] = {"get": _health()}
    paths["/metrics"] = {"get": _metrics()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "agentmem", "version": version, "description": "A memory, seen from a token's namespace."},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }


def _plain(schema: Any) -> Any:
    """A schema with arrays of n values of one kind written as that: tools that read tuples otherwise differ."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _plain(each) for name, each in schema.items()}
    kinds = made.get("prefixItems")
    if kinds and all(kind == kinds[0] for kind in kinds):
        made["items"] = made.pop("prefixItems")[0]
    return made


def _operation(one: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = [_in_path(name) for name in re.findall(r"{(\w+)}", one.path)]
    body: dict[str, Any] = {}
    if one.takes and one.method == "GET":
        parameters += _in_query(schemas[one.takes.__name__])
    elif one.takes:
        body = {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(one.takes)}}}}
    good = {"description": inspect.getdoc(one.call), "content": _content(one.answers), **_links(one)}
    refuses = (*EVERY, *(TAKING if one.takes else (400, 413, 415, 422)), *one.refuses)
    return {
        "operationId": one.name,
        "summary": (inspect.getdoc(one.call) or "").split("\n")[0],
        "parameters": parameters,
        **body,
        "responses": {str(one.status): good, **_problems(refuses)},
    }


def _links(one: Operation) -> dict[str, Any]:
    """Where the id in an answer leads."""
    if one.name not in LEADS:
        return {}
    where, names = LEADS[one.name]
    return {"links": {name: {"operationId": name, "parameters": {"id": f"$response.body#{where}"}} for name in names}}


def _in_path(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 1000}
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": "Percent-encoded."}


def _in_query(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": each} for name, each in schema["properties"].items()]


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}


def _content(answers: Any) -> dict[str, Any]:
    if answers is bytes:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": _ref(answers)}}


def _problems(statuses: tuple[int, ...]) -> dict[str, Any]:
    return {str(status): _problem(status) for status in sorted(set(statuses))}


def _problem(status: int) -> dict[str, Any]:
    made: dict[str, Any] = {"description": WHY[status], "content": {MEDIA: {"schema": _ref(Problem)}}}
    return made | ({"headers": WAIT} if status in (429, 503) else {})


def _health() -> dict[str, Any]:
    good = {"description": "The server answers.", "content": _content(Health)}
    return {
        "operationId": "health",
        "summary": "Whether the server answers.",
        "security": [],
        "responses": {"200": good, **_problems((421, 503))},
    }


def _metrics() -> dict[str, Any]:
    good = {"description": "Prometheus' text form.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "operationId": "metrics",
        "summary": "Counts of the server and sizes of its memory; for a token of the root namespace.",
        "responses": {"200": good, **_problems((*EVERY, 403))},
    }
