"""Steps and crystals in the order recall would choose from, whatever their length."""

from __future__ import annotations

from itertools import islice

import pytest
from strategies import CUES, opened

from agentmem import InvalidInputError, Layer, Memory, NotFoundError
from agentmem.memory import EpisodeWriter
from agentmem.recall import Weights
from agentmem.testing import HashEncoder


def test_steps_come_best_first_and_whole(long: Memory) -> None:
    for cue in CUES[:5]:
        hits = list(islice(long.rank(cue), 100))
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        assert len({hit.id for hit in hits}) == len(hits)
        assert all(hit.text == long.step(hit.id).text for hit in hits[:3])


def test_all_steps_are_ranked_if_anything_matches_and_none_if_nothing_does(memory: Memory) -> None:
    with memory.episode(id="one") as episode:
        episode.log_many(["The key hangs in the kitchen.", "Rain.", "word " * 3_000])
    assert next(memory.rank("kitchen")).text == "The key hangs in the kitchen."
    assert len(list(memory.rank("kitchen"))) == 3
    assert list(memory.rank("xyzzy")) == []
    assert list(memory.rank(" ")) == []
    assert len(list(memory.rank("xyzzy", matching=False))) == 3


def test_the_best_step_is_the_one_recall_scores_highest(long: Memory) -> None:
    for cue in CUES[:5]:
        context = long.recall(cue, 2_000)
        if context.hits:
            best = max(context.hits, key=lambda hit: hit.score)
            first = next(long.rank(cue))
            assert (first.id, first.score, first.reasons) == (best.id, best.score, best.reasons)


def test_filters_and_moments_hold_as_in_recall(memory: Memory) -> None:
    memory.episode(id="one").log("A red door.")
    later = memory.episode(id="two", agent="ada").log("A red door again.")
    memory.episode(id="three").log("A third red door.")
    assert [hit.id for hit in memory.rank("red door", episode="two")] == [later.id]
    assert [hit.id for hit in memory.rank("red door", agent="ada")] == [later.id]
    assert len(list(memory.rank("red door", as_of=later.id))) == 2
    with pytest.raises(NotFoundError, match="four"):
        memory.rank("red door", episode="four")


def test_crystals_of_a_layer_are_ranked(long: Memory) -> None:
    hits = list(long.rank("door", layers=["unit"]))
    assert hits
    assert {hit.layer for hit in hits} == {Layer.UNIT}


def test_weights_decide_what_counts(memory: Memory) -> None:
    with memory.episode(id="one") as episode:
        short, long = episode.log_many(["A door.", "A door and a door and a door, " + "and so on " * 40])
    assert next(memory.rank("door")).id == short.id
    longest = Weights(lexical=0, length=-1.0)
    assert next(memory.rank("door", weights=longest)).id == long.id
    with pytest.raises(InvalidInputError, match="Weights"):
        memory.rank("door", weights={"lexical": 1})  # type: ignore[arg-type]


def test_a_step_that_is_erased_while_one_looks_is_left_out(memory: Memory) -> None:
    steps = memory.episode(id="one").log_many([f"door {number}" for number in range(120)])
    hits = memory.rank("door")
    first = next(hits)
    gone = [step.id for step in steps if step.id != first.id][::2]
    memory.erase(steps=gone)
    assert len({hit.id for hit in hits} & set(gone)) < 60  # those that were read before are still told
    assert not {hit.id for hit in memory.rank("door")} & set(gone)


def test_a_step_may_be_forgotten_and_restored_many_times(memory: Memory, episode: EpisodeWriter) -> None:
    one, other = episode.log_many(["A red door.", "A red wall."])
    for _ in range(3):
        memory.forget(steps=[one.id, other.id])
        assert list(memory.rank("red")) == []
        memory.forget(steps=one.id, undo=True)
        assert [hit.id for hit in memory.rank("red")] == [one.id]


def test_an_erasure_makes_no_crystals_where_there_were_none(memory: Memory) -> None:
    steps = memory.episode(id="one").log_many([f"Door {number} is red." for number in range(200)])
    memory.erase(steps=steps[7].id)
    assert memory.stats().watermark == 0
    memory.crystallize()
    made = memory.stats().layers[Layer.UNIT].crystals
    memory.erase(steps=steps[8].id)
    assert memory.stats().layers[Layer.UNIT].crystals > 0 < made
    assert memory.verify().ok


def test_what_was_encoded_stays_so_when_something_else_is_erased() -> None:
    class Counting(HashEncoder):
        texts = 0

        def encode(self, sentences: list[str]) -> object:  # type: ignore[override]
            self.texts += len(sentences)
            return super().encode(sentences)

    encoder = Counting(64)
    with opened(encoder=encoder) as memory:
        steps = memory.episode(id="one").log_many([f"Door {number} is red." for number in range(50)])
        before = [hit.id for hit in memory.rank("door 30")]
        encoded = encoder.texts
        memory.erase(steps=steps[7].id)
        after = [hit.id for hit in memory.rank("door 30")]
        assert encoder.texts <= encoded + 1
        assert after[0] == before[0] == steps[30].id
        assert steps[7].id not in after
