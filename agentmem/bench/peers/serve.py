"""One peer in a process of its own: lines of JSON in, lines of JSON out.

    python -m agentmem.bench.peers.serve NAME FOLDER

It is made once and used before it says that it is ready, so that loading is nobody's first call; each `open` makes a
new one. Those before stay in memory, closed, so that what is resident is theirs too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from agentmem.bench.peers.entries import ENTRIES
from agentmem.bench.peers.peer import Item, Peer
from agentmem.bench.processes import Timed, resident

MOST = 10
"""Items a search asks for where nothing is said."""
WARMING = Item("warm", "The kettle stands on the stove in the kitchen, and is warm.")


class Served:
    def __init__(self, name: str, folder: Path) -> None:
        self.entry, self.folder, self.peers = ENTRIES[name], folder, list[Peer]()
        self.open()
        self.peers[0].add(WARMING)
        self.peers[0].settle()
        self.peers[0].search(WARMING.text, 1)
        self.close()
        self.before = resident()

    @property
    def peer(self) -> Peer:
        return self.peers[-1]

    @property
    def own(self) -> Path:
        return self.folder / str(len(self.peers) - 1)

    def open(self) -> None:
        folder = self.folder / str(len(self.peers))
        folder.mkdir()
        self.peers.append(self.entry.make(folder))
        self.closed = False

    def close(self) -> None:
        """Once; what a peer itself tells of its bytes is read before."""
        if not self.closed:
            self.told, self.closed = self.peer.bytes(), True
            self.peer.close()

    def bytes(self) -> int:
        told = self.told if self.closed else self.peer.bytes()
        files = sum(file.stat().st_size for file in self.own.rglob("*") if file.is_file()) if told is None else told
        return files if self.entry.durable else 0

    def order(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry it out: what it took, what was answered, and what is stored now."""
        timed, answers = Timed(), list[Any]()
        if order.get("open"):
            self.open()
        for values in order.get("add", ()):
            timed(partial(self.peer.add, Item.of(values)))
        if several := [Item.of(values) for values in order.get("add_many", ())]:
            timed(partial(self.peer.add_many, several))
        for cue in order.get("search", ()):
            found = timed(partial(self.peer.search, cue, order.get("most", MOST)))
            answers.append(self.peer.answer(found))
        for name in order.get("do", ()):
            timed(self.close if name == "close" else getattr(self.peer, name))
        stored = {"bytes": self.bytes(), "resident": resident() - self.before}
        return {"wall_ms": timed.wall, "cpu_ms": timed.cpu, "answers": answers, **stored}


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a package prints goes to standard error
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a server of a peer's own is stopped

    def say(value: dict[str, Any]) -> None:
        print(json.dumps(value), file=answers, flush=True)

    try:
        served = Served(name, folder)
    except LookupError as error:
        say({"cannot": str(error)})
        return
    try:
        say({"ready": True})
        for line in sys.stdin:
            say(served.order(json.loads(line)))
    finally:
        served.close()


if __name__ == "__main__":
    main()
