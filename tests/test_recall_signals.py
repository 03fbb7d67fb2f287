"""What each signal adds to a score, and what it is blind to."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from strategies import opened

from agentmem import Memory
from agentmem.index import View
from agentmem.recall import Match, Weights
from agentmem.recall.signals import bm25, grouped, step_signals, zscore
from agentmem.tokens import count

RAIN = [f"Rain number {n} over the hills." for n in range(12)]


@pytest.fixture
def memory() -> Iterator[Memory]:
    with opened() as memory:
        yield memory


def viewed(memory: Memory) -> View:
    with memory._core.lock:
        return memory._core.view([()], memory.head().position)


def added(memory: Memory, cue: str, signal: str) -> dict[str, float]:
    """text -> what a signal added to the score of the step with it."""
    return {hit.text: hit.reasons.get(signal, 0.0) for hit in memory.recall(cue, 4000).hits}


def best(memory: Memory, cue: str, **options: object) -> str:
    return max(memory.recall(cue, 4000, **options).hits, key=lambda hit: hit.score).text  # type: ignore[arg-type]


# ---- words -------------------------------------------------------------------------------------------------------


def test_lexical_scores_are_those_of_okapi() -> None:
    lengths = np.array([4.0, 8.0, 12.0, 16.0])
    counts = [(np.array([0, 3]), np.array([1.0, 3.0])), (np.array([3]), np.array([1.0]))]

    def weight(frequency: float, length: float, holders: int) -> float:
        idf = math.log(1 + (4 - holders + 0.5) / (holders + 0.5))
        return idf * frequency * 1.9 / (frequency + 0.9 * (0.25 + 0.75 * length / 10))

    expected = [weight(1, 4, 2), 0, 0, weight(3, 16, 2) + weight(1, 16, 1)]
    np.testing.assert_allclose(bm25(counts, lengths), expected)


def test_no_documents_and_equal_ones_have_scores_of_zero() -> None:
    assert bm25([], np.zeros(0)).shape == (0,)
    assert zscore(np.zeros(0)).shape == (0,)
    assert zscore(np.full(3, 7.0)).tolist() == [0, 0, 0]
    np.testing.assert_allclose(zscore(np.array([1.0, 3.0])), [-1, 1])


def test_a_match_is_counted_once_per_step_and_group_also_where_groups_overlap() -> None:
    match = Match(("red",), {"red": (np.array([0, 2]), np.array([5.0, 1.0]))})
    groups = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 2, 1])
    ((found, totals),) = grouped(match, groups, 3, 3)
    assert (found.tolist(), totals.tolist()) == ([0, 1], [1, 2])


def test_a_rare_word_counts_more_than_a_common_one(memory: Memory) -> None:
    memory.episode().log_many([*(f"The door {n}." for n in range(12)), "The lamp again."])
    assert best(memory, "door lamp") == "The lamp again."


def test_function_words_of_a_cue_find_nothing(memory: Memory) -> None:
    memory.episode().log_many(["The red door is open.", "What is it that he had of the others?"])
    found = added(memory, "What is it that the others had of the door?", "lexical")
    assert found["The red door is open."] > 0
    with opened() as other:
        other.episode().log("This is what it is.")
        assert other.recall("what is the submarine").hits == ()
        assert other.recall("what is it").hits


def test_of_two_that_say_the_same_the_shorter_is_worth_more(memory: Memory) -> None:
    texts = ["The red door is open.", "The red door is open, as far as we could see from there."]
    memory.episode().log_many(texts)
    expected = {text: pytest.approx(-Weights().length * math.log(count(text) + 6), abs=1e-3) for text in texts}
    assert added(memory, "red door", "length") == expected
    assert best(memory, "red door") == texts[0]


class Alike:
    """Finds everything alike that speaks of ships, and the empty text."""

    dimension = 2

    def encode(self, sentences: list[str]) -> np.ndarray:
        return np.array([[float("ship" in text or not text.strip()), 0.1] for text in sentences], np.float32)


def test_a_meaning_found_elsewhere_opens_no_door_to_what_was_not_asked() -> None:
    with opened(encoder=Alike()) as memory:
        memory.episode(id="harbour").log_many(["A ship came in.", *RAIN])
        memory.episode(id="hills").log_many(RAIN)
        assert memory.recall("warship", 200, episode="harbour").hits
        assert memory.recall("warship", 200, episode="hills").hits == ()
        assert memory.recall(" ", 200).hits == ()


# ---- neighbours and episodes -------------------------------------------------------------------------------------


def test_both_neighbours_of_a_match_gain_a_share_of_it(memory: Memory) -> None:
    with memory.episode() as episode:
        episode.log_many([*RAIN[:5], "The submarine is moored.", *RAIN[5:]])
    memory.episode().log("Snow.")
    found = added(memory, "submarine", "neighbours")
    assert found[RAIN[4]] == pytest.approx(found[RAIN[5]])
    assert found[RAIN[4]] > 0 > found[RAIN[3]]
    assert found["Snow."] == 0


def test_neighbours_of_what_is_alike_in_meaning_gain_too(memory: Memory) -> None:
    memory.episode().log_many(RAIN)
    alike = np.zeros(len(RAIN))
    alike[5] = 1
    signal = step_signals("warship", viewed(memory), Match((), {}), alike)["neighbours"]
    assert signal[4] == signal[6] > 0 > signal[5]


def test_reasons_are_those_that_count(memory: Memory) -> None:
    memory.episode().log_many(["The submarine.", *RAIN])
    for hit in memory.recall("submarine").hits:
        assert all(hit.reasons.values())
        assert "pinned" not in hit.reasons


def test_episodes_that_interleave_are_no_neighbours(memory: Memory) -> None:
    one, other = memory.episode(), memory.episode()
    for n, text in enumerate(RAIN):
        one.log(text)
        other.log("The submarine is moored." if n == 5 else f"Snow {n}.")
    found = added(memory, "submarine", "neighbours")
    assert found["Snow 4."] == pytest.approx(found["Snow 6."])
    assert max(found[text] for text in RAIN) < 0 < found["Snow 4."]


def test_all_steps_of_the_episode_that_says_most_of_the_cue_gain(memory: Memory) -> None:
    memory.episode(id="a").log_many(["The submarine is moored.", "The submarine leaves.", RAIN[0]])
    memory.episode(id="b").log_many(["The submarine was seen.", RAIN[1]])
    memory.episode(id="c").log_many([RAIN[2], RAIN[3]])
    episode, bonus = added(memory, "submarine", "episode"), added(memory, "submarine", "best_episode")
    assert episode["The submarine is moored."] == episode[RAIN[0]] > episode[RAIN[1]] > episode[RAIN[2]]
    assert {text for text, value in bonus.items() if value} == {
        "The submarine is moored.", "The submarine leaves.", RAIN[0],
    }  # fmt: skip
    assert bonus[RAIN[0]] == Weights().best_episode


def test_a_long_episode_loses_little_to_a_short_one_that_says_less_of_the_cue(memory: Memory) -> None:
    memory.episode(id="a").log_many([*["The submarine is moored at pier nine."] * 3, *RAIN])
    memory.episode(id="b").log("The submarine was seen.")
    for number in range(4):
        memory.episode(id=f"c{number}").log(RAIN[number])
    assert added(memory, "submarine", "best_episode")[RAIN[8]] == Weights().best_episode


def test_one_episode_alone_is_not_the_best_one(memory: Memory) -> None:
    memory.episode().log_many(["The submarine is moored.", *RAIN])
    assert not any(added(memory, "submarine", "best_episode").values())
    assert not any(added(memory, "submarine", "episode").values())


def test_where_no_episode_says_anything_of_the_cue_none_is_best(memory: Memory) -> None:
    memory.episode(id="a").log_many(RAIN[:2])
    memory.episode(id="b").log_many(RAIN[2:4])
    signals = step_signals("submarine", viewed(memory), Match(("submarin",), {}), None)
    assert not signals["best_episode"].any()


def test_the_goal_of_an_episode_speaks_for_its_steps(memory: Memory) -> None:
    memory.episode(id="a", goal="find the submarine").log("Nothing here.")
    memory.episode(id="b", goal="cook the rice").log("Nothing there.")
    memory.episode(id="c").log_many(["The submarine.", RAIN[0]])
    found = added(memory, "submarine", "episode")
    assert found["Nothing here."] > found["Nothing there."]


def test_the_name_and_agent_of_an_episode_speak_for_its_steps(memory: Memory) -> None:
    for number in range(8):
        memory.episode(id=f"run{number}", agent=f"agent{number}").log(RAIN[number])
    for cue in ("what happened in run3?", "what did agent3 say?"):
        found = added(memory, cue, "name")
        assert found[RAIN[3]] == sum(found.values()) == Weights().name
        assert added(memory, cue, "episode")[RAIN[3]] > 0
        assert added(memory, cue, "best_episode")[RAIN[3]] == Weights().best_episode


def test_a_word_in_the_name_of_every_episode_names_none(memory: Memory) -> None:
    for number in range(8):
        memory.episode(id=f"the rain {number}").log(RAIN[number])
    assert not any(added(memory, "rain", "name").values())


# ---- what a cue asks for -----------------------------------------------------------------------------------------


def test_a_cue_for_what_was_done_prefers_actions_and_one_for_what_was_seen_observations(memory: Memory) -> None:
    with memory.episode() as episode:
        episode.act("open the red door")
        episode.observe("the red door is open now")
        episode.say("Ann", "the red door, yes")
    done = added(memory, "which command was run at the red door?", "kind")
    assert done == {"open the red door": Weights().kind, "the red door is open now": 0, "the red door, yes": 0}
    seen = added(memory, "what was printed at the red door?", "kind")
    assert seen == {"open the red door": 0, "the red door is open now": Weights().kind, "the red door, yes": 0}
    assert not any(added(memory, "red door", "kind").values())


def test_what_a_user_says_and_what_the_named_speaker_says_gains(memory: Memory) -> None:
    with memory.episode() as episode:
        for name in ("user", "Human", "assistant", "Ann Lee"):
            episode.say(name, f"The red door, says {name}.")
        episode.observe("The red door.")
    gain = added(memory, "red door", "user")
    assert {text for text, value in gain.items() if value == Weights().user} == {
        "The red door, says user.", "The red door, says Human.",
    }  # fmt: skip
    named = added(memory, "what did ann say of the red door?", "speaker")
    assert {text: value for text, value in named.items() if value} == {"The red door, says Ann Lee.": Weights().speaker}
    assert not any(added(memory, "red door", "speaker").values())


def test_a_step_with_all_words_of_a_text_in_quotes_gains_by_how_rare_that_is(memory: Memory) -> None:
    memory.episode(id="warehouse").log_many(
        [*RAIN, "The pack of 1.703 GB is sold out.", "The pack of 1.524 GB is here."]
    )
    memory.episode(id="ann").log_many(
        ["Ann wants the pack of 1.703 GB.", "Ann wants 703 cans in 1 bag.", "Ann is here."]
    )
    plain, quoted = "Which pack does Ann want? 1.703", 'Which pack does Ann want? "1.703"'
    assert not any(added(memory, plain, "quoted").values())
    gains = {text: gain for text, gain in added(memory, quoted, "quoted").items() if gain}
    assert set(gains) == {
        "The pack of 1.703 GB is sold out.",
        "Ann wants the pack of 1.703 GB.",
        "Ann wants 703 cans in 1 bag.",  # words, wherever they stand
    }
    assert len(set(gains.values())) == 1
    alone = added(memory, 'the pack of "1.524"', "quoted")["The pack of 1.524 GB is here."]
    assert max(gains.values()) < alone == Weights().quoted
    assert set(added(memory, 'the pack of "1.999 or 1.703"', "quoted").values()) == {0.0}
    both = added(memory, 'the pack of "1.703 sold" or "1.524 sold"', "quoted")
    assert [text for text, gain in both.items() if gain] == ["The pack of 1.703 GB is sold out."]


def test_what_is_in_quotes_is_found_among_much_that_matches_more_words(memory: Memory) -> None:
    ann = memory.episode(id="Ann Bell")
    ann.log_many([f"Ann Bell wants the blue data pack of line {n}." for n in range(40)])
    memory.episode(id="warehouse").log("Pack 1.703 is sold out for good.")
    cue = "Ann Bell: the data pack that I want of line 7, {} or {}"
    assert "sold out" not in memory.recall(cue.format("1.703", "1.404"), 60).text
    assert "sold out" in memory.recall(cue.format('"1.703"', '"1.404"'), 60).text


def test_the_ends_of_an_episode_of_deeds_gain_and_those_of_a_talk_do_not(memory: Memory) -> None:
    with memory.episode(id="deeds") as episode:
        for n in range(4):
            episode.observe(f"The red door {n}.")
    with memory.episode(id="talk") as episode:
        for n in range(4):
            episode.say("Ann", f"A red door {n}.")
    with memory.episode(id="both") as episode:
        episode.act("Open any red door.")
        episode.say("Ann", "Which red door?")
    found = {text: value for text, value in added(memory, "red door", "ends").items() if value}
    assert found == pytest.approx(
        {"The red door 0.": 0.7, "The red door 3.": 1.4, "Open any red door.": 0.35, "Which red door?": 0.7}
    )


def test_a_cue_for_the_last_prefers_the_end_and_one_for_the_first_the_beginning(memory: Memory) -> None:
    memory.episode().log_many([f"The red door {n}." for n in range(5)])
    late = added(memory, "the last red door", "late")
    assert list(late.values()) == pytest.approx([0, 0.5, 1, 1.5, 2])
    early = added(memory, "the first red door", "late")
    assert list(early.values()) == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert not any(added(memory, "red door", "late").values())


# ---- age and pins ------------------------------------------------------------------------------------------------


def test_older_steps_lose_and_used_ones_less(memory: Memory) -> None:
    episode = memory.episode()
    for n in range(3):
        episode.log_many([f"The red door {n}.", *RAIN * 9])
    found = added(memory, "red door", "decay")
    assert found["The red door 0."] < found["The red door 1."] < found["The red door 2."] < 0
    episode.recall("door 1", 30)
    used = added(memory, "red door", "decay")
    assert used["The red door 1."] > found["The red door 1."]


def test_a_pinned_step_gains(memory: Memory) -> None:
    steps = memory.episode().log_many(["The red door.", "The red gate by the door."])
    memory.pin([steps[1].id])
    assert added(memory, "red door", "pinned") == {"The red door.": 0, "The red gate by the door.": Weights().pinned}


def test_the_number_of_an_episode_that_nobody_named_is_no_name(memory: Memory) -> None:
    for number in range(30):
        with memory.episode() as episode:
            episode.observe(f"Customer {number} ordered {number * 3 + 100} cans of paint.")
    best = max(memory.recall("What did customer 24 order?", 60).hits, key=lambda hit: hit.score)
    assert best.text.startswith("Customer 24 ")
    assert "name" not in best.reasons
