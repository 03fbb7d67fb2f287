"""Memory and its episodes: what they take, what they refuse, and that nothing is written when they do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strategies import all_crystals, long_log, opened, played

from agentmem import InvalidInputError, Layer, Memory, NotFoundError
from agentmem.errors import (
    AgentMemError,
    ClosedError,
    KeyConflictError,
    NotAMemoryError,
    ReadOnlyError,
    SettingsError,
    TooLargeError,
)
from agentmem.memory import EpisodeWriter
from agentmem.testing import FakeClock, HashEncoder

SECRET = "The vault opens with seven four one nine, said Ann."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.mem"


@pytest.fixture
def memory(file: Path) -> Iterator[Memory]:
    with opened(file) as memory:
        yield memory


@pytest.fixture
def episode(memory: Memory) -> EpisodeWriter:
    return memory.episode(goal="open the red door", id="door", agent="ada")


def said(memory: Memory, cue: str = "red door", **options: Any) -> list[str]:
    return [hit.text for hit in memory.recall(cue, **options).hits]


# ---- opening -----------------------------------------------------------------------------------------------------


def test_the_first_lines_of_the_readme_work_with_everything_at_its_default(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "agent.mem") as memory:
        with memory.episode(goal="open the red door") as episode:
            episode.observe("The red door is locked; the key hangs in the kitchen.")
            episode.act("go to the kitchen and take the key")
        context = memory.recall("Where is the key?")
        assert "kitchen" in context.text
        assert context.vectors.shape == (len(context.hits), 256)
        assert memory.stats().retain == "keep"
        assert memory.verify().ok


def test_a_memory_opens_from_a_string_a_path_or_nowhere(tmp_path: Path) -> None:
    for path in (str(tmp_path / "a.mem"), tmp_path / "b.mem", ":memory:"):
        with opened(path) as memory:
            memory.episode().log("text")
            assert [step.text for step in memory.steps()] == ["text"]
    assert {name.split(".mem")[0] for name in os.listdir(tmp_path)} == {"a", "b"}


def test_all_files_start_with_the_memorys_path(file: Path, memory: Memory) -> None:
    memory.episode().log("text")
    assert all(name.startswith("agent.mem") for name in os.listdir(file.parent))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"retain": "some"}, ("'some'", "keep", "crystals")),
        ({"horizon": -1}, ("-1", "0 or more")),
        ({"horizon": 2.5}, ("2.5", "whole number")),
        ({"horizon": True}, ("True", "whole number")),
        ({"durability": "maybe"}, ("'maybe'", "power", "process")),
        ({"key_file": "secret.key"}, ("key_file", "leave it out")),
        ({"namespace": "acme"}, ("'acme'", "tuple")),
        ({"namespace": ("acme", "")}, ("''", "non-empty")),
        ({"namespace": ("acme", 7)}, ("7", "str")),
        ({"namespace": 7}, ("7", "tuple")),
        ({"encoder": "all-MiniLM-L6-v2"}, ("all-MiniLM-L6-v2", "encode")),
        ({"encoder": 7}, ("7", "encode")),
    ],
    ids=str,
)
def test_an_unusable_setting_is_refused_with_its_value_and_what_to_do(
    file: Path, settings: dict[str, Any], said: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        opened(file, **settings)
    assert all(part in str(refused.value) for part in said)


def test_postgres_is_reserved_and_says_so_without_the_password() -> None:
    with pytest.raises(SettingsError, match="reserved") as refused:
        opened("postgresql://ada:hunter2@example.org/memory")
    assert "hunter2" not in str(refused.value)


def test_a_file_of_something_else_or_a_directory_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a memory " * 400)
    with pytest.raises(NotAMemoryError, match=r"notes\.txt"):
        opened(tmp_path / "notes.txt")
    with pytest.raises(NotAMemoryError, match="directory"):
        opened(tmp_path)
    with pytest.raises(InvalidInputError, match="does not exist"):
        opened(tmp_path / "nowhere" / "agent.mem")


def test_settings_are_fixed_when_the_file_is_made(file: Path) -> None:
    opened(file, retain="crystals", horizon=500).close()
    with opened(file) as memory:
        assert memory.stats().retain == "crystals"
    opened(file, retain="crystals", horizon=500).close()
    with pytest.raises(SettingsError, match="retain.*'crystals'.*'keep'"):
        opened(file, retain="keep")
    with pytest.raises(SettingsError, match="horizon.*'500'.*'501'"):
        opened(file, horizon=501)


def test_read_only_reads_and_refuses_to_write(file: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        opened(file, read_only=True)
    with played(long_log(4), file) as memory:
        memory.crystallize()
        text, head = memory.recall("red door").text, memory.head()
    with opened(file, read_only=True) as memory:
        assert memory.recall("red door").text == text
        assert memory.stats().steps == 48
        assert memory.verify().ok
        step = next(iter(memory.steps()))
        memory.crystallize()  # there is nothing to do
        for write in (
            lambda: memory.episode(),
            lambda: memory.forget(steps=step.id),
            lambda: memory.pin(step.id),
            lambda: memory.erase(steps=step.id),
        ):
            with pytest.raises(ReadOnlyError, match=r"agent\.mem"):
                write()
        assert memory.head() == head


def test_a_closed_memory_says_so(file: Path) -> None:
    memory = opened(file)
    episode = memory.episode()
    view = memory.scoped("acme")
    memory.close()
    memory.close()
    for use in (
        lambda: memory.recall("door"),
        lambda: view.recall("door"),
        lambda: episode.log("text"),
        lambda: episode.recall("door"),
        lambda: memory.episode(),
        lambda: list(memory.steps()),
        lambda: memory.crystallize(),
        lambda: memory.stats(),
        lambda: memory.verify(),
    ):
        with pytest.raises(ClosedError, match="closed"):
            use()


# ---- episodes ----------------------------------------------------------------------------------------------------


def test_an_episode_has_its_goal_and_agent_and_ends_with_its_block(memory: Memory) -> None:
    with memory.episode(goal="open the red door", id="door", agent="ada") as episode:
        episode.log("It is locked.")
        (running,) = memory.episodes()
        assert (running.id, running.goal, running.agent, running.ended) == ("door", "open the red door", "ada", None)
    (ended,) = memory.episodes()
    assert ended.ended == memory.head().position
    assert memory.stats().layers[Layer.UNIT].crystals == 1


def test_episodes_without_a_name_are_numbered(memory: Memory) -> None:
    assert [memory.episode().id for _ in range(3)] == ["episode-1", "episode-2", "episode-3"]
    assert memory.episode(id="episode-5").id == "episode-5"
    assert [memory.episode().id for _ in range(2)] == ["episode-6", "episode-7"]


def test_an_existing_id_resumes_the_episode(file: Path) -> None:
    with opened(file) as memory, memory.episode(goal="open the red door", id="door", agent="ada") as episode:
        episode.log("It is locked.")
    with opened(file) as memory:
        with memory.episode(id="door") as episode:
            assert (episode.info.goal, episode.info.agent) == ("open the red door", "ada")
            assert memory.episodes()[0].ended is None
            episode.log("It opens.")
        assert [step.text for step in memory.steps("door")] == ["It is locked.", "It opens."]
        assert len(memory.episodes()) == 1
        with pytest.raises(InvalidInputError, match=r"'door'.*'open the red door'.*'close it'.*leave it out"):
            memory.episode(id="door", goal="close it")
        with pytest.raises(InvalidInputError, match=r"agent.*'ada'.*'bo'"):
            memory.episode(id="door", agent="bo")
        assert memory.episode(id="door", goal="open the red door").id == "door"


def test_ending_twice_is_ending_once(memory: Memory, episode: EpisodeWriter) -> None:
    episode.end()
    head = memory.head()
    episode.end()
    assert memory.head() == head


def test_an_error_inside_the_block_ends_the_episode_and_goes_on(memory: Memory) -> None:
    with pytest.raises(ZeroDivisionError), memory.episode(id="door") as episode:
        episode.log("It is locked.")
        raise ZeroDivisionError
    assert memory.episodes()[0].ended is not None
    assert [step.text for step in memory.steps()] == ["It is locked."]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"id": ""}, ("''", "non-empty")),
        ({"id": 7}, ("7", "str")),
        ({"id": "x" * 1001}, ("1,001", "1,000")),
        ({"id": "\ud800"}, ("surrogate", "utf-8")),
        ({"goal": 7}, ("goal", "7", "str")),
        ({"goal": "\udfff"}, ("goal", "surrogate")),
        ({"goal": ["a"]}, ("goal", "str")),
        ({"agent": 7.5}, ("agent", "7.5", "str")),
        ({"agent": "\udfff"}, ("agent", "surrogate")),
    ],
    ids=str,
)
def test_a_name_that_cannot_be_stored_begins_no_episode(
    memory: Memory, given: dict[str, Any], said: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        memory.episode(**given)
    assert all(part in str(refused.value) for part in said)
    assert memory.head().position == 0
    assert memory.episodes() == []


def test_threads_that_begin_episodes_at_once_get_one_each(memory: Memory) -> None:
    start, begun = threading.Barrier(8), []

    def begin() -> None:
        start.wait()
        begun.extend(memory.episode().id for _ in range(5))

    run_threads([begin] * 8)
    assert sorted(begun) == sorted(f"episode-{n}" for n in range(1, 41))


# ---- logging -----------------------------------------------------------------------------------------------------


def test_a_step_comes_back_as_it_was_logged(memory: Memory, episode: EpisodeWriter) -> None:
    first = episode.say("Ann", "Is it locked?")
    at = datetime(2026, 5, 1, 12, 30, tzinfo=timezone(timedelta(hours=2)))
    step = episode.log(
        "Yes, it is.",
        kind="message",
        actor="Bo",
        at=at,
        data={"door": [1, 2.5, None, True], "name": "rouge"},
        blobs={"photo": b"\x00\xff", "empty": b""},
        reward=-0.25,
        terminated=True,
        truncated=True,
        key="answer",
        reply_to=first.id,
        subjects=("ann", "bo"),
        trust="user",
    )
    assert step == memory.step(step.id) == list(memory.steps())[1]
    assert (step.text, step.kind, step.actor, step.at) == ("Yes, it is.", "message", "Bo", at)
    assert step.data == {"door": [1, 2.5, None, True], "name": "rouge"}
    assert {name: memory.blob(digest) for name, digest in step.blobs.items()} == {"photo": b"\x00\xff", "empty": b""}
    assert (step.reward, step.terminated, step.truncated) == (-0.25, True, True)
    assert (step.key, step.reply_to, step.subjects, step.trust) == ("answer", first.id, ("ann", "bo"), "user")
    assert (step.episode, step.namespace, step.tokens > 0) == ("door", (), True)
    assert step.logged_at.tzinfo is UTC
    assert first.id < step.id


@pytest.mark.parametrize(
    "value", [0, 0.0, False, "", [], {}, None, [None], 1e308, -(2**70), "\x00", "é\u2028"], ids=repr
)
def test_values_that_look_like_nothing_are_kept(memory: Memory, episode: EpisodeWriter, value: Any) -> None:
    step = memory.step(episode.log("text", data=value).id)
    assert step.data == value
    assert type(step.data) is type(value)
    if isinstance(value, float):
        assert memory.step(episode.log("text", reward=value).id).reward == value


def test_numpy_values_become_plain_ones(memory: Memory, episode: EpisodeWriter) -> None:
    step = episode.log(
        "text", data={"room": np.arange(3), "p": np.float32(0.5), "deep": [np.int8(-1)]}, reward=np.float64(1)
    )
    assert memory.step(step.id).data == {"room": [0, 1, 2], "p": 0.5, "deep": [-1]}
    assert memory.step(step.id).reward == 1.0
    assert memory.step(episode.log("text", data=np.array([[1.5, 2.5]])).id).data == [[1.5, 2.5]]


@pytest.mark.parametrize("text", ["", " ", "\x00", "a\x00b", "\r\n", "\u2028", "🎉" * 300, "\ufeffé", "x" * 9_000])
def test_any_text_is_stored_whole(memory: Memory, episode: EpisodeWriter, text: str) -> None:
    step = episode.log(text, actor="A\x00", key=f"k{len(text)}")
    assert memory.step(step.id).text == text
    memory.crystallize()
    assert memory.recall("door", 50).tokens <= 50
    assert memory.verify().ok


BAD: list[tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = [
    ({"text": None}, InvalidInputError, ("text", "NoneType", "str")),
    ({"text": b"bytes"}, InvalidInputError, ("text", "bytes", "str")),
    ({"text": "a\ud800b"}, InvalidInputError, ("text", "surrogate", "character 1", "replace")),
    ({"kind": "thought"}, InvalidInputError, ("'thought'", "observation", "action", "message")),
    ({"kind": None}, InvalidInputError, ("None", "observation")),
    ({"kind": ["action"]}, InvalidInputError, ("action", "observation")),
    ({"actor": ""}, InvalidInputError, ("actor", "''", "non-empty")),
    ({"actor": 5}, InvalidInputError, ("actor", "5", "str")),
    ({"actor": "\udcff"}, InvalidInputError, ("actor", "surrogate")),
    ({"actor": "x" * 1001}, TooLargeError, ("actor", "1,001", "1,000", "shorten")),
    ({"at": "yesterday"}, InvalidInputError, ("at", "'yesterday'", "ISO")),
    ({"at": 1700000000}, InvalidInputError, ("at", "1700000000", "ISO")),
    ({"data": float("nan")}, InvalidInputError, ("data", "nan", "None")),
    ({"data": {"a": [1, float("inf")]}}, InvalidInputError, ("data['a'][1]", "inf", "None")),
    ({"data": np.array([1.0, np.nan])}, InvalidInputError, ("data[1]", "nan")),
    ({"data": {1: "a"}}, InvalidInputError, ("data", "1", "str")),
    ({"data": {"a": {2, 3}}}, InvalidInputError, ("data", "set", "blob")),
    ({"data": b"raw"}, InvalidInputError, ("data", "bytes", "blob")),
    ({"data": {"a": "\ud800"}}, InvalidInputError, ("data", "surrogate")),
    ({"data": {"\ud800": 1}}, InvalidInputError, ("data", "surrogate")),
    ({"data": 10**5000}, InvalidInputError, ("data", "digits")),
    ({"blobs": {"a": "text"}}, InvalidInputError, ("blob", "bytes", "str")),
    ({"blobs": {"": b""}}, InvalidInputError, ("blob name", "''")),
    ({"blobs": {"\ud800": b""}}, InvalidInputError, ("blob name", "surrogate")),
    ({"blobs": [b"a"]}, InvalidInputError, ("blobs", "list", "name")),
    ({"reward": float("nan")}, InvalidInputError, ("reward", "nan", "finite")),
    ({"reward": float("-inf")}, InvalidInputError, ("reward", "-inf", "finite")),
    ({"reward": "high"}, InvalidInputError, ("reward", "'high'", "number")),
    ({"reward": 10**400}, InvalidInputError, ("reward", "finite")),
    ({"key": ""}, InvalidInputError, ("key", "''", "non-empty")),
    ({"key": 5}, InvalidInputError, ("key", "5", "str")),
    ({"key": "\udcff"}, InvalidInputError, ("key", "surrogate")),
    ({"reply_to": "s99999999999"}, InvalidInputError, ("reply_to", "s99999999999", "id of a Step")),
    ({"reply_to": "that one"}, InvalidInputError, ("reply_to", "'that one'", "id of a Step")),
    ({"reply_to": "s00000000001"}, InvalidInputError, ("reply_to", "s00000000001", "id of a Step")),
    ({"reply_to": "s" + "²" * 11}, InvalidInputError, ("reply_to", "id of a Step")),
    ({"reply_to": 5}, InvalidInputError, ("reply_to", "5", "id of a Step")),
    ({"subjects": "ann"}, InvalidInputError, ("subjects", "'ann'", "['ann']")),
    ({"subjects": ("ann", "")}, InvalidInputError, ("subject", "''")),
    ({"subjects": 7}, InvalidInputError, ("subjects", "7", "list")),
    ({"trust": "nobody"}, InvalidInputError, ("trust", "'nobody'", "system", "web")),
]


@pytest.mark.parametrize(
    ("fields", "error", "said"), BAD, ids=[f"{n}-{next(iter(bad[0]))}" for n, bad in enumerate(BAD)]
)
def test_what_cannot_be_stored_is_refused_with_its_value_and_remedy_and_nothing_is_written(
    memory: Memory, episode: EpisodeWriter, fields: dict[str, Any], error: type[Exception], said: tuple[str, ...]
) -> None:
    episode.log("The red door is open.")
    episode.recall("red door")
    head = memory.head()
    fields = {"text": "fine", "blobs": {"photo": b"secret"}} | fields
    for write in (
        lambda: episode.log(**fields),
        lambda: episode.log_many([{"text": "before"}, fields, {"text": "after"}]),
    ):
        with pytest.raises(error) as refused:
            write()
        assert isinstance(refused.value, InvalidInputError)
        assert len(str(refused.value)) < 500
        for part in said:
            assert part in str(refused.value)
    assert memory.head() == head
    assert [step.text for step in memory.steps()] == ["The red door is open."]
    assert memory.verify().ok


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("text", lambda: "x" * (64 << 20) + "y", ("67,108,865", "67,108,864", "parts")),
        ("text", lambda: "é" * (32 << 20) + "y", ("67,108,865", "67,108,864", "parts")),
        ("data", lambda: "x" * (17 << 20), ("17,825", "16,777,216", "blobs")),
    ],
)
def test_what_is_too_large_is_refused_with_its_size_and_the_limit(
    memory: Memory, episode: EpisodeWriter, name: str, value: Any, said: tuple[str, ...]
) -> None:
    head = memory.head()
    with pytest.raises(TooLargeError) as refused:
        episode.log(**{"text": "fine", name: value()})
    assert all(part in str(refused.value) for part in said)
    assert memory.head() == head


def test_data_that_holds_itself_is_refused(memory: Memory, episode: EpisodeWriter) -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    for data in (loop, {"a": loop}, deep):
        with pytest.raises(InvalidInputError, match="data.*(deep|itself)"):
            episode.log("text", data=data)
    assert list(memory.steps()) == []


def test_log_many_takes_texts_and_keywords_and_is_all_or_nothing(memory: Memory, episode: EpisodeWriter) -> None:
    head = memory.head().position
    steps = episode.log_many(["first", {"text": "second", "kind": "action", "data": [1], "blobs": {"b": b"x"}}])
    assert [(step.text, step.kind, step.position) for step in steps] == [
        ("first", "observation", head + 1),
        ("second", "action", head + 2),
    ]
    assert memory.blob(steps[1].blobs["b"]) == b"x"
    assert episode.log_many([]) == []
    for bad, message in (
        ({"text": "third", "colour": "red"}, r"step 1 has \['colour'\].*log takes actor"),
        ({"kind": "action"}, "step 1 has no text"),
        (7, "step 1.*7"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            episode.log_many(["before", bad])  # type: ignore[list-item]
    assert memory.head().position == head + 2


def test_a_transition_is_an_action_and_the_observation_that_answers_it(memory: Memory, episode: EpisodeWriter) -> None:
    action, seen = episode.transition("go north", "A dark hall.", 1, True, False, {"moves": 3})
    assert (action.kind, action.text, action.data, action.reward) == ("action", "go north", None, None)
    assert (seen.kind, seen.text, seen.data) == ("observation", "A dark hall.", {"info": {"moves": 3}})
    assert (seen.reward, seen.terminated, seen.truncated) == (1.0, True, False)
    assert seen.position == action.position + 1
    action, seen = episode.transition(np.int64(2), np.array([0.5, 1.5]), 0.0, False, True, {"text": "You slip."})
    assert (action.text, action.data) == ("2", 2)
    assert (seen.text, seen.data, seen.reward, seen.truncated) == ("You slip.", [0.5, 1.5], 0.0, True)
    _, seen = episode.transition(0, {"room": 4}, info={"lives": 2})
    assert (seen.text, seen.data) == ('{"room":4}', {"observation": {"room": 4}, "info": {"lives": 2}})
    head = memory.head()
    with pytest.raises(InvalidInputError):
        episode.transition("go", "A hall.", float("nan"))
    with pytest.raises(InvalidInputError):
        episode.transition(float("nan"), "A hall.")
    with pytest.raises(InvalidInputError):
        episode.transition({1, 2}, "A hall.")
    assert memory.head() == head


def test_a_retry_with_the_same_key_is_the_same_step(file: Path) -> None:
    with opened(file) as memory:
        episode = memory.episode(id="door")
        step = episode.log("It is locked.", key="k", data=[1])
        head = memory.head()
        assert episode.log("It is locked.", key="k", data=[1]) == step
        assert episode.log_many([{"text": "It is locked.", "key": "k", "data": [1]}]) == [step]
        for other in ({"text": "It is open.", "data": [1]}, {"text": "It is locked.", "data": [2]}):
            with pytest.raises(KeyConflictError, match="'k'.*new key"):
                episode.log(key="k", **other)
        assert memory.head() == head
        with pytest.raises(KeyConflictError, match="'k2'"):
            episode.log_many([{"text": "a", "key": "k2"}, {"text": "b", "key": "k2"}])
        assert memory.head() == head
    with opened(file) as memory:
        assert memory.episode(id="door").log("It is locked.", key="k", data=[1]).id == step.id
        assert memory.scoped("other").episode(id="door").log("Not so.", key="k").id != step.id


def test_a_reply_names_an_earlier_step(memory: Memory, episode: EpisodeWriter) -> None:
    asked = episode.say("Ann", "Is it locked?")
    assert episode.say("Bo", "Yes.", reply_to=asked.id).reply_to == asked.id


def test_there_is_no_step_where_there_is_an_event(memory: Memory, episode: EpisodeWriter) -> None:
    step = episode.log("It is locked.")
    assert memory.step(step.id) == step
    for id in ("s00000000001", "s00000000099", "door", "", "s" + "²" * 11):
        for use in (memory.step, memory.pin, lambda id: memory.forget(steps=[id]), lambda id: memory.erase(steps=[id])):
            with pytest.raises(NotFoundError, match="no step"):
                use(id)
    assert memory.head().position == step.position


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
        assert memory.recall("red door", layers=["unit"]).hits[0].id == unit.id
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
    assert memory.forget(derived_from=unit.id) == len(unit.sources)


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
    assert report.model_dump(exclude={"dry_run"}) == dry.model_dump(exclude={"dry_run"})
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
    memory.episode(id="two").log(f"Ann again: {SECRET}")
    report = memory.erase(steps=one.id)
    assert report.residue
    assert all("agent.mem" in place for place in report.residue)


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
        episode.end()
        assert (await memory.acrystallize()).steps == 10
        assert (await memory.arecall("red door")).text == memory.recall("red door").text
        assert (await episode.arecall("red door", budget=40)).tokens <= 40
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
