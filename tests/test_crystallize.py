"""Crystallizing from outside: where crystals begin and end, what retires them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from strategies import START, all_crystals, chat, long_log, of_layer, opened, played, talked

from agentmem import Crystal, Layer, Memory, crystallize
from agentmem.claims import claims
from agentmem.condense import Source
from agentmem.crystallize import Crystallizer
from agentmem.index import step_id, step_position
from agentmem.memory import condensing
from agentmem.testing import HashEncoder
from agentmem.types import RATIOS, CrystallizeReport


class Talk(NamedTuple):
    """A long conversation and what crystallizing it reported; nobody writes to it."""

    memory: Memory
    report: CrystallizeReport


@pytest.fixture(scope="module")
def talk() -> Iterator[Talk]:
    with talked(1200) as memory:
        yield Talk(memory, memory.crystallize())


# ---- sealing -----------------------------------------------------------------------------------------------------


def test_a_unit_is_born_with_the_step_that_begins_the_next_segment_or_with_the_end() -> None:
    with opened() as memory:
        episode = memory.episode()
        steps = [
            episode.log(f"The red door {n} is open, and Ann stands in front of it.", at=START + timedelta(hours=hours))
            for n, hours in enumerate((0, 0, 0, 9, 9, 30))
        ]
        memory.crystallize()
        units = of_layer(memory, Layer.UNIT)
        assert [unit.sources for unit in units] == [tuple(s.id for s in steps[:3]), tuple(s.id for s in steps[3:5])]
        assert [unit.born for unit in units] == [steps[3].position, steps[5].position]
        assert [unit.covers for unit in units] == [
            (steps[0].position, steps[2].position),
            (steps[3].position, steps[4].position),
        ]
        assert memory.crystals(as_of=steps[4].id) == units[:1]
        episode.end()
        memory.crystallize()
        assert of_layer(memory, Layer.UNIT)[2].born == memory.head().position
        assert all(unit.source_tokens == sum(memory.step(s).tokens for s in unit.sources) for unit in units)


def test_every_layer_keeps_its_ratio_over_a_long_conversation_and_spends_most_of_it(talk: Talk) -> None:
    memory = talk.memory
    layers = memory.stats().layers
    assert layers[Layer.UNIT].source_tokens == memory.stats().tokens
    for layer in Layer:
        assert layers[layer].ratio >= RATIOS[layer]
    assert layers[Layer.UNIT].ratio < 1.3 * RATIOS[Layer.UNIT]
    assert talk.report.steps == 1200
    assert talk.report.layers[Layer.UNIT].crystals == len(of_layer(memory, Layer.UNIT))
    assert talk.report.layers[Layer.ATOM].crystals == len(of_layer(memory, Layer.ATOM)) > 5
    assert talk.report.retired == sum(c.retired is not None for c in all_crystals(memory)) > 0
    assert talk.report.watermark == memory.head().position


def test_ratios_hold_over_every_prefix(talk: Talk) -> None:
    memory = talk.memory
    steps = [(step.position, step.tokens) for step in memory.steps()]
    made = all_crystals(memory)
    for position in sorted({crystal.born for crystal in made}):
        below = sum(tokens for at, tokens in steps if at <= position)
        for layer in Layer:
            own = sum(c.tokens for c in made if c.layer is layer and c.born <= position)
            assert own * RATIOS[layer] <= below
            below = own


def test_what_is_salient_is_kept() -> None:
    with opened() as memory:
        with memory.episode() as episode:
            lines = ["well, I do not know what to say about it, you see, it is what it is"] * 30
            lines[17] = "the passport number of Ingrid Solberg is K4471902"
            episode.log_many([{"text": line, "kind": "message", "actor": "user"} for line in lines])
        assert "K4471902" in " ".join(unit.text for unit in of_layer(memory, Layer.UNIT))


def test_an_atom_is_supported_by_steps_before_it_that_say_the_same(talk: Talk) -> None:
    memory = talk.memory
    steps = [Source(step.position, step.kind, step.actor, step.text) for step in memory.steps()]
    said = [(step.position, {(claim.key, claim.value) for claim in claims(step)}) for step in steps]
    atoms = [atom for atom in of_layer(memory, Layer.ATOM) if atom.value is not None]
    for atom in atoms:
        support = sum((atom.key, atom.value) in claimed for position, claimed in said if position <= atom.born)
        assert 1 <= atom.support <= support
    assert max(atom.support for atom in atoms) > 1


def wandered(memory: Memory, times: int) -> None:
    """A game in which the score is seldom changed, and which claims nothing."""
    with memory.episode(id="game") as episode:
        for turn in range(times):
            episode.act("go north")
            episode.observe(
                f"Cavern\nThe walls are wet in cavern number {turn}, and you can hear water far below them."
            )
            episode.act("wait")
            episode.observe("Time passes, and nothing else does, as far as you can tell in this sort of light.")
            if turn % 8 == 4:
                episode.act(f"pull lever {turn}")
                episode.observe("Something falls. [Your score has just gone up by five points.]")


def test_a_deed_that_changed_a_total_is_kept_in_every_layer_with_where_it_was_done() -> None:
    with opened() as memory:
        wandered(memory, 400)
        layers = memory.stats().layers
        for layer in Layer:
            assert "\n".join(crystal.text for crystal in of_layer(memory, layer)).count("pull lever") >= 3
        assert sum(atom.text.startswith("Cavern\npull lever") for atom in of_layer(memory, Layer.ATOM)) >= 3
        assert 1.0 <= layers[Layer.ATOM].ratio / RATIOS[Layer.ATOM] < 1.3


def test_what_claims_leave_of_the_quota_of_atoms_is_spent_on_what_was_kept(talk: Talk) -> None:
    memory = talk.memory
    layers = talk.report.layers
    atoms = of_layer(memory, Layer.ATOM)
    plain, keyed = (sum((atom.key is None) is bare for atom in atoms) for bare in (True, False))
    assert keyed > plain > 3
    assert layers[Layer.CLUSTER].tokens < 2.4 * layers[Layer.ATOM].tokens


def test_a_telling_segment_is_more_salient_than_small_talk_and_lends_it_to_its_atoms() -> None:
    with talked(300) as memory:
        with memory.episode() as episode:
            episode.log_many([{"text": "Error 4471: Ingrid Solberg, Oslo, 2027-05-03", "kind": "observation"}] * 30)
        made = {crystal.id: crystal for crystal in all_crystals(memory)}
        units = [crystal for crystal in made.values() if crystal.layer is Layer.UNIT]
        assert units[-1].salience > 1 > min(unit.salience for unit in units)
        for atom in of_layer(memory, Layer.ATOM):
            assert atom.salience == made[atom.sources[0]].salience


# ---- incremental equals from scratch -----------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 7, 100])
def test_crystallizing_after_every_few_steps_gives_what_one_go_gives(tmp_path: Path, every: int) -> None:
    messages = list(chat(160, seed=every))
    with opened(tmp_path / "a.mem", encoder=HashEncoder(16)) as memory, opened(encoder=HashEncoder(16)) as whole:
        episode, other = memory.episode(id="chat"), whole.episode(id="chat")
        for start in range(0, 160, every):
            episode.log_many(messages[start : start + every])
            memory.crystallize()
        other.log_many(messages)
        whole.crystallize()
        assert all_crystals(memory) == all_crystals(whole)
        assert Counter(c.layer for c in all_crystals(memory)).keys() == set(Layer)
        assert memory.recall("where do I live", 300).text == whole.recall("where do I live", 300).text


def test_batches_and_reopenings_leave_no_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with talked(300) as whole:
        whole.crystallize()
        expected = all_crystals(whole)
    monkeypatch.setattr(condensing, "BATCH", 17)
    seen: list[tuple[int, int]] = []
    with talked(300) as memory:
        memory.crystallize(progress=lambda done, todo: seen.append((done, todo)))
        assert all_crystals(memory) == expected
    assert [todo for _, todo in seen] == [302] * 18
    assert [done for done, _ in seen] == [*range(17, 302, 17), 302]


class Stopped(Exception):
    pass


def test_an_interrupted_run_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, todo: int) -> None:
        if done > todo // 2:
            raise Stopped

    monkeypatch.setattr(condensing, "BATCH", 40)
    with talked(300) as whole, talked(300) as memory:
        whole.crystallize()
        with pytest.raises(Stopped):
            memory.crystallize(progress=stop)
        assert 0 < memory.stats().watermark < memory.head().position
        assert memory.crystallize().steps < 300
        assert all_crystals(memory) == all_crystals(whole)


def test_a_run_that_was_overtaken_gives_way(tmp_path: Path) -> None:
    file = tmp_path / "agent.mem"
    with played(long_log(8), file) as memory, opened(file) as other:
        publish, taken = memory._core.store.publish, []

        def late(*arguments: Any) -> bool:
            if not taken:
                taken.append(other.crystallize())
            return publish(*arguments)

        memory._core.store.publish = late  # type: ignore[method-assign]
        memory.crystallize()
        assert taken[0].steps > 0
        assert all_crystals(memory) == all_crystals(other)
        with played(long_log(8)) as alone:
            alone.crystallize()
            assert all_crystals(alone) == all_crystals(memory)


def test_the_state_of_a_crystallizer_is_all_it_needs() -> None:
    with talked(240) as memory:
        log = list(memory._core.store.scan())
    read = {record.position: record for record in log}

    def made(cuts: Sequence[int]) -> list[Any]:
        out: list[Any] = []
        state, live = b"", dict[str, Crystal]()
        for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True):
            maker = Crystallizer((), lambda positions: [read[p] for p in positions], live, state)
            for record in log[start:end]:
                maker.feed(record)
            crystals, retired, _ = maker.drain()
            state = maker.state()
            live = {k: c for k, c in live.items() if c.id not in retired}
            live |= {str(c.key): c for c in crystals if c.layer is Layer.ATOM and c.key and c.id not in retired}
            out += [*crystals, *sorted(retired.items())]
            assert len(state) < 200_000
        return sorted(out, key=repr)

    assert made(range(1, len(log))) == made([]) == made([50, 51, 200])


@pytest.mark.slow
def test_many_open_episodes_are_bounded_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crystallize, "OPEN_EPISODES", 64)
    names = [f"visitor {n}" for n in range(64 + 60)]
    with opened() as memory, opened() as whole:
        for target, pieces in ((memory, 5), (whole, 1)):
            writers = [target.episode(id=name) for name in names]
            for turn in range(2):
                for number, writer in enumerate(writers):
                    writer.log(
                        f"Visitor {number} says for the {turn}. time that the red door is open at {number} o'clock."
                    )
                    if pieces > 1 and number % 40 == 39:
                        target.crystallize()
            target.crystallize()
        assert all_crystals(memory) == all_crystals(whole)
        open_ones = len(names) * 2 - sum(len(unit.sources) for unit in of_layer(memory, Layer.UNIT))
        assert 0 < open_ones <= 2 * 64
        for name in names:
            memory.episode(id=name).end()
        memory.crystallize()
        covered = Counter(source for unit in of_layer(memory, Layer.UNIT) for source in unit.sources)
        assert covered == Counter(step.id for step in memory.steps())


# ---- validity ----------------------------------------------------------------------------------------------------


def test_a_newer_value_retires_the_atom_which_is_recalled_as_of_then(talk: Talk) -> None:
    memory = talk.memory
    keyed = [c for c in of_layer(memory, Layer.ATOM) if c.key == "user: lives in"]
    retired = [c for c in keyed if c.retired is not None]
    assert len(retired) >= 3
    for old in retired:
        assert old.retired is not None
        then, now = step_id(old.retired - 1), step_id(old.retired)
        cue = f"user lives in {old.value}"
        assert old in memory.crystals(layers=["atom"], as_of=then)
        assert old.id in [hit.id for hit in memory.recall(cue, 5000, layers=["atom"], as_of=then).hits]
        assert old not in memory.crystals(layers=["atom"], as_of=now)
        assert old.id not in [hit.id for hit in memory.recall(cue, 5000, layers=["atom"], as_of=now).hits]
        assert old.id not in [hit.id for hit in memory.recall(cue, 5000, layers=["atom"]).hits]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_an_atom_says_what_the_newest_sealed_step_says_of_its_key(seed: int) -> None:
    with talked(500, seed) as memory:
        memory.crystallize()
        said: dict[str, list[tuple[int, int, str]]] = {}
        for unit in of_layer(memory, Layer.UNIT):
            for step in map(memory.step, unit.sources):
                for claim in claims(Source(step.position, step.kind, step.actor, step.text)):
                    said.setdefault(claim.key, []).append((step.position, unit.born, claim.value))
        keyed = [atom for atom in of_layer(memory, Layer.ATOM) if atom.key is not None]
        assert len(keyed) > 5
        for atom in keyed:
            for at in {atom.born, (atom.retired or memory.head().position + 1) - 1} - {(atom.retired or 0)}:
                heard = [(position, value) for position, sealed, value in said[str(atom.key)] if sealed <= at]
                assert max(heard)[1] == atom.value


def test_an_atom_is_the_words_of_its_claim(talk: Talk) -> None:
    memory = talk.memory
    for atom in of_layer(memory, Layer.ATOM):
        if atom.key is not None:
            (span,) = atom.spans
            text = memory.step(step_id(span.position)).text
            assert atom.text == text[span.start : span.end]
            assert atom.value is not None
            assert atom.value.split()[0] in atom.text


def test_atoms_expand_to_their_steps_through_every_layer(talk: Talk) -> None:
    memory = talk.memory
    by_id = {crystal.id: crystal for crystal in all_crystals(memory)}
    for atom in of_layer(memory, Layer.ATOM):
        (parent,) = atom.sources
        units = [by_id[parent]] if parent[0] == "u" else [by_id[unit] for unit in by_id[parent].sources]
        steps = {step_position(step) for unit in units for step in unit.sources}
        assert {span.position for span in atom.spans} <= steps
