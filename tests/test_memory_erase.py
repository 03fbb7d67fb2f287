"""Erasing: gone from the file, from crystals and from recall."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from strategies import SECRET, all_crystals, opened, said

from agentmem import InvalidInputError, Layer, Memory, NotFoundError
from agentmem.errors import ErasedError, KeyConflictError
from agentmem.memory import EpisodeWriter

# ---- erasing -----------------------------------------------------------------------------------------------------


def anywhere(file: Path, needle: str) -> list[str]:
    """Names of the memory's files that hold these bytes."""
    return [name for name in os.listdir(file.parent) if needle.encode() in (file.parent / name).read_bytes()]


@pytest.fixture
def secretive(file: Path) -> Iterator[Memory]:
    """Two episodes; one step about Ann in each, which is recalled in a third."""
    with opened(file) as memory:
        for name in ("house", "garden"):
            with memory.episode(id=name, goal=f"look at the {name}") as episode:
                episode.say(
                    "Ann",
                    f"{SECRET} In the {name}.",
                    subjects=["ann"],
                    key=f"{name} key",
                    blobs={"b": name.encode() * 9},
                )
                episode.log_many([f"The red door {n} of the {name} is open." for n in range(5)])
        with memory.episode(id="later") as episode:
            episode.recall("vault opens with")
        yield memory


@pytest.mark.parametrize(
    ("given", "steps", "left"),
    [
        ({"subject": "ann"}, 2, 10),
        ({"episode": "house"}, 6, 6),
        ({"steps": "first"}, 1, 11),
        ({"namespace": ()}, 12, 0),
    ],
    ids=str,
)
def test_erasing_reaches_the_file_and_everything_derived(
    secretive: Memory, file: Path, given: dict[str, Any], steps: int, left: int
) -> None:
    memory = secretive
    first = next(iter(memory.steps()))
    if given.get("steps") == "first":
        given = {"steps": [first.id]}
    gone = "In the house"
    dry = memory.erase(**given, dry_run=True)
    assert (dry.dry_run, dry.steps, dry.residue) == (True, steps, ())
    assert dry.crystals > 0
    assert memory.step(first.id).text == first.text
    assert anywhere(file, gone)
    report = memory.erase(**given)
    afterwards = {"dry_run", "surfaces", "certificate"}
    assert report.model_dump(exclude=afterwards) == dry.model_dump(exclude=afterwards)
    assert len(list(memory.steps())) == left
    assert anywhere(file, gone) == []
    assert anywhere(file, "househousehouse") == []
    with pytest.raises(NotFoundError, match="no step"):
        memory.step(first.id)
    with pytest.raises(NotFoundError, match="blob"):
        memory.blob(first.blobs["b"])
    assert gone not in "".join(crystal.text for crystal in all_crystals(memory))
    assert gone not in memory.recall("vault opens seven").text
    shown = [json.loads(r.body)["steps"] for r in memory._core.store.scan(types=["recall"])]
    assert all(first.position not in steps for steps in shown)
    assert memory.verify().ok
    with pytest.raises(KeyConflictError, match="erased"):
        memory.episode(id="other").log(first.text, key="house key")


def test_what_erasing_leaves_is_what_crystallizing_the_rest_gives(secretive: Memory) -> None:
    secretive.erase(subject="ann")
    erased = all_crystals(secretive)
    secretive._core.store.discard(())
    secretive.crystallize()
    assert all_crystals(secretive) == erased
    assert {c.layer for c in erased} == {Layer.UNIT}


def test_an_erased_memory_goes_on_working(file: Path, secretive: Memory) -> None:
    secretive.erase(episode="house")
    secretive.erase(steps=[next(iter(secretive.steps("garden"))).id])
    with secretive.episode(id="after") as episode:
        episode.log("The red door is blue now.")
        assert "blue" in episode.recall("red door blue").text
    with secretive.episode(id="garden") as episode:
        episode.log("The garden is green.")
    secretive.close()
    with opened(file) as memory:
        assert "blue" in memory.recall("red door blue").text
        assert [e.id for e in memory.episodes()] == ["garden", "later", "after"]
        with pytest.raises(KeyConflictError, match="'house'.*erased"):
            memory.episode(id="house")
        assert memory.episode().id == "episode-4"


