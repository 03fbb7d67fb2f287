"""Logging: every keyword, every refusal, nothing half written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strategies import opened

from agentmem import InvalidInputError, Memory, NotFoundError
from agentmem.errors import (
    KeyConflictError,
    TooLargeError,
)
from agentmem.memory import EpisodeWriter, Recalled, log_together

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


# ---- several episodes at once ------------------------------------------------------------------------------------


def test_steps_and_recalls_of_several_episodes_are_logged_together_in_their_order(memory: Memory) -> None:
    ann, bo = memory.episode(id="ann"), memory.scoped("other").episode(id="bo")
    ann.log("The red door is locked.")
    told = memory.recall("Is the red door locked?", 60)
    logged = log_together([(bo, {"text": "It rains."}), (ann, Recalled("door", told)), (ann, {"text": "I knock."})])
    assert [step and (step.episode, step.text) for step in logged] == [("bo", "It rains."), None, ("ann", "I knock.")]
    assert [step.text for step in memory.steps()] == ["The red door is locked.", "I knock."]
    assert log_together([]) == []


def test_of_steps_logged_together_none_is_written_if_one_is_refused(memory: Memory, tmp_path: Path) -> None:
    ann = memory.episode(id="ann")
    with pytest.raises(InvalidInputError, match="step 1 has no text"):
        log_together([(ann, {"text": "One."}), (ann, {"kind": "action"})])
    with opened(tmp_path / "second.mem") as second, pytest.raises(InvalidInputError, match="of several memories"):
        log_together([(ann, {"text": "One."}), (second.episode(), {"text": "Two."})])
    assert list(memory.steps()) == []


def test_what_was_told_in_entries_that_are_refused_is_not_held_against_the_agent(memory: Memory) -> None:
    says = "The red door of the old house at the far end is locked."
    ann = memory.episode(id="ann")
    ann.observe(says)
    told = Recalled("door", memory.recall("Is the red door locked?", 60))
    with pytest.raises(InvalidInputError, match="step 1 has no text"):
        log_together([(ann, told), (ann, {"kind": "action"})])
    assert ann.act(says).recalled == ()
    log_together([(ann, told)])
    with pytest.raises(InvalidInputError, match="step 1 has no text"):
        log_together([(ann, told), (ann, {"kind": "action"})])
    assert ann.act(says).recalled == ((0, len(says) - 1),)
