"""A LangChain retriever over a memory. Knows Documents; what is found and in which order is known to Memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from agentmem.index import step_position
from agentmem.memory import Memory, check_memory
from agentmem.memory.recalling import layers_of
from agentmem.records import check_id, check_whole, step_of
from agentmem.tokens import check_budget
from agentmem.types import Hit, Layer

SOURCE = {"lc_source": "agentmem"}
"""In the metadata of every Document, so that what was recalled is known again."""


class EpisodicRetriever(BaseRetriever):
    """The `k` steps that fit a query best, each a Document with its id and where it comes from.

    memory: a Memory, whose `read` namespaces are read as well. budget: then what `recall` chooses within so many
    tokens, in the order of its text; `k` counts only where `invoke` is given one. layers: crystals of these instead of
    steps. episode, agent: only theirs. `k` and `budget` can be given to `invoke` too. Raises what `Memory.recall`
    raises; InvalidInputError for values that cannot be, when it is made.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    memory: Memory
    k: int = 4
    budget: int | None = None
    layers: Sequence[Layer | str] | None = None
    episode: str | None = None
    agent: str | None = None

    if not TYPE_CHECKING:  # where the fields say what it takes

        def __init__(self, **given: Any) -> None:
            check_memory(given.get("memory"))
            if "k" in given:
                check_whole("k", given["k"], 1)
            if given.get("budget") is not None:
                check_budget(given["budget"])
            layers_of(given.get("layers"))
            for name in ("episode", "agent"):
                if given.get(name) is not None:
                    check_id(name, given[name])
            super().__init__(**given)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        budget: int | None = None,
    ) -> list[Document]:
        asked: dict[str, Any] = {"episode": self.episode, "agent": self.agent, "layers": self.layers}
        budget = self.budget if budget is None else budget
        if k is not None:
            check_whole("k", k, 1)
        if budget is None:
            hits = list(islice(self.memory.rank(query, **asked), self.k if k is None else k))
        else:
            hits = list(self.memory.recall(query, budget, **asked).hits)[:k]
        return _documents(self.memory, hits)


def _documents(memory: Memory, hits: Sequence[Hit]) -> list[Document]:
    """A Document of each hit; what was erased since is left out."""
    steps = [hit.position for hit in hits if hit.layer == "step"]
    known = {record.position: step_of(record) for record in memory._core.read_what_is_there(steps)}
    found = []
    for hit in hits:
        told = {**SOURCE, "layer": str(hit.layer), "score": hit.score}
        if step_position(hit.id) < 0:
            told["sources"] = list(hit.sources)
        elif (step := known.get(hit.position)) is not None:
            at = step.at or step.logged_at
            told |= {"episode": step.episode, "kind": step.kind, "actor": step.actor, "at": at.isoformat()}
            told |= {"namespace": list(step.namespace), "trust": step.trust}
        else:
            continue
        found.append(Document(hit.text, id=hit.id, metadata=told))
    return found
