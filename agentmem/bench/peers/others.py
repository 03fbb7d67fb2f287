"""LangChain's vector store in memory, Chroma, and mem0 without its language model."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from agentmem.bench.peers.peer import SPACE, Answer, Item, Lasting
from agentmem.bench.peers.vectors import DIMENSION, chroma_function, embeddings


class InMemoryVectorStore(Lasting):
    def __init__(self, folder: Path) -> None:
        self.store = import_module("langchain_core.vectorstores").InMemoryVectorStore(embeddings())

    def add(self, item: Item) -> object:
        return self.add_many([item])

    def add_many(self, items: Sequence[Item]) -> object:
        return self.store.add_texts([item.text for item in items], ids=[item.key for item in items])

    def search(self, cue: str, most: int) -> Any:
        return self.store.similarity_search(cue, k=most)

    def answer(self, found: Any) -> Answer:
        return [document.page_content for document in found]


class Chroma(Lasting):
    def __init__(self, folder: Path) -> None:
        chromadb = import_module("chromadb")
        settings = import_module("chromadb.config").Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(folder), settings=settings)
        self.collection = client.create_collection(SPACE[0], embedding_function=chroma_function())

    def add(self, item: Item) -> object:
        return self.add_many([item])

    def add_many(self, items: Sequence[Item]) -> object:
        return self.collection.add(ids=[item.key for item in items], documents=[item.text for item in items])

    def search(self, cue: str, most: int) -> Any:
        return self.collection.query(query_texts=[cue], n_results=most)

    def answer(self, found: Any) -> Answer:
        (texts,) = found["documents"]
        return list(texts)


class Mem0(Lasting):
    """infer=False, Qdrant's local store as by default, but on the disk; its history too."""

    def __init__(self, folder: Path) -> None:
        mem0_alone(folder)
        self.memory = import_module("mem0").Memory.from_config(mem0_configuration(folder))

    def add(self, item: Item) -> object:
        return self.add_many([item])

    def add_many(self, items: Sequence[Item]) -> object:
        messages = [{"role": "user", "content": item.text} for item in items]
        return self.memory.add(messages, user_id=SPACE[0], infer=False)

    def search(self, cue: str, most: int) -> Any:
        return self.memory.search(cue, filters={"user_id": SPACE[0]}, top_k=most)

    def answer(self, found: Any) -> Answer:
        return [memory["memory"] for memory in found["results"]]

    def close(self) -> None:
        self.memory.vector_store.client.close()


def mem0_alone(folder: Path) -> None:
    """Makes this process one for mem0: it tells nobody of its use, and finds what it imports.

    Its LangChain embedder imports a module that langchain 1 no longer has, so that name is given to langchain_core's
    class of the same kind. A model client is always made: it is never called, and its key is no key.
    """
    os.environ |= {"MEM0_TELEMETRY": "False", "MEM0_DIR": str(folder / "home"), "OPENAI_API_KEY": "none"}
    for name in ("langchain", "langchain.embeddings", "langchain.embeddings.base"):
        sys.modules[name] = types.ModuleType(name)
    base: Any = sys.modules["langchain.embeddings.base"]
    base.Embeddings = import_module("langchain_core.embeddings").Embeddings


def mem0_configuration(folder: Path) -> dict[str, Any]:
    """All in a folder, nothing asked of the network."""
    stored = {"embedding_model_dims": DIMENSION, "path": str(folder / "qdrant"), "on_disk": True}
    return {
        "embedder": {"provider": "langchain", "config": {"model": embeddings()}},
        "vector_store": {"provider": "qdrant", "config": stored},
        "history_db_path": str(folder / "history.db"),
    }
