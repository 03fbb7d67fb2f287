"""Episodes that are being logged over HTTP, kept from one request to the next.

A writer knows what its episode recalled, so that it is not learned again. Other processes may log, recall, end and
erase as well: the log is asked each time, and only for what is new.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agentmem.memory import EpisodeWriter, Memory
from agentmem.server.problems import Refused
from agentmem.types import Namespace

KEPT = 64
"""Writers, each of which may know megabytes of what its episode recalled."""


@dataclass
class Open:
    """A writer; the log position up to which it knows what happened to its episode; the erasures it knows of.

    lock: held from catching up to what is logged then, so that no step comes after an end.
    """

    writer: EpisodeWriter
    upto: int
    generation: int
    ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def catch_up(self, memory: Memory) -> None:
        """Take up what the log has of the episode since the last time."""
        store, after = memory._core.store, self.upto
        head = store.head().position
        if after < head:
            events = list(store.scan(memory.namespace, after, episode=self.writer.id, types=["recall", "begin", "end"]))
            if any(event.type == "recall" for event in events):
                self.writer.remember_recalls(after)
            for event in events:
                self.ended = self.ended if event.type == "recall" else event.type == "end"
            self.upto = head


class Writers:
    """The writers used last, of all namespaces of one file."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[Namespace, str], Open] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def writer(self, memory: Memory, id: str) -> Iterator[EpisodeWriter]:
        """The writer of an episode, for one request at a time. The episode begins if it is not there.

        Raises Refused where it has ended.
        """
        with self._lock:
            if (one := self._open.get((memory.namespace, id))) is not None:
                self._open.move_to_end((memory.namespace, id))
        generation = memory._core.store.version(memory.namespace).generation
        if one is None or one.generation != generation:
            one = self._begin(memory, id, generation)
        with one.lock:
            one.catch_up(memory)
            if one.ended:
                raise _ended(id)
            yield one.writer

    def _begin(self, memory: Memory, id: str, generation: int) -> Open:
        head, known = memory.head().position, memory._known(id)
        if known is not None and known.ended is not None:
            raise _ended(id)
        one = Open(memory.episode(id=id), head, generation)
        with self._lock:
            other = self._open.get((memory.namespace, id))
            if other is not None and other.generation == generation:
                return other  # a request at the same time was first
            self._open[memory.namespace, id] = one
            while len(self._open) > KEPT:
                self._open.popitem(last=False)
        return one

    def drop(self, memory: Memory, id: str) -> None:
        """Keep the writer of an episode no longer: it ended."""
        with self._lock:
            self._open.pop((memory.namespace, id), None)


def _ended(id: str) -> Refused:
    return Refused(409, f"episode {id!r} has ended; POST /v1/episodes with its id resumes it")
