"""What the server refuses before it reads a body, and what of a body it does not read to the end."""

import json
import os
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from rest_server import FAST, Served, command, environment, limited, logged, problem, serving
from typer.testing import CliRunner

from agentmem import Memory
from agentmem.cli import app
from agentmem.errors import SettingsError
from agentmem.server import Tokens, new_token
from agentmem.server.app import make_app
from agentmem.server.operations import OPERATIONS
from agentmem.server.rates import Rates

ROUTES = [(one.method, one.path.replace("{id}", "x").replace("{name}", "y")) for one in OPERATIONS]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(
        tmp_path_factory.mktemp("server") / "a.mem", *FAST, "--body-limit", "0.1", "--allow-host", "memory.example.org"
    ) as server:
        yield server


def talk(server: Served, sent: bytes, more: Iterator[bytes] | None = None) -> tuple[int, bytes]:
    """Send bytes over a socket, and then more of them until an answer comes; its status, and all of it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        line.sendall(sent)
        line.setblocking(False)
        got = _until_answered(line, more or iter(()))
        line.settimeout(20)
        while part := line.recv(65536):
            got += part
    return int(got.split()[1]), got


def _until_answered(line: socket.socket, more: Iterator[bytes]) -> bytes:
    ended = time.monotonic() + 20
    while time.monotonic() < ended:
        try:
            return line.recv(65536)
        except BlockingIOError:
            line.sendall(next(more, b""))
            time.sleep(0.01)
    raise TimeoutError


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("GET", "/metrics"), ("GET", "/anything")])
def test_no_route_is_reached_without_a_token(server: Served, method: str, path: str) -> None:
    answer = httpx.request(method, server.url + path)
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == 'Bearer realm="agentmem"'


@pytest.mark.parametrize("header", [None, "Bearer agentmem_0123_no", "Basic x", "Bearer "])
async def test_no_route_reads_a_byte_of_a_body_before_it_knows_who_asks(tmp_path: Path, header: str | None) -> None:
    with Memory.open(tmp_path / "a.mem", encoder=None) as memory:
        app = make_app(memory, Tokens(tmp_path / "tokens"))
        for method, path in [*ROUTES, ("GET", "/metrics"), ("POST", "/anything"), ("DELETE", "/v1/episodes/x")]:
            sent: list[dict[str, Any]] = []

            async def receive() -> dict[str, Any]:
                raise AssertionError("the body is read")

            async def send(message: dict[str, Any], sent: list[dict[str, Any]] = sent) -> None:
                sent.append(message)

            headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
            headers += [(b"authorization", header.encode())] if header is not None else []
            about = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": headers}
            await app({**about, "query_string": b"", "http_version": "1.1", "client": None}, receive, send)
            assert sent[0]["status"] == 401, (method, path)


def test_other_tokens_are_refused(server: Served, tmp_path: Path) -> None:
    own, other = new_token(Path(f"{server.path}.tokens"), ()), new_token(tmp_path / "tokens", ())
    renamed = "_".join(own.split("_")[:2] + other.split("_", 2)[2:])
    for token in (other, renamed, own[:-1], own + "x", own.upper(), "agentmem_", "x", "agentmem_é"):
        answer = httpx.get(f"{server.url}/v1/stats", headers={"Authorization": f"Bearer {token}".encode("latin-1")})
        assert 'error="invalid_token"' in answer.headers["www-authenticate"], token
        problem(answer, 401)
    for header in (own, f"Basic {own}", "Bearer"):
        problem(httpx.get(f"{server.url}/v1/stats", headers={"Authorization": header}), 401)
    twice = [("Authorization", f"Bearer {own}")] * 2
    problem(httpx.get(f"{server.url}/v1/stats", headers=twice), 401)
    assert httpx.get(f"{server.url}/v1/stats", headers={"Authorization": f"bearer {own}"}).status_code == 200


def test_a_request_without_a_token_is_answered_before_its_body_comes(server: Served) -> None:
    head = b"POST /v1/recall HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    status, _ = talk(server, head + b"Content-Length: 1000\r\n\r\n")
    assert status == 401
    status, got = talk(server, head + b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
    assert (status, b"100 Continue" in got) == (401, False)


def head_of(server: Served, *headers: str) -> bytes:
    token = new_token(Path(f"{server.path}.tokens"), ())
    lines = ["POST /v1/recall HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    return "\r\n".join([*lines, f"Authorization: Bearer {token}", "", ""]).encode()


def test_a_body_that_says_it_is_over_the_limit_is_not_read(server: Served) -> None:
    status, got = talk(server, head_of(server, "Content-Length: 104858"))
    assert status == 413
    assert b"104,857 bytes" in got


def test_a_body_that_does_not_say_how_long_it_is_is_read_up_to_the_limit(server: Served) -> None:
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    sent = []

    def chunks() -> Iterator[bytes]:
        for _ in range(1000):
            sent.append(len(chunk))
            yield chunk

    status, _ = talk(server, head_of(server, "Transfer-Encoding: chunked"), chunks())
    assert status == 413
    assert sum(sent) < 3_000_000


def test_a_body_at_the_limit_is_taken(server: Served) -> None:
    client, body = server.client(), b'{"cue": "x"}'
    whole = body + b" " * (104_857 - len(body))
    headers = {"Content-Type": "application/json"}
    assert client.post("/v1/recall", content=whole, headers=headers).status_code == 200
    problem(client.post("/v1/recall", content=whole + b" ", headers=headers), 413)
    assert client.post("/v1/recall", content=iter([body, b" " * 100_000]), headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.org",
        "localhost.evil.org",
        "127.0.0.1.nip.io",
        "",
        "[::2]:80",
        "x y",
        "localhost:evil",
        "[::1]evil.com",
    ],
)
@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/v1/stats"])
def test_a_request_for_another_host_is_refused(server: Served, host: str, path: str) -> None:
    said = problem(httpx.get(server.url + path, headers={"Host": host}), 421)
    assert "--allow-host" in said["detail"]


def test_a_server_goes_by_the_names_it_is_given(server: Served) -> None:
    for host in ("memory.example.org", "MEMORY.example.org:443", "localhost:1", "[::1]:8000"):
        assert httpx.get(f"{server.url}/health", headers={"Host": host}).status_code == 200, host
    problem(httpx.get(f"{server.url}/health", headers={"Host": "example.org"}), 421)


@pytest.mark.slow
def test_a_token_that_asks_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    with serving(tmp_path / "a.mem", "--rate", "0.5") as server:
        eager, other = server.client(), server.client()
        assert eager.get("/v1/stats").status_code == 200
        refused = eager.get("/v1/stats")
        wait = int(refused.headers["retry-after"])
        assert problem(refused, 429)["detail"].endswith(f"more than 0.5 times a second; send it again in {wait} s")
        assert 1 <= wait <= 2
        assert other.get("/v1/stats").status_code == 200
        time.sleep(wait)
        assert eager.get("/v1/stats").status_code == 200


def test_after_a_pause_a_token_may_ask_twice_as_often_for_a_second() -> None:
    rates = Rates(10)
    assert [rates.wait("a", 0.0) for _ in range(21)] == [0] * 20 + [1]
    assert rates.wait("b", 0.0) == 0
    assert [rates.wait("a", 0.1), rates.wait("a", 0.1)] == [0, 1]
    assert [rates.wait("a", 60.0) for _ in range(21)] == [0] * 20 + [1]


def test_a_body_that_does_not_arrive_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with serving(path, started=limited(path, seconds=0.3)) as server:
        status, got = talk(server, head_of(server, "Content-Length: 50") + b'{"cue"')
        assert status == 408
        assert b"within 0.3 s" in got


def test_more_requests_than_can_be_answered_are_sent_away_first_those_of_a_token_that_asks_for_most(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.mem"
    with serving(path, started=limited(path, open=2, rate=1000)) as server:
        ann, bob, carl = (server.client(name) for name in ("ann", "bob", "carl"))
        with half_sent(server, ann):
            said = until(ann, 429)
            assert "which is its limit" in said["detail"]
            assert bob.get("/v1/stats").status_code == 200
            with half_sent(server, bob):
                assert "2 requests are being answered, which is the limit" in until(carl, 503)["detail"]
                assert httpx.get(f"{server.url}/health").status_code == 200
        for client in (ann, bob, carl):
            until(client, 200)


@contextmanager
def half_sent(server: Served, client: httpx.Client) -> Iterator[None]:
    """A request of the client's whose body does not come."""
    head = "POST /v1/recall HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        line.sendall(f"{head}Authorization: {client.headers['authorization']}\r\n\r\n".encode())
        yield


