"""Files that people name: written whole, or what was there still is."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from strategies import opened

from agentmem import Memory
from agentmem.cli.remove import write_certificate
from agentmem.errors import FullError, StoreError
from agentmem.graph import memory_graph, write
from agentmem.store.whole import put, replaced
from agentmem.viewer import export

BYTES = 200


@contextmanager
def room_for(n_bytes: int) -> Iterator[None]:
    """In any one file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with opened(tmp_path / "a.mem") as memory:
        with memory.episode(id="door") as episode:
            episode.log("The red door is locked.", subjects=["ann"])
        yield memory


def to_page(memory: Memory, path: Path) -> None:
    export(memory, path)


def to_graph(memory: Memory, path: Path) -> None:
    write(memory_graph(memory), path, "gexf")


def to_picture(memory: Memory, path: Path) -> None:
    write(memory_graph(memory), path, "png")


@pytest.mark.parametrize("made", [to_page, to_graph, to_picture])
def test_an_export_that_finds_no_room_leaves_the_file_that_was_there_and_nothing_else(
    memory: Memory, tmp_path: Path, made: Callable[[Memory, Path], None]
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "good").write_text("before")
    with room_for(BYTES), pytest.raises(FullError, match=r"no space left for .*good \(File too large\); free some"):
        made(memory, folder / "good")
    assert [(each.name, each.read_text()) for each in folder.iterdir()] == [("good", "before")]
    made(memory, folder / "good")
    assert (folder / "good").stat().st_size > BYTES
    assert [each.name for each in folder.iterdir()] == ["good"]


def test_an_export_of_the_log_that_finds_no_room_leaves_the_parts_that_others_write(tmp_path: Path) -> None:
    others = tmp_path / "log.jsonl.part"
    others.write_text("somebody's")
    with opened(":memory:") as memory:
        memory.episode(id="door").log("The red door is locked.")
        memory.export(tmp_path / "log.jsonl")
    assert others.read_text() == "somebody's"


def test_a_certificate_that_finds_no_room_leaves_no_half_of_it(memory: Memory, tmp_path: Path) -> None:
    report = memory.erase(subject="ann")
    with room_for(BYTES), pytest.raises(StoreError, match=r"it is erased, but .*--certificates"):
        write_certificate(report, tmp_path / "ann.json", str(tmp_path / "a.mem"))
    assert not list(tmp_path.glob("ann*"))


def test_what_is_replaced_keeps_its_permissions_and_a_link_leads_to_the_new(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("before")
    (tmp_path / "own").chmod(0o600)
    (tmp_path / "link").symlink_to("own")
    with put(tmp_path / "link", "page") as out:
        out.write(b"after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "own").read_text() == "after"
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o600


def test_a_name_of_any_length_that_a_file_may_have_is_written(tmp_path: Path) -> None:
    for name in ("a" * 255, "𝛼" * 63):
        with replaced(tmp_path / name) as out:
            out.write(b"whole")
    assert len(os.listdir(tmp_path)) == 2


def test_what_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def stopped() -> None:
        with replaced(tmp_path / "page.html") as out:
            out.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert os.listdir(tmp_path) == []
