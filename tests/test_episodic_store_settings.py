"""What an EpisodicStore takes as `index` and `ttl`: what LangGraph's own stores take, and else nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

from agentmem import InvalidInputError, Memory
from agentmem.langchain import EpisodicStore

ANN = ("users", "ann")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ttl": "x"}, "ttl 'x' is no mapping; give one of some of default_ttl, .*, or None"),
        ({"ttl": {"sweep_interval_minutes": "x"}}, "sweep_interval_minutes 'x' of ttl: give minutes from 0 to"),
        ({"ttl": {"default_ttl": 0}}, "default_ttl 0 of ttl: give minutes over 0"),
        ({"ttl": {"default_ttl": True}}, "default_ttl True of ttl: give minutes over 0"),
        ({"ttl": {"omit_expired": "no"}}, "omit_expired 'no' of ttl: give True or False"),
        ({"ttl": {"foo": 1}}, "ttl has 'foo', which is unknown; it may have default_ttl, "),
        ({"index": {"field": ["text"]}}, "index has 'field', which is unknown; it may have fields, embed, dims"),
        ({"index": "content"}, "index 'content' is no mapping"),
        ({"index": {"fields": "text"}}, r"fields 'text' of index: give a list of paths, such as \['text'\]"),
        ({"index": {"fields": [5]}}, r"fields \[5\] of index: give a list of paths"),
        ({"index": {"embed": 5}}, "embed 5 of index is no encoder"),
    ],
)
def test_an_index_or_ttl_that_is_none_is_refused_before_a_file_is_made(
    file: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        EpisodicStore(file, **given)
    assert not file.exists()


def test_an_index_and_ttl_that_other_stores_of_langgraph_take_are_taken(memory: Memory) -> None:
    other = InMemoryStore(index={"dims": 2, "embed": lambda texts: [[1.0, 0.0] for _ in texts], "fields": ["text"]})
    index: Any = {name: value for name, value in (other.index_config or {}).items() if name != "embed"}
    ttl: Any = {"default_ttl": 0.5, "refresh_on_read": False, "omit_expired": True, "sweep_interval_minutes": None}
    assert any(name.startswith("__") for name in index)
    store = EpisodicStore(memory, index=index | {"distance_type": "cosine"}, ttl=ttl)
    store.put(ANN, "k", {"text": "pizza", "n": 1})
    assert [step.text for step in store.scoped(*ANN).steps()] == ["pizza"]
