"""Opening, importing or loading a file never runs code, and what is no good is refused by an error of ours."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hostile_files import tried
from strategies import opened

from agentmem.errors import DamagedError, TooLargeError
from agentmem.ingest import ingest, source
from agentmem.store.blocks import LIMIT, compress, decompress


@pytest.mark.parametrize(("kind", "count"), [("plain", 16), ("tensors", 9)])
def test_no_file_runs_code(tmp_path: Path, kind: str, count: int) -> None:
    found = tried(kind, tmp_path, count, 0)
    assert any("refused" in name for name in found)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("plain", 340), ("tensors", 160)])
def test_hundreds_of_files_run_no_code(tmp_path: Path, kind: str, count: int) -> None:
    print(tried(kind, tmp_path, count, 1))


def test_a_frame_that_says_it_is_huge_is_refused_before_it_is_unpacked() -> None:
    claims = b"\x28\xb5\x2f\xfd" + struct.pack("<BQ", 0xE0, LIMIT + 1) + b"\x01\0\0"
    with pytest.raises(DamagedError, match=f"{LIMIT + 1} bytes and the limit is {LIMIT}"):
        decompress(claims, "the block")
    assert decompress(compress(b"x" * 1000, 3), "the block") == b"x" * 1000


def test_a_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LINE", 1_000)
    (tmp_path / "log.jsonl").write_text('{"text": "' + "x" * 2_000 + '"}')
    with opened(tmp_path / "a.mem") as memory, pytest.raises(TooLargeError, match="a line of more than"):
        ingest(memory, tmp_path / "log.jsonl")