def test_residue_says_where_erased_text_still_stands(memory: Memory) -> None:
    one = memory.episode(id="one").log(SECRET)
    two = memory.episode(id="two").log(f"Ann again: {SECRET}")
    other = memory.scoped("other").episode(id="three").log(SECRET)
    dry, report = memory.erase(steps=one.id, dry_run=True), memory.erase(steps=one.id)
    named = [(two.id, "two", ()), (other.id, "three", ("other",))]
    assert [(it.step, it.episode, it.namespace) for it in report.repeats] == named
    assert (dry.repeats, dry.crystals) == (report.repeats, report.crystals)
    assert report.residue
    assert all("agent.mem" in place for place in report.residue)


def test_a_step_of_the_same_short_text_is_named_as_a_repeat(memory: Memory) -> None:
    one = memory.episode(id="one").log("PIN 4711", subjects=["ann"])
    two = memory.episode(id="two").log(" PIN 4711\n")
    memory.episode(id="two").log_many(["PIN 4712", "Not PIN 4711"])
    for dry_run in (True, False):
        report = memory.erase(subject="ann", dry_run=dry_run)
        assert [repeat.step for repeat in report.repeats] == [two.id], one


def test_repeats_of_other_namespaces_leave_room_for_those_of_ones_own(memory: Memory) -> None:
    memory.scoped("other").episode(id="three").log_many([SECRET] * 120)
    one = memory.episode(id="one").log(SECRET)
    two = memory.episode(id="two").log(SECRET)
    found = memory.erase(steps=one.id, dry_run=True).repeats
    assert len(found) == 100
    assert found[-1].step == two.id  # in the order of the log


