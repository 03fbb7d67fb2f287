"""agentmem as a peer: a memory that recalls, and LangGraph's store in one (in `langgraph`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from agentmem.bench.peers.peer import BUDGET, Answer, Item, Lasting, Said
from agentmem.bench.recall.counting import best
from agentmem.memory import EpisodeWriter, Memory
from agentmem.types import CountTokens, Durability, PlanningContext


class Ours(Lasting):
    """A session is an episode, logged a step at a time. plain: the texts that the others get, all in one episode."""

    def __init__(
        self, folder: Path, durability: Durability, plain: bool = False, count: CountTokens | None = None
    ) -> None:
        self.memory = Memory.open(folder / "bench.mem", durability=durability)
        self.plain, self.count = plain, count
        self._session: str | None = None
        self._episode: EpisodeWriter | None = None
        self._logged = 0

    def add(self, item: Item) -> object:
        said = self._said(item)
        return self._in(said.session).log(said.text, **_told(said))

    def add_many(self, items: Sequence[Item]) -> object:
        for session, said in groupby(map(self._said, items), key=lambda one: one.session):
            steps = [{"text": one.text, **_told(one)} for one in said]
            self._in(session, len(steps)).log_many(steps)
        return None

    def _said(self, item: Item) -> Said:
        return Said(item.text) if self.plain or item.said is None else item.said

    def _in(self, session: str, steps: int = 1) -> EpisodeWriter:
        """The episode of a session's run of steps; the one before it ends."""
        if self._episode is None or session != self._session:
            if self._episode is not None:
                self._episode.end()
            self._session, self._episode = session, self.memory.episode(id=f"{session}/{self._logged}")
        self._logged += steps
        return self._episode

    def search(self, cue: str, most: int) -> PlanningContext:
        """A planning context; how many steps it shows is for the budget to say."""
        return self.memory.recall(cue, budget=BUDGET, count_tokens=self.count)

    def answer(self, found: PlanningContext) -> Answer:
        return found.text

    def settle(self) -> object:
        if self._episode is not None:
            self._episode.end()
            self._episode = None
        return self.memory.crystallize()

    def close(self) -> None:
        self.memory.close()


def as_it_opens(folder: Path, plain: bool = False) -> Ours:
    """With the default durability and the counter of the measurement."""
    return Ours(folder, "power", plain, best().count)


def _told(said: Said) -> dict[str, Any]:
    return {"kind": said.kind, "actor": said.actor, "at": said.time}
