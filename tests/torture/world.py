"""What bad inputs are given to: a memory of two tenants, of which one is attacked. Knows nothing of ways in."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path
from typing import Any

from agentmem import Memory
from agentmem.memory import EpisodeWriter
from agentmem.testing import FakeClock

MINE, THEIRS = ("acme", "ann"), ("acme", "bob")
NEEDLE = "quokka"
NUMBERS = count()


class World:
    """A memory of two tenants: one is attacked, the other's must stay as it is."""

    def __init__(self, folder: Path, draw: random.Random) -> None:
        self.folder, self.draw, self.path = folder, draw, folder / "agent.mem"
        self.memory = Memory.open(self.path, encoder=None, durability="process", clock=FakeClock())
        self.mine, self.theirs = self.memory.scoped(*MINE), self.memory.scoped(*THEIRS)
        for view, said in ((self.mine, "red"), (self.theirs, NEEDLE)):
            with view.episode(id="door", goal=f"open the {said} door", agent="Ann") as episode:
                episode.log_many([f"The {said} door {n} is open; key {n * 7} opens it." for n in range(12)])
                episode.log("A photo.", blobs={"photo": said.encode()}, key="k", subjects=["ann"], data={"said": said})
                episode.recall(f"{said} door")
            view.attach("state", said.encode())
        self.certificate = self.scratch().erase(episode="gone").certificate
        self.writer = self.mine.episode(id="now", goal="open the red door")
        self.step = self.writer.log("The brass key hangs in the kitchen.").id
        self.crystal = self.mine.crystals()[0].id
        self.before = self.bystander()

    def scratch(self) -> Memory:
        """A namespace in which something can go."""
        view = self.memory.scoped("acme", "gone")
        with view.episode(id="gone") as episode:
            episode.log("It will be gone.")
        return view

    def apart(self) -> Memory:
        return self.memory.scoped("acme", "apart")

    def bystander(self) -> Any:
        """All of the other tenant, and how the file is made."""
        with self.memory._core.store._reading() as connection:
            schema = sorted(map(tuple, connection.execute("SELECT type, name, sql FROM main.sqlite_schema")))
        view = self.theirs
        told = [view.steps(), view.episodes(), view.crystals(), view.attachments().items(), view.forgotten().items()]
        return schema, [list(one) for one in told], view.recall("red door key").text

    def open_writer(self) -> EpisodeWriter:
        """A writer of an episode that has not ended, and was not erased."""
        if self.writer.info.ended is not None or self.draw.random() < 0.02:
            self.writer = self.mine.episode(id=f"now {next(NUMBERS)}")
        return self.writer
