"""What a recall is a function of: a moment of the log, of what was made from it, and of what was erased."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from strategies import all_crystals, opened, said

from agentmem import EncoderError, Memory, NotFoundError
from agentmem.memory import EpisodeWriter, core
from agentmem.memory.recalling import query_of, run
from agentmem.testing import HashEncoder
from agentmem.types import Record

# ---- versions ----------------------------------------------------------------------------------------------------


def test_a_version_names_what_every_namespace_that_is_read_has(memory: Memory) -> None:
    other = memory.scoped("other")
    reader = memory.scoped("own", read=[("other",)])
    reader.episode(id="a").log("The red door is open.")
    with other.episode(id="b") as episode:
        episode.log("The red door is shut.")
    last = reader.episode(id="a").log("The red door is green.").id
    versions = [reader.recall("door", as_of=last).store_version]
    with other.episode(id="b") as episode:
        step = episode.log("The blue door is open.")
    assert [reader.recall("door", as_of=last).store_version] == versions  # only what comes later has changed
    other.crystallize()
    other.erase(steps=step.id)
    versions.append(reader.recall("door", as_of=last).store_version)
    reader.crystallize()
    versions.append(reader.recall("door", as_of=last).store_version)
    assert len(set(versions)) == 3


def test_a_version_is_the_same_however_the_log_was_crystallized(tmp_path: Path) -> None:
    versions = []
    for every in (1, 4):
        with opened(tmp_path / f"{every}.mem", encoder=HashEncoder()) as memory:
            for number in range(8):
                episode = memory.episode(id=f"e{number}")
                episode.log(f"Door {number} is open and the hall is dark.")
                episode.end()
                if number % every == every - 1:
                    memory.crystallize()
            versions.append([memory.recall("door", as_of=step.id).store_version for step in memory.steps()])
    assert versions[0] == versions[1]


def test_what_recall_gave_is_given_again_though_the_log_was_crystallized_further_since(tmp_path: Path) -> None:
    cue, given = "Which door is open?", []
    with opened(tmp_path / "a.mem", encoder=HashEncoder()) as memory:
        for number in range(40):
            step = memory.episode(id=f"e{number // 6}").log(
                f"Door {number} is {('open', 'shut')[number % 2]} now. " * 9
            )
            given.append((step.id, memory.stats().watermark, memory.recall(cue, budget=200)))
            if number % 12 == 11:
                memory.crystallize()
        memory.crystallize()
        later = [memory.recall(cue, budget=200, as_of=step) for step, _, _ in given]
        assert later != [context for *_, context in given]
        query = query_of(cue, 200, None, None, None, None, marks=False)
        for step, sealed, context in given:
            assert run(memory._core, memory.namespaces, query, step, sealed) == context


# ---- times -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("archived", [False, True])
def test_as_of_a_time_is_before_anything_that_was_logged_later(file: Path, archived: bool) -> None:
    """Whatever the clock does: at 20 it is set back to 5, and goes on."""
    times = iter((1.0, 10.0, 20.0, 5.0, 6.0, 30.0, 40.0, *range(50, 99)))
    with opened(file, clock=lambda: float(next(times))) as memory:
        episode = memory.episode(id="e")
        for door in ("red", "blue", "green", "white", "black", "grey"):
            episode.log(f"The {door} door.")
        if archived:
            memory._core.store.archive(memory.head().position)

        def doors(seconds: float) -> int:
            return len(memory.recall("door", as_of=datetime.fromtimestamp(seconds, UTC)).hits)

        assert [doors(seconds) for seconds in (0, 1, 5, 10, 19, 20, 29, 30, 35, 40)] == [0, 0, 0, 1, 1, 4, 4, 5, 5, 6]
        assert [doors(seconds) for seconds in (40, 10, 39)] == [6, 1, 5]
        episode.log("The last door.")
        assert [doors(seconds) for seconds in (45, 50)] == [6, 7]


# ---- at once -----------------------------------------------------------------------------------------------------


def test_what_is_erased_while_it_is_recalled_is_simply_gone(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    with memory.episode(id="e") as episode:
        steps = episode.log_many(["The red door is open.", "The blue door is shut."])
    store = memory._core.store
    read, erased = store.read, list[int]()

    def erasing(positions: Sequence[int]) -> list[Record]:
        if not erased:
            erased.append(steps[0].position)
            store.erase(erased)
        return read(positions)

    monkeypatch.setattr(store, "read", erasing)
    assert said(memory, "door") == ["The blue door is shut."]


def test_an_event_that_is_missing_though_nothing_was_erased_is_an_error_and_no_empty_memory(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(file) as memory:
        memory.episode(id="e").log("The red door is open.")
    with opened(file) as memory:
        store = memory._core.store
        read = store.read
        monkeypatch.setattr(store, "read", lambda positions: read([99] if 1 in positions else positions))
        for ask in (memory.episodes, lambda: memory.recall("door"), memory.stats):
            with pytest.raises(NotFoundError, match="no record at position 99"):
                ask()
        monkeypatch.undo()
        assert said(memory, "door") == ["The red door is open."]


def test_an_event_that_is_erased_while_an_index_is_made_is_simply_gone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(file) as memory:
        first, second = memory.episode(id="one"), memory.episode(id="two")
        first.log("The red door is open.")
        second.log("The blue door is shut.")
    with opened(file) as memory:
        store = memory._core.store
        read = store.read

        def erasing(positions: Sequence[int]) -> list[Record]:
            monkeypatch.undo()
            store.erase([record.position for record in store.scan(episode="one")])
            return read(positions)

        monkeypatch.setattr(store, "read", erasing)
        assert [episode.id for episode in memory.episodes()] == ["two"]


def test_what_is_erased_while_it_is_crystallized_leaves_no_crystal(file: Path) -> None:
    erased: list[int] = []

    def condense(texts: Sequence[str]) -> str:
        if not erased:
            erased.append(steps[0].position)
            other.erase(steps=steps[0].id)
        return " ".join(texts)

    with opened(file) as other, Memory.open(file, encoder=None, condenser=condense, durability="process") as memory:
        episode = memory.episode(id="e")
        steps = episode.log_many(["The secret of the red door is kept well here. " * 3, "The blue door is shut. " * 9])
        episode.end()
        memory.crystallize()
        assert erased
        assert all_crystals(memory)
        assert not any("secret" in crystal.text for crystal in all_crystals(memory))


def test_recall_goes_on_while_a_slow_condenser_works(file: Path) -> None:
    working, done = threading.Event(), threading.Event()

    def condense(texts: Sequence[str]) -> str:
        working.set()
        assert done.wait(20)
        return texts[0]

    with Memory.open(file, encoder=None, condenser=condense, durability="process") as memory:
        episode = memory.episode(id="e")
        episode.log("The red door is open and the hall behind it is dark. " * 40)
        episode.end()
        crystallizing = threading.Thread(target=memory.crystallize)
        crystallizing.start()
        try:
            assert working.wait(20)
            assert len(memory.recall("red door").hits) == 1
            memory.episode(id="f").log("The blue door is open.")
        finally:
            done.set()
            crystallizing.join()
        assert all_crystals(memory)


# ---- encoders ----------------------------------------------------------------------------------------------------


@pytest.fixture
def encoded(file: Path) -> Path:
    with opened(file, encoder=HashEncoder(seed=1)) as memory, memory.episode(id="e") as episode:
        episode.log_many([f"Door {number} is open." for number in range(30)])
    return file


def test_a_changed_encoder_is_seen_in_stats_until_it_has_encoded(encoded: Path) -> None:
    with opened(encoded, encoder=HashEncoder(seed=2)) as memory:
        assert memory.stats().uncoded > 0
        assert memory.recall("door 7", budget=4096).hits
        memory.crystallize()
        assert memory.stats().uncoded == 0
    with opened(encoded, encoder=HashEncoder(seed=1)) as memory:
        assert memory.stats().uncoded == 0


def test_a_changed_encoder_fails_where_it_would_miss_what_is_old(
    encoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "TAIL", 10)
    with opened(encoded, encoder=HashEncoder(seed=2)) as memory:
        with pytest.raises(EncoderError, match=r"crystallize\(\) to encode it again"):
            memory.recall("door 7")
        memory.crystallize()
        assert memory.recall("door 7").hits
    with opened(encoded, encoder=None) as memory:
        assert memory.recall("door 7").hits


# ---- what recall asks for ----------------------------------------------------------------------------------------


def test_no_layers_is_no_crystals(memory: Memory, episode: EpisodeWriter) -> None:
    with episode:
        episode.log("The red door is open and the hall behind it is dark. " * 4)
    assert memory.crystals()
    assert memory.crystals(layers=[]) == []
    assert memory.recall("door", layers=[]).hits == ()
