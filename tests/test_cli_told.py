"""What the command line tells whoever sits at a terminal: nothing that steers it, and in each refusal what to do."""

import os
import pty
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agentmem import Memory
from agentmem.cli import app

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
        terminal.flush()
        said = os.read(outer, 65_536).decode()
    os.close(outer)
    assert ended.value.code == 0
    return said


@pytest.fixture
def steering(tmp_path: Path) -> Path:
    with Memory.open(tmp_path / "a.mem", encoder=None, durability="process") as memory:
        memory.episode(id="e1").observe(STEERING)
    return tmp_path / "a.mem"


def test_recalled_text_cannot_steer_a_terminal(steering: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = at_a_terminal(monkeypatch, "recall", steering, "red door", "--why")
    assert said.count("␛[2J") == 2  # the text, and the hit
    assert not {"\x1b]", "\x1b[2J", "\x07", "\u202e"}.intersection(said)
    assert "\x1b]" not in said and "\x1b[2J" not in said


def test_recalled_text_is_exact_in_a_pipe(steering: Path) -> None:
    assert STEERING in call("recall", steering, "red door").stdout
