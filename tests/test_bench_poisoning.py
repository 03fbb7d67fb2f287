"""`agentmem bench poisoning`: what it prints of a small drill, and what holds in every one."""

from __future__ import annotations

import json

import pytest

from agentmem.bench import poisoning
from agentmem.bench.attacks import ATTACKS

SMALL = ["--attacks", "forged", "--episodes", "1", "--steps", "30", "--cues", "3", "--budget", "400"]


def test_hostile_results_are_bounded_and_can_be_taken_back() -> None:
    rows = list(poisoning.measure(poisoning.parser().parse_args([*SMALL, "--seeds", "1"]), None))
    assert [row["attack"] for row in rows] == ["forged"]
    for row in rows:
        assert row["contexts"] == 3
        assert (row["bounded"], row["rolled_back"], row["undone"]) == (True, True, True)
        assert 0 < row["log_share"] < 1
        assert row["amplification"] == pytest.approx(row["context_share"] / row["log_share"])
    table = poisoning.markdown(rows)
    assert table.count("1 of 1 | 1 of 1 | 1 of 1 |") == 1


@pytest.mark.slow
def test_the_drill_prints_rows_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    poisoning.main([*SMALL, "--seeds", "1", "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["rolled_back"] for row in rows] == [True]


@pytest.mark.slow
def test_every_attack_is_bounded_and_can_be_taken_back_and_a_seed_gives_the_same_drill() -> None:
    asked = poisoning.parser().parse_args(["--episodes", "2", "--steps", "80", "--cues", "8", "--seeds", "1"])
    rows, again = (list(poisoning.measure(asked, None)) for _ in range(2))
    assert {row["attack"] for row in rows} == set(ATTACKS)
    for row, other in zip(rows, again, strict=True):
        assert (row["bounded"], row["rolled_back"], row["undone"]) == (True, True, True)
        assert row | {"recall_s": 0, "first_recall_s": 0} == other | {"recall_s": 0, "first_recall_s": 0}


@pytest.mark.parametrize(
    ("given", "message"),
    [(["--attacks", "worm"], "attack 'worm' is unknown; give some of bridging"), (["--share", "0"], "is no share")],
)
def test_what_cannot_be_drilled_is_refused(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        poisoning.main(given)
    assert message in capsys.readouterr().err
