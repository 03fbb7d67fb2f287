"""Crystallizing from outside: where crystals begin and end, what retires them, and condensers of one's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from strategies import START, Player, all_crystals, chat, long_log, opened, played

from agentmem import CondenseError, Crystal, Layer, Memory
from agentmem.claims import claims
from agentmem.condense import MARK, Source
from agentmem.crystallize import OPEN_EPISODES, Crystallizer
from agentmem.index import step_id, step_position
from agentmem.memory import condensing
from agentmem.testing import HashEncoder
from agentmem.tokens import count
from agentmem.types import RATIOS, Record


def talked(messages: int = 500, seed: int = 0, **settings: Any) -> Memory:
    """A memory of one long conversation, not crystallized."""
    memory = opened(**settings)
    with_end = memory.episode(id="chat")
    with_end.log_many(chat(messages, seed))
    with_end.end()
    return memory


def of(memory: Memory, layer: Layer) -> list[Crystal]:
    return [crystal for crystal in all_crystals(memory) if crystal.layer is layer]


# ---- sealing -----------------------------------------------------------------------------------------------------


def test_a_unit_is_born_with_the_step_that_begins_the_next_segment_or_with_the_end() -> None:
    with opened() as memory:
        episode = memory.episode()
        steps = [
            episode.log(f"The red door {n} is open, and Ann stands in front of it.", at=START + timedelta(hours=hours))
            for n, hours in enumerate((0, 0, 0, 9, 9, 30))
        ]
        memory.crystallize()
        units = of(memory, Layer.UNIT)
        assert [unit.sources for unit in units] == [tuple(s.id for s in steps[:3]), tuple(s.id for s in steps[3:5])]
        assert [unit.born for unit in units] == [steps[3].position, steps[5].position]
        assert [unit.covers for unit in units] == [
            (steps[0].position, steps[2].position),
            (steps[3].position, steps[4].position),
        ]
        assert memory.crystals(as_of=steps[4].id) == units[:1]
        episode.end()
        memory.crystallize()
        assert of(memory, Layer.UNIT)[2].born == memory.head().position
        assert all(unit.source_tokens == sum(memory.step(s).tokens for s in unit.sources) for unit in units)


def test_every_layer_keeps_its_ratio_over_a_long_conversation_and_spends_most_of_it() -> None:
    with talked(800) as memory:
        report = memory.crystallize()
        layers = memory.stats().layers
        assert layers[Layer.UNIT].source_tokens == memory.stats().tokens
        for layer in Layer:
            assert layers[layer].ratio >= RATIOS[layer]
        assert layers[Layer.UNIT].ratio < 1.3 * RATIOS[Layer.UNIT]
        assert report.steps == 800
        assert report.layers[Layer.UNIT].crystals == len(of(memory, Layer.UNIT))
        assert report.layers[Layer.ATOM].crystals == len(of(memory, Layer.ATOM)) > 5
        assert report.retired == sum(c.retired is not None for c in all_crystals(memory)) > 0
        assert report.watermark == memory.head().position


def test_ratios_hold_over_every_prefix() -> None:
    with talked(400) as memory:
        memory.crystallize()
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
        assert "K4471902" in " ".join(unit.text for unit in of(memory, Layer.UNIT))


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


def test_many_open_episodes_are_bounded_and_lose_nothing() -> None:
    names = [f"visitor {n}" for n in range(OPEN_EPISODES + 60)]
    with opened() as memory, opened() as whole:
        for target, pieces in ((memory, 5), (whole, 1)):
            writers = [target.episode(id=name) for name in names]
            for turn in range(2):
                for number, writer in enumerate(writers):
                    writer.log(
                        f"Visitor {number} says for the {turn}. time that the red door is open at {number} o'clock."
                    )
                    if pieces > 1 and number % 80 == 79:
                        target.crystallize()
            target.crystallize()
        assert all_crystals(memory) == all_crystals(whole)
        open_ones = len(names) * 2 - sum(len(unit.sources) for unit in of(memory, Layer.UNIT))
        assert 0 < open_ones <= 2 * OPEN_EPISODES
        for name in names:
            memory.episode(id=name).end()
        memory.crystallize()
        covered = Counter(source for unit in of(memory, Layer.UNIT) for source in unit.sources)
        assert covered == Counter(step.id for step in memory.steps())


# ---- validity ----------------------------------------------------------------------------------------------------


def test_a_newer_value_retires_the_atom_which_is_recalled_as_of_then() -> None:
    with talked(800) as memory:
        memory.crystallize()
        keyed = [c for c in of(memory, Layer.ATOM) if c.key == "user: lives in"]
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


@pytest.mark.parametrize("seed", range(4))
def test_an_atom_says_what_the_newest_sealed_step_says_of_its_key(seed: int) -> None:
    with talked(500, seed) as memory:
        memory.crystallize()
        said: dict[str, list[tuple[int, int, str]]] = {}
        for unit in of(memory, Layer.UNIT):
            for step in map(memory.step, unit.sources):
                for claim in claims(Source(step.position, step.kind, step.actor, step.text)):
                    said.setdefault(claim.key, []).append((step.position, unit.born, claim.value))
        keyed = [atom for atom in of(memory, Layer.ATOM) if atom.key is not None]
        assert len(keyed) > 5
        for atom in keyed:
            for at in {atom.born, (atom.retired or memory.head().position + 1) - 1} - {(atom.retired or 0)}:
                heard = [(position, value) for position, sealed, value in said[str(atom.key)] if sealed <= at]
                assert max(heard)[1] == atom.value


def test_an_atom_is_the_words_of_its_claim() -> None:
    with talked(500) as memory:
        memory.crystallize()
        for atom in of(memory, Layer.ATOM):
            if atom.key is not None:
                (span,) = atom.spans
                text = memory.step(step_id(span.position)).text
                assert atom.text == text[span.start : span.end]
                assert atom.value is not None
                assert atom.value.split()[0] in atom.text


def test_atoms_expand_to_their_steps_through_every_layer() -> None:
    with talked(500) as memory:
        memory.crystallize()
        by_id = {crystal.id: crystal for crystal in all_crystals(memory)}
        for atom in of(memory, Layer.ATOM):
            (parent,) = atom.sources
            units = [by_id[parent]] if parent[0] == "u" else [by_id[unit] for unit in by_id[parent].sources]
            steps = {step_position(step) for unit in units for step in unit.sources}
            assert {span.position for span in atom.spans} <= steps


# ---- condensers of one's own -------------------------------------------------------------------------------------


def test_a_condenser_of_ones_own_writes_units_and_clusters_within_the_quota() -> None:
    asked: list[Sequence[str]] = []

    def condenser(texts: Sequence[str]) -> str:
        asked.append(texts)
        return "They spoke of many things. " + "And so on. " * 200

    with talked(400, condenser=condenser) as memory:
        memory.crystallize()
        logged = {step.text for step in memory.steps()}
        assert len(asked) > 10
        assert all(text in logged for texts in asked for text in texts)
        units = of(memory, Layer.UNIT)
        assert all(unit.text.startswith("They spoke") or unit.tokens < 8 for unit in units)
        assert all(memory.stats().layers[layer].ratio >= RATIOS[layer] for layer in Layer)
        assert all(crystal.tokens == count(crystal.text) for crystal in all_crystals(memory))
        assert memory.recall("They spoke of many things", 200, layers=["unit"]).hits
        assert memory.verify().ok


class Flaky:
    def __init__(self, fails: int, answer: Any = "fine") -> None:
        self.fails, self.calls, self.answer = fails, 0, answer

    def __call__(self, texts: Sequence[str]) -> Any:
        self.calls += 1
        if self.calls > self.fails:
            return self.answer
        raise ConnectionError("the model is busy")


def test_a_condenser_that_fails_fails_crystallizing_and_the_log_is_safe(tmp_path: Path) -> None:
    file, flaky = tmp_path / "agent.mem", Flaky(fails=3)
    with opened(file, condenser=flaky) as memory:
        with (
            pytest.raises(CondenseError, match=r"the model is busy.*the log is safe"),
            memory.episode(id="chat") as episode,
        ):
            episode.log_many(chat(60))
        assert len(list(memory.steps())) == 60
        assert memory.episodes()[0].ended is not None
        assert all_crystals(memory) == []
        assert memory.recall("where do I live").hits
        for _ in range(2):
            with pytest.raises(CondenseError):
                memory.crystallize()
        memory.crystallize()
        made = all_crystals(memory)
        assert "fine" in {unit.text for unit in of(memory, Layer.UNIT)} <= {"fine", ""}
        assert memory.verify().ok
    with talked(60, condenser=lambda texts: "fine") as steady:
        steady.crystallize()
        assert all_crystals(steady) == made


@pytest.mark.parametrize("answer", [None, 7, b"bytes", ["a"]])
def test_a_condenser_that_gives_no_text_fails_too(answer: Any) -> None:
    with talked(60, condenser=lambda texts: answer) as memory:
        with pytest.raises(CondenseError, match=f"{type(answer).__name__}, not str"):
            memory.crystallize()
        assert all_crystals(memory) == []


def test_a_condenser_may_give_nothing_or_anything() -> None:
    for text in ("", " ", "\n\n", "\x00", "🎉" * 50, "x" * 5000, " … "):
        with talked(60, condenser=lambda texts, text=text: text) as memory:
            memory.crystallize()
            assert sum(len(unit.sources) for unit in of(memory, Layer.UNIT)) == 60
            assert memory.recall("where do I live", 100, layers=["unit"]).tokens <= 100
            assert memory.verify().ok


def test_a_condenser_that_gives_a_lone_surrogate_is_refused() -> None:
    with talked(60, condenser=lambda texts: "a\ud800b") as memory:
        with pytest.raises(CondenseError, match="surrogate"):
            memory.crystallize()
        assert all_crystals(memory) == []
        assert memory.verify().ok


# ---- recalled text -----------------------------------------------------------------------------------------------

ORIGIN = "The harbour master Ingrid Solberg keeps the brass key of the lighthouse in locker 4471."


@pytest.mark.parametrize("own", [None, lambda texts: " ".join(texts)])
def test_recalled_text_that_an_agent_repeats_is_not_learned_again(own: Any) -> None:
    with opened(condenser=own) as memory:
        with memory.episode(id="harbour") as episode:
            episode.log_many(chat(60))
            origin = episode.say("user", ORIGIN)
        with memory.episode(id="later") as episode:
            assert ORIGIN in episode.recall("Where is the brass key of the lighthouse?").text
            for n in range(24):
                episode.say("assistant", f"Reply {n}: as I recall, {ORIGIN} Shall I fetch it for you at {n} o'clock?")
        later = {step.position: step for step in memory.steps("later")}
        assert all(step.recalled for step in later.values())
        own_units = [c for c in all_crystals(memory) if c.sources[0] in {step.id for step in later.values()}]
        assert any(unit.text for unit in own_units)
        for crystal in own_units:
            assert "Solberg" not in crystal.text
            assert "4471" not in crystal.text
        assert memory.forget(derived_from=origin.id) == 25


def test_fragments_of_crystals_are_never_taken_from_a_mark() -> None:
    with opened() as memory:
        with memory.episode() as episode:
            for n in range(60):
                episode.say("user", f"Note {n}:{MARK}the code is {n * 7919} … and\n{MARK}\nthe room is {n * 31}{MARK}")
        text_of = {step.position: step.text for step in memory.steps()}
        for crystal in all_crystals(memory):
            pieces = [text_of[at][start:end] for at, start, end in crystal.spans]
            fragments = [f.strip(MARK) for line in crystal.text.split("\n") for f in line.split(MARK)]
            assert all(any(fragment in piece for piece in pieces) for fragment in fragments if fragment)


def test_records_that_are_no_steps_are_not_condensed() -> None:
    with opened() as memory:
        with memory.episode(goal="a goal that nobody shall find in a crystal", agent="agent x") as episode:
            steps = episode.log_many(chat(40))
            episode.recall("where do I live, says a cue that is no memory")
            memory.pin(steps[0].id)
            memory.forget(steps=steps[1].id)
        assert all("nobody shall" not in c.text and "no memory" not in c.text for c in all_crystals(memory))
        with opened() as plain:
            log: list[Record] = [r for r in memory._core.store.scan() if r.type in ("step", "begin", "end")]
            plain._core.store.append(log)
            plain.crystallize()
            assert [c.text for c in all_crystals(plain)] == [c.text for c in all_crystals(memory)]


def test_a_player_can_go_on_after_reopening(tmp_path: Path) -> None:
    """The tests' own helper: what it logs in two halves is what it logs in one."""
    said = long_log(4)
    player = Player(opened(tmp_path / "a.mem"))
    player.play(said[:20])
    player.memory.close()
    player.reopened(opened(tmp_path / "a.mem"))
    player.play(said[20:])
    with played(said) as whole:
        assert [s.text for s in player.memory.steps()] == [s.text for s in whole.steps()]
    player.memory.close()
