"""The floors of `agentmem bench recall`, on eight steps."""

from collections.abc import Sequence

import pytest
from benched import THINGS, history

from agentmem.bench.recall.floors import FLOORS, Sampled, render
from agentmem.bench.recall.histories import Step
from agentmem.bench.recall.reading import history_of
from agentmem.tokens import count

STEPS = history_of(history()).steps
ONE = count(render(STEPS[0])) + 3
"""Tokens for one step and hardly more."""


def words_of(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("name", FLOORS)
@pytest.mark.parametrize("budget", [1, ONE, 3 * ONE, 999])
def test_no_floor_exceeds_its_budget_or_shows_a_later_step(name: str, budget: int) -> None:
    floor = FLOORS[name](STEPS, count)
    said = floor.recall("Where was the silver coin lying?", budget, 3)
    assert count(said) <= budget
    assert not any(thing in said for thing in THINGS[3:])


@pytest.mark.parametrize("name", ["bm25", "fts5", "hybrid"])
def test_a_floor_that_reads_the_cue_finds_the_step_that_has_its_words(name: str) -> None:
    floor = FLOORS[name](STEPS, count)
    assert "silver coin" in floor.recall("Where was the silver coin lying?", ONE, 8)
    assert floor.ranked("Where was the silver coin lying?", 8)[0] == 4


def test_the_encoder_alone_ranks_every_step() -> None:
    assert sorted(FLOORS["dense"](STEPS, count).ranked("coin", 8)) == list(range(8))


def test_newest_steps_come_last_first_and_print_in_log_order() -> None:
    floor = FLOORS["newest"](STEPS, words_of)
    assert floor.ranked("anything", 5) == [4, 3, 2, 1, 0]
    said = floor.recall("anything", 45, 5).splitlines()
    assert said == [render(STEPS[3]), render(STEPS[4])]


def test_random_text_is_the_same_for_the_same_cue_and_another_for_another() -> None:
    floor = FLOORS["random"](STEPS, count)
    orders = [floor.ranked(cue, 8) for cue in ("a", "b", "a")]
    assert orders[0] == orders[2] != orders[1]


def test_bm25_leaves_out_steps_without_a_word_of_the_cue() -> None:
    assert FLOORS["bm25"](STEPS, count).ranked("zebra flute", 8) == [5]
    assert FLOORS["fts5"](STEPS, count).ranked("!?", 8) == []


def test_fts5_finds_a_word_by_its_stem() -> None:
    assert FLOORS["fts5"](STEPS, count).ranked("bottles", 8) == [7]


def test_a_sample_keeps_about_its_share_of_the_sentences() -> None:
    steps = sentences(100)
    sampled = FLOORS["random10"](steps, count)
    kept = sum(len(sampled.kept(place, len(steps)).split(". ")) for place in range(len(steps)))
    assert issubclass(FLOORS["random10"], Sampled)
    assert 70 < kept < 200


def sentences(n: int) -> Sequence[Step]:
    text = " ".join(f"Sentence {number} is here." for number in range(10))
    return [Step(str(place), text, "message", None, None, "") for place in range(n)]


def test_bytes_are_what_a_floor_would_have_to_store() -> None:
    text = sum(len(render(step)) for step in STEPS)
    assert FLOORS["newest"](STEPS, count).sizes() == {"text": text}
    assert FLOORS["hybrid"](STEPS, count).sizes() == {"text": text, "vectors": 8 * 256 * 4}
    assert FLOORS["fts5"](STEPS, count).sizes()["database"] > text


def test_a_floor_of_no_steps_says_nothing() -> None:
    for kind in FLOORS.values():
        assert kind([], count).recall("anything", 100, 0) == ""
