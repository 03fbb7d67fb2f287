"""One package of the race in a process of its own: lines of JSON in, lines of JSON out.

    python -m agentmem.bench.speed.peers NAME FOLDER

Each is used as its documentation shows, unmodified, through its own package, with agentmem's default encoder as its
embedding function, no network and no language model. Knows nothing of the others.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import types
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from agentmem.bench.speed.child import BUDGET, Timed
from agentmem.encode import StaticEncoder
from agentmem.memory import Memory
from agentmem.types import Durability

FOUND = 10
"""Items a search asks for."""
SPACE = ("bench",)


class Peer(Protocol):
    def add(self, key: str, text: str) -> object: ...

    def search(self, cue: str) -> object: ...

    def settle(self) -> object:
        """Whatever may be left to do between logging and searching."""

    def close(self) -> None: ...


class Ours:
    def __init__(self, folder: Path, durability: Durability) -> None:
        self.memory = Memory.open(folder / "bench.mem", durability=durability)
        self.episode = self.memory.episode(id="bench")

    def add(self, key: str, text: str) -> object:
        return self.episode.observe(text)

    def search(self, cue: str) -> object:
        return self.memory.recall(cue, budget=BUDGET)

    def settle(self) -> object:
        return self.memory.crystallize()

    def close(self) -> None:
        self.memory.close()


class Lasting:
    """What has nothing left to do after logging, and need not be closed."""

    def settle(self) -> None:
        """Nothing is left."""

    def close(self) -> None:
        """Nothing is open."""


class LangGraph(Lasting):
    """A LangGraph BaseStore, whichever."""

    def __init__(self, store: Any, close: Callable[[], object] = lambda: None) -> None:
        self.store, self._close = store, close

    def add(self, key: str, text: str) -> object:
        return self.store.put(SPACE, key, {"text": text})

    def search(self, cue: str) -> object:
        return self.store.search(SPACE, query=cue, limit=FOUND)

    def close(self) -> None:
        self._close()


def in_memory_store(folder: Path) -> LangGraph:
    return LangGraph(import_module("langgraph.store.memory").InMemoryStore(index=_index()))


def sqlite_store(folder: Path, synchronous: str | None) -> LangGraph:
    """As `from_conn_string` opens it (rollback journal, FULL), or on a connection with WAL and the PRAGMA given."""
    if not hasattr(sqlite3.Connection, "enable_load_extension"):
        raise LookupError("it needs a Python whose sqlite3 loads extensions, which this one's does not")
    kind, path = import_module("langgraph.store.sqlite").SqliteStore, folder / "store.db"
    if synchronous is None:
        opened = ExitStack()
        return LangGraph(opened.enter_context(kind.from_conn_string(str(path), index=_index())), opened.close)
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    return LangGraph(kind(connection, index=_index()), connection.close)


def _index() -> dict[str, Any]:
    return {"dims": StaticEncoder.dimension, "embed": vectors_of, "fields": ["text"]}


class InMemoryVectorStore(Lasting):
    def __init__(self, folder: Path) -> None:
        self.store = import_module("langchain_core.vectorstores").InMemoryVectorStore(_embeddings())

    def add(self, key: str, text: str) -> object:
        return self.store.add_texts([text], ids=[key])

    def search(self, cue: str) -> object:
        return self.store.similarity_search(cue, k=FOUND)


class Chroma(Lasting):
    def __init__(self, folder: Path) -> None:
        chromadb = import_module("chromadb")
        settings = import_module("chromadb.config").Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(folder), settings=settings)
        self.collection = client.create_collection("bench", embedding_function=_chroma_function())

    def add(self, key: str, text: str) -> object:
        return self.collection.add(ids=[key], documents=[text])

    def search(self, cue: str) -> object:
        return self.collection.query(query_texts=[cue], n_results=FOUND)


def _chroma_function() -> Any:
    """Chroma asks for a class of its own with a name, and a configuration that can be stored."""
    base = import_module("chromadb").EmbeddingFunction
    body = {
        "__init__": lambda self: None,
        "__call__": lambda self, input: list(vectors(input)),
        "name": staticmethod(lambda: "agentmem-static"),
        "get_config": lambda self: {},
        "build_from_config": staticmethod(lambda config: _chroma_function()),
    }
    return type("Static", (base,), body)()


class Mem0(Lasting):
    """infer=False, Qdrant's local store as by default, but on the disk; its history too.

    Its LangChain embedder imports a module that langchain 1 no longer has, so that name is given to langchain_core's
    class of the same kind. A model client is always made: it is never called, and its key is no key.
    """

    def __init__(self, folder: Path) -> None:
        os.environ |= {"MEM0_TELEMETRY": "False", "MEM0_DIR": str(folder / "home"), "OPENAI_API_KEY": "none"}
        for name in ("langchain", "langchain.embeddings", "langchain.embeddings.base"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["langchain.embeddings.base"].Embeddings = _embeddings_class()  # type: ignore[attr-defined]
        dims = {"embedding_model_dims": StaticEncoder.dimension}
        configuration = {
            "embedder": {"provider": "langchain", "config": {"model": _embeddings()}},
            "vector_store": {"provider": "qdrant", "config": {**dims, "path": str(folder / "qdrant"), "on_disk": True}},
            "history_db_path": str(folder / "history.db"),
        }
        self.memory = import_module("mem0").Memory.from_config(configuration)

    def add(self, key: str, text: str) -> object:
        return self.memory.add([{"role": "user", "content": text}], user_id="bench", infer=False)

    def search(self, cue: str) -> object:
        return self.memory.search(cue, filters={"user_id": "bench"}, top_k=FOUND)


_encoder = StaticEncoder()


def vectors(texts: Sequence[str]) -> np.ndarray:
    return _encoder.encode(list(texts))


def vectors_of(texts: Sequence[str]) -> list[list[float]]:
    found: list[list[float]] = vectors(texts).tolist()
    return found


def _embeddings_class() -> Any:
    return import_module("langchain_core.embeddings").Embeddings


def _embeddings() -> Any:
    """The encoder as LangChain's Embeddings."""
    body = {
        "embed_documents": lambda self, texts: vectors_of(texts),
        "embed_query": lambda self, text: vectors_of([text])[0],
    }
    return type("Static", (_embeddings_class(),), body)()


