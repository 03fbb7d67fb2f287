"""`agentmem bench rollout`: it measures what it says, whatever the figures are."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from agentmem.bench.rollout.command import markdown
from agentmem.bench.rollout.measure import Waits, measure
from agentmem.cli import app


def test_it_prints_a_row_for_each_speed_of_environment() -> None:
    asked = ["bench", "rollout", "--ms", "0,1", "--steps", "40", "--workers", "2", "--rounds", "1", "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert [(row["ms"], row["steps"], row["workers"]) for row in rows] == [(0.0, 40, 2), (1.0, 40, 2)]
    assert all(row["share"] == pytest.approx(row["logged_steps_s"] / row["bare_steps_s"]) for row in rows)
    assert rows[1]["bare_steps_s"] <= 1000
    assert markdown(rows).count("\n") == 4


def test_progress_is_told_after_every_run() -> None:
    told: list[int] = []
    measure(0.0, 8, 1, False, 2, lambda: told.append(1))
    assert len(told) == 2 * 2


def test_the_environment_says_something_new_at_each_step() -> None:
    env = Waits(0.0, 8)
    said = [env.reset(seed=0)[0]["text"], *(env.step(0)[0]["text"] for _ in range(8))]
    assert len(set(said)) == 9


@pytest.mark.parametrize("ms", ["", "1,x", "-1", "5000"])
def test_speeds_that_are_none_are_refused(ms: str) -> None:
    done = CliRunner().invoke(app, ["bench", "rollout", "--ms", ms])
    assert done.exit_code == 2
