"""Group commit: of threads that append at once, one writes for all. Knows neither files nor tables.

Whoever finds nobody writing leads: it takes everything queued into one transaction, waits for the disk, and hands the
lead to the first that queued meanwhile. Every other thread sleeps once, until what it asked for is done or the lead is
its own. Threads that append in a loop come back one by one after a sync: a leader that did not wait a moment for those
of the last group would go alone, and each of the others would pay for two syncs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import StoreError
from ..types import Record
from .rows import Prepared


@dataclass(slots=True, eq=False)
class Request:
    """One call of append, waiting for its transaction."""

    records: list[Prepared]
    blobs: dict[bytes, bytes]
    result: list[Record] = field(default_factory=list)
    error: BaseException | None = None
    done: bool = False
    leads: bool = False
    turn: threading.Lock = field(default_factory=threading.Lock)


class Group:
    """write: one transaction for many requests, durable on return. gather: seconds to wait for the last group."""

    def __init__(self, write: Callable[[list[Request]], None], gather: float) -> None:
        self._write, self._gather, self._last = write, gather, 1
        self._lock = threading.Lock()
        self._queue: list[Request] = []
        self._led = False

    def run(self, mine: Request) -> None:
        """Have a request written; its `result` is there on return. Raises its error."""
        mine.turn.acquire()
        with self._lock:
            self._queue.append(mine)
            mine.leads, self._led = not self._led, True
        if not mine.leads:
            self._wait(mine)
        if not mine.done:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error

    def _wait(self, mine: Request) -> None:
        try:
            mine.turn.acquire()
        except BaseException:
            with self._lock:
                if mine in self._queue:
                    self._queue.remove(mine)
                if mine.leads and not mine.done:
                    self._hand_over()
            raise

    def _lead(self, mine: Request) -> None:
        self._await_others()
        with self._lock:
            group, self._queue = self._queue, []
        self._last = len(group)
        error: BaseException | None = None
        try:
            self._write(group)
        except BaseException as problem:
            error = problem
        with self._lock:
            self._hand_over()
        for one in group:
            one.error = one.error or _for_thread(error, one is mine)
            one.done = True
            one.turn.release()

    def _await_others(self) -> None:
        if self._gather and self._last > 1:
            end = time.perf_counter() + self._gather
            while len(self._queue) < self._last and time.perf_counter() < end:
                time.sleep(0)

    def _hand_over(self) -> None:
        if self._queue:
            self._queue[0].leads = True
            self._queue[0].turn.release()
        else:
            self._led = False


def _for_thread(error: BaseException | None, own: bool) -> BaseException | None:
    """An interrupt belongs to the thread that got it; the others only learn that nothing was acknowledged."""
    if error is None or own or isinstance(error, Exception):
        return error
    return StoreError("the thread that wrote for this one was interrupted; append again, with the same keys")
