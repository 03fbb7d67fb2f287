"""What tests share: a file, a memory in it, an episode that is being logged, and a Ctrl-C that is heeded."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.testing
from doors import ten_doors
from hypothesis import settings
from seen import CHROMIUM
from strategies import MANY, SECRET, USUAL, long_log, opened, played

from agentmem import Memory
from agentmem.memory import EpisodeWriter
from agentmem.testing import FakeClock, HashEncoder

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each of hundreds of processes would compile every module again
sys.dont_write_bytecode = False
gc.disable()  # until all is imported
RAM, ROOM = "/dev/shm", 4 << 30
if os.access(RAM, os.W_OK) and shutil.disk_usage(RAM).free > ROOM:  # no waiting for a disk, thousands of times;
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", RAM)  # what a power cut leaves is asked of a simulated one
typer.testing._get_command = cache(typer.testing._get_command)  # not 25 commands built again for each that is called
settings.register_profile("no clock", deadline=None, max_examples=USUAL)  # a busy machine is no failure
settings.register_profile("many", deadline=None, max_examples=MANY)
settings.load_profile("no clock")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell: children would not hear Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What was imported stays to the end: it is left out of every collection of garbage."""
    gc.freeze()
    gc.enable()


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
def told(file: Path) -> Iterator[Memory]:
    """Two episodes with a step about Ann, and one about Ann and Bob."""
    with opened(file) as memory:
        for name in ("house", "garden"):
            episode = memory.episode(id=name, goal=f"look at the {name}")
            episode.log(f"{SECRET} In the {name}.", subjects=["ann"], data={"pin": 987654})
            episode.log_many([f"The red door {n} of the {name} is open." for n in range(4)])
        episode.log("Ann met Bob.", subjects=["ann", "bob"], key="met")
        memory.crystallize()
        yield memory


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(tick=0.0)


@pytest.fixture
def doors(file: Path, clock: FakeClock) -> Iterator[Memory]:
    with ten_doors(file, clock) as memory:
        yield memory


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()
