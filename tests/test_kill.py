"""Killed at any moment while it logs and crystallizes: a memory loses nothing it acknowledged and doubles nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from torture.memory_kills import kill_often


@pytest.mark.parametrize(
    ("retain", "durability"), [pytest.param("keep", "process", marks=pytest.mark.slow), ("crystals", "power")]
)
def test_a_killed_memory_loses_nothing_and_doubles_nothing(tmp_path: Path, retain: str, durability: str) -> None:
    done = kill_often(tmp_path, retain, durability, kills=6, first=0)
    assert done["steps"] > 20
