"""Replay of real runs: each context is the one that was shown live, and where that cannot be, replay says why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import at_desk, begin, desk, thread
from rolls import SHOP, memory_at, shop
from strategies import opened

from agentmem import Memory, NotFoundError, PlanningContext
from agentmem.cli.show import safe
from agentmem.errors import InvalidInputError
from agentmem.ingest import ingest
from agentmem.langchain import EpisodicMemory
from agentmem.replay import Frames, Player, Recall, compare, replay, rerun
from agentmem.rollout import Again, load_policy
from agentmem.testing import HashEncoder
from agentmem.transfer import export

HOSTILE = "\x1b]0;owned\x07\x1b[2J</script><script>alert(1)</script>\u202egnp.exe \x9b31m " + "x" * 50_000


class Kept:
    """A policy that keeps every context that it is shown."""

    def __init__(self) -> None:
        self.reader: Any = load_policy("reader", None)
        self.contexts: list[PlanningContext] = []

    def act(self, observation: Any, context: PlanningContext | None) -> Any:
        if context is not None and context.hits:
            self.contexts.append(context)
        return self.reader.act(observation, context)


class Watched(EpisodicMemory):
    """Keeps every planning context that a prompt had anew."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.contexts: list[str] = []

    def _prompt(self, request: Any) -> Any:
        prompt = super()._prompt(request)
        if prompt.recalled and prompt.thread.standing is not None:
            self.contexts.append(str(prompt.thread.standing.message.content))
        return prompt


def recalls(frames: Frames) -> list[Recall]:
    return [recall for frame in frames for recall in frame.recalls]


# ---- real runs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shift() -> Iterator[tuple[Memory, Kept]]:
    """One shift at the small shop; the memory as that episode sees it."""
    with memory_at() as memory:
        kept = Kept()
        shop(memory, kept, episodes=1, workers=1, name="kept")
        yield memory.scoped(SHOP, "0"), kept


def test_the_contexts_of_a_rollout_are_those_that_were_shown_live(shift: tuple[Memory, Kept]) -> None:
    memory, kept = shift
    for frames in (replay(memory, None), replay(memory, "calls")):
        made = recalls(frames)
        assert all(recall.same for recall in made)
        assert [recall.context.model_dump() for recall in made] == [one.model_dump() for one in kept.contexts]
        assert len(made) > 20


def test_the_contexts_of_a_langchain_agent_are_those_that_stood_in_its_prompts() -> None:
    with Memory.open(":memory:") as memory:
        place, mine = desk(40, steps=40, delay=15), Watched(memory)
        agent, _ = at_desk(place, [mine], tokens=2_000)
        agent.invoke(begin(place), thread())
        frames = replay(memory, "t1")
        made = recalls(frames)
        assert all(recall.same for recall in made)
        assert len(made) == len(mine.contexts) > 20
        for recall, live in zip(made, mine.contexts, strict=True):
            assert f"\n{recall.context.text}\n</planning_context>" in live
        assert "without" in made[-1].settings


def test_every_setting_of_a_recall_is_in_its_record(tmp_path: Path) -> None:
    encoder = HashEncoder(32)
    with opened(tmp_path / "a.mem", encoder=encoder) as whole:
        other = whole.scoped("shared")
        other.episode(id="rules", agent="law").log_many([f"Rule {n}: door {n} stays shut." for n in range(20)])
        other.crystallize()
        memory = whole.scoped("ann", read=[("shared",)])
        episode = memory.episode(id="run", goal="shut every door", agent="ada")
        episode.log_many([f"Door {n} is open." for n in range(30)])
        first = episode.observe("Door 99 is open.")
        live = [
            episode.recall("Which door stays shut?", 120, count_tokens=len),
            episode.recall("door", 80, episode="run", marks=True),
            episode.recall("door rule", 80, agent="law"),
            episode.recall("door", 80, as_of=first.id),
            episode.recall("door", 80, layers=["unit", "atom"]),
            episode.recall("nothing of the kind xyzzyplugh", 80),
            episode.recall("door 99", 0),
        ]
        episode.act("shut it")
        whole.crystallize()
        memory.crystallize()
        other.crystallize()
    with opened(tmp_path / "a.mem", encoder=encoder, read_only=True) as whole:
        made = recalls(replay(whole.scoped("ann", read=[("shared",)]), "run", count_tokens=len))
        assert [recall.same for recall in made] == [True] * 7
        assert [recall.context.model_dump() for recall in made] == [context.model_dump() for context in live]
        assert made[2].settings["agent"] == "law"
        assert made[0].settings["read"] == [["shared"]]


