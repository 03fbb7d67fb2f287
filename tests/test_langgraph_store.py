"""LangGraph's stores held against the contract: ours, and the one that comes with LangGraph as the reference."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore

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
