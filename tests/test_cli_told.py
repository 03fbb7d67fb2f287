"""What the command line tells whoever sits at a terminal: nothing that steers it, and in each refusal what to do."""

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner, Result

from agentmem import Memory
from agentmem.cli import app
from agentmem.cli.app import serves_writes
from agentmem.errors import MissingExtraError, ReadOnlyError
from agentmem.mcp import http_app
from agentmem.server.models import Recall
from agentmem.server.problems import problem_of

STEERING = "The red door \x1b]0;owned\x07\x1b[2J is \u202elocked."


def call(*arguments: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=answer)


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """What a command writes where standard output is a terminal."""
    outer, inner = pty.openpty()
    with os.fdopen(inner, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr("sys.stdout", terminal)
        with pytest.raises(SystemExit) as ended:
            app([str(argument) for argument in arguments])
    assert ended.value.code == 0
    said = b""
    with suppress(OSError):  # how a terminal says that nobody writes to it any more
        while more := os.read(outer, 65_536):
            said += more
    os.close(outer)
    return said.decode()


@pytest.fixture
def steering(tmp_path: Path) -> Path:
    with Memory.open(tmp_path / "a.mem", encoder=None, durability="process") as memory:
        memory.episode(id="e1").observe(STEERING)
    return tmp_path / "a.mem"


def test_recalled_text_cannot_steer_a_terminal(steering: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = at_a_terminal(monkeypatch, "recall", steering, "red door", "--why")
    assert said.count("␛[2J") == 2  # the text, and the hit
    assert not {"\x07", "\u202e"}.intersection(said)
    assert "\x1b]" not in said
    assert "\x1b[2J" not in said


def test_recalled_text_is_exact_in_a_pipe(steering: Path) -> None:
    assert STEERING in call("recall", steering, "red door").stdout


def test_an_erasure_names_the_steps_that_say_the_same_and_what_erases_them(tmp_path: Path) -> None:
    said = "Alice lives in the yellow house behind the mill."
    with Memory.open(tmp_path / "a.mem", encoder=None, durability="process") as memory:
        one = memory.episode(id="one").observe(said)
        two = memory.episode(id="two").observe(f"I was told: {said}")
    for option, code in (("--dry-run", 0), ("--yes", 1)):
        found = call("erase", tmp_path / "a.mem", "--step", one.id, option)
        assert found.exit_code == code
        assert f"also said in  step {two.id} of episode two" in found.stdout
        assert f"agentmem erase {tmp_path / 'a.mem'} --step {two.id}" in found.stderr
    assert "still found" in found.stdout
    assert call("erase", tmp_path / "a.mem", "--step", two.id, "--yes").exit_code == 0


PRESSED = """
import signal, sys
class CtrlC:
    def find_spec(self, name, *rest):
        if name == "typer":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, CtrlC())
from agentmem.cli import main
"""


def test_ctrl_c_while_the_command_line_loads_ends_it_without_a_traceback() -> None:
    ended = subprocess.run([sys.executable, "-c", PRESSED], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        ({}, "'agentmem-crystal[mcp]'"),
        ({"url": "file:///src/a%20b", "dir_info": {"editable": True}}, "-e '/src/a b[mcp]'"),
        ({"url": "file:///src/main", "dir_info": {}}, "'/src/main[mcp]'"),
        ({"url": "file:///d/a.whl", "archive_info": {}}, "'agentmem-crystal[mcp] @ file:///d/a.whl'"),
        (
            {"url": "https://example.org/a.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}},
            "'agentmem-crystal[mcp] @ git+https://example.org/a.git@c0ffee'",
        ),
    ],
)
def test_a_missing_extra_is_installed_from_where_agentmem_came(
    origin: dict[str, object], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (info := tmp_path / "agentmem_crystal-0.1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: agentmem-crystal\nVersion: 0.1.0\n")
    (info / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(tmp_path)
    error = MissingExtraError("it needs more: pip install 'agentmem-crystal[mcp]'")
    assert str(error) == str(MissingExtraError(str(error))) == f"it needs more: pip install {line}"


def test_a_backup_names_the_folder_that_cannot_be_written(steering: Path) -> None:
    refused = call("backup", steering, "/proc/copy.mem")
    assert refused.exit_code == 1
    assert "/proc/copy.mem cannot be made in the directory /proc (" in refused.stderr
    assert "choose one where files can be written" in refused.stderr


def test_a_server_says_at_its_start_that_it_cannot_write(steering: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Memory.open(steering, encoder=None) as memory:
        assert serves_writes(memory, "a.mem")
        assert capsys.readouterr().err == ""
    with Memory.open(steering, encoder=None, read_only=True) as memory:
        assert not serves_writes(memory, "a.mem")
        assert "read-only: a.mem or its folder cannot be written" in capsys.readouterr().err
        with pytest.raises(ReadOnlyError) as refused:
            memory.episode(id="e2")
        assert b"let whoever runs the server write" in problem_of(refused.value).body


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "a.mem", "--port", "99999"], ["'--port'", "99999 is over 65,535; give at most 65,535"]),
        (["serve", "a.mem", "--rate", "0"], ["'--rate'", "0 is under 0.01; give at least 0.01"]),
        (["serve", "a.mem", "--port", "x"], ["'--port'"]),
        (["stats", "empty.mem"], ["empty.mem is empty", "agentmem ingest empty.mem FILE"]),
        (["recall", "a.mem", "x", "-n", "a\\q/"], [r"namespace 'a\q/' has an empty part; write A/B"]),
        (["serve", "a.mem", "--new-token", "///"], ["namespace '///' has an empty part; write A/B"]),
    ],
)
def test_a_refusal_names_the_value_and_what_to_give(
    arguments: list[str], said: list[str], steering: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(steering.parent)
    Path("empty.mem").touch()
    refused = call(*arguments)
    assert refused.exit_code != 0
    for words in said:
        assert words in refused.stderr
    assert not Path("a.mem.tokens").exists()


def test_a_request_is_told_the_number_it_gave_and_the_limit() -> None:
    for budget, words in (
        (-1, b"budget: -1 is under 0; give at least 0"),
        (10**12, b"1000000000000 is over 1,000,000"),
    ):
        with pytest.raises(ValidationError) as refused:
            Recall(cue="x", budget=budget)
        assert words in problem_of(refused.value).body


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([(b"host", b"evil.example")], b"this server is not called 'evil.example'; see --allow-host"),
        ([(b"host", b"localhost"), (b"origin", b"http://evil.example")], b"a page of 'http://evil.example' may not"),
    ],
)
async def test_an_mcp_client_is_told_the_name_it_called(headers: list[tuple[bytes, bytes]], said: bytes) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    with Memory.open(":memory:", encoder=None) as memory:
        gate = http_app(memory, "t" * 20)
        await gate({"type": "http", "headers": headers}, None, send)
    assert said in sent[1]["body"]