def until(client: httpx.Client, status: int) -> dict[str, object]:
    """The answer, once it has this status; a refusal says when to ask again."""
    ended = time.monotonic() + 20
    while (answer := client.get("/v1/stats")).status_code != status:
        assert time.monotonic() < ended
    assert status == 200 or answer.headers["retry-after"] == "1"
    return problem(answer, status) if status != 200 else {}


def test_a_token_counts_once_it_is_made_and_not_once_it_is_removed(server: Served) -> None:
    file = Path(f"{server.path}.tokens")
    client = server.client("late")
    assert client.get("/v1/stats").status_code == 200
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if '"late"' not in line))
    problem(client.get("/v1/stats"), 401)
    file.write_text("nonsense\n")
    problem(client.get("/v1/stats"), 503)
    assert f"line 1 of {file} is no token" in server.log.read_text()
    file.write_text("".join(lines))
    assert client.get("/v1/stats").status_code == 200


def test_the_file_of_tokens_holds_no_secret_and_is_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    token = new_token(file, ("acme", "ann"))
    assert token.split("_", 2)[2] not in file.read_text()
    assert json.loads(file.read_text())["namespace"] == ["acme", "ann"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = Tokens(file).find(token)
    assert found is not None
    assert found.namespace == ("acme", "ann")
    file.chmod(0o666)
    with pytest.raises(SettingsError, match="chmod 600"):
        len(Tokens(file))


def test_a_token_is_a_line_of_its_own_also_behind_a_line_without_an_end(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    first = new_token(file, ("acme",))
    file.write_text(file.read_text().rstrip("\n"))
    second = new_token(file, ("other",))
    for token, namespace in ((first, ("acme",)), (second, ("other",))):
        found = Tokens(file).find(token)
        assert found is not None
        assert found.namespace == namespace


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x1e"])
def test_a_token_of_a_namespace_with_whatever_sign_is_read_as_it_was_written(tmp_path: Path, sign: str) -> None:
    token = new_token(tmp_path / "tokens", (f"acme{sign}x",))
    found = Tokens(tmp_path / "tokens").find(token)
    assert found is not None
    assert found.namespace == (f"acme{sign}x",)


def test_a_path_that_leads_through_a_file_is_no_place_for_tokens(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("x")
    with pytest.raises(SettingsError, match=r"cannot be read as tokens \(NotADirectoryError\); give another file"):
        new_token(tmp_path / "notes" / "tokens", ())


def test_a_token_is_not_written_through_a_link(tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", tmp_path / "tokens")
    with pytest.raises(SettingsError, match="cannot be written"):
        new_token(tmp_path / "tokens", ())


def refused(path: Path, *options: str) -> str:
    """What a start that fails says; exit code 1."""
    done = CliRunner().invoke(app, ["serve", str(path), *options], env={"COLUMNS": "1000"})
    assert done.exit_code == 1, done
    return " ".join(done.stderr.split())


def test_others_are_not_let_in_without_tokens(tmp_path: Path) -> None:
    said = refused(tmp_path / "a.mem", "--host", "0.0.0.0", "--port", "0")
    assert "others reach 0.0.0.0; make one first: agentmem serve MEMORY --new-token A/B" in said
    assert not list(tmp_path.glob("a.mem*"))
    with serving(tmp_path / "a.mem", "--host", "0.0.0.0") as server:
        assert httpx.get(f"http://127.0.0.1:{server.port}/health").status_code == 200
        problem(httpx.get(f"http://127.0.0.1:{server.port}/health", headers={"Host": "0.0.0.0"}), 421)


def test_a_port_that_is_taken_is_named_before_a_memory_is_made(server: Served, tmp_path: Path) -> None:
    said = refused(tmp_path / "new.mem", "--port", str(server.port))
    assert f"127.0.0.1 port {server.port} cannot be had" in said
    assert "give --port 0 for any that is free, or another" in said
    assert not list(tmp_path.glob("new.mem*"))


def test_the_first_token_of_a_memory_that_is_all_in_namespaces_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with Memory.open(path, namespace=("acme", "ann"), encoder=None, durability="process") as memory:
        memory.episode(id="e").observe("The door is locked.")
    assert f"such as: agentmem serve {path} --new-token acme/ann" in refused(path, "--port", "0")


def test_the_first_start_makes_a_token_and_shows_it_once(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    for start in range(2):
        process = subprocess.Popen(
            command(path, "--port", "0"),
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not start:
            assert line.startswith("token  agentmem_")
            token, line = line.split()[1], process.stdout.readline()
        url = line.split(" at ")[1].split()[0]
        client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"})
        logged(client, "run", "The door is locked.")
        client.close()
        process.terminate()
        assert process.wait(30) == 0
        assert token not in process.stdout.read()
        process.stdout.close()
