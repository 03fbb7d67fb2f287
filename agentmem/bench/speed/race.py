"""All packages on the same steps, in turns, each in its own process: one goes while the others wait.

So they meet the same load, and figures may be divided by each other. Knows how to lead processes of `peers`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from agentmem.bench.speed import peers
from agentmem.bench.speed.child import environment
from agentmem.bench.speed.measure import percentiles

BATCH = 100
TURN = 10
"""Cues of one turn."""
PATIENCE_S = 120.0
"""Seconds of adding after which a package is given no more items."""
OURS = "agentmem process"
BARS = (
    ("log, mem0", "agentmem process", "mem0", "add_ms", 30),
    ("log, Chroma", "agentmem process", "chroma", "add_ms", 30),
    ("log, SqliteStore, process", "agentmem process", "langgraph-sqlite process", "add_ms", 15),
    ("log, SqliteStore, power", "agentmem power", "langgraph-sqlite power", "add_ms", 15),
    ("log, SqliteStore, as opened", "agentmem power", "langgraph-sqlite as opened", "add_ms", 15),
    ("search, InMemoryStore", "agentmem process", "langgraph-memory", "search_ms", 20),
)
"""(what, ours, theirs, figure, bar): their p50 over ours."""
Progress = Callable[[int], None]


class Racer:
    """One package: its process, and what it took so far."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name, self.process = name, process
        self.add_ms: list[float] = []
        self.search_ms: dict[int, list[float]] = {}
        self.bytes = 0
        self.note = ""
        self.running = "ready" in self._answer()

    def order(self, **order: Any) -> list[float]:
        """Milliseconds of each thing that was ordered; none where the package failed, which its note tells."""
        if not self.running:
            return []
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.bytes = answer.get("bytes", self.bytes)
        took: list[float] = answer.get("wall_ms", [])
        return took

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"cannot": "its process ended; see its message above"}
        self.note = answer.get("cannot", self.note)
        self.running = "cannot" not in answer
        return answer

    def add(self, items: Sequence[tuple[str, str]]) -> None:
        if self.patient:
            self.add_ms += self.order(add=items)

    @property
    def patient(self) -> bool:
        return sum(self.add_ms) < PATIENCE_S * 1e3

    def row(self) -> dict[str, Any]:
        told: dict[str, Any] = {"name": self.name, "note": self.note}
        if not self.add_ms:
            return told
        if not self.patient:
            told["note"] = f"stopped after {PATIENCE_S:g} s of adding"
        return told | {
            "items": len(self.add_ms),
            "add_ms": percentiles(self.add_ms),
            "items_s": 1e3 * len(self.add_ms) / sum(self.add_ms),
            "search_ms": {str(n): percentiles(took) for n, took in self.search_ms.items() if took},
            "bytes": self.bytes if peers.ENTRIES[self.name].durable else 0,
        }


def race(names: Sequence[str], items: Sequence[str], cues: Sequence[str], progress: Progress) -> dict[str, Any]:
    """Rows of agentmem and the packages named, and their bars. Searched at a tenth of the items and at the end."""
    wanted = [name for name in peers.ENTRIES if name.split()[0] in ("agentmem", *names)]
    missing = {name: said for name in wanted if (said := peers.ENTRIES[name].missing())}
    with started([name for name in wanted if name not in missing]) as racers:
        _run(list(racers.values()), items, cues, progress)
        for racer in racers.values():
            racer.order(do=["close"])
        rows = [racers[name].row() if name in racers else {"name": name, "note": missing[name]} for name in wanted]
    _compare(rows)
    return {"at": [max(BATCH, len(items) // 10), len(items)], "rows": rows, "bars": list(_bars(rows, len(items)))}


@contextmanager
def started(names: Sequence[str]) -> Iterator[dict[str, Racer]]:
    with ExitStack() as stack:
        yield {name: _start(stack, name) for name in names}


def _start(stack: ExitStack, name: str) -> Racer:
    folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    command = [sys.executable, "-m", peers.__name__, name, folder]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment())
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return Racer(name, process)


def _run(racers: Sequence[Racer], items: Sequence[str], cues: Sequence[str], progress: Progress) -> None:
    for done in range(0, len(items), BATCH):
        batch = [(f"i{number:06d}", text) for number, text in enumerate(items[done : done + BATCH], done)]
        for racer in racers:
            racer.add(batch)
        upto = done + len(batch)
        progress(upto)
        if upto in (max(BATCH, len(items) // 10), len(items)):
            _search([racer for racer in racers if racer.running and len(racer.add_ms) == upto], cues, upto)


def _search(racers: Sequence[Racer], cues: Sequence[str], upto: int) -> None:
    """The first cue is a warming up that is not counted."""
    for racer in racers:
        racer.order(do=["settle"], search=cues[:1])
        racer.search_ms[upto] = []
    for start in range(1, len(cues), TURN):
        for racer in racers:
            racer.search_ms[upto] += racer.order(search=cues[start : start + TURN])


def _compare(rows: Sequence[dict[str, Any]]) -> None:
    """log_x, search_x: p50 over that of agentmem at "process"."""
    ours = next(row for row in rows if row["name"] == OURS)
    for row in rows:
        if "add_ms" in row:
            row["log_x"] = row["add_ms"]["p50"] / ours["add_ms"]["p50"]
            last = [n for n in row["search_ms"] if n in ours["search_ms"]][-1:]
            if last:
                row["search_x"] = row["search_ms"][last[0]]["p50"] / ours["search_ms"][last[0]]["p50"]


def _bars(rows: Sequence[Mapping[str, Any]], items: int) -> Iterator[dict[str, Any]]:
    known = {row["name"]: row for row in rows if "add_ms" in row}
    for what, ours, theirs, key, bar in BARS:
        if theirs in {row["name"] for row in rows}:
            pair = [_p50(known.get(name, {}), key, items) for name in (ours, theirs)]
            value = pair[1] / pair[0] if pair[0] and pair[1] else None
            yield {"name": f"{what}, over {ours}", "value": value, "bar": bar}


def _p50(row: Mapping[str, Any], key: str, items: int) -> float | None:
    found: Mapping[str, Any] = row.get(key, {})
    at = found.get(str(items), {}) if key == "search_ms" else found
    return float(at["p50"]) if at else None


__all__ = ["race"]
