"""What a command would pass over in silence is refused, or told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from agentmem import Memory
from agentmem.cli import app
from agentmem.errors import SettingsError
from agentmem.server import Limits


def call(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "1000", **environment})


def said(result: Result) -> str:
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Memory.open(tmp_path / "a.mem", encoder=None, durability="process") as memory:
        memory.episode(id="run").log("The door is locked.")
        memory.scoped("ann").episode(id="hers").log("The window is open.")
    return tmp_path / "a.mem"


def test_what_is_of_http_alone_is_refused_without_it_though_it_be_the_default(path: Path) -> None:
    for options in (("--token", "a-token-of-a-good-length"), ("--port", "8765"), ("--host", "127.0.0.1")):
        result = call("mcp", path, *options)
        assert result.exit_code == 2
        assert f"{options[0]} is of --http; give it as well, or leave {options[0]} out" in said(result)
        assert options[1] not in result.output


def test_a_token_in_the_environment_is_for_whichever_server_runs(path: Path) -> None:
    result = call("mcp", path, "--agent", "", AGENTMEM_MCP_TOKEN="a-token-of-a-good-length")
    assert (result.exit_code, "--http" in result.stderr) == (1, False)


def test_what_is_of_the_served_page_is_refused_for_an_exported_one(path: Path, tmp_path: Path) -> None:
    result = call("view", path, "--export", tmp_path / "a.html", "--port", "3", "--read-only")
    assert result.exit_code == 2
    assert "--port and --read-only: --export writes a page that changes nothing and needs no server" in said(result)
    assert not (tmp_path / "a.html").exists()
    assert call("view", path, "--export", tmp_path / "a.html").exit_code == 0


def test_a_namespace_to_read_is_one_that_is_there(path: Path, tmp_path: Path) -> None:
    for command in (("view", path, "--export", tmp_path / "a.html"), ("view", path), ("replay", path, "run")):
        result = call(*command, "--read", "anne")
        assert result.exit_code == 1
        assert f"there is no namespace 'anne' in {path}; did you mean 'ann'?" in said(result)
    assert call("replay", path, "run", "--read", "ann").exit_code == 0
    assert call("replay", path, "hers", "-n", "ann", "--read", "").exit_code == 0


def test_limits_of_a_server_are_finite(path: Path) -> None:
    for option in ("--rate", "--body-limit"):
        result = call("serve", path, option, "inf")
        assert result.exit_code == 2
        assert f"'{option}': inf is no number to count up to; give a finite one" in said(result)
        assert call("serve", path, option, "nan").exit_code == 2
    wrong: Any
    for wrong in (float("nan"), 0, "many", True):
        with pytest.raises(SettingsError, match=f"rate '?{wrong}'? of the limits is no finite number above 0"):
            Limits(rate=wrong)


def test_a_token_for_a_memory_that_is_not_there_says_so(path: Path, tmp_path: Path) -> None:
    there, mistyped = (
        call("serve", path, "--new-token", "ann"),
        call("serve", tmp_path / "nope.mem", "--new-token", "ann"),
    )
    assert (there.exit_code, mistyped.exit_code) == (0, 0)
    assert "there is no memory" not in there.stderr
    place = tmp_path / "nope.mem"
    assert f"there is no memory at {place} yet; `agentmem serve {place}` makes one" in said(mistyped)
    assert "is no path of a memory" in said(call("serve", "", "--new-token", "ann"))
