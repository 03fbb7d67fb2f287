"""What `retain="crystals"` promises: so many bytes, the newest whole, and nothing gone that a crystal needs."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from strategies import all_crystals, chat, long_log, opened, played

from agentmem import DEFAULT, Layer, Memory, Step
from agentmem.errors import KeyConflictError
from agentmem.ingest import ingest
from agentmem.memory import retention
from agentmem.testing import HashEncoder
from agentmem.tokens import count

HORIZON = 3_000


def on_disk(file: Path) -> int:
    """Bytes of all the memory's files but the two that are gone when it is closed."""
    names = [name for name in os.listdir(file.parent) if name.startswith(file.name)]
    return sum(os.path.getsize(file.parent / name) for name in names if not name.endswith(("-wal", "-shm")))


def allowed(memory: Memory) -> float:
    return retention.FIXED + retention.RATE * sum(step.tokens for step in memory.steps())


def squeezed(patch: pytest.MonkeyPatch, rate: float = 0.8, fixed: int = 68_000) -> None:
    """Allow so few bytes that a short log has to lose text."""
    patch.setattr(retention, "RATE", rate)
    patch.setattr(retention, "FIXED", fixed)


class Kept(NamedTuple):
    """A memory that had to let go, what was logged in it, and what a memory that keeps all made of the same."""

    file: Path
    memory: Memory
    logged: Sequence[dict[str, Any]]
    pinned: frozenset[str]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    file = tmp_path_factory.mktemp("kept") / "agent.mem"
    with pytest.MonkeyPatch.context() as patch, opened(file, retain="crystals", horizon=HORIZON) as memory:
        squeezed(patch)
        logged: list[dict[str, Any]] = []
        pinned: set[str] = set()
        for number in range(6):
            messages = list(chat(110, number))
            for n in range(0, 110, 10):
                messages[n] |= {"key": f"{number}/{n}", "data": {"n": n}}
            with memory.episode(id=f"chat {number}") as episode:
                steps = episode.log_many(messages)
                memory.pin([steps[7].id, steps[50].id])
            logged += messages
            pinned |= {steps[7].id, steps[50].id}
            assert on_disk(file) <= allowed(memory)
        yield Kept(file, memory, logged, frozenset(pinned))


def lost(memory: Memory) -> list[Step]:
    return [step for step in memory.steps() if step.lost]


def holes(text: str) -> list[str]:
    """What still stands in a text, piece by piece."""
    return [piece.strip(" ") for piece in text.split(retention.GAP)]


# ---- bytes -------------------------------------------------------------------------------------------------------


def test_all_files_stay_within_the_allowance(kept: Kept) -> None:
    assert lost(kept.memory)
    assert on_disk(kept.file) <= allowed(kept.memory)
    parts = kept.memory.stats().bytes
    assert sum(size for part, size in parts.items() if part not in ("wal", "total")) == on_disk(kept.file)
    assert kept.memory.stats().bytes["lexicon"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [None, DEFAULT], ids=["lexical", "default"])
def test_three_hundred_thousand_tokens_of_chat_take_a_byte_a_token(tmp_path: Path, encoder: Any) -> None:
    file = tmp_path / "agent.mem"
    with opened(file, retain="crystals", encoder=encoder) as memory:
        for number in range(36):
            with memory.episode() as episode:
                episode.log_many(chat(200, number))
            tokens = sum(step.tokens for step in memory.steps())
            assert on_disk(file) <= 200_000 + tokens
        assert tokens > 290_000
        assert memory.verify().ok
        gone = lost(memory)
        assert 0 < len(gone) < 7_200
    assert on_disk(file) <= 200_000 + tokens
    with opened(file, encoder=encoder) as memory:
        newest = list(memory.steps())[-400:]
        assert not any(step.lost for step in newest)
        assert "name is" in memory.recall("What is my sister's name?", 200).text


