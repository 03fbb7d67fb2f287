"""A server in a process of its own, on a free port of this machine, and clients of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from agentmem.cli.options import namespace_of
from agentmem.server import new_token

ROOT = Path(__file__).parent.parent
FAST = ("--rate", "100000")
STOPS = 30  # seconds that a stop may take on a busy machine


@dataclass
class Served:
    """A running server. log: where its standard error goes."""

    url: str
    path: Path
    process: subprocess.Popen[str]
    log: Path
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, namespace: str = "", token: str | None = None, **headers: str) -> httpx.Client:
        """A client with a new token for a namespace, or with this one."""
        token = token or new_token(Path(f"{self.path}.tokens"), namespace_of(namespace))
        sent = {"Authorization": f"Bearer {token}"} | headers
        self.clients.append(httpx.Client(base_url=self.url, headers=sent, timeout=60, verify=False))
        return self.clients[-1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOPS)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


def command(path: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "agentmem.cli", "serve", str(path), *options]


def environment() -> dict[str, str]:
    paths = [*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(ROOT), str(ROOT / "environments")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def limited(path: Path, **limits: float) -> list[str]:
    """What starts a server with limits that the command line has no options for."""
    code = f"""
from pathlib import Path
from agentmem import Memory
from agentmem.server import Limits, serve

def ready(address):
    print("serving at", address, flush=True)

serve(Memory.open({str(path)!r}), Path({f"{path}.tokens"!r}), "127.0.0.1", 0, (), Limits(**{limits!r}), ready)
"""
    return [sys.executable, "-c", code]


@contextmanager
def serving(
    path: Path, *options: str, namespaces: Sequence[str] = ("",), started: Sequence[str] = ()
) -> Iterator[Served]:
    """A server of a memory, once it can be reached; killed at the end if it still runs. started: by this command."""
    for namespace in namespaces:
        new_token(Path(f"{path}.tokens"), namespace_of(namespace))
    log = path.with_name(f"{path.name}.{os.urandom(4).hex()}.log")
    run = started or command(path, "--port", "0", *options)
    with log.open("w") as err:
        process = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=err, text=True, env=environment())
    assert process.stdout is not None
    line = process.stdout.readline()
    served = Served(line.split(" at ")[-1].split()[0] if " at " in line else "", path, process, log)
    try:
        assert served.url.startswith("http://"), line + log.read_text()
        yield served
    finally:
        for client in served.clients:
            client.close()
        process.kill()
        process.wait(STOPS)
        process.stdout.close()


def logged(client: httpx.Client, episode: str, *texts: str, **fields: Any) -> list[str]:
    """Log texts; the ids of their steps."""
    answer = client.post(f"/v1/episodes/{episode}/steps", json={"steps": [{"text": text, **fields} for text in texts]})
    assert answer.status_code == 201, answer.text
    ids: list[str] = answer.json()["steps"]
    return ids


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem of a refusal, whose shape is checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert (said["type"], said["status"]) == ("about:blank", status)
    assert said["title"]
    assert said["detail"]
    return said
