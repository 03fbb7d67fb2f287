"""`agentmem replay`: what it lists, prints, writes and refuses, and its keys in a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rolls import SHOP, Counting
from test_cli_rollout import SHORT
from typer.testing import CliRunner, Result

from agentmem import Memory
from agentmem.cli import app
from agentmem.cli.player import Player, keys_in
from agentmem.replay import replay
from agentmem.rollout import ScriptedPolicy, rollout

ROOT = Path(__file__).parent.parent
SHIFT = ("-n", r"agentmem\/ShiftShop-Short-v0/0")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["replay", *map(str, arguments)], env={"COLUMNS": "100", "TERM": "dumb"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.mem"
    with Memory.open(path, encoder=None, durability="process") as memory:
        for name, door in (("monday", "red"), ("tuesday", "blue")):
            with memory.episode(id=name, goal=f"open the {door} door \x1b[2J") as episode:
                episode.observe(f"The {door} door is locked. \x1b]0;owned\x07")
                episode.recall(f"Is the {door} door locked?", budget=60)
                episode.act("take the brass key")
                episode.observe("You have the brass key.", reward=1.0)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "run.mem"
    arguments = ["rollout", SHOP, "--policy", "oracle", *SHORT, "--out", str(path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    return path


def test_without_an_episode_it_lists_them(path: Path, run: Path) -> None:
    said = call(path).stdout
    assert "monday" in said
    assert "open the blue door" in said
    listed = json.loads(call(path, "--json").stdout)["episodes"]
    assert [(one["episode"], one["frames"], one["recalls"]) for one in listed] == [("monday", 3, 1), ("tuesday", 3, 1)]
    assert r"agentmem\/ShiftShop-Short-v0/0" in call(run).stdout
    with Memory.open(path, encoder=None, durability="process") as memory:
        memory.episode(id="odd\x9b31m", goal="\u202e")
    assert call(path, "--json").stdout.isascii()
    assert json.loads(call(path, "--json").stdout)["episodes"][-1]["episode"] == "odd\x9b31m"


def test_elsewhere_than_in_a_terminal_the_frames_are_printed_and_cannot_steer_it(path: Path) -> None:
    done = call(path, "monday")
    assert done.exit_code == 0, done.output
    for part in (
        "step 1 of 3",
        "step 3 of 3",
        "The red door is locked.",
        "reward 1",
        "as it was shown",
        "cue  Is the",
    ):
        assert part in done.stdout
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def test_json_is_one_document_with_the_frames_that_replay_gives(path: Path) -> None:
    said = json.loads(call(path, "monday", "--json").stdout)
    with Memory.open(path, encoder=None, read_only=True) as memory:
        frames = replay(memory, "monday")
        assert said["frames"] == [json.loads(frame.to_json()) for frame in frames]
        assert said["replay"] == frames.data()
        one = call(path, "monday", "--step", frames.step(1).id, "--json").stdout
        assert one == frames[1].to_json() + "\n"
    assert said["version"] == 1


def test_a_step_is_shown_with_what_another_cue_or_budget_would_have_recalled(path: Path) -> None:
    with Memory.open(path, encoder=None, read_only=True) as memory:
        step = replay(memory, "tuesday").step(1).id
    shown = call(path, "tuesday", "--step", step)
    assert "step 2 of 3" in shown.stdout
    assert "step 3 of 3" not in shown.stdout
    other = call(path, "tuesday", "--step", step, "--cue", "brass key", "--budget", 40)
    assert "would be recalled" in other.stdout
    assert "of 40 tokens" in other.stdout


def test_what_recalls_read_of_another_namespace_is_read_if_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with Memory.open(path, encoder=None, durability="process") as whole:
        whole.scoped("acme", "shared").episode(id="rules").log("Door 9 stays shut.")
        episode = whole.scoped("ann", read=[("acme", "shared")]).episode(id="run")
        episode.recall("door 9", budget=60)
        episode.act("leave it")
    said = call(path, "run", "-n", "ann").stdout
    assert "it also read" in said
    assert "stays shut" not in said
    assert "Door 9 stays shut." in call(path, "run", "-n", "ann", "--read", "acme/shared").stdout


def test_another_run_is_compared(path: Path) -> None:
    said = call(path, "monday", "--compare", "tuesday").stdout
    assert "The red door is locked" in said
    assert "of 3 pairs of steps" in said
    document = json.loads(call(path, "monday", "--compare", "tuesday", "--json").stdout)
    assert [one["same_step"] for one in document["differences"]] == [False, True, True]
    assert (document["left"]["episode"], document["right"]["episode"]) == ("monday", "tuesday")


def test_a_rollout_is_played_again_and_checked(run: Path) -> None:
    said = call(run, *SHIFT, "--together", "--rerun")
    assert said.exit_code == 0, said.output
    assert "observations checked" in said.stdout
    document = json.loads(call(run, *SHIFT, "--together", "--rerun", "--json").stdout)
    assert document["differ"] == []
    assert document["checked"] > 30
    part = call(run, *SHIFT, "calls", "--rerun")
    assert part.exit_code == 1
    assert "was not logged" in part.stdout


def test_a_rollout_of_a_module_of_the_current_folder_is_played_again_there(tmp_path: Path) -> None:
    (tmp_path / "mazes_here.py").write_text(
        "import gymnasium\ngymnasium.register('here/Maze-v0', 'agentmem_envs.tmaze:TMaze', kwargs={'length': 5})\n"
    )
    code = "from agentmem.cli import main; main()"
    agentmem = (
        sys.executable,
        "-P",
        "-c",
        code,
    )  # as the installed command, which has no folder of its own on its path
    maze = ("rollout", "mazes_here:here/Maze-v0", "--policy", "random", "--memory", "none", "--out", "run.mem")
    again = ("replay", "run.mem", "-n", r"mazes_here:here\/Maze-v0/0", "--together", "--rerun")
    for words, said in ((maze, "the log is in run.mem"), (again, "same  7 observations checked")):
        done = subprocess.run((*agentmem, *words), cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout + done.stderr


def test_a_rollout_of_a_function_says_how_it_is_played_again(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "run.mem", encoder=None) as memory:
        rollout(Counting, ScriptedPolicy(lambda seen, context: 1), memory, kind="none")
    done = call(tmp_path / "run.mem", "-n", "Counting/0", "--together", "--rerun")
    assert done.exit_code == 1
    assert done.stderr == (
        "error: environment 'Counting' was made by a function, whose name alone is noted: play the episode again in "
        "Python, with Again(memory, make=the function)\n"
    )


def test_what_is_of_no_rollout_names_the_namespace_that_is(path: Path) -> None:
    with Memory.open(path, encoder=None, durability="process") as memory:
        none = call(path, "monday", "--rerun")
        rollout(Counting, ScriptedPolicy(lambda seen, context: 1), memory, kind="none")
    some = call(path, "monday", "--rerun")
    said = "error: the root namespace holds no episode of a rollout, with its seed, to play again; "
    assert none.stderr == f"{said}nothing in this memory is of one, and `agentmem rollout` makes one\n"
    assert some.stderr == f"{said}give that of one, such as -n Counting/0\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("mnday",), 1, "there is no episode 'mnday'; did you mean 'monday'?"),
        (("monday", "--step", "x"), 1, "step 'x' is not in episode 'monday'; its steps go from s0000"),
        (("monday", "--together"), 2, "give an EPISODE or --together, not both"),
        (("--step", "s00000000002"), 2, "name an EPISODE, or give --together"),
        (("monday", "--rerun", "--compare", "tuesday"), 2, "give one of --step, --compare and --rerun"),
        (("monday", "--rerun"), 1, "holds no episode of a rollout"),
        (("monday", "--budget", "-1"), 2, "budget"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = call(path, *arguments)
    assert done.exit_code == code
    assert said in " ".join(done.output.replace("│", " ").split())


# ---- keys --------------------------------------------------------------------------------------------------------


def test_keys_are_known_whatever_a_terminal_sends_together() -> None:
    assert list(keys_in(b"\x1b[C\x1b[D \x1bOCq")) == ["on", "back", "play", "on", "quit"]
    assert list(keys_in(b"x\x1b[1~G\x1b[6~")) == ["first", "last", "page on"]
    assert list(keys_in(b"\x1b")) == ["quit"]
    assert list(keys_in(b"\x1b[99Z")) == []


def test_a_player_goes_on_and_back_and_plays_to_the_end(path: Path) -> None:
    with Memory.open(path, encoder=None, read_only=True) as memory:
        player, went = Player(replay(memory, "monday")), []
        for key in ("back", "on", "on", "on", "first", "last", "page back"):
            assert player.press(key)
            went.append(player.number)
        assert went == [0, 1, 2, 2, 0, 2, 0]
        player.press("play")
        for _ in range(5):
            player.tick()
        assert (player.number, player.playing) == (2, False)
        assert not player.press("quit")


def test_in_a_terminal_keys_play_and_the_terminal_is_left_as_it_was(path: Path) -> None:
    outer, inner = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "COLUMNS": "100", "LINES": "30"}
    run = [sys.executable, "-m", "agentmem.cli", "replay", str(path), "monday"]
    child = subprocess.Popen(run, stdin=inner, stdout=inner, stderr=inner, env=environment)
    os.close(inner)
    said = b""
    for awaited, key in ((b"step 1 of 3", b"\x1b[C"), (b"step 2 of 3", b" "), (b"step 3 of 3", b"q")):
        said = _until(outer, awaited, said)
        os.write(outer, key)
    said = _until(outer, b"\x1b[?1049l", said)
    assert child.wait(60) == 0
    assert said.count(b"\x1b[?1049h") == said.count(b"\x1b[?1049l") == 1
    assert b"\x1b]0;owned" not in said
    os.close(outer)


def _until(terminal: int, awaited: bytes, said: bytes) -> bytes:
    """All that was printed, once that is in it."""
    end = time.monotonic() + 60
    while awaited not in said:
        assert time.monotonic() < end, said[-2_000:]
        if select.select([terminal], [], [], 1.0)[0]:
            said += os.read(terminal, 1 << 16)
    return said
