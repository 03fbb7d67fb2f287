"""From what a file has to a log: episodes begin with their goal, resume where they grew, and end.

Knows the log as an Importer and a Store; knows no format.
"""

from __future__ import annotations

from collections.abc import Callable

from agentmem.ingest.report import Bad, Found
from agentmem.records import canonical
from agentmem.transfer import Importer
from agentmem.types import Namespace, Record, Store


class Beginnings(Importer):
    """An importer that begins episodes with a goal, and again those that have ended, with their first good step."""

    def __init__(self, store: Store, namespace: Namespace, now: Callable[[], float], bad: Bad) -> None:
        super().__init__(store, namespace, now, bad)
        self._goals: dict[str | None, object] = {}

    def begin(self, episode: str, goal: str | None) -> None:
        """Let an episode begin with the next of its steps."""
        self._goals[episode] = goal

    def is_waiting(self, episode: str) -> bool:
        """Whether no step has begun an episode that is to begin, since it was bad; it does not begin then."""
        return self._goals.pop(episode, self) is not self

    def _wait(self, number: int, record: Record, blobs: dict[str, bytes] | None = None, line_id: str = "") -> None:
        if record.episode in self._goals and record.type in ("begin", "step"):
            body = canonical({"goal": goal} if (goal := self._goals.pop(record.episode)) else {})
            super()._wait(number, Record("begin", record.namespace, record.episode, body=body, logged_at=self.now()))
            if record.type == "begin":
                return
        super()._wait(number, record, blobs, line_id)


class Logger:
    """Hands what is found to an importer. named: keys name their content, so one that is known is not looked at."""

    def __init__(self, importer: Beginnings, store: Store, namespace: Namespace) -> None:
        self.importer, self.store, self.namespace = importer, store, namespace
        self._open = {
            record.episode: record.type == "begin" for record in store.scan(namespace, types=["begin", "end"])
        }
        self._met: dict[str, None] = {}
        self._seen: set[str] = set()

    def take(self, found: Found, named: bool) -> None:
        if found.episode is None:
            self.importer.add(found.number, found.step or {})
        elif found.step is None:
            self._end(found.number, found.episode)
        else:
            self._step(found, found.episode, found.step, named)

    def close(self, number: int) -> None:
        """End what the file told of, and log what is waiting."""
        for episode in list(self._met):
            self._end(number, episode)
        self.importer.flush()

    def _step(self, found: Found, episode: str, step: dict[str, object], named: bool) -> None:
        key = str(step["key"])
        known = self._is_known(key, episode, named)
        if known and named:
            self.importer.known += 1
            self.importer.episodes.add((self.namespace, episode))
            if self._open.get(episode):  # an ingest was interrupted before its end
                self._met[episode] = None
            return
        self._met[episode] = None
        opened = known or self._open.get(episode)
        if not opened:
            self.importer.begin(episode, None if episode in self._open else found.goal)
        self.importer.add(found.number, {**step, "episode": episode})
        if not opened and not self.importer.is_waiting(episode):
            self._open[episode] = True

    def _is_known(self, key: str, episode: str, named: bool) -> bool:
        if named:
            if key in self._seen:
                return True
            self._seen.add(key)
        elif not (episode in self._open and self._open[episode] is False):
            return False  # what is open needs no beginning, and the importer finds what was logged
        return self.store.keyed(self.namespace, key) is not None

    def _end(self, number: int, episode: str) -> None:
        self._met.pop(episode, None)
        self.importer.end_episode(number, episode)
        if episode in self._open:
            self._open[episode] = False
