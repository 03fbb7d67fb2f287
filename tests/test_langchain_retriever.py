"""The retriever, by LangChain's own suite with the network shut, and by what it promises beyond."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests
from pytest_socket import disable_socket, enable_socket
from strategies import opened

from agentmem import InvalidInputError, Memory, NotFoundError
from agentmem.langchain import EpisodicRetriever
from agentmem.tokens import count

DOORS = [f"Door {number} is {colour}." for number, colour in enumerate("red green blue white black".split())]


@pytest.fixture
def doors(memory: Memory) -> Memory:
    with memory.episode(id="house", agent="ada") as episode:
        episode.log_many(DOORS)
    memory.episode(id="garden").log("The gate is red.", kind="message", actor="bob", at="2026-01-02T03:04:05")
    return memory


class TestStandard(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _no_network(self) -> Iterator[None]:
        disable_socket(allow_unix_socket=True)  # which event loops are made of
        yield
        enable_socket()

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return EpisodicRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        memory = opened()
        memory.episode(id="house").log_many(DOORS)
        return {"memory": memory, "k": 2}

    @property
    def retriever_query_example(self) -> str:
        return "Which door is red?"


def test_documents_say_what_they_are_and_where_they_come_from(doors: Memory) -> None:
    first, second = EpisodicRetriever(memory=doors, k=2).invoke("a red gate")
    assert first.page_content == "The gate is red."
    assert first.id is not None
    assert doors.step(first.id).text == first.page_content
    assert first.metadata == {
        "lc_source": "agentmem", "layer": "step", "score": first.metadata["score"], "episode": "garden",
        "kind": "message", "actor": "bob", "at": "2026-01-02T03:04:05", "namespace": [], "trust": None,
    }  # fmt: skip
    assert first.metadata["score"] > second.metadata["score"]


def test_only_an_episodes_or_an_agents_steps_are_found(doors: Memory) -> None:
    def found(**options: Any) -> list[Document]:
        return EpisodicRetriever(memory=doors, k=9, **options).invoke("a red gate")

    assert {one.metadata["episode"] for one in found(episode="house")} == {"house"}
    assert {one.metadata["episode"] for one in found(agent="ada")} == {"house"}
    assert {one.metadata["episode"] for one in found()} == {"house", "garden"}
    with pytest.raises(NotFoundError, match="cellar"):
        found(episode="cellar")


def test_a_budget_gives_what_recall_gives(doors: Memory) -> None:
    found = EpisodicRetriever(memory=doors, budget=30).invoke("a red gate")
    assert [one.id for one in found] == [hit.id for hit in doors.recall("a red gate", 30).hits]
    assert sum(count(one.page_content) for one in found) <= 30
    assert len(EpisodicRetriever(memory=doors, budget=30).invoke("a red gate", k=1)) == 1
    assert len(EpisodicRetriever(memory=doors).invoke("a red gate", budget=500)) > 4
    (long, short) = (doors.recall("a red gate", budget).hits for budget in (500, 12))
    assert len(long) > 4 > len(short) > 0
    both = EpisodicRetriever(memory=doors, budget=12).invoke("a red gate", k=4)
    assert [one.id for one in both] == [hit.id for hit in short]


@pytest.mark.parametrize("k", [-1, 0, True, "two"])
def test_a_number_of_documents_that_makes_no_sense_is_refused(doors: Memory, k: Any) -> None:
    with pytest.raises(InvalidInputError, match="must be a whole number"):
        EpisodicRetriever(memory=doors).invoke("a red gate", k=k)


def test_crystals_come_with_their_sources(memory: Memory) -> None:
    with memory.episode(id="house") as episode:
        episode.log_many(DOORS * 20)
    found = EpisodicRetriever(memory=memory, k=1, layers=["unit"]).invoke("door")
    assert {one.metadata["layer"] for one in found} == {"unit"}
    assert all(memory.step(step) for one in found for step in one.metadata["sources"])


def test_namespaces_that_may_be_read_are_searched_and_no_others(memory: Memory) -> None:
    for name in ("ann", "bob", "eve"):
        memory.scoped(name).episode(id="talk").log(f"{name} likes pizza")
    found = EpisodicRetriever(memory=memory.scoped("ann", read=[("bob",)]), k=9).invoke("who likes pizza")
    assert {tuple(one.metadata["namespace"]) for one in found} == {("ann",), ("bob",)}


def test_nothing_that_matches_is_no_document(doors: Memory) -> None:
    assert EpisodicRetriever(memory=doors).invoke("xyzzy") == []


async def test_it_is_awaited_in_a_chain(doors: Memory) -> None:
    chain = EpisodicRetriever(memory=doors, k=1) | (lambda found: found[0].page_content)
    assert await chain.ainvoke("a red gate") == chain.invoke("a red gate") == "The gate is red."


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"memory": "agent.mem"}, "memory 'agent.mem' is no Memory; open one"),
        ({"memory": None}, "memory None is no Memory"),
        ({"k": 0}, "k 0 must be a whole number, 1 or more"),
        ({"budget": -3}, "budget -3: give a whole number of tokens"),
        ({"layers": ["line"]}, "use some of unit, cluster, atom"),
        ({"episode": 5}, "episode 5 is no id; give one, which is a str"),
        ({"episode": Document("", id="e")}, "episode is a Document; give its id, which is in .id"),
    ],
)
def test_what_makes_no_retriever_is_refused_as_it_is_made(doors: Memory, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        EpisodicRetriever(**{"memory": doors, **wrong})
