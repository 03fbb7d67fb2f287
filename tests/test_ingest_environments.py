"""Ingest of environments' episodes: transitions as JSON lines, and Minari datasets."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ingested import empty, lines

from agentmem import InvalidInputError, Memory, MissingExtraError
from agentmem.ingest import ingest
from agentmem.ingest.values import described, raw

FIRST = {"episode": 7, "action": None, "observation": {"door": "locked", "place": [0.123456, 2.0]}}
SECOND = {"episode": 7, "action": "use key", "observation": "The door opens.", "reward": 1.0, "terminated": True}
OTHER = {"episode": 8, "action": 2, "observation": [0.5, 1.0], "reward": 0, "truncated": True, "info": {"lives": 3}}


@pytest.fixture
def memory() -> Memory:
    return empty()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two episodes as Minari lays them out: columns in HDF5, with one more observation than actions."""
    h5py = importlib.import_module("h5py")
    data = tmp_path / "maze" / "data"
    data.mkdir(parents=True)
    (data / "metadata.json").write_text(json.dumps({"dataset_id": "maze/expert-v0", "data_format": "hdf5"}))
    with h5py.File(data / "main_data.hdf5", "w") as file:
        for number, length in ((0, 2), (1, 3)):
            episode = file.create_group(f"episode_{number}")
            episode.attrs["total_steps"] = length
            episode["observations/mission"] = [f"go to room {number}".encode()] * (length + 1)
            episode["observations/pose"] = np.arange(2 * length + 2, dtype=np.float32).reshape(-1, 2) / 3
            episode["actions"] = np.arange(length)
            episode["rewards"] = np.linspace(0, 1, length)
            episode["terminations"] = [False] * (length - 1) + [True]
            episode["truncations"] = [False] * length
            episode.create_group("infos")
    return tmp_path / "maze"


# ---- transitions ---------------------------------------------------------------------------------------------------


def test_transitions_are_actions_and_the_observations_that_answer_them(memory: Memory, tmp_path: Path) -> None:
    report = ingest(memory, lines(tmp_path / "run.jsonl", FIRST, SECOND, OTHER))
    assert (report.format, report.steps, report.episodes) == ("transitions", 5, 2)
    reset, action, opened = memory.steps("run.jsonl/7")
    assert (reset.kind, reset.text) == ("observation", "door: locked, place: [0.1235, 2]")
    assert reset.data == {"value": FIRST["observation"]}
    assert (action.kind, action.text, action.data) == ("action", "use key", None)
    assert (opened.text, opened.reward, opened.terminated, opened.reply_to) == ("The door opens.", 1.0, True, action.id)
    _, last = memory.steps("run.jsonl/8")
    assert (last.truncated, last.data) == (True, {"value": [0.5, 1.0], "info": {"lives": 3}})
    assert all(episode.ended for episode in memory.episodes())
    assert "opens" in memory.recall("what opens the door?").text


def test_transitions_that_grew_add_what_is_new(memory: Memory, tmp_path: Path) -> None:
    ingest(memory, lines(tmp_path / "run.jsonl", FIRST))
    report = ingest(memory, lines(tmp_path / "run.jsonl", FIRST, SECOND, OTHER))
    assert (report.steps, report.known) == (4, 1)
    assert ingest(memory, tmp_path / "run.jsonl").known == 5


def test_a_transition_without_an_observation_is_bad(memory: Memory, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="line 2: it has no observation; a transition is {episode, action"):
        ingest(memory, lines(tmp_path / "run.jsonl", FIRST, {"action": 1, "reward": 0.0}))
    with pytest.raises(InvalidInputError, match=r"line 1: it has the episode \[\]; give a str or a number"):
        ingest(memory, lines(tmp_path / "run.jsonl", SECOND | {"episode": []}))


def test_the_text_in_an_info_describes_the_observation(memory: Memory, tmp_path: Path) -> None:
    ingest(memory, lines(tmp_path / "run.jsonl", OTHER | {"info": {"text": "You fell."}}))
    assert [step.text for step in memory.steps()] == ["2", "You fell."]


