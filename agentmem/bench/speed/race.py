"""All packages on the same steps, in turns, each in its own process, so that figures may be divided by each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agentmem.bench.peers.racer import Racer, missing, started
from agentmem.bench.processes import percentiles

BATCH = 100
TURN = 10
"""Cues of one turn."""
PATIENCE_S = 120.0
"""Seconds of adding after which a package is given no more items."""
OURS = "agentmem process"
RIVALS = {
    "agentmem": ("agentmem process", "agentmem power"),
    "langgraph-memory": ("langgraph-memory",),
    "langgraph-sqlite": ("langgraph-sqlite process", "langgraph-sqlite power", "langgraph-sqlite"),
    "langgraph-postgres": ("langgraph-postgres",),
    "langchain-memory": ("langchain-memory",),
    "chroma": ("chroma",),
    "mem0": ("mem0",),
}
"""What is asked for -> its entries; agentmem's always run."""
BARS = (
    ("log, mem0", "agentmem process", "mem0", "add_ms", 30),
    ("log, Chroma", "agentmem process", "chroma", "add_ms", 30),
    ("log, SqliteStore, process", "agentmem process", "langgraph-sqlite process", "add_ms", 15),
    ("log, SqliteStore, power", "agentmem power", "langgraph-sqlite power", "add_ms", 15),
    ("log, SqliteStore, as opened", "agentmem power", "langgraph-sqlite", "add_ms", 15),
    ("search, InMemoryStore", "agentmem process", "langgraph-memory", "search_ms", 20),
)
"""(what, ours, theirs, figure, bar): their p50 over ours."""
Progress = Callable[[int], None]


class Runner:
    """What one package took so far."""

    def __init__(self, racer: Racer) -> None:
        self.racer, self.name = racer, racer.name
        self.add_ms: list[float] = []
        self.search_ms: dict[int, list[float]] = {}

    def add(self, items: Sequence[tuple[str, str]]) -> None:
        if self.patient:
            self.add_ms += self.racer.order(add=items)

    @property
    def patient(self) -> bool:
        return sum(self.add_ms) < PATIENCE_S * 1e3

    def row(self) -> dict[str, Any]:
        told: dict[str, Any] = {"name": self.name, "note": self.racer.note}
        if not self.add_ms:
            return told
        if not self.patient:
            told["note"] = f"stopped after {PATIENCE_S:g} s of adding"
        return told | {
            "items": len(self.add_ms),
            "add_ms": percentiles(self.add_ms),
            "items_s": 1e3 * len(self.add_ms) / sum(self.add_ms),
            "search_ms": {str(n): percentiles(took) for n, took in self.search_ms.items() if took},
            "bytes": self.racer.bytes,
        }


def race(names: Sequence[str], items: Sequence[str], cues: Sequence[str], progress: Progress) -> dict[str, Any]:
    """Rows of agentmem and the packages named, and their bars. Searched at a tenth of the items and at the end."""
    wanted = [*RIVALS["agentmem"], *(entry for name in names for entry in RIVALS[name])]
    lacking = missing(wanted)
    with started([name for name in wanted if name not in lacking]) as racers:
        runners = {name: Runner(racer) for name, racer in racers.items()}
        for racer in racers.values():
            racer.order(open=True)
        _run(list(runners.values()), items, cues, progress)
        for racer in racers.values():
            racer.order(do=["close"])
        rows = [runners[name].row() if name in runners else {"name": name, "note": lacking[name]} for name in wanted]
    _compare(rows)
    return {"at": [max(BATCH, len(items) // 10), len(items)], "rows": rows, "bars": list(_bars(rows, len(items)))}


def _run(runners: Sequence[Runner], items: Sequence[str], cues: Sequence[str], progress: Progress) -> None:
    for done in range(0, len(items), BATCH):
        batch = [(f"i{number:06d}", text) for number, text in enumerate(items[done : done + BATCH], done)]
        for runner in runners:
            runner.add(batch)
        upto = done + len(batch)
        progress(upto)
        if upto in (max(BATCH, len(items) // 10), len(items)):
            _search([one for one in runners if one.racer.running and len(one.add_ms) == upto], cues, upto)


def _search(runners: Sequence[Runner], cues: Sequence[str], upto: int) -> None:
    """The first cue is a warming up that is not counted."""
    for runner in runners:
        runner.racer.order(do=["settle"], search=cues[:1])
        runner.search_ms[upto] = []
    for start in range(1, len(cues), TURN):
        for runner in runners:
            runner.search_ms[upto] += runner.racer.order(search=cues[start : start + TURN])


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
