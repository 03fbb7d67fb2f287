"""The scores of `agentmem bench recall`, against examples worked by hand."""

import math

import numpy as np
import pytest

from agentmem.bench.recall.metrics import Asked, Text, session_scores
from agentmem.bench.recall.tally import Draws, Row, Tally, age_of, average

STEP = Text("one two three four five six seven")
"""Five word 3-grams."""


def test_a_step_survives_with_four_of_its_five_3_grams() -> None:
    assert Text("and ONE, two three four five six then").holds(STEP)


def test_a_step_is_lost_with_three_of_its_five_3_grams() -> None:
    assert not Text("one two three four five and seven").holds(STEP)


def test_an_answer_is_a_run_of_whole_words() -> None:
    assert Text("It was on the 7th of May, 2023.").says(["may", "2023"])
    assert not Text("It was in Mayfair").says(["may"])


def test_evidence_is_a_share_and_all_wants_every_step() -> None:
    asked = Asked.of("nothing", [STEP, Text("red green blue"), Text("yes")])
    assert len(asked.evidence) == 2
    assert asked.scores(Text("red green blue"), None) == {"evidence": 0.5, "all": 0.0}


def test_exact_is_asked_only_where_the_evidence_states_the_answer() -> None:
    assert Asked.of("three four", [STEP]).scores(Text("three four"), None)["exact"] == 1.0
    assert "exact" not in Asked.of("three five", [STEP]).scores(Text("three five"), None)


def test_a_step_too_short_to_be_evidence_may_still_state_the_answer() -> None:
    assert Asked.of("blue", [Text("Blue.")]).scores(Text("the blue one"), None) == {"exact": 1.0}


def test_luck_is_the_answer_in_the_previous_text() -> None:
    asked = Asked.of("three four", [STEP])
    assert asked.scores(Text("nothing"), Text("three four"))["luck"] == 1.0
    assert "luck" not in asked.scores(Text("nothing"), None)


def test_sessions_are_scored_by_longmemevals_formulas() -> None:
    scores = session_scores(["x", "t1", "y", "t2"], ["x", "y", "t1", "t2"], {"t1", "t2"})
    assert scores == {"recall_all@5": 1.0, "recall_any@5": 1.0, "ndcg_any@10": (1 / 1 + 1 / 2) / 2}


def test_a_target_below_the_fifth_rank_breaks_all_and_not_any() -> None:
    ranked = ["t1", "a", "b", "c", "d", "t2"]
    scores = session_scores(ranked, ranked, {"t1", "t2"})
    assert (scores["recall_all@5"], scores["recall_any@5"]) == (0.0, 1.0)
    assert scores["ndcg_any@10"] == pytest.approx((1 + 1 / math.log2(6)) / 2)


def test_sessions_that_were_never_ranked_are_not_found() -> None:
    assert set(session_scores([], ["t1"], {"t1"}).values()) == {0.0}


def test_a_mean_is_over_questions_and_its_interval_over_histories() -> None:
    rows = [Row(0, "", 1.0), Row(0, "", 1.0), Row(0, "", 1.0), Row(1, "", 0.0)]
    spread = Draws(2).spread(rows)
    assert spread is not None
    assert (spread.mean, spread.n, spread.interval()) == (0.75, 4, (0.0, 1.0))


def test_one_history_gives_no_interval() -> None:
    spread = Draws(1).spread([Row(0, "", 1.0), Row(0, "", 0.0)])
    assert spread is not None
    assert (spread.mean, spread.interval()) == (0.5, None)


def test_a_difference_between_systems_that_never_differ_has_no_width() -> None:
    draws, rows = Draws(5), [Row(n, "", n / 4) for n in range(5)]
    one, other = draws.spread(rows), draws.spread(rows)
    assert one is not None
    assert other is not None
    assert one.minus(other).interval() == (0.0, 0.0)


def test_the_macro_mean_weighs_files_alike() -> None:
    small, large = Draws(1).spread([Row(0, "", 1.0)]), Draws(2).spread([Row(n % 2, "", 0.0) for n in range(99)])
    assert small is not None
    assert large is not None
    both = average([small, large])
    assert both is not None
    assert (both.mean, both.n, both.interval()) == (0.5, 100, (0.5, 0.5))
    assert average([]) is None


def test_ages_double_from_a_thousand_tokens() -> None:
    assert [age_of(tokens) for tokens in (0, 1000, 1001, 2000, 2001, 64_000)] == [0, 0, 1, 1, 2, 6]


def test_latencies_are_read_off_in_order() -> None:
    tally = Tally(milliseconds=[float(n) for n in np.random.default_rng(1).permutation(101)])
    assert (tally.latency(0.5), tally.latency(0.99), Tally().latency(0.5)) == (50.0, 99.0, None)
