"""Crystals in recall: the steps they stand for, how they are ranked, and what is printed of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from strategies import long_log, opened, played

from agentmem import Crystal, Layer, Memory
from agentmem.index import View, step_id, step_position
from agentmem.recall import Match
from agentmem.recall.layers import OWN, REACH, best_steps, crystal_signals, near, place_signal, steps_of, with_steps
from agentmem.recall.signals import zscore
from agentmem.testing import HashEncoder
from agentmem.words import stems


@pytest.fixture(scope="module")
def long() -> Iterator[Memory]:
    """A long log with crystals of every layer; nobody writes to it."""
    with played(long_log(), encoder=HashEncoder(256)) as memory:
        memory.crystallize()
        yield memory


def viewed(memory: Memory, as_of: int | None = None) -> View:
    with memory._core.lock:
        return memory._core.view([()], memory.head().position if as_of is None else as_of)


def test_the_steps_of_a_crystal_are_those_its_lineage_ends_in(long: Memory) -> None:
    view = viewed(long, long.head().position - 40)
    known = {view.crystals[number].id: view.crystals[number] for number in np.flatnonzero(view.live)}
    numbers = np.flatnonzero(view.live).tolist()
    owner, rows = steps_of(view, numbers)
    assert owner.tolist() == sorted(owner.tolist())
    for place, number in enumerate(numbers):
        crystal = view.crystals[number]
        positions = {span.position for span in crystal.spans}
        if crystal.layer is Layer.UNIT:
            positions = set(map(step_position, crystal.sources))
        elif crystal.layer is Layer.CLUSTER:
            units = [known[source] for source in crystal.sources if source in known]
            positions = {step_position(step) for unit in units for step in unit.sources}
        assert set(view.position[rows[owner == place]].tolist()) == positions


def test_of_forgotten_units_nothing_counts_for_their_cluster() -> None:
    with played(long_log()) as memory:
        memory.crystallize()
        units = {unit.id: unit for unit in memory.crystals(["unit"])}
        cluster, gone, step = next(
            (cluster, units[source], span.position)
            for cluster in memory.crystals(["cluster"])
            for source in cluster.sources
            for span in units[source].spans
            if span.position not in {held.position for held in cluster.spans}
        )
        memory.forget([step_id(step)])
        view = viewed(memory)
        (number,) = (n for n in np.flatnonzero(view.live).tolist() if view.crystals[n].id == cluster.id)
        _, rows = steps_of(view, [number])
        assert not set(view.position[rows].tolist()) & set(map(step_position, gone.sources))


@pytest.mark.parametrize("layer", list(Layer))
def test_a_crystal_is_found_by_its_own_words_and_less_by_those_of_its_steps_alone(long: Memory, layer: Layer) -> None:
    view = viewed(long)
    numbers = [n for n in np.flatnonzero(view.live).tolist() if view.crystals[n].layer is layer]
    owner, rows = steps_of(view, numbers)
    own = [set(stems(f"{view.crystals[n].key or ''} {view.crystals[n].text}")) for n in numbers]
    texts = [set(stems(step.text)) for step in long.steps()]
    around = [set[str]().union(*(texts[row] for row in rows[owner == place])) for place in range(len(numbers))]
    unseen = [(place, stem) for place in range(len(numbers)) for stem in sorted(around[place] - own[place])[:2]]
    assert unseen
    for place, stem in unseen[:20]:
        at, passages = long._core.match(stem, [()], view).counts[stem]
        score = crystal_signals(view, numbers, Match((stem,), {stem: (at, passages)}), None)["lexical"]
        without = [n for n in range(len(numbers)) if stem not in around[n] | own[n]]
        shown = [n for n in range(len(numbers)) if stem in own[n]]
        assert not without or score[place] > score[without].max()
        assert not shown or score[place] < score[shown].max()


def test_an_atom_is_found_by_its_key(long: Memory) -> None:
    view = viewed(long)
    numbers = [n for n in np.flatnonzero(view.live).tolist() if view.crystals[n].layer is Layer.ATOM]
    crystals = list(view.crystals)
    crystals[numbers[1]] = crystals[numbers[1]].model_copy(update={"id": "a0", "key": "zeppelin"})
    view = replace(view, crystals=crystals)
    found = crystal_signals(view, numbers, Match(("zeppelin",), {}), None)["lexical"]
    assert np.flatnonzero(found > 0).tolist() == [1]


@pytest.mark.parametrize("layer", [Layer.UNIT, Layer.CLUSTER])
def test_a_crystal_is_as_alike_as_the_most_alike_of_its_steps(long: Memory, layer: Layer) -> None:
    view = viewed(long)
    numbers = [n for n in np.flatnonzero(view.live).tolist() if view.crystals[n].layer is layer]
    owner, rows = steps_of(view, numbers)
    alike = np.linspace(0, 1, len(view.position)) ** 2
    found = crystal_signals(view, numbers, Match((), {}), alike)["dense"]
    most = np.array([alike[rows[owner == place]].max(initial=0) for place in range(len(numbers))])
    np.testing.assert_allclose(found, zscore(most))


def test_of_two_crystals_the_shorter_is_worth_more(long: Memory) -> None:
    view = viewed(long)
    numbers = [n for n in np.flatnonzero(view.live).tolist() if view.crystals[n].layer is Layer.UNIT]
    found = crystal_signals(view, numbers, Match((), {}), None)["length"]
    np.testing.assert_allclose(found, [-math.log(view.crystals[number].tokens + 6) for number in numbers])


def test_a_crystal_stands_for_the_step_of_it_that_matches_best() -> None:
    owner, row = np.array([0, 0, 0, 2, 2]), np.array([0, 1, 2, 1, 3])
    best = best_steps((owner, row), 3, np.array([1.0, 5.0, 5.0, 7.0]))
    assert best[[0, 2]].tolist() == [1, 3]
    steps = {"state": np.array([0.0, 1.0, 2.0, 3.0]), "lexical": np.ones(4), "length": np.zeros(4)}
    own = {"lexical": np.array([2.0, 0.0, 4.0]), "length": np.array([-1.0, -1.0, -2.0])}
    found = with_steps(own, steps, best)
    assert found["state"][[0, 2]].tolist() == [1.0, 3.0]
    assert found["lexical"][[0, 2]].tolist() == [1 + 2 * OWN["lexical"], 1 + 4 * OWN["lexical"]]


def test_crystals_far_behind_the_best_are_left_out_however_large_the_budget(long: Memory) -> None:
    score = np.array([0.0, 9.0, 9.0 - REACH, 8.9 - REACH])
    assert near(score, np.argsort(-score, kind="stable")).tolist() == [1, 2]
    assert near(score[:0], np.zeros(0, np.int64)).tolist() == []
    hits = long.recall("red door score", 100_000, layers=["unit"]).hits
    assert 0 < len(hits) < len(long.crystals(["unit"]))
    assert max(hit.score for hit in hits) - min(hit.score for hit in hits) <= REACH


def test_a_cue_that_asks_for_a_place_brings_along_the_crystal_that_says_where_that_was() -> None:
    with opened() as memory:
        with memory.episode(id="game") as episode:
            for place in ("Attic", "Cellar", "Harbour"):
                episode.observe(f"{place}\nA {place.casefold()} with dust and old beams all around.")
                for _ in range(30):
                    episode.act("wait")
                    episode.observe("Time passes, and you feel none the wiser for that, as so often in here.")
                episode.act(f"take {'crown' if place == 'Cellar' else 'stick'}")
                episode.observe("Taken.")
        texts = [hit.text for hit in memory.recall("where did I take the crown?", 2_000, layers=["unit"]).hits]
        (took,) = (text for text in texts if "take crown" in text)
        assert "Cellar" not in took.splitlines()
        assert any("Cellar" in text.splitlines() for text in texts)


def test_a_place_that_a_cue_names_is_where_it_was_come_to_and_where_it_was_left() -> None:
    with opened() as memory:
        with memory.episode(id="game") as episode:
            for place in ("Old Mill", "Harbour", "Old Mill Street"):
                episode.observe(f"{place}\nYou see nothing special.")
                episode.act("wait")
                episode.observe("Time passes.")
                episode.act("north")
        memory.crystallize()
        view = viewed(memory)
        assert np.flatnonzero(place_signal("which way did it leave the Harbour?", view)).tolist() == [4, 7]
        assert np.flatnonzero(place_signal("which way did it leave the old mill?", view)).tolist() == [0, 3]
        assert not place_signal("Harbour", view).any()


def test_crystals_of_layers_asked_for_together_come_best_first_and_tell_one_story_once(long: Memory) -> None:
    context = long.recall("red door score", 900, layers=["unit", "cluster", "atom"])
    assert len({hit.layer for hit in context.hits}) > 1
    assert list(long.recall("red door score", 4000, layers=["unit", "atom"]).sections) == ["facts", "past"]
    alone = [hit for layer in Layer for hit in long.recall("red door score", 900, layers=[layer]).hits]
    assert max(hit.score for hit in context.hits) == max(hit.score for hit in alone)
    made = {crystal.id: crystal for crystal in long.crystals()}
    told = [source for hit in context.hits for source in lineage(made, made[hit.id])]
    assert len(told) == len(set(told))


def lineage(made: Mapping[str, Crystal], crystal: Crystal) -> set[str]:
    """The steps of a unit or cluster, and those an atom points to."""
    if crystal.layer is Layer.ATOM:
        return {step_id(span.position) for span in crystal.spans}
    if crystal.layer is Layer.UNIT:
        return set(crystal.sources)
    return set[str]().union(*(lineage(made, made[source]) for source in crystal.sources))


def test_a_crystal_is_printed_with_its_key_or_layer_and_never_without_words(long: Memory) -> None:
    crystals = {crystal.id: crystal for crystal in long.crystals()}
    assert any(not crystal.text for crystal in crystals.values())
    for layer in Layer:
        context = long.recall("red door score", 4000, layers=[layer])
        for hit, line in zip(context.hits, next(iter(context.sections.values())), strict=True):
            assert hit.text
            assert line.startswith(f"{crystals[hit.id].key or layer.value}: ")


def test_words_of_crystals_are_counted_once_and_gone_with_the_index() -> None:
    with played(long_log()) as memory:
        memory.crystallize()
        memory.recall("red door", layers=["unit"])
        (bags,) = viewed(memory).bags.values()
        assert (before := dict(bags))
        memory.recall("score", layers=["unit"])
        assert all(bags[crystal] is bag for crystal, bag in before.items())
        memory.erase(steps=memory.crystals(["unit"])[0].sources[0])
        assert not any(viewed(memory).bags.values())
