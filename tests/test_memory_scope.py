"""Namespaces, forgetting, copies, and many at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest
from strategies import all_crystals, opened, said

from agentmem import InvalidInputError, Layer, Memory, NotFoundError
from agentmem.errors import (
    AgentMemError,
    ClosedError,
)
from agentmem.memory import EpisodeWriter
from agentmem.testing import FakeClock, HashEncoder

# ---- namespaces --------------------------------------------------------------------------------------------------


def test_a_namespace_sees_only_itself(memory: Memory) -> None:
    views = [memory, memory.scoped("acme"), memory.scoped("acme", "alice"), memory.scoped("acmealice")]
    for number, view in enumerate(views):
        with view.episode(id="door") as episode:
            episode.log(f"The red door number {number} is open.")
    for number, view in enumerate(views):
        own = f"The red door number {number} is open."
        assert [step.text for step in view.steps()] == [own]
        assert said(view) == [own]
        assert [episode.id for episode in view.episodes()] == ["door"]
        assert len(all_crystals(view)) == 1
        assert view.stats().steps == 1
    with pytest.raises(NotFoundError, match="no step"):
        views[1].step(next(iter(views[2].steps())).id)


def test_read_adds_namespaces_that_recall_may_read_and_nothing_else(memory: Memory) -> None:
    shared, alice, bob = memory.scoped("acme"), memory.scoped("acme", "alice"), memory.scoped("acme", "bob")
    shared.episode(id="house").log("The red door of the house is open.")
    bob.episode(id="bob").log("The red door of Bob is shut.")
    alice.episode(id="alice").log("The red door of Alice is green.")
    reader = memory.scoped("acme", "alice", read=[("acme",)])
    assert said(reader) == ["The red door of the house is open.", "The red door of Alice is green."]
    assert [step.text for step in reader.steps()] == ["The red door of Alice is green."]
    episode = reader.episode(id="alice")
    assert "house" in episode.recall("red door").text
    assert [record.type for record in memory._core.store.scan(("acme",))] == ["begin", "step"]
    assert said(reader, as_of=next(iter(shared.steps())).id) == ["The red door of the house is open."]


def test_a_view_of_a_view_is_named_from_the_root(memory: Memory) -> None:
    assert memory.scoped("acme").scoped("bob").namespace == ("bob",)
    assert memory.scoped().namespace == ()
    for bad in ((("acme", ""), {}), (("acme",), {"read": ["acme"]}), ((7,), {})):
        with pytest.raises(InvalidInputError):
            memory.scoped(*bad[0], **bad[1])  # type: ignore[arg-type]


# ---- forgetting, pinning -----------------------------------------------------------------------------------------


def test_forgetting_hides_from_recall_and_undo_brings_back(file: Path) -> None:
    with opened(file) as memory:
        with memory.episode() as episode:
            steps = episode.log_many([f"The red door {n} is open." for n in range(4)] + ["The hall is green. " * 40])
        before, crystals = memory.recall("red door").text, memory.crystals()
        assert memory.forget(steps=[steps[1].id, steps[2].id]) == 2
        assert said(memory)[:2] == ["The red door 0 is open.", "The red door 3 is open."]
        assert memory.recall("red door", as_of=steps[4].id).text == before
        assert len(list(memory.steps())) == 5
        assert memory.crystals() == crystals
        (unit,) = memory.crystals(layers=["unit"])
        memory.forget(steps=steps[unit.spans[0].position - steps[0].position].id)
        assert memory.recall("red door", layers=["unit"]).hits == ()  # it would show what was forgotten
        memory.forget(steps=steps[unit.spans[0].position - steps[0].position].id, undo=True)
    with opened(file) as memory:
        assert len(said(memory)) == 3
        memory.forget(steps=steps[1].id, undo=True)
        assert len(said(memory)) == 4
        memory.forget(steps=steps[2].id, undo=True)
        assert memory.recall("red door").text == before
        assert memory.recall("red door", layers=["unit"]).hits[0].id == unit.id


def test_an_episode_and_what_was_derived_can_be_forgotten(memory: Memory) -> None:
    with memory.episode(id="house") as episode:
        origin = episode.say("Ann", "The red door opens with the small brass key from the kitchen drawer.")
    with memory.episode(id="later") as episode:
        episode.recall("red door")
        episode.say("assistant", "The red door opens with the small brass key from the kitchen drawer.")
        episode.say("Bo", "The red door is old.")
    assert len(said(memory)) == 2  # the same text is told once
    assert memory.forget(derived_from=origin.id) == 2
    assert said(memory) == ["The red door is old."]
    assert memory.forget(derived_from=origin.id, undo=True) == 2
    assert memory.forget(episode="house") == 1
    unit = next(c for c in memory.crystals() if c.layer is Layer.UNIT)
    assert memory.forget(derived_from=unit.id) == len(unit.sources) + 1  # and the step that repeats it


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, InvalidInputError, "exactly one of steps, episode, derived_from"),
        ({"steps": ["s00000000002"], "episode": "door"}, InvalidInputError, "exactly one"),
        ({"episode": "nowhere"}, NotFoundError, "'nowhere'"),
        ({"steps": ["s00000000099"]}, NotFoundError, "s00000000099"),
        ({"derived_from": "u0123"}, NotFoundError, "u0123"),
    ],
)
def test_what_is_not_there_cannot_be_forgotten(
    memory: Memory, episode: EpisodeWriter, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    episode.log("The red door is open.")
    head = memory.head()
    with pytest.raises(error, match=message):
        memory.forget(**given)
    assert memory.head() == head


def test_a_pin_raises_a_step(memory: Memory) -> None:
    with memory.episode() as episode:
        steps = episode.log_many([f"The red door {n} is open." for n in range(40)])
    plain = memory.recall("red door", 60)
    assert steps[20].id not in [hit.id for hit in plain.hits]
    memory.pin(steps[20].id)
    pinned = memory.recall("red door", 60)
    (hit,) = [hit for hit in pinned.hits if hit.id == steps[20].id]
    assert hit.reasons["pinned"] > 0
    assert memory.recall("red door", 60, as_of=steps[-1].id).text == plain.text
    unit = next(c for c in memory.crystals() if c.layer is Layer.UNIT)
    memory.pin([unit.id])
    assert all(hit.reasons["pinned"] > 0 for hit in memory.recall("red door", 60).hits if hit.id in unit.sources)
    with pytest.raises(NotFoundError, match="no step"):
        memory.pin(["u0123"])


# ---- copies ------------------------------------------------------------------------------------------------------


def test_export_is_one_step_a_line_and_holds_crystals_only_on_request(memory: Memory, tmp_path: Path) -> None:
    with memory.episode(id="door") as episode:
        episode.log_many(["The red door is open.", "", "鍵\u2028\x00"])
    memory.scoped("acme").episode().log("Not this one.")
    memory.export(tmp_path / "log.jsonl")
    memory.export(tmp_path / "all.jsonl", derived=True)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").split("\n") if line]
    assert [line["text"] for line in lines if line.get("type", "step") == "step"] == [
        "The red door is open.",
        "",
        "鍵\u2028\x00",
    ]
    more = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text("utf-8").split("\n") if line]
    assert [line["text"] for line in more if line.get("type") == "crystal"] == [c.text for c in all_crystals(memory)]


def test_a_backup_is_the_same_memory_at_another_path(memory: Memory, tmp_path: Path) -> None:
    with memory.episode() as episode:
        episode.log_many([f"The red door {n} is open." for n in range(50)])
    memory.backup(tmp_path / "copy.mem")
    with pytest.raises(InvalidInputError, match="already exists"):
        memory.backup(tmp_path / "copy.mem")
    with opened(tmp_path / "copy.mem") as copy:
        assert list(copy.steps()) == list(memory.steps())
        assert all_crystals(copy) == all_crystals(memory)
        assert copy.recall("red door").text == memory.recall("red door").text
        assert copy.verify().ok
        copy.episode().log("only here")
    assert len(list(memory.steps())) == 50


# ---- many at once ------------------------------------------------------------------------------------------------


def run_threads(work: list[Any]) -> None:
    errors: list[BaseException] = []

    def guarded(one: Any) -> None:
        try:
            one()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_the_awaited_verbs_do_the_same() -> None:
    async def main() -> None:
        memory = opened()
        episode = memory.episode()
        steps = await asyncio.gather(*(episode.alog(f"The red door {n} is open.") for n in range(10)))
        assert len({step.id for step in steps}) == 10
        assert (await episode.arecall("red door", budget=40)).tokens <= 40
        episode.end()
        assert (await memory.acrystallize()).steps == 10
        assert (await memory.arecall("red door")).text == memory.recall("red door").text
        await memory.aclose()
        with pytest.raises(ClosedError):
            memory.recall("red door")

    asyncio.run(main())


def test_threads_log_recall_crystallize_and_forget_in_one_memory(file: Path) -> None:
    with opened(file, encoder=HashEncoder(32)) as memory:
        done = threading.Event()

        def write(number: int) -> None:
            with memory.episode(id=f"writer {number}") as episode:
                for n in range(25):
                    step = episode.log(f"Writer {number} saw the red door {n} times, and it was open.")
                    if n % 6 == 0:
                        assert episode.recall("red door", 100).tokens <= 100
                    if n % 9 == 0:
                        memory.forget(steps=step.id)

        def read() -> None:
            while not done.is_set():
                context = memory.recall("red door times", 200)
                assert [hit.position for hit in context.hits] == sorted(hit.position for hit in context.hits)
                memory.stats()
                memory.crystals()

        def crystallize() -> None:
            while not done.is_set():
                memory.crystallize()

        helpers = [threading.Thread(target=one) for one in (read, read, crystallize)]
        for helper in helpers:
            helper.start()
        try:
            run_threads([lambda number=number: write(number) for number in range(4)])
        finally:
            done.set()
            for helper in helpers:
                helper.join()
        memory.crystallize()
        assert len(list(memory.steps())) == 100
        assert memory.verify().ok
        crystals = all_crystals(memory)
        memory._core.store.discard(())
        memory.crystallize()
        assert all_crystals(memory) == crystals


def _process(path: str, number: int, queue: Any) -> None:
    try:
        clock = FakeClock(f"2026-01-0{number + 1}T00:00:00+00:00")
        with Memory.open(path, encoder=None, durability="process", clock=clock) as memory:
            unnamed = memory.episode().id
            with memory.episode(id=f"process {number}") as episode:
                for n in range(20):
                    episode.log(f"Process {number} saw the red door {n} times.", key=f"{number}/{n}")
                    if n % 5 == 0:
                        memory.recall("red door", 100)
                        memory.crystallize()
            queue.put((unnamed, [step.text for step in memory.steps(f"process {number}")]))
    except BaseException:
        queue.put(traceback.format_exc())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_two_processes_share_a_file(file: Path) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=_process, args=(str(file), number, queue)) for number in range(2)]
    with opened(file) as memory:
        for child in children:
            child.start()
        answers = [queue.get(timeout=60) for _ in children]
        for child in children:
            child.join()
        assert not [answer for answer in answers if isinstance(answer, str)]
        assert len({unnamed for unnamed, _ in answers}) == 2
        for number in range(2):
            own = [f"Process {number} saw the red door {n} times." for n in range(20)]
            assert [step.text for step in memory.steps(f"process {number}")] == own
            assert own in [answer[1] for answer in answers]
        memory.crystallize()
        crystals = all_crystals(memory)
        memory._core.store.discard(())
        memory.crystallize()
        assert all_crystals(memory) == crystals
        assert memory.verify().ok


def test_every_error_is_of_the_one_tree(memory: Memory) -> None:
    for use in (
        lambda: memory.recall(5),  # type: ignore[arg-type]
        lambda: memory.recall("door", -1),
        lambda: memory.recall("door", layers=["page"]),
        lambda: memory.recall("door", as_of="s99999999999"),
        lambda: memory.blob("no such"),
        lambda: memory.step("no such"),
        lambda: memory.backup("/no/such/place.mem"),
    ):
        with pytest.raises(AgentMemError):
            use()
    with contextlib.suppress(AgentMemError):
        memory.crystals(layers="atom")


def test_threads_that_begin_episodes_at_once_get_one_each(memory: Memory) -> None:
    start, begun = threading.Barrier(8), []

    def begin() -> None:
        start.wait()
        begun.extend(memory.episode().id for _ in range(5))

    run_threads([begin] * 8)
    assert sorted(begun) == sorted(f"episode-{n}" for n in range(1, 41))
