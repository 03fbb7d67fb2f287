"""agentmem's default encoder, as each package wants its embedding function. Its vectors have length 1."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from agentmem.encode import StaticEncoder

_encoder = StaticEncoder()
DIMENSION = StaticEncoder.dimension


def vectors(texts: Sequence[str]) -> np.ndarray:
    return _encoder.encode(list(texts))


def vectors_of(texts: Sequence[str]) -> list[list[float]]:
    found: list[list[float]] = vectors(texts).tolist()
    return found


def index() -> dict[str, Any]:
    """LangGraph's IndexConfig of the field `text`."""
    return {"dims": DIMENSION, "embed": vectors_of, "fields": ["text"]}


def embeddings() -> Any:
    """LangChain's Embeddings."""
    body = {
        "embed_documents": lambda self, texts: vectors_of(texts),
        "embed_query": lambda self, text: vectors_of([text])[0],
    }
    return type("Static", (import_module("langchain_core.embeddings").Embeddings,), body)()


def chroma_function() -> Any:
    """Chroma asks for a class of its own with a name, and a configuration that can be stored."""
    base = import_module("chromadb").EmbeddingFunction
    body = {
        "__init__": lambda self: None,
        "__call__": lambda self, input: list(vectors(input)),
        "name": staticmethod(lambda: "agentmem-static"),
        "get_config": lambda self: {},
        "build_from_config": staticmethod(lambda config: chroma_function()),
    }
    return type("Static", (base,), body)()