@pytest.mark.slow
def test_a_log_of_short_steps_that_change_a_state_each_stays_within_the_allowance(tmp_path: Path) -> None:
    rng = random.Random(3)
    rooms = "kitchen attic cellar hall garden".split()
    with opened(tmp_path / "agent.mem", retain="crystals", horizon=1_000) as memory:
        episode = memory.episode(id="game")
        for _ in range(3):
            episode.log_many([f"You are in the {rng.choice(rooms)}. score: {rng.randrange(999)}" for _ in range(1_000)])
            memory.crystallize()
        stats = memory.stats()
        states = memory._core.store.states(())
        assert 0 < len(states) <= stats.tokens / 30 + 8
        assert stats.bytes["total"] <= 200_000 + stats.tokens


@pytest.mark.slow
def test_a_log_that_repeats_itself_stays_whole(tmp_path: Path) -> None:
    file = tmp_path / "agent.mem"
    with opened(file, retain="crystals", horizon=1_000) as memory:
        for number in range(5):
            with memory.episode() as episode:
                episode.log_many([one.fields | {"trust": None} for one in long_log(24) if one.text is not None])
            assert on_disk(file) <= allowed(memory), number
        assert memory.stats().tokens > 37_000
        assert lost(memory) == []


def test_until_crystallized_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeezed(monkeypatch, rate=0.0, fixed=0)
    with opened(tmp_path / "agent.mem", retain="crystals", horizon=0) as memory:
        memory.episode().log_many(chat(100))
        assert lost(memory) == []
        assert [step.text for step in memory.steps()] == [message["text"] for message in chat(100)]


def test_under_keep_nothing_is_ever_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeezed(monkeypatch, rate=0.0, fixed=0)
    monkeypatch.setattr(retention, "HOT", 0)
    monkeypatch.setitem(retention.MOVE, "keep", 500)
    with opened(tmp_path / "agent.mem") as memory:
        for number in range(3):
            with memory.episode() as episode:
                episode.log_many(chat(110, number))
        assert memory.stats().bytes["archive"] > 8_192
        texts = [message["text"] for number in range(3) for message in chat(110, number)]
        assert [step.text for step in memory.steps()] == texts
        assert memory.verify().ok


@pytest.mark.slow
def test_the_allowance_is_of_the_file_whatever_the_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeezed(monkeypatch, fixed=76_000)  # every namespace keeps a state of its own
    file = tmp_path / "agent.mem"
    with opened(file, retain="crystals", horizon=HORIZON) as memory:
        views = [memory.scoped(name) for name in ("ann", "bo", "cy")]
        for number in range(6):
            with views[number % 3].episode() as episode:
                episode.log_many(chat(110, number))
            assert on_disk(file) <= retention.FIXED + retention.RATE * sum(s.tokens for v in views for s in v.steps())
        assert [bool(lost(view)) for view in views] == [True, True, True]
        assert not any(step.lost for step in list(views[2].steps())[-50:])


# ---- what stays --------------------------------------------------------------------------------------------------


def test_every_step_is_still_there_with_all_but_its_text(kept: Kept) -> None:
    steps = list(kept.memory.steps())
    assert len(steps) == len(kept.logged)
    for step, message in zip(steps, kept.logged, strict=True):
        assert (step.kind, step.actor) == ("message", message["actor"])
        assert (step.key, step.data) == (message.get("key"), message.get("data"))
        assert step.tokens == count(message["text"])
        assert step.lost == (step.text != message["text"])


def test_a_hole_is_marked_and_everything_else_stands_where_it_stood(kept: Kept) -> None:
    for step, message in zip(kept.memory.steps(), kept.logged, strict=True):
        if step.lost:
            assert retention.GAP in step.text
            assert len(step.text) == len(message["text"])
            for new, old in zip(step.text, message["text"], strict=True):
                assert new in (old, " ", retention.GAP)
            assert all(piece in message["text"] for piece in holes(step.text))


def test_the_horizon_is_whole_and_the_oldest_have_lost_most(kept: Kept) -> None:
    steps = list(kept.memory.steps())
    since = 0
    for step in reversed(steps):
        assert not step.lost or since >= HORIZON
        since += step.tokens
    shares = [len("".join(holes(step.text))) / max(1, len(step.text)) for step in steps]
    assert sum(shares[:150]) < 0.8 * sum(shares[-150:])


