"""Killed at any moment: nothing acknowledged is lost, nothing is half there, a retry adds nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from torture.store_kills import kill_often


@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_killed_process_loses_nothing_acknowledged(tmp_path: Path, durability: str) -> None:
    kill_often(str(tmp_path / "agent.mem"), durability, kills=10, first=0)
