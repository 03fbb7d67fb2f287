"""Files that people name: written whole, or what was there still is."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from strategies import opened

from agentmem import Memory
from agentmem.cli.remove import write_certificate
from agentmem.errors import FullError, StoreError
from agentmem.graph import memory_graph, write
from agentmem.store.whole import created, put, replaced
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


def to_log(memory: Memory, path: Path) -> None:
    memory.export(path)


@pytest.mark.parametrize("made", [to_page, to_graph, to_picture, to_log])
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


def test_an_export_of_the_log_leaves_the_parts_that_others_write(tmp_path: Path) -> None:
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


PROTECTED = """
import os, sys
from pathlib import Path
from agentmem.errors import StoreError
from agentmem.store.whole import put
if os.getuid() == 0:
    os.setuid(65534)
file = Path(sys.argv[1])
file.write_text("before")
file.chmod(0o444)
try:
    with put(file, "page") as out:
        out.write(b"after")
except StoreError as error:
    print(error)
print(file.read_text(), os.listdir(file.parent))
"""


def test_a_file_that_may_not_be_written_is_not_replaced() -> None:
    with TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o777)
        command = [sys.executable, "-c", PROTECTED, f"{folder}/own"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == f"cannot write the page to {folder}/own: Permission denied; choose another place\nbefore ['own']\n"


def test_of_two_who_make_one_file_at_once_the_second_is_refused_and_the_first_is_whole(tmp_path: Path) -> None:
    with created(tmp_path / "ann.json") as first:
        first.write(b"first")
        with pytest.raises(FileExistsError), created(tmp_path / "ann.json"):
            pass
    assert (tmp_path / "ann.json").read_text() == "first"
    assert os.listdir(tmp_path) == ["ann.json"]


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
