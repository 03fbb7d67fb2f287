"""Export and import: the log travels byte for byte."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentmem import InvalidInputError, Memory
from agentmem.ingest import ingest
from agentmem.testing import FakeClock


def opened(path: Path | str = ":memory:") -> Memory:
    return Memory.open(str(path), clock=FakeClock(), encoder=None)


@pytest.fixture()
def memory() -> Memory:
    """Two interleaved episodes with everything that log takes."""
    memory = opened()
    shop, door = memory.episode(goal="run the shop", id="shop", agent="clerk"), memory.episode(id="door")
    asked = shop.log("Do you have blue paint?", kind="message", actor="Ann", subjects=("ann",), trust="user", key="q1")
    door.observe("The red door is locked.", data={"room": [1, 2.5, None], "open": False})
    shop.log("", kind="action", reply_to=asked.id)
    shop.log("Ünïcode, \u2028, \x00 and\ttabs", blobs={"photo": b"\x00\xffpng"}, at="2026-01-02T03:04:05+01:00")
    door.log("It opens.", reward=0.5, terminated=True)
    door.end()
    return memory


def exported(memory: Memory, path: Path, derived: bool = False) -> bytes:
    memory.export(path, derived=derived)
    return path.read_bytes()


def lines(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.decode().split("\n") if line]


def test_export_then_import_then_export_gives_the_same_bytes(memory: Memory, tmp_path: Path) -> None:
    first = exported(memory, tmp_path / "a.jsonl")
    copy = opened()
    ingest(copy, tmp_path / "a.jsonl")
    assert exported(copy, tmp_path / "b.jsonl") == first


def test_one_step_per_line_in_log_order(memory: Memory, tmp_path: Path) -> None:
    steps = [line for line in lines(exported(memory, tmp_path / "a.jsonl")) if line.get("type", "step") == "step"]
    assert [line["text"] for line in steps][:2] == ["Do you have blue paint?", "The red door is locked."]
    assert [line["episode"] for line in steps] == ["shop", "door", "shop", "shop", "door"]


def test_an_import_can_be_repeated_and_adds_nothing(memory: Memory, tmp_path: Path) -> None:
    first = exported(memory, tmp_path / "a.jsonl")
    copy = opened()
    assert ingest(copy, tmp_path / "a.jsonl").steps == 5
    again = ingest(copy, tmp_path / "a.jsonl")
    assert (again.steps, again.known) == (0, 5)
    assert exported(copy, tmp_path / "b.jsonl") == first
