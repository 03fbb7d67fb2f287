"""MCP servers as processes of their own, and clients of them, for the tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

ROOT = Path(__file__).parent.parent
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "environments")])
TOKEN = "a-token-for-the-tests-0123"
ERAS = ("legacy", "auto")
"""Of the protocol: with a handshake and sessions, and since 2026-07-28 without."""


def command(file: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "agentmem.cli", "mcp", str(file), *options]


def parameters(file: Path, *options: str) -> StdioServerParameters:
    """A server that a client starts."""
    program, *arguments = command(file, *options)
    return StdioServerParameters(command=program, args=arguments, env={"PYTHONPATH": PATHS})


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "AGENTMEM_MCP_TOKEN"}
    return {**kept, "PYTHONPATH": PATHS, "COLUMNS": "1000", **more}


class Served(NamedTuple):
    """A server over HTTP. said: what it wrote on standard error until it was ready."""

    process: subprocess.Popen[str]
    url: str
    said: str

    @property
    def port(self) -> int:
        return int(re.findall(r":(\d+)/mcp", self.url)[0])


@contextmanager
def over_http(file: Path, *options: str, token: str | None = TOKEN) -> Iterator[Served]:
    """A server over HTTP on a free port, killed at the end."""
    more = {} if token is None else {"AGENTMEM_MCP_TOKEN": token}
    line = command(file, "--http", "--port", "0", *options)
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**more)
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        if token is None:
            said += process.stderr.readline()
        try:
            yield Served(process, re.findall(r"http://\S+/mcp", said)[0], said)
        finally:
            process.kill()


@asynccontextmanager
async def client_of(served: Served, era: str, token: str = TOKEN, **options: Any) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(served.url, http_client=http), mode=era, **options) as client,
    ):
        yield client


async def text_of(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool answers that is not refused."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return str(result.content[0].text)


async def made_of(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured answer of a tool."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content)


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """Why a tool refuses."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)
