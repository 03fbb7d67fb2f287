"""Listening: whom a request is for, addresses that cannot be had, and an end that leaves nothing behind."""

from __future__ import annotations

import gc
import signal
import socket
import subprocess
import sys
import warnings
from contextlib import nullcontext
from http.client import HTTPConnection

import pytest
from served import environment
from starlette.applications import Starlette

from agentmem import InvalidInputError
from agentmem.listening import host_of, is_loopback, listening, names_of, serve

SLOW = """
import asyncio
from agentmem.listening import serve

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for said in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{said}.complete"})
        print("over", flush=True)
    else:
        print("asked", flush=True)
        await asyncio.sleep(60)

serve(app, "127.0.0.1", 0, lambda address: print(address, flush=True), 1)
print("tidied up")
"""


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST:80", "localhost"),
        ("localhost:", "localhost"),
        ("127.0.0.1:8000", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:8000", "::1"),
        ("my_box.example-1.org", "my_box.example-1.org"),
        ("localhost:evil", None),
        ("[::1]evil.com", None),
        ("[::1]:80.evil.com", None),
        ("::1", None),
        ("a@localhost", None),
        ("localhost/evil", None),
        ("localhost\n", None),
        ("localhost, localhost", None),
        ("", None),
    ],
)
def test_a_host_is_a_name_and_a_port_and_nothing_else(header: str, name: str | None) -> None:
    assert host_of(header) == name


def test_an_address_that_stands_for_every_one_is_no_name() -> None:
    assert names_of(["", "0.0.0.0", "::", "Box.example"]) == {"localhost", "127.0.0.1", "::1", "box.example"}


def test_nobody_else_reaches_an_address_of_loopback() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.8.8", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "", "10.0.0.1", "localhost.evil.example")))


def test_a_port_that_is_taken_leaves_no_socket_open() -> None:
    taken, address = listening("127.0.0.1", 0)
    with taken, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(InvalidInputError, match="cannot be had"):
            listening("127.0.0.1", int(address.rpartition(":")[2]))
        gc.collect()
    assert [str(each.message) for each in said if issubclass(each.category, ResourceWarning)] == []


def test_at_sigterm_a_request_that_takes_too_long_is_sent_away_and_the_caller_tidies_up() -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment()}
    with subprocess.Popen([sys.executable, "-c", SLOW], **pipes) as process:
        try:
            asking = HTTPConnection("127.0.0.1", int(process.stdout.readline().rpartition(":")[2]), timeout=20)
            asking.request("GET", "/")
            assert process.stdout.readline() == "asked\n"
            process.send_signal(signal.SIGTERM)
            answer = asking.getresponse()
            assert (answer.status, answer.read()) == (503, b"the server is stopping; send it again when it is back")
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", asking.port), timeout=5)
            said, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, said) == (0, "over\ntidied up\n")
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_before_it_serves_waits_for_the_step_that_runs(number: int) -> None:
    before, told = signal.getsignal(number), []

    def ready(address: str) -> None:
        signal.raise_signal(number)
        told.append(address)

    with pytest.raises(KeyboardInterrupt) if number == signal.SIGINT else nullcontext():
        serve(Starlette(), "127.0.0.1", 0, ready, 1)
    assert len(told) == 1
    assert signal.getsignal(number) is before
