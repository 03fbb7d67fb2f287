"""Arguments of a wrong kind: an error of ours that says what was given and what to give, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from strategies import opened

from agentmem import AgentMemError, InvalidInputError, Memory, NotFoundError
from agentmem.ingest import ingest
from agentmem.memory import EpisodeWriter

Call = Callable[[Any], object]
"""Called with `memory`, `episode` and a `step` of it."""

WRONG: list[tuple[str, Call, str]] = [
    ("a counter that is a number", lambda a: a.memory.recall("door", count_tokens=3), "count_tokens 3.*function"),
    ("a counter that says a str", lambda a: a.memory.recall("door", count_tokens=lambda _: "7"), "returned '7'.*whole"),
    ("a counter that says less than 0", lambda a: a.memory.recall("door", count_tokens=lambda _: -1), "returned -1"),
    ("a counter that says a half", lambda a: a.memory.recall("door", count_tokens=lambda _: 0.5), "returned 0.5"),
    ("a counter that says nothing", lambda a: a.episode.recall("door", count_tokens=lambda _: None), "returned None"),
    ("forget a number", lambda a: a.memory.forget(steps=3), "steps 3 is no id"),
    ("forget a number among ids", lambda a: a.memory.forget(steps=[a.step.id, 3]), r"steps\[1\] 3 is no id"),
    ("forget a step", lambda a: a.memory.forget(steps=a.step), "steps is a Step; give its id, which is in .id"),
    ("forget steps", lambda a: a.memory.forget(steps=[a.step]), r"steps\[0\] is a Step; give its id"),
    ("forget a mapping", lambda a: a.memory.forget(steps={a.step.id: 1}), "one dict; give a list of ids"),
    ("forget an episode", lambda a: a.memory.forget(episode=a.episode), "episode is an EpisodeWriter; give its id"),
    ("forget episodes", lambda a: a.memory.forget(episode=["door"]), r"episode \['door'\] is no id"),
    ("forget what came of several", lambda a: a.memory.forget(derived_from=[a.step.id]), "derived_from .* is no id"),
    ("undo maybe", lambda a: a.memory.forget(steps=a.step.id, undo="no"), "undo 'no' must be True or False"),
    ("erase a number", lambda a: a.memory.erase(steps=3), "steps 3 is no id"),
    ("erase a step", lambda a: a.memory.erase(steps=a.step), "steps is a Step; give its id"),
    ("erase subjects", lambda a: a.memory.erase(subject=["ann"]), r"subject \['ann'\] must be"),
    ("erase, perhaps", lambda a: a.memory.erase(steps=a.step.id, dry_run="no"), "dry_run 'no' must be True or False"),
    ("pin a number", lambda a: a.memory.pin(3), "ids 3 is no id"),
    ("pin a step", lambda a: a.memory.pin(a.step), "ids is a Step; give its id"),
    ("no id", lambda a: a.memory.step(None), "id None is no id"),
    ("a step for its id", lambda a: a.memory.step(a.step), "id is a Step; give its id"),
    ("steps of a number", lambda a: a.memory.steps(5), "episode 5 is no id"),
    ("a blob of nothing", lambda a: a.memory.blob(None), "digest None must be a non-empty str"),
    ("as of a step", lambda a: a.memory.recall("door", as_of=a.step), "as_of is a Step; give its id"),
    ("as of garbage", lambda a: a.memory.recall("door", as_of="noon"), "as_of 'noon' .*use an id such as"),
    ("crystals as of a step", lambda a: a.memory.crystals(as_of=a.step), "as_of is a Step; give its id"),
    ("layers of a number", lambda a: a.memory.recall("door", layers=5), "layers 5 is one int; give a list"),
    ("crystals of a number", lambda a: a.memory.crystals(5), "layers 5 is one int; give a list"),
    ("an agent that is a number", lambda a: a.memory.recall("door", agent=5), "agent 5 is no id"),
    ("read a name", lambda a: a.memory.scoped("b", read="acme"), "read 'acme' is one str; give a list"),
    ("read a number", lambda a: a.memory.scoped("b", read=5), "read 5 is one int; give a list"),
    ("log a number of steps", lambda a: a.episode.log_many(5), "steps 5 is one int; give a list"),
    ("log a text letter by letter", lambda a: a.episode.log_many("abc"), "steps 'abc' is one str; give a list"),
    ("log a mapping key by key", lambda a: a.episode.log_many({"text": "x"}), "is one dict; give a list"),
    (
        "info that is a number",
        lambda a: a.episode.transition("go", "hall", info=5),
        "info 5 is an? int; give a mapping",
    ),
    ("a reply to a step", lambda a: a.episode.log("yes", reply_to=a.step), "reply_to is a Step; give its id"),
    ("terminated, so to speak", lambda a: a.episode.log("x", terminated="yes"), "terminated 'yes' must be True or"),
    ("truncated, so to speak", lambda a: a.episode.log("x", truncated="no"), "truncated 'no' must be True or"),
    ("terminated by a number", lambda a: a.episode.transition("a", "b", 0.0, 1), "terminated 1 must be True or False"),
    ("a reward in words", lambda a: a.episode.log("x", reward="1.5"), "reward '1.5' is not a number"),
    ("a clock that stands still", lambda a: Memory.open(":memory:", clock=3), "clock 3 is no function; give one that"),
    ("a condenser by name", lambda a: Memory.open(":memory:", condenser="ours"), "condenser 'ours' is no function"),
    ("progress as a number", lambda a: a.memory.crystallize(5), "progress 5 is no function"),
    ("an array for a kind", lambda a: a.episode.log("x", kind=np.arange(2)), "kind array.* is unknown; use one of"),
    ("a surrogate in a path", lambda a: Memory.open("a\ud800.mem"), r"path 'a\\ud800.mem' has a lone surrogate"),
    ("a surrogate in an export", lambda a: a.memory.export("a\udcff"), r"path 'a\\udcff' has a lone surrogate"),
    ("a number for an export", lambda a: a.memory.export(5), "path 5 is no path"),
    ("a number for a backup", lambda a: a.memory.backup(5), "path 5 is no path"),
    ("a zero byte in a backup", lambda a: a.memory.backup("a\0b"), "is no path"),
    ("a number to ingest", lambda a: ingest(a.memory, 5), "path 5 is no path"),
    ("a directory to ingest", lambda a: ingest(a.memory, "/"), "cannot read /: Is a directory"),
]


@pytest.mark.parametrize(("call", "said"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_an_argument_of_a_wrong_kind_is_an_error_that_says_what_to_give(
    memory: Memory, episode: EpisodeWriter, call: Call, said: str
) -> None:
    step = episode.log("The red door is locked.", subjects=["ann"])
    head = memory.head()
    with pytest.raises(InvalidInputError, match=said) as refused:
        call(SimpleNamespace(memory=memory, episode=episode, step=step))
    assert len(str(refused.value)) < 300
    assert memory.head() == head


def test_the_advice_for_a_name_is_not_that_for_a_text(episode: EpisodeWriter) -> None:
    with pytest.raises(InvalidInputError, match="write it in UTF-8, or clean it with") as refused:
        episode.log("text", actor="Ann\udcff")
    assert "blob" not in str(refused.value)


@pytest.mark.parametrize("flag", [True, np.True_, np.array([1.0, 0.0])[0] > 0])
def test_a_flag_may_be_numpy_s(episode: EpisodeWriter, flag: Any) -> None:
    step = episode.log("The end.", terminated=flag, truncated=not flag)
    assert (step.terminated, step.truncated) == (True, False)


@pytest.mark.parametrize("count", [len, lambda text: np.int64(len(text))])
def test_a_counter_may_return_any_whole_number(episode: EpisodeWriter, count: Any) -> None:
    episode.log("The red door is locked.")
    context = episode.recall("red door", budget=60, count_tokens=count)
    assert context.tokens == len(context.text) <= 60


def test_an_unknown_episode_or_agent_names_what_is_near(memory: Memory, episode: EpisodeWriter) -> None:
    episode.log("The red door is locked.")
    asked: list[tuple[Callable[[], object], str]] = [
        (lambda: memory.recall("door", episode="dor"), r"no episode 'dor'; did you mean 'door'"),
        (lambda: memory.recall("door", agent="adda"), "no agent 'adda'; did you mean 'ada'"),
        (lambda: memory.recall("door", agent="xyz"), "no agent 'xyz'; there is 'ada'"),
        (lambda: episode.recall("door", episode="dor"), "did you mean 'door'"),
        (lambda: memory.steps("dor"), "did you mean 'door'"),
        (lambda: memory.forget(episode="dor"), "did you mean 'door'"),
        (lambda: memory.erase(episode="dor"), "did you mean 'door'"),
        (lambda: memory.scoped("new").steps("door"), r"namespace \('new',\); there is none yet"),
    ]
    for ask, said in asked:
        with pytest.raises(NotFoundError, match=said):
            ask()


def test_what_is_asked_before_anything_is_logged_finds_nothing(memory: Memory, episode: EpisodeWriter) -> None:
    episode.log("The red door is locked.")
    assert memory.scoped("new").recall("door", agent="ada").text == ""
    past = datetime(2000, 1, 1, tzinfo=UTC)
    assert memory.recall("door", episode="door", agent="ada", as_of=past).text == ""


def test_the_episodes_of_every_namespace_that_is_read_are_known(memory: Memory, episode: EpisodeWriter) -> None:
    episode.log("The red door is locked.")
    assert "locked" in memory.scoped("new", read=[()]).recall("door", episode="door", agent="ada").text


def test_an_ended_episode_takes_no_more_until_it_is_resumed(memory: Memory, episode: EpisodeWriter) -> None:
    episode.log("The red door is locked.")
    episode.end()
    head = memory.head()
    for use in (
        lambda: episode.log("Too late."),
        lambda: episode.log_many([]),
        lambda: episode.transition("go", "A hall."),
        lambda: episode.recall("door"),
    ):
        with pytest.raises(InvalidInputError, match=r"'door' has ended; resume it with memory.episode\(id='door'\)"):
            use()
    episode.end()
    assert memory.head() == head
    memory.episode(id="door").log("It opens.")
    assert [step.text for step in memory.steps("door")] == ["The red door is locked.", "It opens."]


@pytest.mark.parametrize("now", [1e12, 1e18, -1e20, float("nan"), "x", None])
def test_a_clock_that_tells_no_time_is_refused_before_anything_is_logged(file: Path, now: Any) -> None:
    times = iter([1.0, now, 2.0])
    with Memory.open(file, encoder=None, durability="process", clock=lambda: next(times)) as memory:
        episode = memory.episode(id="e")
        with pytest.raises(InvalidInputError, match="seconds since 1970"):
            episode.observe("x")
        assert list(memory.steps()) == []


def test_every_error_of_a_wrong_argument_leaves_no_file(tmp_path: Path) -> None:
    for path in ("", "a\0b", "a\ud800", 5):
        with pytest.raises(AgentMemError):
            Memory.open(path)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError), opened(tmp_path / "a.mem") as memory:
        memory.backup(7)  # type: ignore[arg-type]
    assert not Path("7").exists()
