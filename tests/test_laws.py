"""What always holds, whatever is logged: one class per law of the design."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st
from lawful import (
    ENCODERS,
    LONG,
    asked,
    crystallized,
    crystals_as_of,
    few,
    read,
    records,
    steps_under,
    unmarked,
    without_version,
)
from strategies import CUES, Player, all_crystals, logs, opened, played

from agentmem import Layer
from agentmem.condense import MARK
from agentmem.index import step_id, step_position
from agentmem.testing import HashEncoder
from agentmem.tokens import count
from agentmem.types import RATIOS


class TestTheLogIsTheTruth:
    @few(8)
    @given(logs())
    def test_steps_come_back_as_they_were_logged_in_log_order(self, path: Callable[[], Path], said: Any) -> None:
        file = path()
        with crystallized(said, file):
            pass
        with opened(file) as memory:
            logged = [one for one in said if one.text is not None]
            steps = list(memory.steps())
            assert [(s.episode, s.text, s.kind, s.actor, s.at, s.trust) for s in steps] == [
                (one.episode, one.text, one.kind, one.actor, one.at, one.trust) for one in logged
            ]
            assert [s.id for s in steps] == sorted({s.id for s in steps})
            assert [step_position(s.id) for s in steps] == [s.position for s in steps]
            for episode in {one.episode for one in logged}:
                assert list(memory.steps(episode)) == [s for s in steps if s.episode == episode]
            assert memory.verify().ok

    @few(5)
    @example(LONG, None)
    @given(logs(6), ENCODERS)
    def test_all_that_was_made_can_be_made_again_from_the_log(self, said: Any, encoder: Any) -> None:
        with crystallized(said, encoder=encoder) as memory:
            crystals, contexts = all_crystals(memory), asked(memory, CUES[:3])
            memory._core.store.discard(())
            assert all_crystals(memory) == []
            memory.crystallize()
            assert all_crystals(memory) == crystals
            again = asked(memory, CUES[:3])
            assert without_version(again) == without_version(contexts)


class TestCrystalsAreSealedByLogPosition:
    @few(6)
    @example(LONG, [20, 77, 78, 120], [1])
    @given(logs(6), st.lists(st.integers(0, 160), max_size=6), st.lists(st.integers(0, 3), max_size=3))
    def test_crystallizing_in_pieces_gives_what_one_go_gives(
        self, path: Callable[[], Path], said: Any, stops: list[int], reopenings: list[int]
    ) -> None:
        cuts = sorted({min(stop, len(said)) for stop in stops})
        file = path()
        player = Player(opened(file))
        for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(said)], strict=True)):
            player.play(said[start:end])
            player.memory.crystallize()
            if number in reopenings:
                player.memory.close()
                player.reopened(opened(file))
        logged = records(player.memory)
        in_pieces = all_crystals(player.memory)
        with opened() as whole:
            whole._core.store.append(logged)
            whole.crystallize()
            assert all_crystals(whole) == in_pieces
            assert whole.stats().watermark == player.memory.stats().watermark
        player.memory.close()

    @few(5)
    @given(logs(2))
    def test_crystallizing_again_adds_nothing(self, said: Any) -> None:
        with crystallized(said) as memory:
            before = all_crystals(memory), memory.head()
            report = memory.crystallize()
            assert (all_crystals(memory), memory.head()) == before
            assert (report.steps, report.retired) == (0, 0)
            assert all(report.layers[layer].crystals == 0 for layer in Layer)

    @few(5)
    @example(LONG, 80, None)
    @example(LONG, 140, HashEncoder(32))
    @given(logs(5), st.integers(1, 150), ENCODERS)
    def test_as_of_a_step_is_a_memory_that_never_saw_the_later_ones(self, said: Any, cut: int, encoder: Any) -> None:
        cut = min(cut, len(said) - 1)
        assume(said[cut - 1].text is not None)
        with crystallized(said, encoder=encoder) as full, crystallized(said[:cut], encoder=encoder) as young:
            last = list(young.steps())[-1]
            assert [c for c in full.crystals(as_of=last.id) if c.born > last.position] == []
            assert crystals_as_of(full.crystals(as_of=last.id), last.position) == young.crystals()
            assert asked(full, CUES[:5], as_of=last.id) == asked(young, CUES[:5])
            assert asked(full, CUES[:2], as_of=last.logged_at) == asked(young, CUES[:2])

    @few(8)
    @example(LONG)
    @given(logs(6))
    def test_a_crystal_is_born_after_all_that_it_covers_and_retired_after_that(self, said: Any) -> None:
        with read(said) as memory:
            head = memory.head().position
            for crystal in all_crystals(memory):
                assert crystal.covers[0] <= crystal.covers[1] < crystal.born <= head
                assert all(crystal.covers[0] <= span.position <= crystal.covers[1] for span in crystal.spans)
                assert crystal.retired is None or crystal.born <= crystal.retired <= head
            born = [crystal.born for crystal in all_crystals(memory)]
            assert born == sorted(born)

    @few(8)
    @example(LONG)
    @given(logs(6))
    def test_of_one_key_at_most_one_atom_holds_at_any_time(self, said: Any) -> None:
        with read(said) as memory:
            atoms = [c for c in all_crystals(memory) if c.layer is Layer.ATOM and c.key is not None]
            for key in {atom.key for atom in atoms}:
                own = [atom for atom in atoms if atom.key == key]
                for earlier, later in itertools.pairwise(own):
                    assert earlier.retired is not None
                    assert earlier.retired <= later.born
                    assert earlier.spans[-1].position < later.spans[-1].position


class TestCondensingStartsFromSteps:
    @few(10)
    @example(LONG)
    @given(logs(6))
    def test_every_fragment_of_a_crystal_stands_word_for_word_in_a_step_it_points_to(self, said: Any) -> None:
        with read(said) as memory:
            text_of = {step.position: step.text for step in memory.steps()}
            for crystal in all_crystals(memory):
                pieces = [text_of[at][start:end] for at, start, end in crystal.spans]
                assert all(pieces)
                assert unmarked(crystal.text) == unmarked("\n".join(pieces))
                for line in crystal.text.split("\n"):
                    for fragment in line.split(MARK):
                        assert any(fragment in piece for piece in pieces) or not fragment

    @few(10)
    @example(LONG)
    @given(logs(6))
    def test_ten_tokens_become_one_five_units_tokens_one_and_two_clusters_tokens_one(self, said: Any) -> None:
        with read(said) as memory:
            made = all_crystals(memory)
            steps = [(step.position, step.tokens) for step in memory.steps()]
            for position in {crystal.born for crystal in made}:
                below = sum(tokens for at, tokens in steps if at <= position)
                for layer in Layer:
                    own = sum(c.tokens for c in made if c.layer is layer and c.born <= position)
                    assert own * RATIOS[layer] <= below
                    below = own
            assert all(crystal.tokens == count(crystal.text) for crystal in made)
            report = memory.stats().layers
            assert all(report[layer].ratio >= RATIOS[layer] for layer in Layer)


class TestLineageEndsInLoggedSteps:
    @few(10)
    @example(LONG)
    @given(logs(6))
    def test_every_source_is_one_layer_below_down_to_steps(self, said: Any) -> None:
        with read(said) as memory:
            made = {crystal.id: crystal for crystal in all_crystals(memory)}
            steps = {step.id for step in memory.steps()}
            assert len(made) == len(all_crystals(memory))
            for crystal in made.values():
                assert crystal.sources
                if crystal.layer is Layer.UNIT:
                    assert set(crystal.sources) <= steps
                elif crystal.layer is Layer.CLUSTER:
                    assert all(made[source].layer is Layer.UNIT for source in crystal.sources)
                else:
                    assert all(made[source].layer in (Layer.UNIT, Layer.CLUSTER) for source in crystal.sources)
                below = steps_under(made, crystal)
                assert {step_id(span.position) for span in crystal.spans} <= below
                assert crystal.layer is Layer.ATOM or crystal.covers == (
                    step_position(min(below)),
                    step_position(max(below)),
                )

    @few(6)
    @example(LONG)
    @given(logs(6))
    def test_every_step_is_in_at_most_one_unit_and_every_unit_in_at_most_one_cluster(self, said: Any) -> None:
        with read(said) as memory:
            for layer in (Layer.UNIT, Layer.CLUSTER):
                sources = [source for c in all_crystals(memory) if c.layer is layer for source in c.sources]
                assert len(sources) == len(set(sources))

    @few(6)
    @given(logs(3))
    def test_once_its_episode_has_ended_every_step_is_in_a_unit(self, said: Any) -> None:
        memory = played(said)
        for episode in memory.episodes():
            if episode.ended is None:
                memory.episode(id=episode.id).end()
        memory.crystallize()
        covered = {source for c in all_crystals(memory) if c.layer is Layer.UNIT for source in c.sources}
        assert covered == {step.id for step in memory.steps()}
        memory.close()
