"""What tests share: a file, a memory in it, an episode that is being logged, and a Ctrl-C that is heeded."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from lawful import MANY, USUAL
from strategies import long_log, opened, played

from agentmem import Memory
from agentmem.memory import EpisodeWriter
from agentmem.testing import HashEncoder

settings.register_profile("no clock", deadline=None, max_examples=USUAL)  # a busy machine is no failure
settings.register_profile("many", deadline=None, max_examples=MANY)
settings.load_profile("no clock")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell: children would not hear Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A new path each time."""
    return lambda: tmp_path_factory.mktemp("law") / "agent.mem"


@pytest.fixture(scope="module")
def long() -> Iterator[Memory]:
    """A long log with crystals of every layer; nobody writes to it."""
    with played(long_log(), encoder=HashEncoder(256)) as memory:
        memory.crystallize()
        yield memory


@pytest.fixture
def heeding() -> Iterator[None]:
    """Ctrl-C is heeded, as in a terminal; tests that run in the background may have been told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
