"""`agentmem bench recall`, end to end: small histories in, JSON, Markdown and pictures out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benched import ROOMS, history, locomo_sample, longmemeval_entry, write_histories
from typer.testing import CliRunner, Result

from agentmem.bench.recall import counting, pictures
from agentmem.bench.recall.memories import SIGNALS, Logged, Rows, Single
from agentmem.bench.recall.reading import history_of, load
from agentmem.cli import app
from agentmem.tokens import count
from agentmem.types import Layer

PNG = b"\x89PNG\r\n\x1a\n"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bench", "recall", *map(str, arguments)])


@pytest.fixture(autouse=True, scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where tiktoken finds no table, so that the counter is the same on every machine."""
    folder = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    return write_histories(folder / "rooms.jsonl", *(history(f"house{n}") for n in range(3)))


@pytest.fixture(scope="module")
def results(file: Path) -> Any:
    options = ("--retain", "keep,crystals", "--layers", "unit", "--budgets", "60,400", "--json")
    result = call(file, *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_there_is_a_row_for_each_system_retention_and_layer(results: Any) -> None:
    ours = ["agentmem", "agentmem unit", "agentmem crystals", "agentmem crystals unit"]
    assert results["systems"] == [*ours, "newest", "bm25", "fts5", "dense", "hybrid", "random", "random10"]
    assert set(results["macro"]) == set(results["systems"])
    assert set(results["files"][0]["systems"]) == set(results["systems"])


def test_a_memory_finds_what_lies_where_and_the_newest_steps_do_not(results: Any) -> None:
    scores = {name: one["scores"] for name, one in results["macro"].items()}
    assert scores["agentmem"]["evidence"]["60"]["mean"] == 1.0
    assert scores["agentmem"]["exact"]["60"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 24, "files": 1}
    assert scores["newest"]["evidence"]["60"]["mean"] < 0.5


def test_luck_is_not_asked_of_a_history_s_first_question(results: Any) -> None:
    scores = results["macro"]["newest"]["scores"]
    assert scores["luck"]["400"]["n"] == 21
    above = scores["exact_minus_luck"]["400"]["mean"]
    assert above == pytest.approx(scores["exact"]["400"]["mean"] - scores["luck"]["400"]["mean"])


def test_the_kept_text_bounds_what_can_be_found(results: Any) -> None:
    bounds = {name: one["bounds"]["bound_exact"]["mean"] for name, one in results["macro"].items()}
    assert bounds["agentmem"] == bounds["bm25"] == 1.0
    assert bounds["random10"] < 0.5
    assert bounds["agentmem unit"] < 1.0


def test_costs_are_told_by_part(results: Any) -> None:
    ours = results["macro"]["agentmem"]
    assert ours["bytes"]["files"] > ours["bytes"]["log"] > 0
    assert set(ours["seconds"]) == {"log", "crystallize"}
    assert 0 < ours["recall_ms"]["p50"] <= ours["recall_ms"]["p99"]
    assert {one["overruns"] for one in results["macro"].values()} == {0}


def test_types_and_ages_add_up_to_all_questions(results: Any) -> None:
    told = results["files"][0]["systems"]["agentmem"]
    assert told["types"]["evidence"]["60"] == {"early": [1.0, 12], "late": [1.0, 12]}
    assert sum(age["n"] for age in told["ages"]["60"]) == 24


def test_the_counter_is_named(results: Any) -> None:
    assert results["settings"]["counter"].startswith("agentmem's own")


def test_out_has_json_markdown_and_three_pictures(file: Path, tmp_path: Path) -> None:
    result = call(file, "--systems", "agentmem,newest", "--budgets", "60,120", "--out", tmp_path / "made")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "made" / "results.md").read_text() == result.stdout
    assert json.loads((tmp_path / "made" / "results.json").read_text())["systems"] == ["agentmem", "newest"]
    for name in ("recall-budget.png", "recall-bytes.png", "recall-age.png"):
        assert (tmp_path / "made" / name).read_bytes().startswith(PNG)


def test_pictures_of_shares_begin_at_nothing_and_show_what_lies_below(results: Any) -> None:
    below = json.loads(json.dumps(results))
    below["macro"]["newest"]["scores"]["exact_minus_luck"]["60"]["mean"] = -0.2
    panels = pictures._budget(below).axes
    lows = [panel.get_ylim()[0] for panel in panels]
    assert lows == pytest.approx([-0.03, -0.03, -0.23])
    assert panels[2].get_title() == "exact answers, less luck\n(luck grows with the budget)"


def test_markdown_is_at_most_100_columns_wide_and_names_every_row(file: Path) -> None:
    said = call(file, "--layers", "atom", "--retain", "crystals", "--systems", "agentmem,hybrid").stdout
    assert max(map(len, said.splitlines())) <= 100
    for name in ("| agentmem crystals ", "| agentmem crystals atom ", "| hybrid ", "| random1 ", "bound"):
        assert name in said