def test_a_pinned_step_keeps_every_word(kept: Kept) -> None:
    for step, message in zip(kept.memory.steps(), kept.logged, strict=True):
        if step.id in kept.pinned:
            assert not step.lost
            assert step.text == message["text"]


def test_the_words_that_crystals_hold_stay_in_their_steps(kept: Kept) -> None:
    text_of = {step.position: step.text for step in kept.memory.steps()}
    assert {crystal.layer for crystal in all_crystals(kept.memory)} == set(Layer)
    for crystal in all_crystals(kept.memory):
        for at, start, end in crystal.spans:
            assert text_of[at][start:end] in crystal.text
            assert text_of[at][start:end].strip(" " + retention.GAP)


def test_whatever_lost_text_is_found_through_its_unit(kept: Kept) -> None:
    by_step = {step: c for c in all_crystals(kept.memory) if c.layer is Layer.UNIT for step in c.sources}
    for unit in {by_step[step.id].id: by_step[step.id] for step in lost(kept.memory)}.values():
        hits = kept.memory.recall(unit.text, 3000, layers=["unit"]).hits
        ranked = sorted(hits, key=lambda hit: -hit.score)[:5]
        assert unit.id in [hit.id for hit in ranked]


def test_facts_are_still_told(kept: Kept) -> None:
    facts = [m["text"] for m in kept.logged if "favorite color is" in m["text"]]
    told = [step.text for step in kept.memory.steps() if "favorite color is" in step.text]
    assert len(told) >= 0.8 * len(facts)
    assert "favorite color is" in kept.memory.recall("What is my favorite color?", 150).text


def test_a_retry_is_still_recognised(kept: Kept) -> None:
    (step, *_) = [step for step in lost(kept.memory) if step.key is not None]
    message = kept.logged[[s.id for s in kept.memory.steps()].index(step.id)]
    episode = kept.memory.episode(id=step.episode)
    assert episode.log(**message).id == step.id
    with pytest.raises(KeyConflictError):
        episode.log(**message | {"text": "something else"})


def test_recall_shows_holes_as_marks_and_keeps_its_budget(kept: Kept) -> None:
    (step, *_) = lost(kept.memory)
    for budget in (20, 40, 80, 200, 1000):
        context = kept.memory.recall(" ".join(holes(step.text)), budget)
        assert context.tokens <= budget
        assert "  " not in context.text
    assert step.id in [hit.id for hit in context.hits]


# ---- reopening, copies -------------------------------------------------------------------------------------------


def test_a_reopened_memory_recalls_the_same_with_its_index_made_again(kept: Kept, tmp_path: Path) -> None:
    kept.memory.backup(tmp_path / "copy.mem")
    cues = ["favorite color", "sister's name", "invoice number 10004", " ".join(holes(lost(kept.memory)[3].text))]
    for read_only in (True, False):
        with opened(tmp_path / "copy.mem", read_only=read_only) as copy:
            for cue in cues:
                for layers in (None, ["unit", "cluster", "atom"]):
                    mine = kept.memory.recall(cue, 300, layers=layers)
                    assert copy.recall(cue, 300, layers=layers).text == mine.text
            assert copy.verify().ok
            assert all_crystals(copy) == all_crystals(kept.memory)
            assert list(copy.steps()) == list(kept.memory.steps())
    with opened(tmp_path / "copy.mem") as copy, copy.episode(id="more") as episode:
        episode.log("The ferry to Bergen leaves at noon.")
        assert "Bergen" in episode.recall("ferry Bergen").text
    assert kept.memory.verify().ok


def test_what_was_kept_can_be_exported_and_imported(kept: Kept, tmp_path: Path) -> None:
    kept.memory.export(tmp_path / "log.jsonl")
    with opened(tmp_path / "other.mem") as other:
        ingest(other, tmp_path / "log.jsonl")
        assert [(s.text, s.lost) for s in other.steps()] == [(s.text, s.lost) for s in kept.memory.steps()]
        other.export(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "log.jsonl").read_bytes()


