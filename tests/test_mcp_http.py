"""A memory as an MCP server over HTTP: who is let in, what is refused before it is read, and real clients of it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from served import ERAS, TOKEN, Served, client_of, made_of, over_http, text_of
from typer.testing import CliRunner

from agentmem import InvalidInputError, Memory
from agentmem.cli import app
from agentmem.mcp import new_token
from agentmem.mcp.http import BODY, Gate, check_token

SAID = "Ann's flight to Bergen leaves on Monday at 9:40 from gate B12, and she wants an aisle seat."
GOAL = "When does Ann's flight leave, and from where?"
CALL = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}  # fmt: skip
GOOD = {
    "Authorization": f"Bearer {TOKEN}",
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
}
HERE = "127.0.0.1:8000"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    file = tmp_path_factory.mktemp("http") / "agent.mem"
    with over_http(file, "--allow-host", "box.example") as served:
        yield served


def status(served: Served, headers: dict[str, str | None], body: bytes | None = None, method: str = "POST") -> int:
    """The status of a request with these headers; those that are None are left out."""
    connection = HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.putrequest(method, "/mcp", skip_host=True, skip_accept_encoding=True)
    content = json.dumps(CALL).encode() if body is None else body
    for name, value in {"Host": HERE, "Content-Length": str(len(content)), **GOOD, **headers}.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(content)
    code = connection.getresponse().status
    connection.close()
    return code


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.slow
async def test_clients_with_the_token_log_and_recall_each_in_an_episode_of_its_own(served: Served, era: str) -> None:
    async with client_of(served, era) as one, client_of(served, era, client_info=named("other")) as other:
        mine = await made_of(one, "log_event", text=f"{SAID} ({era})", actor="user")
        theirs = await made_of(other, "log_event", text="The harbour holds twelve boats tonight.")
        assert mine["episode"] != theirs["episode"]
        assert SAID in await text_of(other, "recall", goal=GOAL)
        assert (await made_of(one, "log_event", text="The seat is 12C."))["episode"] == mine["episode"]
        assert (await one.list_resources()).resources[0].uri == "memory://all/timeline"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "BOX.example:443"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "https://box.example"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8000"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:8000"}, 421),
        ({"Host": "evil.example@127.0.0.1"}, 421),
        ({"Host": "127.0.0.1@evil.example"}, 421),
        ({"Host": "127.0.0.1:8000/evil"}, 421),
        ({"Host": "0.0.0.0:8000"}, 421),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://localhost@evil.example"}, 403),
        ({"Origin": "file://localhost"}, 403),
        ({"Authorization": None}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": TOKEN}, 401),
        ({"Authorization": "Bearer \xff\xfe"}, 401),
        ({"Content-Type": "text/plain"}, 400),
    ],
)
def test_a_foreign_host_or_page_and_a_wrong_token_are_refused(
    served: Served, headers: dict[str, str | None], code: int
) -> None:
    assert status(served, headers) == code


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "PUT"])
@pytest.mark.parametrize("path", ["/", "/mcp", "/mcp/", "/docs", "/.well-known/oauth-protected-resource"])
def test_nothing_is_served_without_the_token(served: Served, method: str, path: str) -> None:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request(method, path)
    answer = connection.getresponse()
    assert answer.status == 401
    assert answer.getheader("access-control-allow-origin") is None
    connection.close()


def test_a_refusal_waits_for_no_body_and_a_body_over_the_limit_is_refused(served: Served) -> None:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.putrequest("POST", "/mcp")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()
    assert status(served, {"Content-Length": str(BODY + 1)}, b"{}") == 413
    assert status(served, {}, b"{") == 400
    assert status(served, {}) == 200


@pytest.mark.slow
async def test_a_killed_server_forgets_nothing(file: Path) -> None:
    with over_http(file) as served:
        async with client_of(served, "legacy") as client:
            await made_of(client, "log_event", text=SAID, key="flight")
            served.process.kill()
            served.process.wait()
        assert TOKEN not in served.said + served.process.stderr.read()
    with over_http(file) as served:
        async with client_of(served, "auto") as client:
            assert SAID in await text_of(client, "recall", goal=GOAL)
            assert not (await made_of(client, "log_event", text=SAID, key="flight"))["new"]


async def test_a_server_makes_a_token_tells_it_once_and_told_to_end_ends_its_episodes_and_crystallizes(
    file: Path,
) -> None:
    with over_http(file, token=None) as served:
        (token,) = re.findall(r"told once: (\S{40,})\n", served.said)
        assert status(served, {"Authorization": f"Bearer {token}"}) == 200
        assert status(served, {"Authorization": f"Bearer {new_token()}"}) == 401
        async with client_of(served, "auto", token) as client:
            await asyncio.gather(*(made_of(client, "log_event", text=f"{SAID} {n}") for n in range(12)))
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(15) == 0
        assert served.process.stdout is not None
        assert served.process.stderr is not None
        said = served.said + served.process.stdout.read() + served.process.stderr.read()
    assert said.count(token) == 1
    assert "Traceback" not in said
    assert not file.with_name(f"{file.name}-wal").exists()  # it was closed
    with Memory.open(file) as memory:
        (episode,) = memory.episodes()
        assert episode.ended is not None
        assert len(list(memory.steps())) == 12
        assert memory.crystals(["unit"])


@pytest.mark.parametrize("token", ["short", "spaces in between the words", "ünïcödé-ünïcödé-ünïcödé", "x" * 2_000, ""])
def test_a_token_that_cannot_be_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_token(token)
    assert f"token of {len(token)} characters" in str(refused.value)
    assert not token or token not in str(refused.value)


def test_an_address_that_cannot_be_had_and_a_token_that_cannot_be_end_the_command_before_a_memory_is_made(
    served: Served, tmp_path: Path
) -> None:
    refused = (
        (("--port", str(served.port)), "give --port 0 for any that is free, or another"),
        (("--host", "no.such.host.invalid", "--port", "0"), "choose --host or --port"),
        (("--host", "192.0.2.1"), "choose --host or --port"),  # no address of this machine
        (("--port", "0", "--token", "short"), "this token of 5 characters cannot be used"),
    )
    for options, said in refused:
        done = CliRunner().invoke(app, ["mcp", str(tmp_path / "new.mem"), "--http", *options])
        assert done.exit_code == 1
        assert said in " ".join(done.stderr.split())
        assert "the token of this run" not in done.stderr
    assert not list(tmp_path.glob("new.mem*"))


async def test_headers_that_stand_there_twice_and_a_host_that_is_missing_are_refused() -> None:
    async def reached(scope: object, receive: object, send: object) -> None:
        raise AssertionError("let in")

    gate = Gate(reached, TOKEN, ["localhost"])
    good = [(b"host", b"localhost"), (b"authorization", f"Bearer {TOKEN}".encode()), (b"origin", b"http://localhost")]
    codes = []

    async def send(message: dict[str, object]) -> None:
        codes.extend([message["status"]] if "status" in message else [])

    for twice in good:
        await gate({"type": "http", "headers": [*good, twice]}, None, send)
    await gate({"type": "http", "headers": good[1:]}, None, send)
    assert codes == [421, 401, 403, 421]
    with pytest.raises(AssertionError, match="let in"):
        await gate({"type": "http", "headers": good}, None, send)


def named(name: str) -> object:
    from mcp_types import Implementation

    return Implementation(name=name, version="1")