@dataclass(frozen=True)
class Entry:
    """package: what must be importable, with the distribution that brings it. durable: keeps what it is given."""

    make: Callable[[Path], Peer]
    package: str = "agentmem"
    install: str = "agentmem-crystal"
    durable: bool = True

    def missing(self) -> str | None:
        """What to say where the package is not installed."""
        try:
            found = find_spec(self.package)
        except ModuleNotFoundError:
            found = None
        return None if found else f"not installed: pip install 'agentmem-crystal[peers]' (here: {self.install})"


_SQLITE = ("langgraph.store.sqlite", "langgraph-checkpoint-sqlite")
ENTRIES: dict[str, Entry] = {
    "agentmem process": Entry(partial(Ours, durability="process")),
    "agentmem power": Entry(partial(Ours, durability="power")),
    "langgraph-memory": Entry(in_memory_store, "langgraph.store.memory", "langgraph", durable=False),
    "langgraph-sqlite process": Entry(partial(sqlite_store, synchronous="NORMAL"), *_SQLITE),
    "langgraph-sqlite power": Entry(partial(sqlite_store, synchronous="FULL"), *_SQLITE),
    "langgraph-sqlite as opened": Entry(partial(sqlite_store, synchronous=None), *_SQLITE),
    "langchain-memory": Entry(InMemoryVectorStore, "langchain_core.vectorstores", "langchain-core", durable=False),
    "chroma": Entry(Chroma, "chromadb", "chromadb"),
    "mem0": Entry(Mem0, "mem0", "mem0ai"),
}


def serve(peer: Peer, folder: Path, orders: Any, answers: Any) -> None:
    """Carry out orders, one a line, until there are no more."""
    for line in orders:
        order, timed = json.loads(line), Timed()
        for key, text in order.get("add", ()):
            timed(partial(peer.add, key, text))
        for cue in order.get("search", ()):
            timed(partial(peer.search, cue))
        for name in order.get("do", ()):
            timed(getattr(peer, name))
        files = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        print(json.dumps({"wall_ms": timed.wall, "cpu_ms": timed.cpu, "bytes": files}), file=answers, flush=True)


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a package prints goes to standard error
    try:
        peer = ENTRIES[name].make(folder)
    except LookupError as error:
        print(json.dumps({"cannot": str(error)}), file=answers, flush=True)
        return
    print(json.dumps({"ready": True}), file=answers, flush=True)
    serve(peer, folder, sys.stdin, answers)


if __name__ == "__main__":
    main()