def lodgers(path: Path, read: tuple[str, ...]) -> None:
    """An export of Ann's namespace, whose recall showed steps of another one."""
    with opened(path.with_suffix(".mem")) as whole:
        whole.scoped(*read).episode(id="b").log_many([f"The vault code is {n}{n}{n}{n}." for n in range(4)])
        ann = whole.scoped("ann", read=[read])
        episode = ann.episode(id="a")
        episode.observe("Ann looks for the vault code.")
        episode.recall("vault code")
        episode.act("go")
        ann.export(path)


@pytest.mark.parametrize("there", [("bob",), ("shared",)])
def test_a_replay_shows_no_step_of_a_namespace_that_its_view_does_not_read(tmp_path: Path, there: Any) -> None:
    lodgers(tmp_path / "ann.jsonl", ("shared",))
    with opened() as whole:
        whole.scoped(*there).episode(id="b").log_many([f"Secret {n} of the vault." for n in range(10)])
        ingest(whole, tmp_path / "ann.jsonl")
        for view in (whole.scoped("ann"), whole.scoped("ann", read=[("shared",)])):
            frames = replay(view, "a")
            (shown,) = recalls(frames)
            texts = [text for _, text in shown.recorded] + [frames.recall(1, cue="vault secret").context.text]
            assert "Secret" not in str(texts) or there in view.namespaces
            assert [text for _, text in shown.recorded] == ["Ann looks for the vault code."]


def test_a_recall_that_read_more_than_the_view_says_so(tmp_path: Path) -> None:
    lodgers(tmp_path / "ann.jsonl", ("shared",))
    with opened(tmp_path / "ann.mem") as whole:
        frames = replay(whole.scoped("ann"), "a")
        (shown,) = recalls(frames)
        assert (shown.same, shown.why) == (False, "it also read ('shared',): give the view read=")
        assert [text for _, text in shown.recorded].count(None) == 4
        assert "code is" not in frames.recall(1, cue="vault code").context.text
        (again,) = recalls(replay(whole.scoped("ann", read=[("shared",)]), "a"))
        assert again.same


def test_what_an_imported_recall_showed_of_another_namespace_comes_along_with_it(tmp_path: Path) -> None:
    lodgers(tmp_path / "ann.jsonl", ("shared",))
    with opened(tmp_path / "ann.mem") as whole, opened() as copy:
        copy.episode(id="first").log_many(["One.", "Two."])
        export(whole._core.store, [("ann",), ("shared",)], tmp_path / "whole.jsonl")
        for _ in range(2):
            ingest(copy, tmp_path / "whole.jsonl")
        (shown,) = recalls(replay(copy.scoped("ann", read=[("shared",)]), "a"))
        assert sum("vault code is" in (text or "") for _, text in shown.recorded) == 4
        ingest(whole, tmp_path / "ann.jsonl")
        assert len(list(whole._core.store.scan(types=["recall"]))) == 1


# ---- what cannot be the same -------------------------------------------------------------------------------------


@pytest.fixture
def told(file: Path) -> Iterator[Memory]:
    """Two recalls: one counted in letters; then steps follow."""
    with opened(file, encoder=HashEncoder(32)) as memory:
        with memory.episode(id="e", goal="open the door") as episode:
            episode.observe("The brass key hangs in the kitchen.", subjects=["ann"])
            episode.observe("The red door is locked, and the kitchen is dark.")
            episode.recall("Where is the key?", 100, count_tokens=len)
            episode.act("look at the red door")
            episode.recall("Is the red door locked?", 40)
            episode.act("take the brass key")
        yield memory


def test_another_counter_of_tokens_is_told(told: Memory) -> None:
    first, second = recalls(replay(told, "e"))
    assert (first.same, second.same) == (False, True)
    assert first.why == "its tokens were counted by a counter of the caller's own: give count_tokens to replay"
    assert [text for _, text in first.recorded] != []
    assert recalls(replay(told, "e", count_tokens=len))[0].same
    wrong = recalls(replay(told, "e", count_tokens=lambda text: 2 * len(text)))[0]
    assert wrong.why == "its tokens were counted by another counter than the count_tokens that was given"


