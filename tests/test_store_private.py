"""Whose the files of a memory are: its owner's alone, whatever stands beside them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from strategies import opened

from agentmem.errors import InvalidInputError, StoreError
from agentmem.store import check_new, check_target


@pytest.fixture(autouse=True)
def _any_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def test_what_a_memory_makes_is_its_owners_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "a.mem") as memory:
        with memory.episode(id="e") as episode:
            episode.log("The red door is open.")
        memory.backup(tmp_path / "b.mem")
        made = modes(tmp_path)
    assert set(made.values()) == {0o600}
    assert {"a.mem", "a.mem-wal", "a.mem-shm", "a.mem-anchor", "a.mem-lock", "b.mem", "b.mem-anchor"} <= set(made)


def test_a_memory_that_was_given_to_a_group_stays_so(tmp_path: Path) -> None:
    opened(tmp_path / "a.mem").close()
    for file in tmp_path.iterdir():
        file.chmod(0o660)
    with opened(tmp_path / "a.mem") as memory:
        memory.episode(id="e").log("The red door is open.")
        assert set(modes(tmp_path).values()) == {0o660}


@pytest.mark.parametrize("end", ["-anchor", "-lock"])
def test_a_link_in_the_place_of_a_file_of_a_memory_is_not_followed(tmp_path: Path, end: str) -> None:
    (tmp_path / "other").write_text("of somebody else")
    (tmp_path / f"a.mem{end}").symlink_to(tmp_path / "other")
    with pytest.raises(StoreError, match=f"a.mem{end} is a link, which may lead anywhere; remove it"):
        opened(tmp_path / "a.mem")
    assert (tmp_path / "other").read_text() == "of somebody else"


@pytest.mark.parametrize(("mode", "warned"), [(0o777, True), (0o1777, False), (0o775, False)])
def test_a_directory_that_everybody_can_write_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warned: bool
) -> None:
    tmp_path.chmod(mode)
    opened(tmp_path / "a.mem").close()
    assert (f"chmod o-w {tmp_path}" in caplog.text) is warned


@pytest.mark.parametrize("place", ["shut/x", "shut/in/x"])
def test_where_nothing_may_be_looked_at_no_file_is_put_and_that_is_told(place: str, tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0)
    path = tmp_path / place
    said = (
        rf"{place} cannot be looked at \(Permission denied\); give another path, or let whoever runs this search its "
    )
    with opened(tmp_path / "a.mem") as memory:
        os.seteuid(os.geteuid() or 65_534)  # root may look everywhere
        try:
            for put in (check_target, lambda path: check_new(path, "b.mem"), memory.export):
                with pytest.raises(InvalidInputError, match=said):
                    put(path)
            with pytest.raises(
                (InvalidInputError, StoreError), match=rf"{place} cannot be (looked at|made) .*Permission"
            ):
                memory.backup(path)
        finally:
            os.seteuid(os.getuid())


def test_links_in_a_circle_are_no_file_of_a_memory(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to(tmp_path / "x")
    check_target(tmp_path / "x", str(tmp_path / "a.mem"))
    with pytest.raises(InvalidInputError, match="x already exists; give a path where nothing stands"):
        check_new(tmp_path / "x", str(tmp_path / "a.mem"))
