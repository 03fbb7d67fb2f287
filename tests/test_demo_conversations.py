"""The demo: the main job on public data, end to end."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentmem import Memory, MissingExtraError, NotFoundError
from agentmem.bench import bfcl
from agentmem.bench.conversations import DemoReport, run
from agentmem.bench.evidence import BM25, History, Newest, Turn, grams, holds, words
from agentmem.cli import app


@pytest.fixture(scope="module")
def histories() -> list[History]:
    return bfcl.load()


@pytest.fixture(scope="module")
def report() -> DemoReport:
    """What the command says as one document of JSON."""
    result = CliRunner().invoke(app, ["demo", "--conversations", "--json"])
    assert result.exit_code == 0, result.output
    return DemoReport.model_validate_json(result.stdout)


def test_the_data_has_five_people_323_steps_and_155_questions(histories: list[History]) -> None:
    counts = {history.person: (len(history.turns), len(history.questions)) for history in histories}
    assert counts == {
        "customer": (109, 30),
        "finance": (35, 25),
        "healthcare": (47, 25),
        "notetaker": (24, 25),
        "student": (108, 50),
    }


def test_every_question_has_its_evidence_among_the_steps(histories: list[History]) -> None:
    for history in histories:
        assert {question.evidence for question in history.questions} <= {turn.id for turn in history.turns}


def test_the_evidence_says_the_answer_more_often_than_not(histories: list[History]) -> None:
    """Some answers are worded otherwise than their evidence; a wrong label would say almost none."""
    said = [
        any(answer.lower() in turn.text.lower() for answer in question.answers)
        for history in histories
        for question in history.questions
        for turn in history.turns
        if turn.id == question.evidence
    ]
    assert sum(said) > 0.7 * len(said)


def test_without_the_data_the_error_is_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(MissingExtraError, match="pip install --no-deps bfcl-eval=="):
        bfcl.load()


def test_a_step_is_held_by_a_text_with_four_fifths_of_its_word_3_grams() -> None:
    step = "one two three four five six seven"
    assert len(grams(words(step))) == 5
    assert holds("One, two three: four five six!", step)
    assert not holds("one two three four five", step)


def test_the_floors_pack_whole_steps_into_the_budget() -> None:
    turns = [Turn("1", "e", "g", "the red door"), Turn("2", "e", "g", "a blue cup"), Turn("3", "e", "g", "green tea")]
    assert Newest(turns, len).recall("anything", 34) == "user: a blue cup\nuser: green tea"
    assert BM25(turns, len).recall("which door?", 99) == "user: the red door"
    assert Newest(turns, len).recall("anything", 3) == ""


@pytest.mark.slow
def test_the_demo_reports_the_share_of_evidence_of_each_system(report: DemoReport) -> None:
    assert report.questions == 155
    assert list(report.evidence) == ["agentmem", "BM25", "newest steps"]
    assert 0.85 < report.evidence["BM25"] < 0.95
    assert report.evidence["newest steps"] < 0.1
    assert report.evidence["agentmem"] > report.evidence["newest steps"]
    assert report.stats.steps == 323
    assert report.sample.context.tokens <= report.budget == 512


def test_an_unknown_question_is_an_error_before_anything_is_logged(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no question 'x'"):
        run(tmp_path / "demo.mem", shown="x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_demo_tells_its_four_parts_and_keeps_the_memory_when_asked(report: DemoReport, tmp_path: Path) -> None:
    kept = tmp_path / "demo.mem"
    result = CliRunner().invoke(app, ["demo", "--conversations", "--keep", str(kept)])
    assert result.exit_code == 0, result.output
    for said in ("1 Log", "2 Crystallize", "3 Recall", "4 One question", "newest steps", "planning context", "because"):
        assert said in result.stdout
    assert f"{report.evidence['agentmem']:.0%}" in result.stdout
    with Memory.open(kept, read_only=True) as memory:
        assert sum(1 for _ in memory.scoped("student").steps()) == 108
    again = CliRunner().invoke(app, ["demo", "--conversations", "--keep", str(kept)])
    assert again.exit_code == 1
    assert "is there already" in again.stderr