# ---- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (True, "true"),
        (None, "null"),
        (0.123456, "0.1235"),
        (np.float32(1.5), "1.5"),
        (np.array([0.1234567, -2.0], np.float32), "[0.1235, -2]"),
        ([[1, 2], [3, 4]], "[[1, 2], [3, 4]]"),
        (["left", 1, None], "[left, 1, null]"),
        ([[1], [2, 3]], "[[1], [2, 3]]"),
        ({"a": 1, "b": {"c": 2.0}}, "a: 1, b: c: 2"),
        (b"mission", "mission"),
        (np.zeros((84, 84, 3), np.uint8), "array 84 x 84 x 3 of uint8, from 0 to 0, mean 0"),
        (float("nan"), "nan"),
        (np.array([]), "[]"),
        (-(10**400), "-1.000e+400"),
    ],
)
def test_values_are_described_in_few_words(value: Any, text: str) -> None:
    assert described(value) == text


def test_a_raw_value_is_kept_up_to_a_size() -> None:
    assert raw(np.array([1, 2])) == [1, 2]
    assert raw(float("inf")) == "inf"
    assert raw(np.zeros((84, 84), np.uint8)) == {"shape": [84, 84], "dtype": "uint8"}
    assert raw({"text": "x" * 5_000}) == {"left_out": "too long"}


# ---- Minari --------------------------------------------------------------------------------------------------------


def test_a_dataset_of_minari_is_read_from_its_folder_or_its_file(memory: Memory, dataset: Path) -> None:
    report = ingest(memory, dataset)
    assert (report.format, report.steps, report.episodes) == ("minari", 12, 2)
    assert [episode.id for episode in memory.episodes()] == ["maze/expert-v0/0", "maze/expert-v0/1"]
    first, action, second, *_, last = memory.steps("maze/expert-v0/0")
    assert (first.text, action.text) == ("mission: go to room 0, pose: [0, 0.3333]", "0")
    assert (second.reward, second.reply_to, last.reward, last.terminated) == (0.0, action.id, 1.0, True)
    assert first.data["value"]["mission"] == "go to room 0"
    again = ingest(memory, dataset / "data" / "main_data.hdf5")
    assert (again.steps, again.known) == (0, 12)
    assert "room 1" in memory.recall("go to room 1").text


def test_datasets_are_found_among_other_files(memory: Memory, dataset: Path) -> None:
    (dataset.parent / "notes.txt").write_text("The maze was recorded on Monday.")
    report = ingest(memory, dataset.parent)
    assert (report.format, report.files, report.episodes) == ("documents, minari", 2, 3)


def test_what_is_no_whole_dataset_is_named(memory: Memory, dataset: Path) -> None:
    main = dataset / "data" / "main_data.hdf5"
    main.write_bytes(main.read_bytes()[:1_000])
    with pytest.raises(InvalidInputError, match=r"main_data.hdf5 is no whole dataset of Minari \("):
        ingest(memory, dataset)


def test_without_h5py_the_line_that_installs_it_is_told(
    memory: Memory, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"read with h5py: pip install .*\[envs\]'$"):
        ingest(memory, dataset)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("data_format", ["hdf5", "arrow"])
def test_a_dataset_that_minari_itself_writes_is_read(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_format: str
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    gymnasium, minari = map(importlib.import_module, ("gymnasium", "minari"))
    from minari.data_collector import EpisodeBuffer

    environment = gymnasium.make("CartPole-v1")
    seen = [environment.reset(seed=0)[0], *(environment.step(1)[0] for _ in range(3))]
    buffer = EpisodeBuffer(
        observations=seen, actions=[1, 1, 1], rewards=[1.0] * 3, terminations=[False] * 3, truncations=[False] * 3
    )
    minari.create_dataset_from_buffers(
        "pole/right-v0", [buffer], env=environment, eval_env=environment, data_format=data_format
    )
    assert ingest(memory, tmp_path / "pole" / "right-v0").steps == 7
    assert [step.text for step in memory.steps("pole/right-v0/0")][1::2] == ["1", "1", "1"]
    assert next(memory.steps()).text == described(seen[0])
