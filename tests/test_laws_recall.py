"""The laws of recall, as properties over generated logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from lawful import (
    BUDGETS,
    ENCODERS,
    LAYERS,
    LONG,
    Shared,
    asked,
    crystallized,
    few,
    read,
    records,
    shown,
    told_by,
    without_version,
)
from recalls import unquoted
from strategies import CUES, TEMPLATES, Block, all_crystals, blocks, expand, logs, opened, played, texts

from agentmem import EncoderError, Memory
from agentmem.decay import log_decay
from agentmem.recall import Weights
from agentmem.testing import HashEncoder
from agentmem.tokens import count

DOOR = expand([Block("alpha", TEMPLATES[0], 0, 6, "observation", None, None)])


class TestRecallWritesNothing:
    @few(10)
    @given(logs(3), st.sampled_from(CUES), BUDGETS, LAYERS, ENCODERS)
    def test_and_the_same_question_has_the_same_answer(
        self, path: Callable[[], Path], said: Any, cue: str, budget: int, layers: Any, encoder: Any
    ) -> None:
        file = path()
        with crystallized(said, file, encoder=encoder) as memory:
            logged, crystals = records(memory), all_crystals(memory)
            first = shown(memory.recall(cue, budget, layers=layers))
            other = shown(memory.recall("order status", 100))
            assert shown(memory.recall(cue, budget, layers=layers)) == first
            assert (records(memory), all_crystals(memory)) == (logged, crystals)
        for read_only in (True, False):
            with opened(file, encoder=encoder, read_only=read_only) as memory:
                assert shown(memory.recall("order status", 100)) == other
                assert shown(memory.recall(cue, budget, layers=layers)) == first

    @few(2)
    @example(DOOR, CUES[0], "state date", None)
    @example(DOOR, CUES[0], "state", None)
    @given(logs(2), st.sampled_from(CUES[:6]), st.sampled_from(["", "state", "date", "state date"]), LAYERS)
    def test_the_same_is_ranked_twice_whatever_was_asked_between(
        self, said: Any, cue: str, off: str, layers: Any
    ) -> None:
        with played(said) as memory:
            weights = replace(Weights(), **dict.fromkeys(off.split(), 0.0))
            first = list(memory.rank(cue, layers=layers, weights=weights))
            memory.recall(cue, 200)
            assert list(memory.rank(cue, layers=layers, weights=weights)) == first

    @few(8)
    @given(logs(3), st.sampled_from(CUES[:6]), st.integers(0, 400))
    def test_an_episodes_recall_is_the_same_and_leaves_one_record(self, said: Any, cue: str, budget: int) -> None:
        with crystallized(said) as memory:
            episode = memory.episode()
            before = memory.head().position
            plain = memory.recall(cue, budget)
            context = episode.recall(cue, budget)
            assert [(h.id, h.text, h.score, h.age) for h in context.hits] == [
                (h.id, h.text, h.score, h.age) for h in plain.hits
            ]
            assert context.text == plain.text
            (record,) = memory._core.store.scan((), after=before)
            assert (record.type, record.text, record.episode) == ("recall", cue, episode.id)


COUNTERS: dict[str, Callable[[str], int]] = {
    "default": count,
    "characters": len,
    "words": lambda text: len(text.split()),
    "lines": lambda text: len(text.splitlines()),
    "bytes, and two for a message": lambda text: len(text.encode()) + 2,
    "a constant": lambda text: 7,
}


class TestAPlanningContext:
    @few(15)
    @given(logs(2), st.sampled_from(CUES), BUDGETS, st.sampled_from(sorted(COUNTERS)), LAYERS, st.booleans())
    def test_never_exceeds_its_budget_by_the_callers_own_counter(
        self, said: Any, cue: str, budget: int, counter: str, layers: Any, marks: bool
    ) -> None:
        counting = COUNTERS[counter]
        with read(said) as memory:
            context = memory.recall(cue, budget, count_tokens=counting, layers=layers, marks=marks)
            assert context.tokens == (counting(context.text) if context.text else 0)
            assert context.tokens <= budget
            assert bool(context.text) == bool(context.hits)

    @few(12)
    @given(st.lists(blocks(3), min_size=1, max_size=4).map(expand), texts(), st.integers(0, 200), st.booleans())
    def test_nor_does_that_of_an_episode_with_a_goal(self, said: Any, goal: str, budget: int, long: bool) -> None:
        with crystallized(said) as memory:
            episode = memory.episode(goal=goal * 40 if long else goal)
            context = episode.recall(CUES[0], budget)
            assert context.tokens <= budget
            assert context.tokens == (count(context.text) if context.text else 0)

    @few(12)
    @example(LONG, CUES[0], 2000, ("unit", "cluster", "atom"))
    @example(LONG, CUES[0], 2000, None)
    @given(logs(3), st.sampled_from(CUES), BUDGETS, LAYERS)
    def test_tells_one_story_once_in_the_order_of_time(self, said: Any, cue: str, budget: int, layers: Any) -> None:
        with read(said) as memory:
            made = {crystal.id: crystal for crystal in all_crystals(memory)}
            context = memory.recall(cue, budget, layers=layers)
            told: set[str] = set()
            for hit in context.hits:
                own = {hit.id} if hit.layer == "step" else told_by(made, made[hit.id])
                assert not own & told
                told |= own
            assert len({hit.text for hit in context.hits}) == len(context.hits)
            for section in context.sections:
                positions = [hit.position for hit in context.hits if hit.section == section]
                assert positions == sorted(positions)

    @few(15)
    @given(logs(1), st.sampled_from(CUES[:6]), st.integers(64, 200))
    def test_never_drops_silently_what_was_found(self, said: Any, cue: str, budget: int) -> None:
        with read(said) as memory:
            if any(hit.trust != "web" for hit in memory.recall(cue, 100_000).hits):
                assert memory.recall(cue, budget).hits

    @few(10)
    @given(logs(3), st.sampled_from(CUES), BUDGETS)
    def test_shows_of_every_hit_what_stands_in_the_step(self, said: Any, cue: str, budget: int) -> None:
        with read(said) as memory:
            text_of = {step.id: step.text for step in memory.steps()}
            for hit in memory.recall(cue, budget).hits:
                assert hit.layer == "step"
                assert hit.span is not None
                assert hit.text == text_of[hit.id][hit.span[0] : hit.span[1]]
                assert hit.text or not text_of[hit.id]

    @few(15)
    @example(LONG, CUES[0], 900, ("atom",))
    @given(logs(3), st.sampled_from(CUES), BUDGETS | st.integers(10, 60), LAYERS)
    def test_prints_of_every_hit_its_words_and_no_others(self, said: Any, cue: str, budget: int, layers: Any) -> None:
        with read(said) as memory:
            labels = {step.id: step.actor or step.kind for step in memory.steps()}
            labels |= {crystal.id: crystal.key or crystal.layer.value for crystal in all_crystals(memory)}
            context = memory.recall(cue, budget, layers=layers)
            for section, lines in context.sections.items():
                hits = [hit for hit in context.hits if hit.section == section]
                for hit, line in zip(hits, lines, strict=True):
                    line = "{1}: {2}".format(*unquoted(line)) if hit.trust == "web" else line
                    assert line.startswith(f"{labels[hit.id]}: ")
                    for fragment in line[len(labels[hit.id]) + 2 :].split("…"):
                        assert " ".join(fragment.split()) in " ".join(hit.text.split())


class TestRecalledTextIsNotLearnedAgain:
    @few(10)
    @given(logs(2), st.sampled_from(CUES[:5]), st.integers(1, 3))
    def test_no_crystal_holds_it(self, said: Any, cue: str, times: int) -> None:
        with crystallized(said) as memory:
            with memory.episode() as episode:
                context = episode.recall(cue, 150)
                assume(context.hits)
                for _ in range(times):
                    episode.say("assistant", "As I remember:\n" + "\n".join(hit.text for hit in context.hits))
            recalled = {step.position: step.recalled for step in memory.steps(episode.id)}
            assert any(recalled.values()) or all(len(hit.text.split()) < 8 for hit in context.hits)
            for crystal in all_crystals(memory):
                for at, start, end in crystal.spans:
                    assert all(end <= first or last <= start for first, last in recalled.get(at, ()))


def salience(memory: Memory, step: str) -> float:
    """Of the unit that condenses a step; 1 where none does yet."""
    return next((unit.salience for unit in memory.crystals(["unit"]) if step in unit.sources), 1.0)


class TestDecayLowersAndNeverDeletes:
    @few(8)
    @example(LONG, CUES[0])
    @given(logs(3), st.sampled_from(CUES[:5]))
    def test_age_is_counted_in_tokens_and_lowers_the_score_by_the_formula(self, said: Any, cue: str) -> None:
        with read(said) as memory:
            steps = list(memory.steps())
            since = {step.id: sum(later.tokens for later in steps[n + 1 :]) for n, step in enumerate(steps)}
            context = memory.recall(cue, 600)
            for hit in context.hits:
                assert hit.age == since[hit.id]
                expected = Weights().decay * float(log_decay(hit.age, salience(memory, hit.id)))
                assert hit.reasons.get("decay", 0.0) == pytest.approx(expected, abs=1e-3)
            assert context.ages.tolist() == [hit.age for hit in context.hits]

    def test_what_is_very_old_is_found_all_the_same(self) -> None:
        with opened() as memory:
            episode = memory.episode()
            episode.say("user", "The spare key lies under the geranium pot.")
            for start in range(0, 1000, 500):
                episode.log_many([f"Line {n}: the ferry left with {n} passengers." for n in range(start, start + 500)])
            memory.crystallize()
            (best, *_) = sorted(memory.recall("Where is the spare key?", 200).hits, key=lambda hit: -hit.score)
            assert best.text == "The spare key lies under the geranium pot."
            assert best.age > 10_000

    def test_each_recorded_use_slows_it(self) -> None:
        with opened() as memory:
            episode = memory.episode()
            episode.log("The spare key lies under the geranium pot.")
            episode.log_many([f"Line {n}: the ferry left with {n} passengers." for n in range(300)])
            fading = []
            for _ in range(4):
                hits = episode.recall("spare key geranium", 60).hits
                fading.append(next(hit.reasons["decay"] for hit in hits if "geranium" in hit.text))
            assert fading == sorted(set(fading))


class TestTextStandsAtTheEdge:
    values = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )  # fmt: skip

    @few(40)
    @given(texts(), values, st.dictionaries(st.text(min_size=1, max_size=5), st.binary(max_size=40), max_size=2))
    def test_raw_values_ride_along_unchanged(self, text: str, value: Any, blobs: dict[str, bytes]) -> None:
        with Shared() as memory:
            step = memory.episode(id="raw").log(text, data=value, blobs=blobs)
            (again,) = [memory.step(step.id)]
            assert (again.text, again.data) == (text, value)
            assert {name: memory.blob(digest) for name, digest in again.blobs.items()} == blobs
            assert again == step

    @few(10)
    @given(st.lists(st.none() | st.datetimes(timezones=st.just(None) | st.timezones()), min_size=1, max_size=8))
    def test_log_order_is_the_time_that_counts(self, times: list[datetime | None]) -> None:
        with opened() as memory:
            with memory.episode() as episode:
                for number, at in enumerate(times):
                    episode.log(f"The red door was seen {number} times.", at=at)
            iso = [at and at.isoformat() for at in times]
            assert [step.at and step.at.isoformat() for step in memory.steps()] == iso
            context = memory.recall("red door seen", 2000)
            assert [hit.position for hit in context.hits] == sorted(hit.position for hit in context.hits)
            assert len(context.hits) == len(times)


class Failing:
    id = "failing"

    def encode(self, sentences: list[str]) -> np.ndarray:
        raise RuntimeError("no model here")


class TestVectorsBelongToOneEncoder:
    @few(3)
    @example(LONG)
    @given(logs(4))
    def test_a_changed_encoder_gives_what_it_would_have_given_from_the_start(
        self, path: Callable[[], Path], said: Any
    ) -> None:
        file, one, other = path(), HashEncoder(32, seed=1), HashEncoder(48, seed=2)
        with crystallized(said, file, encoder=one):
            pass
        with opened(file, encoder=other) as memory, crystallized(said, encoder=other) as fresh:
            memory.crystallize()
            assert without_version(asked(memory, CUES[:5])) == without_version(asked(fresh, CUES[:5]))
            assert len(memory._core.store.encoders(())) <= 2
        with opened(file, encoder=one) as memory, crystallized(said, encoder=one) as fresh:
            assert without_version(asked(memory, CUES[:4])) == without_version(asked(fresh, CUES[:4]))

    @few(6)
    @given(logs(2), st.sampled_from(CUES[:5]))
    def test_before_it_has_caught_up_recall_is_never_silently_empty(
        self, path: Callable[[], Path], said: Any, cue: str
    ) -> None:
        file = path()
        with crystallized(said, file, encoder=HashEncoder(32, seed=1)) as memory:
            found = bool(memory.recall(cue, 300).hits)
        with opened(file, encoder=None) as memory:
            lexical = bool(memory.recall(cue, 300).hits)
            assert memory.recall(cue, 300).vectors.shape == (len(memory.recall(cue, 300).hits), 0)
        with opened(file, encoder=HashEncoder(32, seed=2)) as memory:
            assert bool(memory.recall(cue, 300).hits) or not lexical
            assert found or not lexical

    def test_an_encoder_that_fails_fails_loudly_and_the_log_is_safe(self) -> None:
        with opened(encoder=Failing()) as memory:
            episode = memory.episode(id="e")
            episode.log("The red door is open.")
            with pytest.raises(EncoderError, match="no model here"):
                episode.recall("red door")
            episode.end()
            with pytest.raises(EncoderError, match="no model here"):
                memory.crystallize()
            assert [step.text for step in memory.steps()] == ["The red door is open."]
            assert memory.verify().ok
