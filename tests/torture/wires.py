"""The ways into a memory that are no Python of its own: HTTP, MCP, LangChain, the command line.

What they refuse is raised as `Told`, so that it counts as the errors of Python do: a problem, a tool's error, an exit
code with a message. A failure of the server, a traceback or silence is an AssertionError.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, MatchCondition, PutOp, SearchOp
from starlette.testclient import TestClient
from typer.main import get_command

from agentmem.cli import app
from agentmem.errors import AgentMemError
from agentmem.langchain import EpisodicStore, memory_tools
from agentmem.mcp import arguments, resources, tools
from agentmem.mcp.scope import Scope
from agentmem.mcp.sessions import Sessions
from agentmem.server import Limits, Tokens, new_token
from agentmem.server.app import make_app
from agentmem.server.models import StepsToLog, StepToLog
from agentmem.server.operations import OPERATIONS, Operation
from torture.doors import GOOD, TEXT, Door, Given, check_step
from torture.world import MINE, World

FAILED = "failed inside of agentmem"
JUNK = '{"text": "a", "cue": ' + "[" * 5_000
BODY, WORDS = 2_000_000, 3_000  # characters of a body, and of a query or an argument
WIRE: dict[str, Any] = {"files": (), "most": BODY}


class Told(AgentMemError):
    """A refusal that came over a wire."""


def wired(value: Any) -> Any:
    """A value as JSON brings it, lone surrogates, NaN and long whole numbers among it; what it cannot, as junk."""
    try:
        return json.loads(json.dumps(value, default=str))
    except (TypeError, ValueError, RecursionError):
        return JUNK


# ---- HTTP


@lru_cache(1)
def _client(world: World) -> TestClient:
    token = new_token(world.folder / "tokens", MINE)
    served = make_app(world.memory, Tokens(world.folder / "tokens"), limits=Limits(rate=1e9))
    return TestClient(served, "http://localhost", headers={"Authorization": f"Bearer {token}"})


def _asked(operation: Operation) -> Callable[..., Any]:
    many = operation.takes is StepsToLog

    def call(world: World, **given: Any) -> Any:
        inside = {
            name: quote(_word(given.pop(name, "x")), safe="", errors="surrogatepass") for name in parts(operation)
        }
        url = operation.path.format(**inside)
        if operation.method == "GET":
            query = {name: _word(value).encode(errors="surrogatepass") for name, value in given.items()}
            return _answered(_client(world).request("GET", url, params=query))
        body = {"steps": [given]} if many else given
        sent = _body(body).encode()[:BODY] if operation.takes is not None else None
        headers = {"Content-Type": "application/json"}
        return _answered(_client(world).request(operation.method, url, content=sent, headers=headers))

    return call


def _body(body: Any) -> str:
    try:
        return json.dumps(body)
    except (TypeError, ValueError, RecursionError):
        return JUNK


def _answered(answer: Any) -> Any:
    assert answer.status_code < 500, answer.text[:500]
    if answer.status_code < 400:
        return answer.json() if answer.headers["content-type"] == "application/json" else answer.content
    assert answer.headers["content-type"] == "application/problem+json"
    raise Told(answer.json()["detail"])


def parts(operation: Operation) -> list[str]:
    """What stands in the path."""
    return [name for name in ("id", "name") if f"{{{name}}}" in operation.path]


def _check_logged(world: World, given: Given, answer: Any) -> None:
    (id,) = answer["steps"]
    told = {name: value for name, value in given.items() if name not in ("id", "blobs")}
    check_step(world, wired(told), world.mine.step(id))


def _check_begun(world: World, given: Given, answer: Any) -> None:
    found = {one.id: one for one in world.mine.episodes()}[answer["id"]]
    for name in ("goal", "id", "agent"):
        assert given.get(name) is None or getattr(found, name) == given[name], name


MORE: Mapping[str, Callable[[World], Any]] = {
    "limit": lambda world: 5,
    "after": lambda world: "s00000000002",
    "whole_namespace": lambda world: True,
    "blobs": lambda world: {"b": "Ynl0ZXM="},
    "ids": lambda world: [world.step],
    "steps": lambda world: [world.step],
    "name": lambda world: "photo",
}


def _routes() -> dict[str, Door]:
    made = {}
    for one in OPERATIONS:
        model = StepToLog if one.takes is StepsToLog else one.takes
        fields = model.model_fields if model is not None else {}
        good = {name: MORE.get(name) or GOOD[name] for name in (*fields, *parts(one))}
        if "id" in parts(one):
            of_step = one.path.startswith(("/v1/steps", "/v1/crystals"))
            good["id"] = (lambda world: world.step) if of_step else (lambda world: "door")
        needed = [name for name, field in fields.items() if field.is_required()]
        checks = {"/v1/episodes": _check_begun, "/v1/episodes/{id}/steps": _check_logged}
        check = checks.get(one.path) if one.method == "POST" else None
        made[f"{one.method} {one.path}"] = Door(_asked(one), good, (*needed, *parts(one)), check, **WIRE)
    return made


# ---- MCP


@lru_cache(1)
def _conversation(world: World) -> tools.Asked:
    scope = Scope(world.mine, None)
    sessions = Sessions(scope, ended=lambda: None)
    return tools.Asked(scope, sessions, sessions.of("client"), lambda: None)


def _tool(name: str) -> Callable[..., Any]:
    def call(world: World, **given: Any) -> Any:
        answer = tools.called(_conversation(world), name, wired(given))
        text = answer.content[0].text
        assert FAILED not in text, text
        if answer.is_error:
            raise Told(text)
        return answer.structured_content

    return call


def _check_event(world: World, given: Given, answer: Any) -> None:
    told = {name: value for name, value in given.items() if name in ("text", "kind", "subjects")}
    check_step(world, wired(told), world.mine.step(answer["id"]))


def _read(world: World, uri: Any) -> Any:
    asked = _conversation(world)
    return resources.read(asked.scope, asked.session, uri if isinstance(uri, str) else f"memory://all/{_word(uri)}")


def _protocol() -> dict[str, Door]:
    good = {**GOOD, "goal": GOOD["cue"], "budget_tokens": lambda world: 200, "recall_id": lambda world: "17f0a8bc0a",
            "offset": lambda world: 0, "limit": lambda world: 5, "selector": GOOD["derived_from"],
            "id": GOOD["derived_from"]}  # fmt: skip
    made = {
        f"MCP {name}": Door(
            _tool(name),
            {one: good[one] for one in of.takes.model_fields},
            tuple(one for one, field in of.takes.model_fields.items() if field.is_required()),
            _check_event if of.takes is arguments.LogEvent else None,
            **WIRE,
        )
        for name, of in tools.TOOLS.items()
    }
    return made | {"MCP resource": Door(_read, {"uri": lambda world: "memory://all/timeline"}, ("uri",), **WIRE)}


# ---- LangChain


def _called(name: str) -> Callable[..., Any]:
    def call(world: World, **given: Any) -> Any:
        (tool,) = memory_tools(world.mine, [name])
        answer = tool.invoke(wired(given))
        assert isinstance(answer, str)
        return answer

    return call


def _check_noted(world: World, given: Given, answer: str) -> None:
    if answer.startswith("Noted as step "):
        assert world.mine.step(answer[-13:-1]).text == wired(given["text"])


@lru_cache(1)
def _store(world: World) -> EpisodicStore:
    return EpisodicStore(world.memory.scoped("items"))


def _batched(kind: Callable[..., Any]) -> Callable[..., Any]:
    def call(world: World, **given: Any) -> Any:
        if kind is ListNamespacesOp:
            given = {"match_conditions": [MatchCondition("prefix", given.pop("path", ("a",)))], **given}
        try:
            return _store(world).batch([kind(**given)])[0]
        except InvalidNamespaceError as error:  # LangGraph's own
            raise Told(str(error)) from error

    return call


def _check_item(world: World, given: Given, _: Any) -> None:
    if given.get("value") is not None and (given.get("ttl") or 1) >= 1:  # what lives shorter may have ended
        (item,) = _store(world).batch([GetOp(tuple(given["namespace"]), given["key"])])
        assert json.dumps(item.value, sort_keys=True) == json.dumps(given["value"], sort_keys=True)


def _chains() -> dict[str, Door]:
    place: dict[str, Callable[[World], Any]] = {"namespace": lambda world: ("users", "ann"), "key": GOOD["key"]}
    search: dict[str, Callable[[World], Any]] = {
        "namespace_prefix": lambda world: ("users",), "query": GOOD["cue"], "filter": lambda world: {"n": {"$gt": 1}},
        "limit": lambda world: 5, "offset": lambda world: 0,
    }  # fmt: skip
    value: dict[str, Callable[[World], Any]] = {
        "value": TEXT["data"], "index": lambda world: ["of"], "ttl": lambda world: 5.0
    }  # fmt: skip
    words = {"recall": "query", "explain_recall": "query", "remember": "text", "expand": "id"}
    told = {"query": GOOD["cue"], "text": GOOD["text"], "id": GOOD["derived_from"]}
    made = {
        f"LangChain {name}": Door(_called(name), {one: told[one]}, (one,), _check_noted, **WIRE)
        for name, one in words.items()
    }
    pages = {name: search[name] for name in ("limit", "offset")} | {"path": search["namespace_prefix"]}
    return made | {
        "store put": Door(_batched(PutOp), {**place, **value}, ("namespace", "key", "value"), _check_item, **WIRE),
        "store get": Door(_batched(GetOp), place, ("namespace", "key"), **WIRE),
        "store search": Door(_batched(SearchOp), search, ("namespace_prefix",), **WIRE),
        "store list": Door(_batched(ListNamespacesOp), pages, ("path",), **WIRE),
    }


# ---- the command line

COMMAND = get_command(app)
COMMANDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "recall": (("MEMORY", "CUE"), ("--budget", "--as-of", "--episode", "--agent", "--layer", "--namespace")),
    "stats": (("MEMORY",), ("--namespace",)),
    "verify": (("MEMORY",), ("--certificate",)),
    "repair": (("MEMORY", "--dry-run"), ("--backup",)),
    "replay": (("MEMORY", "EPISODE"), ("--step", "--cue", "--budget", "--compare", "--namespace")),
    "graph": (("MEMORY",), ("--as-of", "--episode", "--agent", "--layer", "--newest", "--around", "--hops", "--limit")),
    "forget": (("MEMORY",), ("--step", "--episode", "--derived-from", "--trust", "--reason", "--namespace")),
    "erase": (("MEMORY", "--yes"), ("--subject", "--episode", "--step", "--scan", "--again", "--namespace")),
    "consent": (("MEMORY", "SUBJECT"), ("--note", "--namespace")),
    "log": (("MEMORY",), ("--namespace",)),
    "audit": (("MEMORY",), ("--namespace",)),
    "crystallize": (("MEMORY",), ("--namespace",)),
    "ingest": (("MEMORY", "FILE", "--later"), ("--format", "--namespace")),
    "import": (("MEMORY", "FILE", "--later"), ("--namespace",)),
    "export": (("MEMORY", "OUT"), ("--namespace",)),
    "backup": (("MEMORY", "OUT"), ()),
    "serve": (("MEMORY",), ("--new-token", "--tokens")),
}
WRITTEN = ("MEMORY", "OUT", "--tokens")
SAID: Mapping[str, Callable[[World], Any]] = {
    "MEMORY": lambda world: world.path, "CUE": GOOD["cue"], "EPISODE": GOOD["episode"], "SUBJECT": GOOD["subject"],
    "FILE": lambda world: world.folder / "lines.jsonl", "OUT": GOOD["path"], "--namespace": lambda world: "acme/ann",
    "--new-token": lambda world: "acme/ann",
}  # fmt: skip


def _run(name: str) -> Callable[..., Any]:
    places, _ = COMMANDS[name]

    def call(world: World, **given: Any) -> Any:
        stand = [one if one.startswith("--") else _argument(given.pop(one)) for one in places]
        options = [part for option, value in given.items() for part in (option, _argument(value))]
        if name == "serve" and "--new-token" not in given:
            options += ["--new-token", "a"]  # it would serve, and never end
        code, said = _exited([name, *stand, *options])
        if code:
            assert code in (1, 2), code
            raise Told(" ".join(said.split())[-2_000:])

    return call


def _exited(words: list[str]) -> tuple[int, str]:
    """The exit code of a command, and what it wrote, as on a terminal of UTF-8; raises what would be a traceback."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    with redirect_stdout(out), redirect_stderr(err):
        try:
            COMMAND.main(words, "agentmem")
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else int(bool(done.code))
        out.flush()
        err.flush()
    return code, (out.buffer.getvalue() + err.buffer.getvalue()).decode()  # type: ignore[attr-defined]


def _word(value: Any) -> str:
    """A value as an argument, or a part of an address."""
    try:
        return str(value)[:WORDS]
    except (ValueError, RecursionError):
        return "9" * 5_000


def _argument(value: Any) -> str:
    """In which the system lets no NUL stand, and of surrogates those alone that stand for bytes that are no UTF-8."""
    return re.sub("[\0\ud800-\udc7f\udd00-\udfff]", "", _word(value))


def _commands() -> dict[str, Door]:
    made = {}
    for name, (places, options) in COMMANDS.items():
        given = [one for one in (*places, *options) if not one.startswith("--") or one in options]
        good = {one: SAID.get(one, lambda world: "7") for one in given}
        made[f"agentmem {name}"] = Door(
            _run(name), good, tuple(one for one in places if one in good), files=WRITTEN, most=WORDS
        )
    return made


def ready(world: World) -> None:
    """Make what stands behind the wires of a world, which is not what is measured."""
    _client(world).get("/v1/stats")
    _conversation(world)
    _store(world)


def wires() -> dict[str, Door]:
    """Every way in that is not Python of the memory's own."""
    return _routes() | _protocol() | _chains() | _commands()
