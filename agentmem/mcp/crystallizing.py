"""Crystallizing while a server runs: in a thread of its own, as it begins, after every so many steps, and as it ends.

Knows a memory and when it is due. A run that is stopped or fails goes on the next time; the log is safe either way.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from agentmem.memory import Memory

STEPS = 100
"""Steps of this server after which what was logged is crystallized."""
LAST_S = 1.5
"""Seconds that the last run may take: clients end a server that goes on for two."""

logger = logging.getLogger("agentmem.mcp")


class _Stopped(Exception):
    """Raised in a run that takes too long."""


class Crystallizing:
    """`begin` it; then `logged` and `due` may be called from any thread until `end`."""

    def __init__(self, memory: Memory, clock: Callable[[], float] = time.monotonic) -> None:
        self._memory, self._clock = memory, clock
        self._due, self._ending, self._steps = threading.Event(), False, 0
        self._until = float("inf")
        self._thread: threading.Thread | None = None
        self._lock, self._users = threading.Lock(), 0

    def begin(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._begin()

    def _begin(self) -> None:
        self._ending, self._until = False, float("inf")
        self._due.set()  # for what a killed server left
        self._thread = threading.Thread(target=self._run, name="agentmem-crystallizing", daemon=True)
        self._thread.start()

    def logged(self) -> None:
        """A step was logged."""
        self._steps += 1
        if self._steps >= STEPS:
            self.due()

    def due(self) -> None:
        """An episode ended: crystallize soon."""
        self._steps = 0
        self._due.set()

    def end(self) -> None:
        """Crystallize what is left, for about LAST_S, and wait for it; `end` as often as `begin`."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            self._until, self._ending = self._clock() + LAST_S, True
            self._due.set()
            if self._thread is not None:
                self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            self._due.wait()
            self._due.clear()
            ended = self._ending
            try:
                self._memory.crystallize(progress=self._check)
            except _Stopped:
                return  # the next server goes on with it
            except Exception:  # whatever it was: a thread that ends crystallizes nothing more
                logger.exception("crystallizing failed; what was logged is safe, and it is tried again")

    def _check(self, read: int, of: int) -> None:
        if self._clock() > self._until:
            raise _Stopped