def test_erasing_in_a_namespace_leaves_the_others_alone(memory: Memory) -> None:
    alice, bob = memory.scoped("alice"), memory.scoped("bob", read=[("alice",)])
    with alice.episode() as episode:
        step = episode.log(SECRET, subjects=["ann"])
    with bob.episode(id="bob") as episode:
        episode.log("The vault is blue.", subjects=["ann"])
        assert SECRET in episode.recall("vault").text
    before = all_crystals(bob)
    with pytest.raises(NotFoundError, match="no step"):
        bob.erase(steps=[step.id])
    assert alice.erase(subject="ann").steps == 1
    assert said(bob, "vault") == ["The vault is blue."]
    assert all_crystals(bob) == before
    with bob.episode(id="bob") as episode:  # which was told what is no longer there
        episode.log("The vault is open.")
    assert bob.erase(namespace=("bob",)).steps == 2
    assert bob.erase(namespace=("nobody",)).steps == 0
    assert memory.verify().ok


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, InvalidInputError, "exactly one of subject, episode, steps, namespace"),
        ({"subject": "ann", "episode": "door"}, InvalidInputError, "exactly one"),
        ({"episode": "nowhere"}, NotFoundError, "'nowhere'"),
        ({"namespace": "acme"}, InvalidInputError, "'acme'"),
    ],
)
def test_what_is_not_there_cannot_be_erased(
    memory: Memory, episode: EpisodeWriter, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    episode.log("The red door is open.")
    head = memory.head()
    for dry_run in (True, False):
        with pytest.raises(error, match=message):
            memory.erase(**given, dry_run=dry_run)
    assert memory.erase(subject="nobody").steps == 0
    assert memory.head() == head


def test_a_recall_of_another_namespace_that_showed_what_is_erased_goes_too(memory: Memory) -> None:
    shared = memory.scoped("acme")
    with shared.episode(id="house") as episode:
        step = episode.log(f"{SECRET} In the house.")
    reader = memory.scoped("bob", read=[("acme",)])
    with reader.episode(id="work") as work:
        work.log_many([f"Door {number} is green." for number in range(30)])
        assert step.id in [hit.id for hit in work.recall("vault opens with").hits]
        assert step.id not in [hit.id for hit in work.recall("green door", budget=40).hits]
    made = all_crystals(reader)
    assert made
    shared.erase(steps=step.id)
    records = memory._core.store.scan(("bob",), types=["recall"])
    assert [record.text for record in records] == ["green door"]
    assert all_crystals(reader) == made


def test_a_recall_that_showed_only_crystals_of_what_is_erased_goes_too(memory: Memory) -> None:
    with memory.episode(id="house") as episode:
        step = episode.log(f"{SECRET} In the house. " * 12)
    with memory.episode(id="later") as later:
        hits = later.recall("vault opens with", layers=["unit"]).hits
    assert [hit.layer for hit in hits] == ["unit"]
    memory.erase(steps=step.id)
    assert list(memory._core.store.scan(types=["recall"])) == []


@pytest.mark.parametrize("given", [{"episode": "live"}, {"namespace": ()}])
def test_an_open_episode_that_was_erased_is_not_gone_on_with(memory: Memory, file: Path, given: dict[str, Any]) -> None:
    with memory.episode(id="old") as old:
        old.log("The safe code is 4711.")
    live = memory.episode(id="live")
    live.observe("hello")
    with opened(file) as other:
        there = other.episode(id="live")
        memory.erase(**given)
        head = memory.head()
        for writer in (live, there):
            with pytest.raises(ErasedError, match="episode 'live' .* was erased .* another id"):
                writer.observe("going on with the safe")
            with pytest.raises(ErasedError):
                writer.recall("safe")
            writer.end()
    assert memory.head() == head
    with memory.episode(id="next") as after:
        after.observe("going on with the safe")
    assert "going on" in memory.recall("safe").text


@pytest.mark.parametrize(
    ("cue", "goes"),
    [
        ("{said}", True),
        ("What was asked before?\n{said}\nAnd so on.", True),
        ("My name is Ann Harding, I live", True),
        ("  4711 \n", True),
        ("Is 4711 a room?", False),
        ("", False),
        ("What do you suggest?", False),
    ],
)
def test_a_recall_whose_cue_repeats_what_is_erased_goes_too(memory: Memory, file: Path, cue: str, goes: bool) -> None:
    said = "My name is Ann Harding, I live at 12 Quay Street, Bergen. What do you suggest?"
    episode, other = memory.episode(id="a"), memory.scoped("other").episode(id="b")
    episode.recall(cue.format(said=said))
    other.recall("4711")
    episode.say("user", said, subjects=["ann"])
    episode.say("user", "4711", subjects=["ann"])
    episode.say("user", "", subjects=["ann"])
    episode.observe("The harbour is quiet.")
    report = memory.erase(subject="ann")
    assert (report.steps, report.residue) == (3, ())
    left = [record.text for record in memory._core.store.scan(types=["recall"])]
    assert left == ([] if goes else [cue]) + ["4711"]
    assert anywhere(file, "Quay Street") == []


def test_residue_is_looked_for_by_keys_and_data_as_well(memory: Memory) -> None:
    episode = memory.episode(id="e")
    data = {"note": ["the vault of Ann opens at 4711 o'clock"]}
    first = episode.log("short", key="key-of-ann-and-her-vault-4711", data=data)
    episode.log("She said: the vault of Ann opens at 4711 o'clock.")
    assert memory.erase(steps=first.id).residue
    other = episode.log("short", data={"note": "the garden of Ann is green in the spring"})
    assert memory.erase(steps=other.id).residue == ()


def test_a_namespace_that_has_recalled_is_erased_without_residue_beside_another(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "two.mem") as memory:
        for name in ("ann", "bob"):
            episode = memory.scoped(name).episode()
            episode.log(f"{name} lives at the old mill behind the harbour of the town.")
            episode.recall(f"Where does {name} live, was it at the mill?")
            episode.end()
            memory.scoped(name).crystallize()
        report = memory.erase(namespace=["ann"])
        assert report.steps == 1
        assert report.residue == ()
