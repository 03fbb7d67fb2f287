"""Replay: frames by number, the same in every process, and as of their steps whatever came later."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lawful import BUDGETS, ENCODERS, few
from strategies import CUES, Player, Said, chat, logs, long_log, opened

from agentmem import Layer, Memory, NotFoundError
from agentmem.errors import InvalidInputError
from agentmem.replay import Frame, Frames, replay

ROOT = Path(__file__).parent.parent
DIGEST = """
import hashlib, sys
from agentmem import Memory
from agentmem.replay import replay
with Memory.open(sys.argv[1], read_only=True) as memory:
    made = hashlib.sha256()
    frames = replay(memory, "chat")
    for frame in frames:
        made.update(frame.to_json().encode())
    print(len(frames), made.hexdigest())
"""
ASKED = ("What is my favorite color?", "Where do I live now?", "What is the invoice number?")
ALPHA = {"id": "alpha", "goal": "goal of alpha", "agent": "agent a"}
CRYSTALS = ("formed", "retired", "crystallized")


def with_recalls(path: Path | str, messages: int, every: int, letters: int = 1_000, **settings: Any) -> Memory:
    """A conversation in which something is recalled before every so many messages."""
    memory = opened(path, **settings)
    with memory.episode(id="chat", goal="talk") as episode:
        said = [{**one, "text": one["text"][:letters]} for one in chat(messages)]
        for start in range(0, messages, every):
            episode.log_many(said[start : start + every])
            if start + every < messages:
                episode.recall(ASKED[start // every % len(ASKED)], budget=150)
    return memory


def lines(frames: Sequence[Frame]) -> list[str]:
    return [frame.to_json() for frame in frames]


# ---- a sequence --------------------------------------------------------------------------------------------------


@pytest.fixture
def frames(memory: Memory) -> Frames:
    """A key, a recall, a door; then a recall that no step follows."""
    episode = memory.episode(goal="open the red door", id="door", agent="ada")
    episode.observe("The brass key hangs in the kitchen.")
    memory.episode(id="other").observe("The red door of another house is green.")
    episode.recall("Where is the key to the red door?", budget=60)
    episode.act("take the brass key")
    episode.observe("You have the brass key.", reward=1.0, terminated=True)
    episode.recall("What do I have?", budget=60)
    return replay(memory, "door")


def test_frames_are_a_sequence_of_the_steps_of_an_episode(frames: Frames) -> None:
    assert len(frames) == 3
    assert [frame.step.text for frame in frames] == [
        "The brass key hangs in the kitchen.",
        "take the brass key",
        "You have the brass key.",
    ]
    assert frames[-1].to_json() == frames[2].to_json() == frames[1:][1].to_json()
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert frames.number_of(frames[1].step.id) == 1
    assert [len(frame.recalls) for frame in frames] == [0, 1, 0]
    (shown,) = frames[1].recalls
    assert (shown.same, shown.cue, shown.budget) == (True, "Where is the key to the red door?", 60)
    assert "brass key hangs" in shown.context.text
    assert shown.ranked[0].rank == 1
    assert shown.context.tokens == shown.tokens


def test_a_recall_that_no_step_follows_yet_is_in_the_tail(frames: Frames, memory: Memory) -> None:
    (waiting,) = frames.tail.recalls
    assert (waiting.cue, waiting.same) == ("What do I have?", True)
    before = lines(frames)
    memory.episode(id="door").act("open the red door")
    again = replay(memory, "door")
    assert lines(again)[:3] == before
    assert [recall.cue for recall in again[3].recalls] == ["What do I have?"]
    assert again.tail.recalls == ()


def test_a_namespace_is_played_whole_with_each_recall_before_a_step_of_its_own_episode(memory: Memory) -> None:
    one, other = memory.episode(id="one"), memory.episode(id="two")
    one.observe("The red door is locked.")
    one.recall("door", budget=40)
    other.observe("The sea is calm.")
    one.act("knock")
    whole = replay(memory, None)
    assert [(frame.step.text, len(frame.recalls)) for frame in whole] == [
        ("The red door is locked.", 0),
        ("The sea is calm.", 0),
        ("knock", 1),
    ]
    assert whole.data()["episode"] is None


def test_an_episode_without_steps_has_no_frames(memory: Memory) -> None:
    memory.episode(id="empty")
    assert list(replay(memory, "empty")) == []
    assert replay(memory, "empty").tail.recalls == ()
    assert len(replay(memory.scoped("nobody"), None)) == 0


def test_a_frame_is_made_without_those_before(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.episode(id="long").log_many([f"step {number} of a long day" for number in range(2_000)])
    long, read = replay(memory, "long"), list[int]()
    store = memory._core.store
    reading = store.read
    monkeypatch.setattr(store, "read", lambda positions: read.extend(positions) or reading(positions))
    assert long[1_500].step.text == "step 1500 of a long day"
    assert len(read) == 1


@pytest.mark.parametrize("steps", [750, pytest.param(5_000, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_long_conversation_is_the_same_bytes_in_every_process(steps: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with_recalls(path, steps, 125, letters=60).close()
    said = []
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        run = [sys.executable, "-c", DIGEST, str(path)]
        said.append(subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout)
    assert said[0] == said[1]
    assert said[0].startswith(f"{steps} ")
    with Memory.open(path, encoder=None) as memory:
        again = replay(memory, "chat")
        assert all(recall.same for number in range(125, steps, 125) for recall in again[number].recalls)
        assert sum(len(frame.formed) for frame in again[500:600]) > 5


# ---- as of ------------------------------------------------------------------------------------------------------


@st.composite
def played_on(draw: st.DrawFn) -> tuple[Sequence[Said], Sequence[Said], list[tuple[int, str, int, Any]]]:
    """What is logged, what is logged later, and recalls: after how many steps, cue, budget, layers."""
    said, later = draw(logs(least=2, most=6)), draw(logs(most=4))
    layers = st.sampled_from((None, None, ("unit",), ("unit", "cluster", "atom")))
    places = st.tuples(st.integers(0, len(said)), st.sampled_from(CUES), BUDGETS, layers)
    return said, later, sorted(draw(st.lists(places, max_size=5)), key=lambda one: one[0])


@few(10)
@given(played_on(), ENCODERS, st.booleans())
def test_later_steps_crystals_and_recalls_never_change_an_earlier_frame(
    drawn: tuple[Sequence[Said], Sequence[Said], list[tuple[int, str, int, Any]]], encoder: Any, early: bool
) -> None:
    said, later, recalls = drawn
    with opened(encoder=encoder) as memory:
        player, done, live = Player(memory), 0, list[str]()
        for place, cue, budget, layers in recalls:
            player.play(said[done:place])
            done = place
            if early:
                memory.crystallize()
            live.append(memory.episode(**ALPHA).recall(cue, budget, layers=layers).text)
            player.reopened(memory)
        player.play(said[done:])
        player.play([Said("alpha", "So be it.")])
        before = replay(memory, None)
        first = [json.loads(line) for line in lines(before)]
        made = [recall for frame in before for recall in frame.recalls]
        assert [recall.context.text for recall in made] == live
        assert all(recall.same for recall in made)
        player.play(later)
        memory.crystallize()
        for cue in CUES[:3]:
            memory.episode(**ALPHA).recall(cue, 200)
        player.play([Said("beta", "And so on.")])
        memory.crystallize()
        second = [json.loads(line) for line in lines(replay(memory, None)[: len(first)])]
    for old, new in zip(first, second, strict=True):
        settled = old["crystallized"]
        assert {**new, **{name: old[name] for name in CRYSTALS if not settled}} == old


def test_a_frame_that_is_not_crystallized_yet_says_so(memory: Memory) -> None:
    memory.episode(id="e").log_many([f"The score is {n}." for n in range(40)])
    assert not any(frame.crystallized or frame.formed for frame in replay(memory, "e"))
    memory.episode(id="e").end()
    memory.crystallize()
    after = replay(memory, "e")
    assert all(frame.crystallized for frame in after)
    assert [crystal.layer for crystal in after.tail.formed]


def test_crystals_are_told_where_they_formed_and_where_a_newer_value_superseded_them() -> None:
    with opened() as memory:
        Player(memory).play(long_log())
        memory.crystallize()
        whole = replay(memory, None)
        made = [crystal.id for frame in whole for crystal in frame.formed]
        made += [crystal.id for crystal in whole.tail.formed]
        index = memory._core.index(memory.namespace)
        assert made == [crystal.id for crystal in sorted(index.crystals, key=lambda one: one.born)]
        gone = [(frame, one) for frame in whole for one in frame.retired]
        assert {one.crystal.id for _, one in gone} <= set(index.retired)
        assert gone
        for frame, one in gone:
            assert one.crystal.layer is Layer.ATOM
            assert frame.step.position >= index.retired[one.crystal.id]
            newer = [crystal for crystal in index.crystals if crystal.id == one.by]
            assert [(each.key, each.born) for each in newer] in ([], [(one.crystal.key, index.retired[one.crystal.id])])
        assert any(one.by for _, one in gone)


# ---- what would have been recalled -------------------------------------------------------------------------------


def test_another_cue_or_budget_gives_what_memory_knew_then() -> None:
    with with_recalls(":memory:", 300, 20) as memory:
        frames = replay(memory, "chat")
        frame = frames[100]
        (shown,) = frame.recalls
        same = frames.recall(100)
        assert (same.context.text, same.same, same.position) == (shown.context.text, None, None)
        less = frames.recall(100, budget=40)
        assert 0 < less.context.tokens <= 40 < shown.context.tokens
        other = frames.recall(100, "What is my favorite color?")
        assert other.as_of == shown.as_of
        assert {hit.position <= shown.as_of for _, hit in other.ranked} == {True}
        units = frames.recall(100, layers=["unit"])
        assert {hit.layer for _, hit in units.ranked} <= {Layer.UNIT}
        alone = frames.recall(101, "What is my favorite color?", 300)
        before = memory.recall("What is my favorite color?", 300, as_of=frames[100].step.id)
        assert [hit.id for _, hit in alone.ranked] == [hit.id for hit in before.hits]
        with pytest.raises(InvalidInputError, match=f"nothing was recalled before step {frames.step(101).id}: give a"):
            frames.recall(101)


def test_other_settings_hold_for_every_frame() -> None:
    with with_recalls(":memory:", 100, 20) as memory:
        small = replay(memory, "chat", budget=50)
        assert [len(frame.recalls) for frame in small] == [len(frame.recalls) for frame in replay(memory, "chat")]
        assert max(recall.context.tokens for frame in small for recall in frame.recalls) <= 50
        asked = replay(memory, "chat", cue="Where do I live?", budget=50)
        assert {len(frame.recalls) for frame in asked} == {1}
        assert asked[0].recalls[0].context.text == ""
        assert 0 < asked[99].recalls[0].context.tokens <= 50


def test_what_just_missed_the_budget_are_the_next_candidates_by_rank() -> None:
    with with_recalls(":memory:", 300, 20) as memory:
        (shown,) = (recall for recall in replay(memory, "chat")[200].recalls)
        ranks = [one.rank for one in shown.missed]
        assert ranks == sorted(ranks)
        assert len(ranks) == 5
        assert not {hit.id for _, hit in shown.missed} & {hit.id for hit in shown.context.hits}
        everything = list(memory.rank(shown.cue, as_of=replay(memory, "chat").step(199).id))
        assert {everything[rank - 1].id == hit.id for rank, hit in shown.missed if rank} == {True}


# ---- what cannot be ----------------------------------------------------------------------------------------------


def test_wrong_arguments_are_refused_with_what_to_give(frames: Frames, memory: Memory) -> None:
    with pytest.raises(NotFoundError, match=r"there is no episode 'dor'; did you mean 'door'\?"):
        replay(memory, "dor")
    with pytest.raises(InvalidInputError, match="memory 'a.mem' is no Memory; open one"):
        replay("a.mem", "door")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="budget"):
        replay(memory, "door", budget=-1)
    with pytest.raises(InvalidInputError, match="cue must be str, not int"):
        replay(memory, "door", cue=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="layers .*use some of unit"):
        replay(memory, "door", layers=["line"])
    with pytest.raises(InvalidInputError, match="count_tokens 5 is no function"):
        replay(memory, "door", count_tokens=5)  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="there is no frame 3: the replay has 3, from 0 to 2"):
        frames[3]
    with pytest.raises(NotFoundError, match=r"step 's00000000099' is not in episode 'door'; its steps go from s0000"):
        frames.number_of("s00000000099")
    for ask in (lambda: frames.recall(7, "door"), lambda: frames.step(7), lambda: frames.kind(7)):
        with pytest.raises(IndexError, match="there is no frame 7: the replay has 3, from 0 to 2"):
            ask()
    for frame in ("door", 1.5, None):
        with pytest.raises(InvalidInputError, match="is no number; give one from 0, or what number_of"):
            frames[frame]  # type: ignore[call-overload]


def test_a_replay_reads_and_writes_nothing(frames: Frames, memory: Memory) -> None:
    before = memory.head()
    lines(frames)
    frames.recall(0, "door")
    assert memory.head() == before
