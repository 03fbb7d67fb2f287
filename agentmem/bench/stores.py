"""`agentmem bench stores`: LangGraph's store in a memory beside the stores that come with LangGraph, in one run.

All search by the same static vectors. A store that cannot search by words here is measured without.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from agentmem.bench.arguments import parser_of, positive
from agentmem.bench.peers.langgraph import LangGraph, episodic, in_memory, postgres, sqlite

PLACE = ("users", "ann")
THINGS = "pizza trains Bern mushrooms cats chess rain violins maps bread stamps rowing lamps birds soap".split()
BATCH = 100
SPREAD = 10
"""Items of a namespace where there are many."""
Row = tuple[str, float, float]  # what, and seconds of the processor and of the clock each


def value_of(number: int) -> dict[str, Any]:
    """An item of some fourteen words, the same in every run."""
    draw = random.Random(number)
    one, two, three = draw.sample(THINGS, 3)
    text = f"Note {number}: Ann spoke with person {draw.randrange(1_000)} of {one} and {two}, then of {three}."
    return {"text": text, "number": number, "even": number % 2 == 0}


STORES: dict[str, Callable[[Path], LangGraph]] = {
    "EpisodicStore, process": partial(episodic, durability="process"),
    "EpisodicStore, power": partial(episodic, durability="power"),
    "InMemoryStore": in_memory,
    "SqliteStore": sqlite,
    "SqliteStore, no words": partial(sqlite, searched=False),
    "PostgresStore": postgres,
}


def timed(what: str, times: int, work: Callable[[int], object]) -> Row:
    clock, processor = time.perf_counter(), time.process_time()
    for number in range(times):
        work(number)
    return what, (time.process_time() - processor) / times, (time.perf_counter() - clock) / times


def measured(make: Callable[[Path], LangGraph], items: int, words: bool) -> Iterator[Row]:
    """Each figure as it is known; a folder of its own is removed at the end."""
    from langgraph.store.base import PutOp

    draw = random.Random(7)
    with tempfile.TemporaryDirectory() as name, closing(make(Path(name))) as peer:
        store = peer.store
        puts = [PutOp(PLACE, f"note {n}", value_of(n)) for n in range(items)]
        what, *times = timed(
            "put, in batches", items // BATCH, lambda n: store.batch(puts[n * BATCH : (n + 1) * BATCH])
        )
        yield what, times[0] / BATCH, times[1] / BATCH
        yield timed("put", 200, lambda n: store.put(PLACE, f"note {items + n}", value_of(items + n)))
        yield timed("get", 2_000, lambda n: store.get(PLACE, f"note {draw.randrange(items)}"))
        if words:
            search = partial(store.search, PLACE)
            yield timed("first search by words", 1, lambda n: search(query="Who spoke of violins?"))
            yield timed("search by words", 20, lambda n: search(query=f"person {n * 37} and {THINGS[n % 15]}"))
            wanted = {"even": True, "number": {"$gte": items // 2}}
            yield timed("by words and filter", 20, lambda n: search(query=f"{THINGS[n % 15]} {n}", filter=wanted))
        yield timed("by filter", 20, lambda n: store.search(PLACE, filter={"number": items // 2 + n}))
        yield timed("newest ten", 20, lambda n: store.search(PLACE))
        yield timed("put over another", 200, lambda n: store.put(PLACE, f"note {n * 5}", value_of(n)))
        yield timed("delete", 5, lambda n: store.delete(PLACE, f"note {n * 11}"))
        told, files = peer.bytes(), [path for path in Path(name).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) if told is None else told
        yield "bytes an item", size / items, size / items
        if words:
            yield over_namespaces(store, items // SPREAD)


def over_namespaces(store: Any, namespaces: int) -> Row:
    """Searches of many small namespaces at once, after a first one that is not timed."""
    from langgraph.store.base import PutOp

    for space in range(namespaces):
        numbers = range(space * SPREAD, (space + 1) * SPREAD)
        store.batch([PutOp(("many", f"space {space}"), f"note {n}", value_of(n)) for n in numbers])
    ask = partial(store.search, ("many",))
    ask(query="Who spoke of violins?")
    return timed(f"by words over {namespaces:,}", 5, lambda n: ask(query=f"person {n * 37} and {THINGS[n]}"))


def hundreds(text: str) -> int:
    """So many items, in whole batches."""
    return BATCH * -(-positive(text) // BATCH)


def main(arguments: Sequence[str] | None = None) -> None:
    notes = "by words over N: a search of N namespaces of ten items at once."
    parser = parser_of("stores", "LangGraph's stores side by side.", notes)
    parser.add_argument("--items", type=hundreds, default=10_000, help="how many items are put")
    parser.add_argument("--only", default="", help="stores whose name begins so")
    chosen = parser.parse_args(arguments)
    for name, make in STORES.items():
        if name.startswith(chosen.only):
            print(f"\n{name}, {chosen.items:,} items", flush=True)
            try:
                for what, processor, clock in measured(make, chosen.items, "no words" not in name):
                    print(_line(what, processor, clock), flush=True)
            except (ImportError, LookupError) as error:
                print(f"  not here: {error}; pip install 'agentmem-crystal[peers]' brings all of them")


def _line(what: str, processor: float, clock: float) -> str:
    if what.startswith("bytes"):
        return f"  {what:<22}{processor:10,.0f}"
    rate = f"{1 / processor:10,.0f} a second of it"
    return f"  {what:<22}{processor * 1e3:10.3f} ms of the processor {rate} {clock * 1e3:10.3f} ms by the clock"


if __name__ == "__main__":
    main()
