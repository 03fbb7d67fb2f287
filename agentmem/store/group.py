"""Group commit: of threads that append at once, one writes for all. Knows neither files nor tables.

Whoever finds nobody leading leads: it takes everything queued into one transaction, hands the lead to the first that
queued meanwhile, and waits for the disk; the next group is written while it waits. Every other thread sleeps once,
until what it asked for is done or the lead is its own. Threads that append in a loop come back one by one after a sync:
a leader that did not wait a moment for as many as the last group had would go alone, and the others pay for two syncs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
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
    keys: frozenset[str] = frozenset()  # of what is sealed
    given: Sequence[Record] = ()  # before it was sealed
    turn: threading.Lock = field(default_factory=threading.Lock)


class Group:
    """commit: one transaction for many requests, giving a ticket; wait: until the ticket's transaction is durable.

    flights: groups that may wait for the disk at once. gather: seconds to wait for as many as the last group had.
    """

    def __init__(
        self, commit: Callable[[list[Request]], int], wait: Callable[[int], None], flights: int, gather: float
    ) -> None:
        self._commit, self._durable, self._free, self._gather = commit, wait, flights, gather
        self._last = 1
        self._lock = threading.Lock()
        self._queue: list[Request] = []
        self._led = False
        self._missing = 0
        self._full = threading.Lock()
        self._full.acquire()

    def run(self, mine: Request) -> None:
        """Have a request written; its `result` is there on return. Raises its error."""
        mine.turn.acquire()
        with self._lock:
            self._queue.append(mine)
            mine.leads = not self._led and self._free > 0
            self._led = self._led or mine.leads
            self._missing -= 1
            if self._missing == 0:
                self._full.release()
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
        group: list[Request] = []
        ticket, error = 0, None
        try:
            self._await_others()
            self._take(group)
            ticket = self._commit(group)
        except BaseException as problem:
            error = problem
        with self._lock:
            if not group:
                self._queue.remove(mine)
            self._free -= 1
            self._hand_over()
        self._finish(group or [mine], mine, error or self._landed(ticket))

    def _landed(self, ticket: int) -> BaseException | None:
        """Wait for the disk; the error it gave."""
        try:
            self._durable(ticket)
        except BaseException as problem:
            return problem
        return None

    def _finish(self, group: list[Request], mine: Request, error: BaseException | None) -> None:
        with self._lock:
            self._free += 1
            if not self._led:
                self._hand_over()
        for one in group:
            one.error = one.error or _for_thread(error, one is mine)
            one.done = True
            one.turn.release()

    def _take(self, group: list[Request]) -> None:
        with self._lock:
            group += self._queue
            self._queue.clear()
            self._last = len(group)

    def _await_others(self) -> None:
        """Sleep a moment, or until as many are queued as the last group had."""
        with self._lock:
            self._missing = self._last - len(self._queue) if self._gather else 0
        if self._missing > 0 and not self._full.acquire(timeout=self._gather):
            with self._lock:
                if self._missing <= 0:
                    self._full.acquire()
                self._missing = 0

    def _hand_over(self) -> None:
        self._led = bool(self._queue) and self._free > 0
        if self._led:
            self._queue[0].leads = True
            self._queue[0].turn.release()


def _for_thread(error: BaseException | None, own: bool) -> BaseException | None:
    """An interrupt belongs to the thread that got it; the others only learn that nothing was acknowledged."""
    if error is None or own or isinstance(error, Exception):
        return error
    return StoreError("the thread that wrote for this one was interrupted; append again, with the same keys")
