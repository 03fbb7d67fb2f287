"""What the tests of Memory share: a file, a memory in it, and an episode that is being logged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from strategies import opened

from agentmem import Memory
from agentmem.memory import EpisodeWriter

settings.register_profile("no clock", deadline=None)  # a busy machine is no failure
settings.load_profile("no clock")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.mem"


@pytest.fixture
def memory(file: Path) -> Iterator[Memory]:
    with opened(file) as memory:
        yield memory


@pytest.fixture
def episode(memory: Memory) -> EpisodeWriter:
    return memory.episode(goal="open the red door", id="door", agent="ada")
