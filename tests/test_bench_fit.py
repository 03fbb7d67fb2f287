"""`agentmem bench fit`: weights fitted on one part of small histories, and scored on the other."""

import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from benched import history, write_histories
from typer.testing import CliRunner, Result

from agentmem.bench.fit.command import STARTS
from agentmem.bench.fit.ready import Ready, memory_of, part_of, questions_of
from agentmem.bench.fit.search import Aim, Gain, choices, search
from agentmem.bench.recall.memories import Logged
from agentmem.bench.recall.reading import Dataset, history_of
from agentmem.cli import app
from agentmem.recall import Weights
from agentmem.tokens import count

TOPICS = ("lantern", "anchor", "violin", "compass", "saddle", "mirror", "kettle", "ladder", "barrel", "candle")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bench", "fit", *map(str, arguments)])


@pytest.fixture(autouse=True, scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where tiktoken finds no table, so that the counter is the same on every machine."""
    folder = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        yield folder


def quarrel(name: str) -> dict[str, Any]:
    """Of each topic a user says one thing and a clerk another in the same words; the clerk is always right."""
    steps, questions = [], []
    for n, topic in enumerate(TOPICS):
        for actor, colour in (("user", "green"), ("clerk", "amber")):
            text = f"The {topic} of the north house is painted {colour} on both of its sides."
            steps.append({"id": f"{actor}{n}", "actor": actor, "kind": "message", "text": text, "session": "s"})
        question = {"id": f"q{n}", "text": f"How is the {topic} painted?", "answer": "amber", "type": f"t{n % 4}"}
        questions.append(question | {"evidence_step_ids": [f"clerk{n}"]})
    return {"id": name, "steps": [step | {"time": None} for step in steps], "questions": questions}


@pytest.fixture(scope="module")
def quarrels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quarrels")
    return write_histories(folder / "quarrels.jsonl", *(quarrel(f"q{n}") for n in range(2)))


@pytest.fixture(scope="module")
def out(quarrels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fitted within a budget that holds one step."""
    folder = tmp_path_factory.mktemp("fitted")
    result = call(quarrels, "--budget", 28, "--rounds", 2, "--out", folder)
    assert result.exit_code == 0, result.output
    assert result.stdout == (folder / "results.md").read_text(encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def results(out: Path) -> Any:
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def test_a_signal_that_hurts_is_switched_off(results: Any) -> None:
    assert results["weights"]["start"] == asdict(Weights())
    assert results["weights"]["A"]["user"] == results["weights"]["B"]["user"] == 0.0


def test_what_says_nothing_keeps_its_weight(results: Any) -> None:
    for part in ("A", "B"):
        fitted = results["weights"][part]
        assert [fitted[name] for name in ("name", "date", "pinned")] == [6.0, 2.0, 3.0]


def test_what_was_fitted_on_one_part_is_scored_on_the_other(results: Any) -> None:
    for part, other in (("A", "B"), ("B", "A")):
        told = results["parts"][part]
        systems = told["systems"]
        assert list(systems) == ["bm25", "start", "A", "B"]
        assert systems["start"]["mean"] < 0.5 < systems[other]["mean"]
        assert told["gain"]["mean"] == pytest.approx(systems[other]["mean"] - systems["start"]["mean"])
        lead = [systems[name]["mean"] - systems["bm25"]["mean"] for name in (other, part)]
        assert told["remains"] == pytest.approx(lead[0] / lead[1])


def test_markdown_is_at_most_100_columns_wide_and_says_what_is_held_out(out: Path) -> None:
    lines = (out / "results.md").read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("| fitted on B (held out) ") for line in lines)
    assert any(line.startswith("| pinned ") for line in lines)


def test_the_same_command_says_the_same_and_makes_no_memory_again(quarrels: Path, out: Path) -> None:
    made = {path: path.stat().st_mtime_ns for path in (out / "memories").glob("*.json")}
    before = (out / "results.md").read_text(encoding="utf-8")
    assert call(quarrels, "--budget", 28, "--rounds", 2, "--out", out).stdout == before
    (out / "search.json").unlink()
    assert call(quarrels, "--budget", 28, "--rounds", 2, "--out", out).stdout == before
    assert made == {path: path.stat().st_mtime_ns for path in (out / "memories").glob("*.json")}


@pytest.mark.parametrize("by", ["history", "type"])
def test_the_parts_share_no_history_or_no_type(by: Any, tmp_path: Path) -> None:
    file = Dataset("quarrels", "history", [history_of(quarrel(f"q{n}")) for n in range(3)])
    kinds: dict[str, set[object]] = {"A": set(), "B": set()}
    for number, one in enumerate(file.histories):
        with memory_of(one, tmp_path, count) as logged:
            for ready in questions_of(file, number, logged, 0, 28, by):
                kinds[ready.place.part].add(ready.place.history if by == "history" else ready.place.type)
    assert kinds["A"]
    assert kinds["B"]
    assert not kinds["A"] & kinds["B"]


def test_types_alternate_in_order_of_their_names() -> None:
    types = ["early", "late", "never"]
    assert [part_of("type", types, 1, one) for one in types] == ["A", "B", "A"]
    assert [part_of("history", types, number, "late") for number in range(3)] == ["A", "B", "A"]


def readied(folder: Path) -> Iterator[tuple[Logged, list[Ready]]]:
    file = Dataset("house", "history", [history_of(history())])
    with memory_of(file.histories[0], folder, count) as logged:
        yield logged, list(questions_of(file, 0, logged, 0, 60, "history"))


def test_a_question_recalls_what_the_memory_recalls(tmp_path: Path) -> None:
    for logged, questions in readied(tmp_path):
        for question, ready in zip(logged.history.questions, questions, strict=True):
            assert ready.text(Weights()) == logged.memory.recall(question.text, budget=60, count_tokens=count).text


def test_a_signal_that_tells_no_step_from_another_changes_no_text(tmp_path: Path) -> None:
    for _, questions in readied(tmp_path):
        silent = sorted(set(asdict(Weights())) - set(questions[0].telling))
        assert "pinned" in silent
        assert "lexical" not in silent
        assert questions[0].text(Weights(**dict.fromkeys(silent, 9.0))) == questions[0].text(Weights())


def test_a_weight_that_is_off_can_come_back() -> None:
    values = [one.dense for one in choices(Weights(dense=0.0), Weights(), "dense")]
    assert values == [1.0, 0.8, 1.25, 0.5, 2.0]
    assert 0.0 in [one.dense for one in choices(Weights(), Weights(), "dense")]


def test_a_gain_within_its_own_spread_is_no_gain(tmp_path: Path) -> None:
    for _, questions in readied(tmp_path):
        parts = Aim(questions).parts(Weights())
        assert parts.sum() == pytest.approx(1.0)
        one, few = parts.copy(), parts.copy()
        one[0], few[:4] = 0.0, 0.0
        assert not Gain.of(parts, one).sure
        assert Gain.of(parts, few).sure


def test_a_search_that_moves_nothing_ends_after_one_round(tmp_path: Path) -> None:
    for _, questions in readied(tmp_path):
        *_, last = search(Aim(questions), Weights(), 5)
        assert (last.tried, last.over, last.weights) == (len(fields(Weights)), True, Weights())


def test_a_search_that_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    file = Dataset("quarrels", "history", [history_of(quarrel("q"))])
    with memory_of(file.histories[0], tmp_path, count) as logged:
        aim = Aim(list(questions_of(file, 0, logged, 0, 28, "history")))
        states = list(search(aim, Weights(), 2))
        moved = next(n for n, state in enumerate(states) if state.moved)
        assert states[moved].weights.user == 0.0
        assert list(search(aim, Weights(), 2, states[moved + 3])) == states[moved + 4 :]


def test_the_equal_start_knows_no_weight() -> None:
    assert set(asdict(STARTS["equal"]).values()) == {1.0}


def test_too_few_questions_are_refused_with_what_to_do(tmp_path: Path) -> None:
    file = write_histories(tmp_path / "a.jsonl", history())
    result = call(file)
    assert result.exit_code == 1
    assert "no file has 5 questions in part B; give more histories" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--by", "day"], "invalid choice"), (["--budget", "0"], "0 is too few"), (["--rounds", "x"], "no whole number")],
)
def test_wrong_arguments_are_named(quarrels: Path, arguments: list[str], said: str) -> None:
    result = call(quarrels, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