def test_ablation_has_a_row_for_each_signal_beside_the_whole(file: Path) -> None:
    result = call(file, "--ablate", "--systems", "agentmem", "--budgets", "60", "--json", "--histories", 1)
    told = json.loads(result.stdout)
    assert told["systems"] == ["agentmem", *(f"agentmem -{signal}" for signal in SIGNALS)]
    lost = told["files"][0]["systems"]["agentmem -lexical"]["difference"]
    assert (lost["from"], lost["scores"]["evidence"]["60"]["n"]) == ("agentmem", 8)


def test_a_signal_that_is_off_weighs_nothing(tmp_path: Path) -> None:
    built = Rows("keep", (), ("lexical",)).build(history_of(history()), tmp_path, count)
    whole, off = (system._context("brass key", 100, 8) for system in built.systems)  # type: ignore[attr-defined]
    built.close()
    assert "lexical" in whole.hits[0].reasons
    assert all("lexical" not in hit.reasons for hit in off.hits)


def test_a_layer_keeps_of_a_step_what_its_crystals_say(tmp_path: Path) -> None:
    logged = Logged(history_of(history()), tmp_path / "a.mem", "keep", count)
    units = Single("units", logged, Layer.UNIT)
    said = [crystal.text for crystal in logged.memory.crystals([Layer.UNIT])]
    assert all(units.kept(place, 8) in said for place in range(8))
    assert units.kept(0, 0) == ""
    logged.close()


def test_what_is_asked_before_a_step_does_not_know_it(tmp_path: Path) -> None:
    file = write_histories(tmp_path / "a.jsonl", history(asked_at="step:s0"))
    told = json.loads(call(file, "--systems", "agentmem,bm25", "--json").stdout)["files"][0]["systems"]
    for name in ("agentmem", "bm25"):
        assert told[name]["scores"]["evidence"]["512"]["mean"] == 1 / 8


def test_locomo_and_longmemeval_run_as_their_authors_publish_them(tmp_path: Path) -> None:
    locomo, longmemeval = tmp_path / "locomo10.json", tmp_path / "longmemeval_s.json"
    locomo.write_text(json.dumps([locomo_sample()]))
    longmemeval.write_text(json.dumps([longmemeval_entry("q1"), longmemeval_entry("q2"), longmemeval_entry("q_abs")]))
    result = call(locomo, longmemeval, "--systems", "agentmem,bm25", "--json")
    first, second = json.loads(result.stdout)["files"]
    assert (first["format"], first["questions"]) == ("LoCoMo", 3)
    assert first["systems"]["agentmem"]["sessions"] == {}
    assert (second["format"], second["questions"]) == ("LongMemEval", 2)
    found = second["systems"]["agentmem"]["sessions"]
    assert {metric: mean["mean"] for metric, mean in found.items()} == {
        "recall_all@5": 1.0,
        "recall_any@5": 1.0,
        "ndcg_any@10": 1.0,
    }


def test_session_scores_are_printed(tmp_path: Path) -> None:
    path = tmp_path / "longmemeval_s.json"
    path.write_text(json.dumps([longmemeval_entry()]))
    said = call(path, "--systems", "agentmem").stdout
    assert "### longmemeval_s" in said
    assert "recall_all@5 | recall_any@5 | ndcg_any@10" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--systems", "nobody"], "'nobody' is unknown"),
        (["--layers", "step"], "'step' is unknown"),
        (["--budgets", "0"], "room for nothing"),
        (["--budgets", "many"], "no whole number"),
        (["--split", "third"], "invalid choice"),
    ],
)
def test_wrong_arguments_are_named(file: Path, arguments: list[str], said: str) -> None:
    result = call(file, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_file_without_labels_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    told = history()
    told["questions"] = []
    result = call(write_histories(tmp_path / "a.jsonl", told))
    assert result.exit_code == 1
    assert "no question of a has labelled evidence" in result.stderr


def test_pictures_without_matplotlib_fail_first_with_the_line_that_installs_it(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentmem.bench.recall.pictures.find_spec", lambda name: None)
    result = call(file, "--out", tmp_path / "made")
    assert result.exit_code == 1
    assert "[plot]" in result.stderr
    assert not (tmp_path / "made").exists()


def test_out_that_is_a_file_is_refused_before_anything_is_measured(file: Path) -> None:
    result = call(file, "--out", file)
    assert result.exit_code == 1
    assert "cannot be a folder" in result.stderr


def test_tiktoken_is_used_only_with_its_table_on_the_disk(empty: Path) -> None:
    assert counting.best().count is count
    assert counting._cached().parent == empty


def test_the_same_file_gives_the_same_scores(file: Path, results: Any) -> None:
    again = json.loads(call(file, "--systems", "agentmem,random", "--budgets", "60,400", "--json").stdout)
    for name in again["systems"]:
        assert again["macro"][name]["scores"] == results["macro"][name]["scores"]


def test_rooms_are_said_once_each(file: Path) -> None:
    """What the other tests rest on."""
    text = " ".join(step.text for step in load(file).histories[0].steps)
    assert [text.count(room) for room in ROOMS] == [1] * 8