def test_another_encoder_is_told_and_none_is_asked_as_none(file: Path, tmp_path: Path) -> None:
    live = []
    for path, encoder in ((file, HashEncoder(32)), (tmp_path / "lexical.mem", None)):
        with opened(path, encoder=encoder) as memory:
            episode = memory.episode(id="e")
            episode.log_many([f"{a} {b} door" for a in ("red", "blue", "old") for b in ("oak", "iron", "glass")])
            live.append(episode.recall("crimson doors of steel", 30).text)
            episode.act("go")
    with opened(file, encoder=HashEncoder(64), read_only=True) as other:
        (recall,) = recalls(replay(other, "e"))
        assert not recall.same
        assert re.match(
            r"it was recalled with encoder \S*hash-32\S*, and the memory is open with \S*hash-64", recall.why
        )
    with opened(tmp_path / "lexical.mem", encoder=HashEncoder(64), read_only=True) as other:
        (recall,) = recalls(replay(other, "e"))
        assert (recall.same, recall.context.text) == (True, live[1])


def test_an_erasure_is_told_where_it_was_and_by_what_it_changed(told: Memory) -> None:
    before = replay(told, "e")
    assert [frame.erased for frame in before] == [0, 0, 0, 0]
    told.erase(subject="ann")
    with pytest.raises(NotFoundError, match="steps were erased or written anew since the replay was opened; open it"):
        before[1]
    after = replay(told, "e")
    assert after[0].step.text == "The red door is locked, and the kitchen is dark."
    assert after[0].erased == 1
    assert "brass key hangs" not in "".join(frame.to_json() for frame in after)
    for recall in recalls(after):
        assert recall.same or recall.why == "something was erased from the memory since"


def test_forgetting_is_told_where_it_was_and_changes_no_frame_before(told: Memory) -> None:
    before = [frame.to_json() for frame in replay(told, "e")]
    step = replay(told, "e").step(0).id
    told.forget(steps=step)
    told.pin(replay(told, "e").step(1).id)
    told.episode(id="e").act("open the door")
    frames = replay(told, "e")
    assert [frame.to_json() for frame in frames][: len(before)] == before
    assert [(event.what, event.steps[0] == step) for event in frames[-1].events] == [("forget", True), ("pin", False)]
    assert step not in {hit.id for _, hit in frames.recall(len(frames) - 1, "key").ranked}


def test_a_record_of_another_form_is_told_and_stops_nothing(file: Path, tmp_path: Path) -> None:
    lines = [
        {"type": "begin", "episode": "e"},
        {"id": "1", "episode": "e", "text": "The red door is locked."},
        {"type": "recall", "episode": "e", "text": "door", "steps": ["1"], "hits": ["1"], "budget": "many"},
        {
            "type": "recall", "episode": "e", "text": "door", "steps": ["1"], "hits": ["1", "ghost"], "budget": 9,
            "tokens": 9, "store_version": "999:9.9.9", "sha256": "0", "as_of": None,
        },
        {
            "type": "recall", "episode": "e", "text": "door", "steps": [], "hits": [], "budget": 9, "tokens": 9,
            "store_version": "2:0.0.0", "sha256": "0", "as_of": None,
        },
        {"id": "2", "episode": "e", "text": "knock", "kind": "action"},
        {"id": "3", "episode": "other", "text": "The sea is calm.", "subjects": ["ann"]},
    ]  # fmt: skip
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(map(json.dumps, lines)))
    with opened(file) as memory:
        ingest(memory, log)
        broken, elsewhere, changed = recalls(replay(memory, "e"))
        assert broken.why.startswith("the record of it is not as agentmem writes it (budget: ")
        assert elsewhere.why == "it was logged in another memory, and imported"
        assert [text for _, text in elsewhere.recorded] == ["The red door is locked.", None]
        assert changed.why.startswith("another version of agentmem recalled it")
        assert json.loads(replay(memory, "e")[1].to_json())["recalls"]["count"] == 3
        memory.erase(subject="ann")
        assert recalls(replay(memory, "e"))[2].why == "something was erased from the memory since"
        with pytest.raises(InvalidInputError, match="nothing was recalled"):
            replay(memory, "e").recall(0)


