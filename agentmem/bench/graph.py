"""How long a graph takes: of a whole memory, of its newest steps, of a neighbourhood, and to write and rank it.

    agentmem bench graph [--steps N] [--json]

Knows texts of common English words. Times are CPU seconds, after what recall keeps in memory was read.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agentmem.bench.arguments import parser_of, positive
from agentmem.bench.log import english
from agentmem.bench.printed import json_of
from agentmem.memory import Memory

EPISODE, RECALLS = 1_000, 100  # steps of an episode, and between two recalls


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of("graph", (__doc__ or "").split("\n")[0], "")
    parser.add_argument("--steps", type=positive, default=20_000, help="steps of the memory (20,000)")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    options = parser.parse_args(arguments)
    with Memory.open(":memory:", encoder=None, durability="process") as memory:
        fill(memory, options.steps)
        figures = dict(measure(memory))
    if options.json:
        print(json_of(figures))
        return
    _show(figures)


def measure(memory: Memory) -> Iterator[tuple[str, dict[str, float]]]:
    """(what was done, nodes, edges and seconds of it)."""
    from agentmem.graph import communities, memory_graph, pagerank, to_gexf, to_graphml, to_json

    middle = list(memory.steps())[memory.stats().steps // 2].id
    whole = memory_graph(memory)
    yield "the whole graph", _figure(lambda: memory_graph(memory))
    yield "the newest 100 steps", _figure(lambda: memory_graph(memory, newest=100))
    yield "2 edges around a step", _figure(lambda: memory_graph(memory, around=middle))
    for work in (to_json, to_graphml, to_gexf, pagerank, communities):
        yield f"{work.__name__} of the whole", _figure(lambda work=work: work(whole), whole)  # type: ignore[misc]


def _figure(work: Callable[[], Any], graph: Any = None) -> dict[str, float]:
    began = time.process_time()
    made = work()
    seconds = time.process_time() - began
    shown = made if graph is None else graph
    return {"nodes": len(shown), "edges": shown.number_of_edges(), "seconds": round(seconds, 3)}


def fill(memory: Memory, steps: int) -> None:
    """Episodes of messages, with a recall now and then; crystallized."""
    rng, words = random.Random(0), english()
    weights = [1 / (rank + 1) for rank in range(len(words))]
    for start in range(0, steps, EPISODE):
        with memory.episode() as episode:
            for first in range(start, min(start + EPISODE, steps), RECALLS):
                count = min(RECALLS, steps - first)
                texts = [" ".join(rng.choices(words, weights, k=35)) for _ in range(count)]
                episode.log_many([{"text": text, "kind": "message", "actor": "user"} for text in texts])
                episode.recall(texts[0][:60], budget=200)


def _show(figures: dict[str, dict[str, float]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "nodes", "edges", "CPU seconds")
    for name, figure in figures.items():
        table.add_row(name, f"{figure['nodes']:,}", f"{figure['edges']:,}", f"{figure['seconds']:.2f}")
    Console().print(table)
