"""Group commit by itself: who writes for whom, and what everybody learns when that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from agentmem.errors import StoreError
from agentmem.store.group import Group, Request


class Disk:
    """Commits and waits that take a moment, and fail when told to."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.waiting = self.most = 0
        self.commit_error: BaseException | None = None
        self.wait_error: BaseException | None = None
        self._lock = threading.Lock()

    def commit(self, group: list[Request]) -> int:
        if self.commit_error is not None:
            raise self.commit_error
        self.groups.append(len(group))
        return len(self.groups)

    def wait(self, _: int) -> None:
        with self._lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        time.sleep(0.002)
        with self._lock:
            self.waiting -= 1
        if self.wait_error is not None:
            raise self.wait_error


def in_threads(work: Callable[[], object], count: int = 8) -> list[BaseException]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    return errors


@pytest.mark.parametrize("flights", [1, 2])
@pytest.mark.parametrize("gather", [0.0, 0.0005])
def test_every_request_is_in_one_group_and_no_more_groups_wait_than_may(flights: int, gather: float) -> None:
    disk = Disk()
    group = Group(disk.commit, disk.wait, flights, gather)

    def work() -> None:
        for _ in range(50):
            group.run(Request([], {}))

    assert in_threads(work) == []
    assert sum(disk.groups) == 400
    assert len(disk.groups) < 400
    assert disk.most <= flights


def test_all_of_a_group_learn_that_it_failed_and_the_next_is_written() -> None:
    disk = Disk()
    group = Group(disk.commit, disk.wait, 2, 0.0005)
    for name in ("commit_error", "wait_error"):
        setattr(disk, name, StoreError("full"))
        errors = in_threads(lambda: group.run(Request([], {})))
        assert [str(error) for error in errors] == ["full"] * 8
        setattr(disk, name, None)
        assert in_threads(lambda: group.run(Request([], {}))) == []


def test_an_interrupt_reaches_the_thread_that_led_and_the_others_learn_of_it() -> None:
    disk = Disk()
    group = Group(disk.commit, disk.wait, 2, 0.0005)
    disk.wait_error = KeyboardInterrupt()
    errors = in_threads(lambda: group.run(Request([], {})))
    assert len(errors) == 8
    assert sum(isinstance(error, KeyboardInterrupt) for error in errors) == len(disk.groups)
    assert all("interrupted" in str(error) for error in errors if isinstance(error, StoreError))
    disk.wait_error = None
    assert in_threads(lambda: group.run(Request([], {}))) == []