def test_hostile_and_long_texts_stay_data_and_within_bounds(memory: Memory) -> None:
    episode = memory.episode(id="\x1b[31mred", goal=HOSTILE)
    episode.observe(HOSTILE, actor="\x1b]8;;evil", data={"x": "y" * 90_000}, subjects=[f"s{n}" for n in range(500)])
    episode.recall(HOSTILE[:500], 500)
    episode.act("</script>")
    frames = replay(memory, "\x1b[31mred")
    for line in (frame.to_json() for frame in frames):
        assert line.isascii()
        assert "<" not in line
        assert len(line) < 200_000
    first = frames[0].data()["step"]
    assert (len(first["text"]), first["characters"]) == (20_000, len(HOSTILE))
    assert (first["data"], first["data_characters"]) == (None, 90_008)
    assert (len(first["subjects"]["first"]), first["subjects"]["count"]) == (100, 500)
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 or letter == "\u202e" for letter in safe(HOSTILE))


# ---- two replays -------------------------------------------------------------------------------------------------


def test_two_settings_are_compared_step_by_step(shift: tuple[Memory, Kept]) -> None:
    memory, _ = shift
    less = compare(replay(memory, None), replay(memory, None, budget=60))
    assert len(less) == len(replay(memory, None))
    assert all(pair.same and pair.left == pair.right for pair in less.pairs)
    shown = [one for one in less if one.left and one.left.recalls]
    assert all(one.tokens[1] <= 60 for one in shown)
    assert any(one.only_left for one in shown)
    assert json.loads(shown[0].to_json())["tokens"] == list(shown[0].tokens)


def test_two_runs_are_aligned_by_what_their_steps_say(memory: Memory) -> None:
    for name, middle in (("one", ["look", "knock"]), ("two", ["wait"])):
        episode = memory.episode(id=name)
        episode.observe("The red door is locked.")
        episode.recall("door", 60)
        for text in middle:
            episode.act(text)
        episode.observe("The door opens.")
    both = compare(replay(memory, "one"), replay(memory, "two"))
    assert [tuple(pair) for pair in both.pairs] == [(0, 0, True), (1, 1, False), (2, None, False), (3, 2, True)]
    second = both[1]
    assert (second.left and second.left.step.text, second.right and second.right.step.text) == ("look", "wait")
    assert not second.same_context
    assert "The door opens." in [hit.text for hit in second.only_right]
    assert second.only_left == ()
    with pytest.raises(InvalidInputError, match="right 'two' is no replay; give what replay"):
        compare(both.left, "two")  # type: ignore[arg-type]


# ---- playing again -----------------------------------------------------------------------------------------------


def test_a_shift_played_again_is_observed_as_it_was_logged(shift: tuple[Memory, Kept]) -> None:
    memory, _ = shift
    again = Again(memory)
    assert isinstance(again, Player)
    before = memory.head()
    checked = list(rerun(replay(memory, None), again))
    assert all(one.same for one in checked)
    assert len(checked) == sum(step.kind == "observation" for step in memory.steps())
    assert memory.head() == before
    again.close()


def test_another_seed_or_environment_is_told_by_the_first_difference(shift: tuple[Memory, Kept]) -> None:
    memory, _ = shift
    again = Again(memory)
    again.seed += 1
    wrong = [one for one in rerun(replay(memory, None), again) if not one.same]
    again.close()
    assert wrong[0].why.startswith("it was ")
    assert " now" in wrong[0].why


def test_what_no_rollout_logged_cannot_be_played_again(memory: Memory) -> None:
    memory.episode(id="e").observe("The red door is locked.")
    for place in (memory, memory.scoped("a", "0")):
        with pytest.raises(NotFoundError, match="holds no episode of a rollout"):
            Again(place)
    with pytest.raises(InvalidInputError, match=r"player 5 has no reset\(\) and step"):
        rerun(replay(memory, "e"), 5)  # type: ignore[arg-type]


def test_an_import_carries_how_a_recall_was_put(tmp_path: Path) -> None:
    with opened(tmp_path / "a.mem") as memory:
        place, mine = desk(12, steps=12, delay=4), Watched(memory, budget=120)
        agent, _ = at_desk(place, [mine], tokens=900)
        agent.invoke(begin(place), thread())
        memory.export(tmp_path / "log.jsonl")
        before = recalls(replay(memory, "t1"))
        head = memory.head()
        ingest(memory, tmp_path / "log.jsonl")
        assert memory.head() == head
    assert any("without" in recall.settings for recall in before)
    with opened(tmp_path / "b.mem") as copy:
        ingest(copy, tmp_path / "log.jsonl")
        made = recalls(replay(copy, "t1"))
        assert [recall.cue for recall in made] == [recall.cue for recall in before]
        assert all(recall.same for recall in made)
