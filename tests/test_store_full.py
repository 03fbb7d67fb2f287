"""A disk that is full: what does not fit is refused, what is there can be read, and erased."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from strategies import opened

from agentmem.errors import FullError
from agentmem.memory import EpisodeWriter
from agentmem.store import open_store
from agentmem.testing.records import step

MEGABYTES = 3
SECRET = "The vault opens with seven four one nine, said Ann."


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def log_until_full(episode: EpisodeWriter) -> int:
    for number in range(100_000):
        try:
            episode.log(f"note {number}: " + "red door " * 2_000, key=str(number))
        except FullError:
            return number
    raise AssertionError("the disk did not fill")


def fill(file: Path) -> None:
    """Take what is left of the disk."""
    with file.open("wb", buffering=0) as other:
        try:
            for size in (1 << 16, 1 << 10, 1):
                while other.write(bytes(size)):
                    pass
        except OSError:
            return


def test_a_full_disk_refuses_the_next_step_and_everything_can_be_read_and_erased(disk: Path) -> None:
    file = disk / "agent.mem"
    with opened(file) as memory:
        episode = memory.episode(id="run")
        first = episode.log(SECRET)
        count = log_until_full(episode)
        fill(disk / "other")
        assert count > 20
        assert [step.key for step in memory.steps()] == [None, *map(str, range(count))]
        assert memory.recall("vault", 60).text
        assert memory.verify().ok
        report = memory.erase(steps=[first.id])
        assert (report.steps, report.residue) == (1, ())
        assert [step.key for step in memory.steps()] == [*map(str, range(count))]
        assert memory.verify().ok
    assert SECRET.encode() not in file.read_bytes()


@pytest.mark.slow
def test_a_memory_on_a_full_disk_opens(disk: Path) -> None:
    file = disk / "agent.mem"
    with opened(file) as memory:
        count = log_until_full(memory.episode(id="run"))
    fill(disk / "other")
    with opened(file) as memory:
        assert len(list(memory.steps())) == count
        assert memory.verify().ok
        memory.erase(episode="run")
        assert memory.stats().steps == 0


def test_room_is_kept_only_where_there_is_little(disk: Path, tmp_path: Path) -> None:
    for place, kept in ((disk, True), (tmp_path, False)):
        with open_store(str(place / "agent.mem")) as store:
            store.append([step("a")])
            assert (place / "agent.mem-reserve").exists() == kept
            sizes = store.sizes()
            assert (sizes["reserve"] > 0) == kept
            assert sizes["total"] >= sizes["reserve"]
