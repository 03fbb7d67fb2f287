"""The harness itself, and a few minutes of each drill: `make torture` does them as often as docs/promises.md says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import chdir
from pathlib import Path

import pytest
from torture import inputs
from torture.doors import SKIPPED, verbs
from torture.drill import Drill
from torture.drills import DRILLS
from torture.run import State, run

from agentmem import Memory
from agentmem.memory import EpisodeWriter
from agentmem.server.operations import OPERATIONS

SECONDS = 25.0


@pytest.mark.slow
@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
def test_a_drill_breaks_no_promise(drill: Drill, tmp_path: Path) -> None:
    if lacking := drill.needs():
        pytest.skip(f"this machine lacks {lacking}")
    state = State(tmp_path / "state.json")
    well = run([drill], state, tmp_path, SECONDS, 1.0, lambda *_: None)
    assert well, state.of(drill)["failed"]
    assert state.done(drill) > 0


def test_what_nobody_should_give_is_refused_or_stored_whole(tmp_path: Path) -> None:
    with chdir(tmp_path):
        done = inputs.tried(0, tmp_path, 120)
    assert done["inputs"] == done["refused"] + done["taken"] == 120
    assert min(done["refused"], done["taken"]) > 10


def test_every_public_verb_is_a_way_in_that_is_tried() -> None:
    public = {name for kind in (Memory, EpisodeWriter) for name in dir(kind) if not name.startswith("_")}
    public -= {"who", "open", "repair"}  # a field, and those under names of their own
    tried = {name.rpartition(".")[2] for name in verbs()}
    assert public - tried == set(SKIPPED) - {"open", "repair"}
    assert {f"{one.method} {one.path}" for one in OPERATIONS} < set(inputs.every())


def counting(seed: int, folder: Path) -> Counter[str]:
    (folder / "made").touch()
    assert seed != 3, "the fourth part breaks"
    return Counter(trials=10)


def test_a_run_goes_on_where_it_stopped_and_keeps_what_failed(tmp_path: Path) -> None:
    drills = [
        Drill("one", "P1", "trials", 40, counting),
        Drill("two", "P2", "trials", 20, lambda *_: Counter(trials=5)),
    ]
    shown: list[str] = []

    def go(seconds: float) -> bool:
        state = State(tmp_path / "state.json")
        return run(drills, state, tmp_path, seconds, 1.0, lambda drill, _: shown.append(drill.name))

    assert go(0.0)
    assert shown == []
    assert not go(60.0)
    state = State(tmp_path / "state.json")
    assert [state.done(drill) for drill in drills] == [40, 20]
    assert [(one["part"], "the fourth part breaks" in one["why"]) for one in state.of(drills[0])["failed"]] == [
        (3, True)
    ]
    assert Counter(shown) == {"one": 5, "two": 4}
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["one-3"]


@pytest.mark.slow
def test_the_command_counts_and_prints_json(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "torture",
        "--only",
        "retry",
        "--minutes",
        "0.001",
        "--json",
        "--state",
        "state.json",
    ]
    options = ["--only", "retry", "--minutes", "0.001", "--json", "--state", "state.json"]
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-m", "torture", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["retry"]["counts"] == {"retries": 75, "calls": 100}
