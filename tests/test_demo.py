"""The demo: one shift with a memory, with a window, and with none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentmem import Memory
from agentmem.bench.demo import ShiftReport, run
from agentmem.cli import app
from agentmem.cli.demo import LEAST
from agentmem.records import digest
from agentmem.rollout import load_policy

SHOP = "agentmem/ShiftShop-Short-v0"
ASKED = ["demo", "--env", SHOP, "--policy", "reader", "--steps", "140"]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ShiftReport]:
    file = tmp_path_factory.mktemp("demo") / "demo.mem"
    return file, run(file, SHOP, load_policy("reader", None), options={"split": "test", "steps": 240})


@pytest.fixture
def report(played: tuple[Path, ShiftReport]) -> ShiftReport:
    return played[1]


def test_memory_solves_what_a_window_and_none_cannot(report: ShiftReport) -> None:
    crystals, window, none = report.rollouts
    assert [each.memory for each in report.rollouts] == ["crystals", "window", "none"]
    assert [each.budget for each in report.rollouts] == [512] * 3
    assert window.context_tokens_mean == pytest.approx(crystals.context_tokens_mean, rel=0.05)
    assert none.context_tokens_mean is None
    assert crystals.solved_hidden is not None
    for other in (window, none):
        assert other.solved_hidden is not None
        assert crystals.solved_hidden > other.solved_hidden + 0.4


def test_the_moment_shown_holds_what_was_said_long_before(report: ShiftReport) -> None:
    assert report.moment is not None
    assert report.moment.ago >= 100
    values = [word for word in report.moment.chosen.split() if any(map(str.isdigit, word))]
    told = [value for value in values if value in report.moment.said and value not in report.moment.asked]
    assert told
    assert all(value in report.moment.context.text for value in told)


def test_the_moment_shows_what_memory_gave_at_that_step(played: tuple[Path, ShiftReport]) -> None:
    file, report = played
    moment = report.moment
    assert moment is not None
    with Memory.open(file, read_only=True) as memory:
        actions = [step for step in memory.scoped(SHOP, "0").steps() if step.kind == "action"]
    logged = actions[moment.step].data["context"]
    assert (moment.context.tokens, digest(moment.context.text.encode())) == (logged["tokens"], logged["sha256"])


def test_the_demo_tells_a_table_and_how_to_open_the_memory_and_goes_on_with_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept.mem"
    result = CliRunner().invoke(app, [*ASKED, "--keep", str(kept)])
    assert result.exit_code == 0, result.output
    assert "tickets solved" in result.output
    with Memory.open(kept, read_only=True) as memory:
        steps = memory.scoped(SHOP, "0").stats().steps
    again = json.loads(CliRunner().invoke(app, [*ASKED, "--keep", str(kept), "--json"]).stdout)
    assert again["memory"] == str(kept)
    lines = [line for line in again["moment"]["context"]["text"].split("\n") if not line.startswith("[")]
    assert f" of {len(lines)} lines that memory gave at step {again['moment']['step']}" in result.output
    with Memory.open(kept, read_only=True) as memory:
        assert memory.scoped(SHOP, "0").stats().steps == steps > 140


@pytest.mark.parametrize("policy", ["random", "oracle"])
def test_policies_are_those_of_rollout_and_the_least_steps_are_enough(policy: str, tmp_path: Path) -> None:
    asked = ["demo", "--env", SHOP, "--policy", policy, "--steps", str(LEAST), "--keep", str(tmp_path / "a.mem")]
    result = CliRunner().invoke(app, [*asked, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rollouts"][0]["policy"] == policy


def test_what_cannot_play_is_refused_with_a_remedy_and_nothing_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "a.mem"
    for policy, said in (("chat:nobody:nothing", "pip install"), ("best", "policy 'best' is unknown")):
        result = CliRunner().invoke(app, ["demo", "--env", SHOP, "--policy", policy, "--keep", str(kept)])
        assert (result.exit_code, said in result.output) == (1, True), result.output
    few = CliRunner().invoke(app, [*ASKED[:-1], str(LEAST - 1), "--keep", str(kept)])
    assert (few.exit_code, f"{LEAST}" in few.output) == (2, True)
    assert not kept.exists()


def test_a_question_goes_with_the_conversations() -> None:
    result = CliRunner().invoke(app, ["demo", "--question", "x"])
    assert result.exit_code != 0
    assert "--conversations" in result.output
