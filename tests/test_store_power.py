"""Power cuts: whatever of the unsynced writes the disk kept, nothing acknowledged at "power" is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from torture.power import cuts, lacking

needs_strace = pytest.mark.skipif(bool(lacking()), reason=f"this machine lacks {lacking()}")


@needs_strace
def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path) -> None:
    kept = list(cuts(tmp_path, "power", every=41))
    assert len(kept) > 15
    assert all(kept)


@needs_strace
@pytest.mark.slow
def test_the_simulation_sees_that_process_does_not_survive_a_power_cut(tmp_path: Path) -> None:
    assert not all(cuts(tmp_path, "process", every=3))


@needs_strace
@pytest.mark.slow
def test_a_power_cut_of_an_encrypted_memory_loses_nothing_acknowledged(tmp_path: Path) -> None:
    kept = list(cuts(tmp_path, "power", 11, 1, 0, str(tmp_path / "agent.key")))
    assert len(kept) > 60
    assert all(kept)
