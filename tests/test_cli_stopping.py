"""How a command is stopped: by Ctrl-C and by SIGTERM, at once or where that is safe."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from agentmem.cli import show
from agentmem.cli.stopping import ended, pressed

FORKED = """
import os, signal, time
from agentmem.cli.stopping import heed_sigterm
heed_sigterm()
reads, writes = os.pipe()
if not (child := os.fork()):
    os.write(writes, b"!")
    time.sleep(60)
os.read(reads, 1)
os.kill(child, signal.SIGTERM)
print(os.WTERMSIG(os.waitpid(child, 0)[1]))
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
except KeyboardInterrupt:
    print("stopped")
"""
STOPS = [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)]


@pytest.mark.parametrize(("number", "word", "code"), STOPS)
def test_who_looks_between_steps_stops_where_that_is_safe(
    number: int, word: str, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with pressed("what was saved is kept") as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
    assert ended(", and saved").exit_code == code
    assert capfd.readouterr().err == f"stopped by {word}, and saved\n"


@pytest.mark.parametrize(("number", "word", "code"), STOPS)
def test_asked_a_second_time_it_stops_at_once(
    number: int, word: str, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def twice() -> None:
        with pressed("what was saved is kept"):
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)

    with pytest.raises(typer.Exit) as stopped:
        twice()
    assert stopped.value.exit_code == code
    assert capfd.readouterr().err == f"stopped by {word} at once; what was saved is kept\n"


def test_a_signal_that_came_as_the_work_was_done_is_not_told_of_a_later_ctrl_c() -> None:
    for number, code in ((signal.SIGTERM, None), (signal.SIGINT, 130)):
        with pressed("kept"):
            os.kill(os.getpid(), number)
        if code:
            assert ended().exit_code == code


def test_a_process_that_is_forked_ends_at_sigterm_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.split() == ["15", "stopped"]


@pytest.mark.parametrize(("there", "called"), [(True, "agentmem"), (False, "a b/bin/agentmem")])
def test_a_command_to_run_next_is_called_as_a_shell_finds_it(
    there: bool, called: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agentmem").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) if there else "")
    monkeypatch.setattr("sys.argv", ["a b/bin/agentmem", "demo"])
    assert show.program() == (called if there else f"'{called}'")
