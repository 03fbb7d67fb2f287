"""A memory that is looked at: its replays, kept from one question to the next while the log stays as it is.

Knows a memory and its replay; knows no page.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.memory import Memory, check_memory
from agentmem.records import brief
from agentmem.replay import Comparison, Frames, compare, replay
from agentmem.types import Namespace

T = TypeVar("T")
KEPT = 16
COMPARED = 20_000
"""Steps of a run that is compared: all of their texts are read."""


class Look:
    """memory: opened at the root, or at the one namespace that may be looked at, if `only` says so.

    What recalls of the log read beside their own namespace a replay reads too, where it may be looked at: a memory's
    own `read`, or, unless it is `only` one, all.
    """

    def __init__(self, memory: Memory, name: str, only: bool = False, read_only: bool = False) -> None:
        self.memory, self.name, self.only, self.read_only = check_memory(memory), name, only, read_only
        self._kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._lock = threading.Lock()

    def namespaces(self) -> list[Namespace]:
        """Those that may be looked at."""
        return [self.memory.namespace] if self.only else self.memory._core.store.namespaces()

    def scoped(self, namespace: Namespace) -> Memory:
        """The memory, seen from a namespace; NotFoundError for one that is not there."""
        if namespace != self.memory.namespace and (self.only or namespace not in self.namespaces()):
            raise NotFoundError(f"there is no namespace {brief(list(namespace))} here; choose another")
        return self.memory if namespace == self.memory.namespace else self.memory.scoped(*namespace)

    def frames(self, namespace: Namespace, episode: str | None) -> Frames:
        """The replay of an episode, or of all."""
        return self.kept("frames", namespace, episode, lambda: replay(self._reading(namespace), episode))

    def _reading(self, namespace: Namespace) -> Memory:
        scoped = self.scoped(namespace)
        return scoped if self.only else scoped.scoped(*namespace, read=[*scoped.namespaces[1:], *self.namespaces()])

    def compared(self, namespace: Namespace, left: str, right: str) -> Comparison:
        """Two runs side by side; InvalidInputError for longer ones than can be."""

        sides = self.frames(namespace, left), self.frames(namespace, right)

        def make() -> Comparison:
            if (most := max(map(len, sides))) > COMPARED:
                raise InvalidInputError(f"a run of {most:,} steps is over the {COMPARED:,} that a page compares")
            return compare(*sides)

        return self.kept("compared", namespace, (left, right), make)

    def kept(self, what: str, namespace: Namespace, about: object, make: Callable[[], T]) -> T:
        """What was made before of the same state of the log, or else is made now."""
        store = self.memory._core.store
        key = (what, namespace, about, store.head(), store.version(namespace))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                found: T = self._kept[key]
                return found
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made
