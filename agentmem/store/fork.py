"""Stores on both sides of a fork. Knows no tables.

SQLite's locks belong to a process, but its book-keeping of them is copied into a forked child: a connection made there
would think it holds what the parent holds. So a fork waits until no store is in the middle of something, and the child
first closes, without a checkpoint, the connections it inherited; each store opens its file again when it is next used.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from typing import Protocol

WAIT_SECONDS = 5.0


class Forkable(Protocol):
    def hold(self, seconds: float) -> None: ...
    def release(self) -> None: ...
    def abandon(self) -> None: ...


_stores: weakref.WeakSet[Forkable] = weakref.WeakSet()
_held: list[Forkable] = []


def register(store: Forkable) -> None:
    _stores.add(store)


def _before() -> None:
    for store in list(_stores):
        store.hold(WAIT_SECONDS)
        _held.append(store)


def _after_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_in_child() -> None:
    while _held:
        with suppress(Exception):
            _held.pop().abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
