"""LangGraph's stores held against the contract: ours, and its own as the reference; and ours in graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, TypedDict

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from strategies import opened

from agentmem import Memory
from agentmem.langchain import EpisodicStore
from agentmem.testing import FakeClock, HashEncoder, LangGraphStoreContract


class Hashed(Embeddings):
    """The encoder without weights, for LangGraph."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return np.asarray(HashEncoder(64).encode(texts)).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class TestEpisodicStore(LangGraphStoreContract):
    @pytest.fixture(autouse=True)
    def _clock(self) -> None:
        self.clock = FakeClock(tick=0.0001)

    def make_store(self, index: Any = None, ttl: Any = None) -> BaseStore:
        memory = Memory.open(":memory:", encoder=HashEncoder(64), clock=self.clock, durability="process")
        return EpisodicStore(memory, index=index, ttl=ttl)

    def close_store(self, store: BaseStore) -> None:
        assert isinstance(store, EpisodicStore)
        store.memory.close()

    def pass_time(self, minutes: float) -> None:
        self.clock.advance(minutes * 60)


class TestInMemoryStore(LangGraphStoreContract):
    differs: ClassVar = {
        "test_when_an_item_was_first_put_stays": "created_at is that of the last put",
        "test_what_is_done_to_a_value_later_does_not_change_the_item": "only the outermost mapping is copied",
        "test_what_is_done_to_what_was_got_does_not_change_the_item": "the item itself is given",
        "test_a_namespace_that_was_only_asked_for_is_not_listed": "asking for a namespace makes it",
        "test_a_namespace_that_was_emptied_is_not_listed": "it is kept",
        "test_what_lacks_a_field_is_neither_more_nor_less": "comparing None is a TypeError",
    }

    def make_store(self, index: Any = None, ttl: Any = None) -> BaseStore:
        return InMemoryStore(index={**index, "dims": 64, "embed": Hashed()} if index else None)


# ---- in graphs ---------------------------------------------------------------------------------------------------


class Said(TypedDict):
    text: str
    found: list[str]


def remember(state: Said, *, store: BaseStore) -> dict[str, Any]:
    found = [item.value["text"] for item in store.search(("notes", "ann"), query=state["text"], limit=2)]
    store.put(("notes", "ann"), state["text"], {"text": state["text"]})
    return {"found": found}


async def aremember(state: Said, *, store: BaseStore) -> dict[str, Any]:
    found = [item.value["text"] for item in await store.asearch(("notes", "ann"), query=state["text"], limit=2)]
    await store.aput(("notes", "ann"), state["text"], {"text": state["text"]})
    return {"found": found}


def graph_of(node: Any, store: BaseStore) -> Any:
    graph = StateGraph(Said)
    graph.add_node("remember", node)
    graph.add_edge(START, "remember")
    graph.add_edge("remember", END)
    return graph.compile(store=store)


def test_a_graph_finds_after_a_restart_what_it_put_before(file: Path) -> None:
    for said in ("Ann likes pizza with mushrooms", "Ann works at the station in Bern"):
        with opened(file, encoder=HashEncoder(64)) as memory:
            graph_of(remember, EpisodicStore(memory)).invoke({"text": said, "found": []})
    with opened(file, encoder=HashEncoder(64)) as memory:
        state = graph_of(remember, EpisodicStore(memory)).invoke({"text": "pizza", "found": []})
        assert state["found"][0] == "Ann likes pizza with mushrooms"


async def test_a_graph_awaits_its_store(memory: Memory) -> None:
    graph = graph_of(aremember, EpisodicStore(memory))
    await graph.ainvoke({"text": "Ann likes pizza", "found": []})
    state = await graph.ainvoke({"text": "pizza", "found": []})
    assert state["found"] == ["Ann likes pizza"]
