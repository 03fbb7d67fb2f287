"""Group commit: of threads that append at once, one writes for all. Knows neither files nor tables.

Whoever finds nobody writing leads: it takes everything queued into one transaction, hands the lead to the first that
queued meanwhile, and only then waits for the disk, so that the next transaction is written during the sync of this one.
Every other thread sleeps once, until what it asked for is done or the lead is its own.
"""

from __future__ import annotations

import threading
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
    """write: one transaction for many requests, returns a ticket. sync: returns when the ticket's commit is durable."""

    def __init__(self, write: Callable[[list[Request]], int], sync: Callable[[int], None]) -> None:
        self._write, self._sync = write, sync
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
        with self._lock:
            group, self._queue = self._queue, []
        error: BaseException | None = None
        ticket = 0
        try:
            ticket = self._write(group)
        except BaseException as problem:
            error = problem
        with self._lock:
            self._hand_over()
        try:
            if error is None:
                self._sync(ticket)
        except BaseException as problem:
            error = problem
        for one in group:
            one.error = one.error or _for_thread(error, one is mine)
            one.done = True
            one.turn.release()

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
