"""Which questions there are: the model of each, and who answers it. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from agentmem.viewer import asked, drawn, edits, health, reads
from agentmem.viewer.look import Look

Answer = Callable[[Look, Any], dict[str, Any]]
READS: dict[str, tuple[type[BaseModel], Answer]] = {
    "memory": (asked.Nothing, reads.memory),
    "episodes": (asked.Episodes, reads.episodes),
    "replay": (asked.Played, reads.played),
    "steps": (asked.Window, reads.steps),
    "frame": (asked.One, reads.frame),
    "tail": (asked.Played, reads.tail),
    "place": (asked.Id, reads.place),
    "text": (asked.Id, reads.text),
    "sources": (asked.Id, reads.sources),
    "graph": (asked.Part, drawn.graph),
    "search": (asked.Search, reads.search),
    "compare": (asked.Two, reads.compared),
    "difference": (asked.Pair, reads.difference),
    "health": (asked.Asked, health.health),
    "latency": (asked.Asked, health.latency),
}
EDITS: dict[str, tuple[type[BaseModel], Answer]] = {
    "pin": (asked.Id, edits.pin),
    "forget": (asked.Forget, edits.forget),
    "correct": (asked.Correct, edits.correct),
    "erase": (asked.Erase, edits.erase),
}
QUESTIONS = READS | EDITS
