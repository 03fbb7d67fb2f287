"""Episodes that are being logged over HTTP, kept from one request to the next.

A writer knows what its episode recalled, so that it is not learned again. Other processes may log, recall, end and
erase as well: the log is asked each time, and only for what is new.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from agentmem.memory import EpisodeWriter, Memory
from agentmem.server.problems import Refused
from agentmem.types import Episode, Namespace

KEPT = 256


@dataclass
class Open:
    """A writer; the log position up to which it knows what was recalled; the erasures it knows of."""

    writer: EpisodeWriter
    upto: int
    generation: int
    lock: threading.Lock = field(default_factory=threading.Lock)


class Writers:
    """The writers used last, of all namespaces of one file."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[Namespace, str], Open] = OrderedDict()
        self._lock = threading.Lock()

    def writer(self, memory: Memory, id: str) -> EpisodeWriter:
        """The writer of an episode, which begins if it is not there. Raises Refused where it has ended."""
        with memory._core.lock:
            index = memory._core.index(memory.namespace)
            known, head, generation = index.episodes.get(id), index.head, index.generation
        if known is not None and known.ended is not None:
            raise Refused(409, f"episode {id!r} has ended; POST /v1/episodes with its id resumes it")
        one = self._kept(memory, id, known, head, generation)
        with one.lock:
            if one.upto < head:
                one.writer.remember_recalls(one.upto)
                one.upto = head
        return one.writer

    def _kept(self, memory: Memory, id: str, known: Episode | None, head: int, generation: int) -> Open:
        name = (memory.namespace, id)
        with self._lock:
            one = self._open.get(name)
        if one is None or known is None or one.generation != generation:
            one = Open(memory.episode(id=id), head, generation)
        with self._lock:
            self._open[name] = one
            self._open.move_to_end(name)
            while len(self._open) > KEPT:
                self._open.popitem(last=False)
        return one

    def drop(self, memory: Memory, id: str) -> None:
        """Keep the writer of an episode no longer: it ended."""
        with self._lock:
            self._open.pop((memory.namespace, id), None)
