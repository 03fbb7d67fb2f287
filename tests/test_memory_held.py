"""Records that are kept between recalls: few enough, and none that was erased."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from strategies import opened

from agentmem.memory.held import FRAME, Held
from agentmem.types import Record

SECRET = "The vault of the red house opens with 4711."


def record(position: int) -> Record:
    return Record("step", (), text="x" * 100, position=position)


def test_the_oldest_are_given_up_for_newer_ones() -> None:
    held, asked = Held(20 * (FRAME + 102)), list[int]()

    def read(positions: Sequence[int]) -> list[Record]:
        asked.extend(positions)
        return list(map(record, positions))

    assert [one.position for one in held.read(range(1, 31), read)] == list(range(1, 31))
    held.read(range(11, 31), read)
    assert asked == list(range(1, 31))
    held.read([3], read)
    assert asked[-1] == 3


def test_what_was_being_read_when_something_was_erased_is_not_kept() -> None:
    held, asked = Held(), list[int]()

    def erased_meanwhile(positions: Sequence[int]) -> list[Record]:
        asked.extend(positions)
        held.clear()
        return list(map(record, positions))

    held.read([1], erased_meanwhile)
    held.read([1], erased_meanwhile)
    assert asked == [1, 1]


def test_a_step_that_another_process_erased_is_not_recalled_from_what_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path / "a.mem") as mine, opened(tmp_path / "a.mem") as other:
        step = mine.episode(id="house").log(SECRET, subjects=["ann"])
        mine.episode(id="house").log("The garden of the red house is green.")
        assert "4711" in mine.recall("red house").text
        assert step.position in mine._core._held._records
        other.erase(subject="ann")
        assert "4711" not in mine.recall("red house").text
        assert step.position not in mine._core._held._records


def test_erasing_empties_what_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path / "a.mem") as memory:
        step = memory.episode(id="house").log(SECRET, subjects=["ann"])
        memory.recall("red house")
        assert step.position in memory._core._held._records
        memory.erase(subject="ann")
        assert not memory._core._held._records
