"""Memory: opening it, and the episodes in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from strategies import long_log, opened, played

from agentmem import InvalidInputError, Layer, Memory, NotFoundError
from agentmem.errors import (
    ClosedError,
    NotAMemoryError,
    ReadOnlyError,
    SettingsError,
)
from agentmem.memory import EpisodeWriter

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
        ({"horizon": -1}, ("-1", "from 0 to")),
        ({"horizon": 2.5}, ("2.5", "whole number")),
        ({"horizon": True}, ("True", "whole number")),
        ({"durability": "maybe"}, ("'maybe'", "power", "process")),
        ({"key_file": 7}, ("7", "path of a file")),
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
        memory.episode(id="window")
        with pytest.raises(InvalidInputError, match="'window' has no agent, not 'bo'; leave it out to resume, or give"):
            memory.episode(id="window", agent="bo")
        assert memory.episode(id="door", goal="open the red door").id == "door"


def test_ending_twice_is_ending_once(memory: Memory, episode: EpisodeWriter) -> None:
    episode.end()
    head = memory.head()
    episode.end()
    assert memory.head() == head


def test_an_error_inside_the_block_ends_the_episode_and_goes_on(memory: Memory) -> None:
    with pytest.raises(ZeroDivisionError), memory.episode(id="door") as episode:  # noqa: PT012
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
