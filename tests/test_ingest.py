"""Ingest: files of histories and exports into the log, once, and with messages that help."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentmem import InvalidInputError, Memory, NotFoundError
from agentmem.ingest import BadLine, ingest, rehearse
from agentmem.testing import FakeClock

STEPS = [
    {"id": "1", "time": "2023-05-08T13:56:00", "actor": "Ann", "kind": "message", "text": "I moved.", "session": "S1"},
    {"id": "2", "time": None, "actor": "Bob", "kind": "message", "text": "Where to?", "session": "S1"},
    {"id": "3", "time": "2023-05-09T10:00:00", "actor": "Ann", "kind": "message", "text": "Oslo.", "session": "S2"},
]
HISTORY = {"id": "h", "source": "test", "steps": STEPS, "questions": [{"id": "q", "text": "Where does Ann live?"}]}
LINES = [{"id": str(n), "episode": "e", "text": f"step {n}"} for n in range(3)]


@pytest.fixture
def memory() -> Memory:
    return Memory.open(":memory:", clock=FakeClock(), encoder=None)


def written(path: Path, *lines: Any) -> Path:
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def test_each_session_of_a_history_is_an_episode_and_steps_keep_what_they_say(memory: Memory, tmp_path: Path) -> None:
    report = ingest(memory, written(tmp_path / "h.jsonl", HISTORY))
    assert (report.format, report.lines, report.steps, report.known, report.episodes) == ("history", 1, 3, 0, 2)
    steps = list(memory.steps())
    assert [(step.episode, step.key, step.actor, step.text) for step in steps] == [
        ("h/S1", "h/1", "Ann", "I moved."),
        ("h/S1", "h/2", "Bob", "Where to?"),
        ("h/S2", "h/3", "Ann", "Oslo."),
    ]
    assert [step.at and step.at.isoformat() for step in steps] == [STEPS[0]["time"], None, STEPS[2]["time"]]
    assert all(episode.ended for episode in memory.episodes())


def test_steps_of_a_history_without_sessions_are_one_episode(memory: Memory, tmp_path: Path) -> None:
    steps = [step | {"session": None} for step in STEPS]
    ingest(memory, written(tmp_path / "h.jsonl", HISTORY | {"steps": steps}))
    assert [(episode.id, episode.ended is not None) for episode in memory.episodes()] == [("h", True)]


def test_the_subjects_of_a_history_are_kept_so_that_they_can_be_erased(memory: Memory, tmp_path: Path) -> None:
    steps = [STEPS[0] | {"subjects": ["ann", "oslo"]}, STEPS[1] | {"subjects": None}, STEPS[2]]
    ingest(memory, written(tmp_path / "h.jsonl", HISTORY | {"steps": steps}))
    assert [step.subjects for step in memory.steps()] == [("ann", "oslo"), (), ()]
    assert memory.erase(subject="ann").steps == 1


def test_repeating_an_ingest_adds_nothing(memory: Memory, tmp_path: Path) -> None:
    path = written(tmp_path / "h.jsonl", HISTORY)
    ingest(memory, path)
    end = memory.head().position
    again = ingest(memory, path)
    assert (again.steps, again.known, memory.head().position) == (0, 3, end)


def test_an_interrupted_ingest_goes_on_where_it_was(memory: Memory, tmp_path: Path) -> None:
    ingest(memory, written(tmp_path / "part.jsonl", HISTORY | {"steps": STEPS[:2]}))
    report = ingest(memory, written(tmp_path / "h.jsonl", HISTORY))
    assert (report.steps, report.known) == (1, 2)
    assert [step.text for step in memory.steps()] == ["I moved.", "Where to?", "Oslo."]


def test_a_packed_file_is_read_as_it_is(memory: Memory, tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(HISTORY).encode()))
    assert ingest(memory, path).steps == 3


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:30] + b"\xff" * 40 + data[70:]])
def test_a_damaged_packed_file_is_named(memory: Memory, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "h.jsonl.gz"
    path.write_bytes(damage(gzip.compress(json.dumps(HISTORY).encode())))
    with pytest.raises(InvalidInputError, match=r"h.jsonl.gz cannot be read to its end"):
        ingest(memory, path)


def test_lines_of_steps_are_read_without_any_events(memory: Memory, tmp_path: Path) -> None:
    report = ingest(memory, written(tmp_path / "e.jsonl", *LINES))
    assert (report.format, report.steps, report.episodes) == ("export", 3, 1)
    assert memory.recall("step").text != ""


def test_a_bad_line_is_named_with_its_number_and_what_to_do(memory: Memory, tmp_path: Path) -> None:
    path = written(tmp_path / "e.jsonl", LINES[0], "\n", "{nonsense\n", LINES[1])
    with pytest.raises(InvalidInputError) as raised:
        ingest(memory, path)
    assert str(raised.value).startswith(f"{path}, line 3: it is not JSON (")
    assert str(raised.value).endswith("mend the line, or leave such lines out with skip_bad=True (--skip-bad)")


def test_bad_lines_are_left_out_and_reported_when_asked(memory: Memory, tmp_path: Path) -> None:
    report = ingest(memory, written(tmp_path / "e.jsonl", LINES[0], "[1]\n", LINES[1], '"x"\n'), skip_bad=True)
    assert report.steps == 2
    file = str(tmp_path / "e.jsonl")
    said = [BadLine(2, "it is a list, not an object", file), BadLine(4, "it is a str, not an object", file)]
    assert list(report.bad) == said


def test_a_key_met_with_other_content_is_found_in_a_batch(memory: Memory, tmp_path: Path) -> None:
    ingest(memory, written(tmp_path / "a.jsonl", LINES[0]))
    changed = LINES[0] | {"text": "something else"}
    report = ingest(memory, written(tmp_path / "b.jsonl", LINES[1], changed, LINES[2]), skip_bad=True)
    assert (report.steps, [bad.number for bad in report.bad]) == (2, [2])
    assert [step.text for step in memory.steps()] == ["step 0", "step 1", "step 2"]


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({"id": "4", "text": "no session"}, "has no session"),
        ({"id": "4", "text": "x", "session": {}}, "has the session {}; give a str or a number, or null for none"),
        ({"id": "4", "text": "x", "session": ""}, "has the session ''; give a str or a number, or null for none"),
        ({"id": None, "text": "x", "session": "S"}, "has the id None; give a str or a number"),
        (["text"], "is ['text']; give an object"),
    ],
)
def test_a_bad_step_of_a_history_names_its_place_and_nothing_is_logged(
    memory: Memory, tmp_path: Path, step: Any, problem: str
) -> None:
    path = written(tmp_path / "h.jsonl", HISTORY | {"steps": [*STEPS, step]})
    with pytest.raises(InvalidInputError) as raised:
        ingest(memory, path)
    assert f"line 1: steps[3] {problem}; mend" in str(raised.value)
    assert memory.head().position == 0


def test_a_line_that_is_nested_too_deep_is_a_bad_line(memory: Memory, tmp_path: Path) -> None:
    path = written(tmp_path / "e.jsonl", "[" * 200_000 + "\n")
    with pytest.raises(InvalidInputError, match="line 1: it has lists or objects in one another, too deep"):
        ingest(memory, path)


def test_a_rehearsal_raises_what_would_stop_the_first_batch(tmp_path: Path) -> None:
    good = [{"id": str(n), "episode": "e", "text": f"step {n}"} for n in range(600)]
    for lines in ([*LINES, "nonsense\n"], [LINES[0], LINES[0] | {"text": "other"}]):
        with pytest.raises(InvalidInputError, match="line [24]"):
            rehearse(written(tmp_path / "bad.jsonl", *lines))
    rehearse(written(tmp_path / "late.jsonl", *good, "nonsense\n"))
    rehearse(written(tmp_path / "bad.jsonl", "nonsense\n"), skip_bad=True)
    with pytest.raises(InvalidInputError, match="format 'csv' is unknown"):
        rehearse(tmp_path / "late.jsonl", format="csv")
    with pytest.raises(NotFoundError, match="there is no file"):
        rehearse(tmp_path / "none.jsonl")


def test_a_scoped_memory_takes_every_line_into_its_namespace(memory: Memory, tmp_path: Path) -> None:
    elsewhere = LINES[0] | {"namespace": ["acme", "bob"]}
    ingest(memory.scoped("ann"), written(tmp_path / "e.jsonl", elsewhere))
    assert [step.namespace for step in memory.scoped("ann").steps()] == [("ann",)]
    assert list(memory.scoped("acme", "bob").steps()) == []


def test_progress_tells_bytes_read_of_all(memory: Memory, tmp_path: Path) -> None:
    path, told = written(tmp_path / "e.jsonl", *LINES), []
    ingest(memory, path, progress=lambda done, total: told.append((done, total)))
    assert len(told) == 3
    assert told[-1] == (path.stat().st_size, path.stat().st_size)


def test_a_file_that_is_not_there_is_an_error(memory: Memory, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        ingest(memory, tmp_path / "none.jsonl")


def test_an_unknown_format_is_an_error_that_names_the_known_ones(memory: Memory, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInputError,
        match="format 'csv' is unknown; it is one of chatgpt, claude, codex, documents, export, history",
    ):
        ingest(memory, written(tmp_path / "e.jsonl", *LINES), format="csv")


def test_an_empty_file_adds_nothing(memory: Memory, tmp_path: Path) -> None:
    assert ingest(memory, written(tmp_path / "e.jsonl")).steps == 0
