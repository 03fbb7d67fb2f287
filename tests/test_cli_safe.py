"""What a command refuses, so that a slip costs nothing: a file in use, an erasure that was only to be tried."""

import os
from pathlib import Path

import pytest
from keyed import opened
from test_cli import STEPS, call, step_ids

from agentmem import Memory
from agentmem.errors import InvalidInputError
from agentmem.memory.certificates import read_certificate
from agentmem.store import check_target


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.mem"
    with Memory.open(path, encoder=None, durability="process") as memory:
        for episode, text, subject in STEPS:
            memory.episode(id=episode).observe(text, subjects=[subject])
    return path


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, Path]:
    """An encrypted memory and its key file."""
    file, keys = tmp_path / "sealed.mem", tmp_path / "sealed.key"
    with opened(file, keys) as memory:
        memory.episode(id="e").log("The red door is locked.", subjects=["ann"])
    return file, keys


# ---- where something may be written ------------------------------------------------------------------------------


def test_a_certificate_replaces_nothing_and_is_refused_before_anything_is_erased(path: Path, tmp_path: Path) -> None:
    taken = tmp_path / "notes.txt"
    taken.write_text("mine")
    (tmp_path / "plain").mkdir()
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    targets = [path, f"{path}-anchor", f"{path}-wal", taken, tmp_path / "plain", tmp_path / "lost", tmp_path / "no/a"]
    before = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    for target in targets:
        result = call("erase", path, "--subject", "ann", "--yes", "--certificate", target)
        assert result.exit_code == 1, target
        assert "error: " in result.stderr
        assert len(step_ids(path)) == 3
    assert taken.read_bytes() == before[taken]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_certificate_needs_a_folder_that_can_be_written(path: Path, tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    result = call("erase", path, "--subject", "ann", "--yes", "--certificate", tmp_path / "shut/ann.json")
    assert (result.exit_code, len(step_ids(path))) == (1, 3)


def test_the_log_prints_every_certificate_again(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "ann.json"
    call("erase", path, "--subject", "ann", "--yes", "--certificate", file)
    call("erase", path, "--subject", "bob", "--yes")
    lines = call("log", path, "--certificates").stdout.splitlines()
    assert read_certificate(lines[0]) == read_certificate(file.read_text())
    assert [read_certificate(line).request for line in lines] == ["subject", "subject"]
    assert call("log", path, "--certificates", "-n", "acme").exit_code == 1


def test_no_command_writes_over_a_key_file(sealed: tuple[Path, Path], path: Path) -> None:
    file, keys = sealed
    before = keys.read_bytes()
    for arguments in (
        ("export", file, keys, "--key-file", keys),
        ("view", file, "--export", keys, "--key-file", keys),
        ("erase", file, "--subject", "ann", "--yes", "--certificate", keys, "--key-file", keys),
        ("export", path, keys),
    ):
        result = call(*arguments)
        assert result.exit_code == 1, arguments
        assert "key file" in result.stderr
        assert keys.read_bytes() == before
    with opened(file, keys) as memory:
        assert len(list(memory.steps())) == 1


def test_nothing_is_written_where_a_file_of_another_memory_stands_or_will(path: Path, tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-anchor", "-lock", "-reserve"):
        with pytest.raises(InvalidInputError, match="belongs to one"):
            check_target(Path(f"{path}{suffix}"), str(tmp_path / "other.mem"))
    check_target(tmp_path / "free-anchor", str(path))
