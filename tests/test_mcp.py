"""A memory as an MCP server: real clients of it, in process; on standard input and output also processes and kills."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from served import ERAS, command, environment, made_of, parameters, refusal, text_of
from strategies import opened
from typer.testing import CliRunner

from agentmem import Memory
from agentmem.answers import NOTHING
from agentmem.cli import app
from agentmem.errors import as_installed
from agentmem.mcp import mcp_server

SAID = "Ann's flight to Bergen leaves on Monday at 9:40 from gate B12, and she wants an aisle seat."
GOAL = "When does Ann's flight leave, and from where?"


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_logs_recalls_explains_reads_and_forgets(memory: Memory, era: str) -> None:
    async with Client(mcp_server(memory), mode=era) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == [
            "recall", "log_event", "explain_recall", "get_episode", "forget", "memory_status",
        ]  # fmt: skip
        assert await text_of(client, "recall", goal=GOAL) == NOTHING
        step = await made_of(client, "log_event", text=SAID, actor="user", subjects=["Ann"], key="flight")
        await made_of(client, "log_event", text="book the aisle seat 12C", kind="action")
        recalled = await text_of(client, "recall", goal=GOAL, budget_tokens=300)
        assert f"user: {SAID} <{step['id']}>" in recalled
        id = recalled.split('recall="')[1].split('"')[0]
        assert step["id"] in await text_of(client, "explain_recall", recall_id=id)
        assert "1 to 2 of 2 steps" in await text_of(client, "get_episode", id=step["episode"])
        assert await text_of(client, "get_episode", id=step["id"], offset=6) == SAID[6:]
        assert (await made_of(client, "forget", selector=step["id"]))["steps"] == 1
        assert SAID in await text_of(client, "recall", goal=GOAL)
        await made_of(client, "forget", selector=step["id"], dry_run=False)
        assert "Bergen" not in await text_of(client, "recall", goal=GOAL)
        assert "Bergen" not in await text_of(client, "get_episode", id=step["episode"])
        await made_of(client, "forget", selector=step["id"], dry_run=False, undo=True)
        assert SAID in await text_of(client, "recall", goal=GOAL)
        status = await made_of(client, "memory_status")
    assert (status["steps"], status["episodes"], status["newest"][0]["goal"]) == (2, 1, GOAL)
    (episode,) = memory.episodes()
    assert episode.ended is not None
    assert [crystal.layer for crystal in memory.crystals()] == ["unit"]


async def test_a_conversation_that_only_reads_leaves_nothing_in_the_log(memory: Memory) -> None:
    with memory.episode(id="old") as episode:
        episode.observe(SAID)
    head = memory.head()
    async with Client(mcp_server(memory)) as client:
        assert SAID in await text_of(client, "recall", goal=GOAL)
        await text_of(client, "get_episode", id="old")
        await client.get_prompt("plan_with_memory", {"goal": GOAL})
        await made_of(client, "memory_status")
    assert memory.head() == head


@pytest.mark.slow
async def test_a_killed_server_forgets_nothing_and_a_retry_with_the_same_key_logs_nothing(file: Path) -> None:
    scope = ("--namespace", "acme", "--agent", "carl")
    with raw(file, *scope) as (ask, process):
        assert ask("log_event", text=SAID, actor="user", key="flight")["structuredContent"]["new"] is True
        process.kill()
        process.wait()
    async with Client(parameters(file, *scope)) as client:
        again = await made_of(client, "log_event", text=SAID, actor="user", key="flight")
        assert again["new"] is False
        assert SAID in await text_of(client, "recall", goal=GOAL)
        assert "something else" in await refusal(client, "log_event", text="Other.", actor="user", key="flight")
    with Memory.open(file) as memory:
        assert memory.episodes() == []
        assert [one.agent for one in memory.scoped("acme").episodes()] == ["carl"]
        assert [step.text for step in memory.scoped("acme").steps()] == [SAID]
        assert memory.verify().ok


async def test_what_another_left_to_be_crystallized_is_while_the_server_runs(file: Path, memory: Memory) -> None:
    with opened(file) as other:
        episode = other.episode(id="old")
        episode.observe(SAID)
        episode.end()
    async with Client(mcp_server(memory)) as client:
        await until(client, lambda status: status["crystals"]["unit"] == 1)
        resources = (await client.list_resources()).resources
        assert resources[0].name == "timeline"
        assert "B12" in (await client.read_resource(resources[1].uri)).contents[0].text


@pytest.mark.slow
async def test_two_clients_at_once_share_one_file(file: Path) -> None:
    async with Client(parameters(file)) as one, Client(parameters(file), mode="legacy") as other:

        async def write(client: Client, who: str) -> set[str]:
            logged = [
                await made_of(client, "log_event", text=f"{who} counted {n} ravens over the harbour.", key=f"{who}{n}")
                for n in range(15)
            ]
            return {each["episode"] for each in logged}

        mine, theirs = await asyncio.gather(write(one, "Ann"), write(other, "Bob"))
        assert len(mine) == len(theirs) == 1
        assert mine != theirs
        assert "Bob counted 7 ravens" in await text_of(one, "recall", goal="How many ravens did Bob count?")
        assert "Ann counted 7 ravens" in await text_of(other, "recall", goal="How many ravens did Ann count?")
        assert (await made_of(other, "memory_status"))["steps"] == 30
    with Memory.open(file) as memory:
        assert memory.verify().ok
        assert len(list(memory.steps())) == 30
        assert all(episode.ended for episode in memory.episodes())
        assert memory.crystals(["unit"])


async def test_a_scope_shows_nothing_of_other_agents_and_namespaces(memory: Memory) -> None:
    for space, agent in (((), "bob"), (("acme",), "ann"), ((), "ann")):
        writer = memory.scoped(*space).episode(goal=f"canary {agent} {space}", id=f"{agent}{space}", agent=agent)
        with writer as episode:
            for n in range(12):
                episode.observe(f"The harbour holds {n} boats; secret{agent}{len(space)} counts them every evening.")
    everything = [step.id for step in memory.steps("bob()")]
    crystals = [crystal.id for crystal in memory.crystals() if "secretbob" in crystal.text]
    async with Client(mcp_server(memory, "ann")) as client:
        told = [
            await text_of(
                client, "recall", goal="Who counts the boats in the harbour, secretbob0?", budget_tokens=32_000
            ),
            str(await made_of(client, "memory_status", limit=100)),
            (await client.read_resource("memory://ann/timeline?limit=100")).contents[0].text,
            str(await client.list_resources()),
        ]
        assert all("ann" in each and "bob" not in each and "secretann1" not in each for each in told), told
        for id in ("bob()", everything[0], *crystals):
            assert "there is no" in await refusal(client, "get_episode", id=id)
            assert "there is no" in await refusal(client, "forget", selector=id, dry_run=False)
        for uri in ("memory://bob/timeline", f"memory://ann/crystals/{crystals[0]}", "file:///etc/passwd"):
            with pytest.raises(MCPError, match="there is no resource"):
                await client.read_resource(uri)
        for foreign in ({"namespace": ["acme"]}, {"agent": "bob"}):
            assert "has no argument" in await refusal(client, "recall", goal=GOAL, **foreign)
        assert (await made_of(client, "log_event", text="Mine.", key="k"))["new"]
    async with Client(mcp_server(memory.scoped("acme"), "carl")) as client:
        assert await text_of(client, "recall", goal="Who counts the boats in the harbour?") == NOTHING
        assert (await made_of(client, "log_event", text="Another's.", key="k"))["new"]
    assert [(one.agent, one.namespace) for one in memory.episodes()][-1] == ("ann", ())
    assert memory.scoped("acme").episodes()[-1].agent == "carl"


@pytest.mark.slow
def test_standard_output_is_the_protocols_alone_and_nothing_on_the_input_ends_the_server_but_ctrl_c_does(
    file: Path,
) -> None:
    junk = [
        "", "{", "null", "[]", "[1,2]", '"text"', "\x00\x1b[31m", "{}" * 1000, "[" * 20_000, '{"jsonrpc":"2.0"}',
        '{"jsonrpc":"2.0","id":1e999,"method":"ping"}', '{"jsonrpc":"1.0","id":7,"method":"ping"}',
        '{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"recall","arguments":[]}}',
        '{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"recall","arguments":{"goal":"\\ud800"}}}',
        '{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":7}}',
        '{"jsonrpc":"2.0","id":11,"method":"no/such"}', '{"jsonrpc":"2.0","id":12,"result":{}}',
    ]  # fmt: skip
    with raw(file) as (ask, process):
        assert process.stdin is not None
        process.stdin.write("".join(f"{line}\n" for line in junk))
        assert ask("recall", goal=GOAL)["content"][0]["text"] == NOTHING
        ask("log_event", text=SAID)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    with Memory.open(file, read_only=True) as memory:
        assert memory.episodes()[0].ended is not None


def test_a_server_without_the_sdk_says_how_to_install_it(file: Path) -> None:
    code = f"import sys; sys.modules['mcp'] = None; sys.argv[1:] = ['mcp', {str(file)!r}]\n"
    code += "from agentmem.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 1
    assert as_installed("pip install 'agentmem-crystal[mcp]'") in done.stderr
    assert not file.exists()


def test_a_file_that_is_no_memory_and_options_that_do_not_fit_end_the_command_before_anything_is_served(
    tmp_path: Path,
) -> None:
    (tmp_path / "text").write_text("no memory, but a text that is long enough to be looked at by whoever opens it" * 99)
    for options, code in (((), 1), (("--port", "80"), 2), (("--agent", ""), 1)):
        file = tmp_path / ("new.mem" if options else "text")
        done = CliRunner().invoke(app, ["mcp", str(file), *options])
        assert (done.exit_code, done.stdout) == (code, ""), done.stderr
        assert done.stderr.strip()


def test_a_path_from_home_is_found_though_no_shell_has_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["mcp", "~/own.mem", "--agent", ""])
    assert done.exit_code == 1
    assert (tmp_path / "own.mem").exists()


@contextmanager
def raw(file: Path, *options: str) -> Iterator[tuple[Any, subprocess.Popen[str]]]:
    """A server whose lines are written and read by hand, and a function that calls a tool."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command(file, *options), text=True, env=environment(), **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        numbers = iter(range(1000, 9999))

        def send(method: str, **params: Any) -> Any:
            number = next(numbers)
            process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n")
            process.stdin.flush()
            while (said := json.loads(process.stdout.readline())).get("id") != number:
                assert said["jsonrpc"] == "2.0"
            return said["result"]

        client = {"name": "raw", "version": "1"}
        send("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        process.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        try:
            yield lambda tool, **arguments: send("tools/call", name=tool, arguments=arguments), process
        finally:
            process.kill()


async def until(client: Client, holds: Any) -> None:
    """Wait for what a thread of the server does in its own time."""
    end = time.monotonic() + 30
    while not holds(await made_of(client, "memory_status")):
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
