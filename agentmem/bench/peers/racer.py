"""Leading the processes of peers: one is asked while the others wait, so that all meet the same load."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from agentmem.bench.peers import serve
from agentmem.bench.peers.entries import ENTRIES
from agentmem.bench.processes import environment

CLOSING_S = 30.0
"""Seconds a process has to end by itself."""


class Racer:
    """One package: its process, and what it said last. note: why it runs no more."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name, self.process = name, process
        self.bytes, self.resident = 0, 0
        self.note = ""
        self.running = "ready" in self._answer()

    def order(self, **order: Any) -> list[float]:
        """Milliseconds of each thing that was ordered; none where the package failed, which its note tells."""
        took: list[float] = self.told(**order).get("wall_ms", [])
        return took

    def told(self, **order: Any) -> dict[str, Any]:
        """All that is answered to an order."""
        if not self.running:
            return {}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.bytes, self.resident = answer.get("bytes", self.bytes), answer.get("resident", self.resident)
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"cannot": "its process ended; see its message above"}
        self.note = answer.get("cannot", self.note)
        self.running = "cannot" not in answer
        return answer


def missing(names: Sequence[str]) -> dict[str, str]:
    """What to say of those that are not installed."""
    return {name: said for name in names if (said := ENTRIES[name].missing())}


@contextmanager
def started(names: Sequence[str], progress: Callable[[], object] = lambda: None) -> Iterator[dict[str, Racer]]:
    """Those that can be used, and those that say why they cannot. progress: called as each is ready."""
    with ExitStack() as stack:
        racers = {}
        for name in names:
            racers[name] = _start(stack, name)
            progress()
        yield racers


def _start(stack: ExitStack, name: str) -> Racer:
    folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    command = [sys.executable, "-m", serve.__name__, name, folder]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command,
        stdin=pipe,
        stdout=pipe,
        text=True,
        env=environment(),
        start_new_session=True,  # Ctrl-C is for the leader
    )
    stack.callback(_end, process)
    return Racer(name, process)


def _end(process: subprocess.Popen[str]) -> None:
    """It ends when it is told nothing more; where it does not, it is told to."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended already
        process.stdin.close()
    try:
        process.wait(CLOSING_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
