"""The demo: one shift with a memory, with a window, and with none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rolls import Pressing
from seen import unpacked
from test_cli_rollout import Falling
from typer.testing import CliRunner

from agentmem import Memory
from agentmem.bench.demo import ShiftReport, run
from agentmem.cli import app
from agentmem.cli.demo import LEAST
from agentmem.records import digest
from agentmem.rollout import load_policy, rollout

SHOP = "agentmem/ShiftShop-Short-v0"
ANSWERS = re.compile(r'id="answers">(.*?)</script>', re.DOTALL)
ASKED = ["demo", "--env", SHOP, "--policy", "reader", "--steps", "110"]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ShiftReport]:
    file = tmp_path_factory.mktemp("demo") / "demo.mem"
    return file, run(file, SHOP, load_policy("reader", None), options={"split": "test", "steps": 150})


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
    assert re.search(r"tickets solved, of \d+ .* those that need memory, of \d+ ", " ".join(result.stdout.split()))
    assert result.stdout.startswith("A shift is a working day at a help desk.")
    assert "\n1 of 3 played, with crystals" in result.stderr
    assert "-b 512 " in result.stderr
    assert f"page  {tmp_path}" in result.stdout.replace("\n", "")
    told = unpacked(ANSWERS.findall((tmp_path / "kept.html").read_text())[0])
    assert told["memory {}"]["name"] == "kept.mem"
    assert [*tmp_path.glob("*-wal"), *tmp_path.glob("*-shm")] == []
    with Memory.open(kept, read_only=True) as memory:
        steps = memory.scoped(SHOP, "0").stats().steps
    again = json.loads(CliRunner().invoke(app, [*ASKED, "--keep", str(kept), "--json"]).stdout)
    assert (again["memory"], again["page"]) == (str(kept), str(tmp_path / "kept.html"))
    shown = re.search(r"at that step: file://\S*kept\.html#step=(s\d{11})", result.stderr.replace("\n", ""))
    assert shown is not None
    assert shown[1] == again["moment"]["steps"][1]
    rows = [step for name, answer in told.items() if name.startswith("steps ") for step in answer["first"]]
    for step in again["moment"]["steps"]:
        (row,) = (row for row in rows if row["id"] == step)
        asked = {"episode": row["episode"], "namespace": [SHOP, "0"], "number": row["number"]}
        assert f"frame {json.dumps(asked, separators=(',', ':'))}" in told
    lines = [line for line in again["moment"]["context"]["text"].split("\n") if not line.startswith("[")]
    assert f" of {len(lines)} lines that memory gave at step {again['moment']['step'] + 1}" in result.output
    with Memory.open(kept, read_only=True) as memory:
        assert memory.scoped(SHOP, "0").stats().steps == steps > 110


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["random", "oracle"])
def test_policies_are_those_of_rollout_and_the_least_steps_are_enough(policy: str, tmp_path: Path) -> None:
    asked = ["demo", "--env", SHOP, "--policy", policy, "--steps", str(LEAST), "--keep", str(tmp_path / "a.mem")]
    result = CliRunner().invoke(app, [*asked, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rollouts"][0]["policy"] == policy


def test_what_cannot_play_is_refused_with_a_remedy_and_nothing_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "a.mem"
    for policy, said in (("chat:nobody:nothing", "pip install|provider"), ("best", "policy 'best' is unknown")):
        result = CliRunner().invoke(app, ["demo", "--env", SHOP, "--policy", policy, "--keep", str(kept)])
        assert (result.exit_code, bool(re.search(said, result.output))) == (1, True), result.output
    few = CliRunner().invoke(app, [*ASKED[:-1], str(LEAST - 1), "--keep", str(kept)])
    assert (few.exit_code, f"{LEAST}" in few.output) == (2, True)
    assert not kept.exists()


def refused(*arguments: object) -> str:
    """The words of a refusal."""
    result = CliRunner().invoke(app, ["demo", *map(str, arguments)])
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    return result.stderr


def test_a_memory_of_something_else_is_refused_by_its_name_and_with_how_to_give_another(tmp_path: Path) -> None:
    kept = tmp_path / "kept.mem"
    with Memory.open(kept, durability="process") as memory:
        options = {"split": "test", "steps": LEAST}
        rollout(SHOP, load_policy("reader", None), memory, budget=512, options=options, name="reader")
    again = ("--env", SHOP, "--policy", "reader", "--steps", LEAST, "--keep", kept)
    other = "another memory, such as --keep other.mem"
    said = refused(*again, "--budget", 300)
    assert f"{kept}: this memory holds a rollout with budget 512, not 300" in said
    assert other in said
    said = refused("--env", "agentmem/ShiftShop-v0", *again[2:])
    assert f"{kept}: this memory holds something else than one shift of 'agentmem/ShiftShop-v0'" in said
    assert other in said


def test_a_file_that_is_no_page_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("my notes")
    said = refused("--env", SHOP, "--policy", "reader", "--steps", LEAST, "--keep", tmp_path / "a.mem")
    assert "a.html is in the way of this run's page; move it, or give --keep another.mem" in said
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.html", "my notes")]


@pytest.mark.parametrize("env", ["agentmem/TMaze-v0", "nope"])
def test_what_is_no_shift_is_refused_with_some_that_are(env: str, tmp_path: Path) -> None:
    said = refused("--env", env, "--keep", tmp_path / "a.mem")
    assert f"--env {env}: the demo plays shifts, such as agentmem/ShiftRetail-v0" in said
    assert "split" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_misspelled_shift_and_a_policy_of_mazes_are_refused(tmp_path: Path) -> None:
    assert "split" not in refused("--env", "agentmem/ShiftShp-v0", "--keep", tmp_path / "a.mem")
    assert "policy tmaze cannot act" in refused("--env", SHOP, "--policy", "tmaze", "--keep", tmp_path / "a.mem")
    assert list(tmp_path.iterdir()) == []


def test_options_go_with_the_shift_or_with_the_conversations() -> None:
    assert "add --conversations" in refused("--question", "x")
    for option, value in (("--env", SHOP), ("--policy", "reader"), ("--steps", LEAST)):
        assert f"{option} {value} is of the shift" in refused("--conversations", option, value)


def test_what_a_policy_raises_is_one_error_and_the_shift_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Falling, "steps", 0)
    asked = ["demo", "--env", SHOP, "--policy", "test_cli_rollout:Falling", "--steps", str(LEAST)]
    failed = CliRunner().invoke(app, [*asked, "--keep", str(tmp_path / "a.mem")])
    assert failed.exit_code == 1
    *frames, last = failed.stderr.splitlines()
    assert last.startswith("error: policy test_cli_rollout:Falling raised ZeroDivisionError at ")
    assert last.endswith("a.mem: run the same command again to go on")
    assert [line.split(", in ")[1] for line in frames if line.startswith("  File ")] == ["act", "fallen"]


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(tmp_path: Path) -> None:
    Pressing.steps = 0
    asked = ["demo", "--env", SHOP, "--policy", "rolls:Pressing", "--steps", str(LEAST)]
    stopped = CliRunner().invoke(app, [*asked, "--keep", str(tmp_path / "a.mem")])
    assert stopped.exit_code == 130
    assert "a.mem: run the same command again to go on" in stopped.stderr
    assert not (tmp_path / "a.html").exists()
    done = CliRunner().invoke(app, [*asked, "--keep", str(tmp_path / "a.mem"), "--json"])
    assert [each["steps"] for each in json.loads(done.stdout)["rollouts"]] == [LEAST] * 3
    assert Pressing.steps <= 3 * LEAST + 1