# ---- in company --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_reopening_between_episodes_keeps_every_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeezed(monkeypatch, fixed=64_000)
    file = tmp_path / "agent.mem"
    opened(file, retain="crystals", horizon=HORIZON).close()
    for number in range(4):
        with opened(file, encoder=HashEncoder(16)) as memory:
            with memory.episode() as episode:
                episode.log_many(chat(110, number))
            assert on_disk(file) <= allowed(memory)
            assert not any(step.lost for step in list(memory.steps())[-60:])
            assert "favorite color is" in memory.recall("What is my favorite color?", 150).text
            assert memory.verify().ok
    with opened(file) as memory:
        assert lost(memory)


def test_another_encoder_finds_what_is_there(tmp_path: Path) -> None:
    file, one, other = tmp_path / "agent.mem", HashEncoder(16, seed=1), HashEncoder(24, seed=2)
    with played(long_log(), file, retain="crystals", encoder=one) as memory:
        memory.crystallize()
    with opened(file, encoder=other) as memory, played(long_log(), retain="crystals", encoder=other) as fresh:
        memory.crystallize()
        fresh.crystallize()
        assert memory._core.store.encoders(()) == []
        for cue in ("red door score", "captain ship", "exit code"):
            assert memory.recall(cue, 300).text == fresh.recall(cue, 300).text


@pytest.mark.slow
def test_codes_are_not_stored_and_are_those_of_a_memory_that_keeps_them(tmp_path: Path) -> None:
    file = tmp_path / "agent.mem"
    with opened(file, retain="crystals", encoder=HashEncoder(16)) as memory, opened(encoder=HashEncoder(16)) as whole:
        for start in range(0, 400, 37):
            for one in (memory, whole):
                one.episode(id=str(start)).log_many(list(chat(400))[start : start + 37])
                one.crystallize()
        memory.recall("favorite color")
        assert memory._core.store.encoders(()) == []
        assert memory.stats().bytes["codes"] == memory.stats().uncoded == 0
        for name in ("rows", "born", "owner", "position"):
            mine, others = (getattr(one._core.index(()).dense(), name) for one in (memory, whole))
            assert mine.tolist() == others.tolist()
        known = memory.recall("what is my favorite color?", 300)
    with opened(file, encoder=HashEncoder(16), read_only=True) as memory:
        again = memory.recall("what is my favorite color?", 300)
        assert (again.text, again.store_version) == (known.text, known.store_version)


@pytest.mark.slow
def test_a_condenser_of_ones_own_does_not_keep_every_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeezed(monkeypatch)
    file = tmp_path / "agent.mem"

    def condenser(texts: Sequence[str]) -> str:
        words = sorted({word for text in texts for word in text.split() if len(word) > 7})
        return "About " + " ".join(words)

    with opened(file, retain="crystals", horizon=HORIZON, condenser=condenser) as memory:
        for number in range(4):
            with memory.episode() as episode:
                episode.log_many(chat(110, number))
        assert lost(memory)
        assert on_disk(file) <= allowed(memory)
        assert memory.verify().ok


@pytest.mark.slow
def test_recalled_text_is_not_learned_from_a_thinned_step_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeezed(monkeypatch, fixed=50_000)
    secret = "Ingrid Solberg keeps the brass key of the lighthouse in the green locker."
    with opened(tmp_path / "agent.mem", retain="crystals", horizon=1_000) as memory:
        with memory.episode(id="first") as episode:
            episode.say("user", secret)
            episode.recall("Where is the brass key?")
            for message in chat(30):
                episode.log(**message | {"text": f"{message['text']} As I recall: {secret} {message['text']}"})
        for number in range(3):
            with memory.episode() as episode:
                episode.log_many(chat(110, number))
        repeats = {step.position: step for step in list(memory.steps("first"))[1:] if step.actor == "assistant"}
        assert any(step.lost for step in repeats.values())
        assert all(step.recalled for step in repeats.values())
        for crystal in all_crystals(memory):
            for at, start, end in crystal.spans:
                assert at not in repeats or all(end <= a or b <= start for a, b in repeats[at].recalled)
