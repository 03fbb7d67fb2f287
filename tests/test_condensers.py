"""Crystallizing with a condenser of one's own, and what is not learned twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from strategies import Player, all_crystals, chat, long_log, of_layer, opened, played, talked

from agentmem import CondenseError, Layer
from agentmem.condense import MARK
from agentmem.tokens import count
from agentmem.types import RATIOS, Record

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
        units = of_layer(memory, Layer.UNIT)
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
        assert "fine" in {unit.text for unit in of_layer(memory, Layer.UNIT)} <= {"fine", ""}
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
            assert sum(len(unit.sources) for unit in of_layer(memory, Layer.UNIT)) == 60
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
