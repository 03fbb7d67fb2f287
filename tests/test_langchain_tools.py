"""Memory's tools, by LangChain's own suites with the network shut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from pytest_socket import disable_socket, enable_socket
from strategies import opened

from agentmem import InvalidInputError
from agentmem.langchain import memory_tools, recall_tool

STEP = "s00000000002"
CASES: dict[str, dict[str, Any]] = {
    "recall": {"query": "Which door is red?"},
    "remember": {"text": "The red door leads to the garden."},
    "explain_recall": {"query": "Which door is red?"},
    "expand": {"id": STEP},
}


def tool_of(name: str) -> BaseTool:
    memory = opened()
    memory.episode(id="house").log("Door 1 is red.")
    (tool,) = memory_tools(memory, [name])
    return tool


class OfEach:
    """Of each tool."""

    name: str

    @pytest.fixture(autouse=True, params=sorted(CASES))
    def _named_and_no_network(self, request: pytest.FixtureRequest) -> Iterator[None]:
        self.name = request.param
        disable_socket(allow_unix_socket=True)  # which event loops are made of
        yield
        enable_socket()

    @property
    def tool_constructor(self) -> BaseTool:
        return tool_of(self.name)

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return CASES[self.name]


class TestAlone(OfEach, ToolsUnitTests):
    pass


class TestInvoked(OfEach, ToolsIntegrationTests):
    pass


@pytest.mark.parametrize(("name", "said"), [("recall", "red"), ("expand", "red"), ("explain_recall", STEP)])
def test_the_arguments_of_these_suites_find_something(name: str, said: str) -> None:
    assert said in tool_of(name).invoke(CASES[name])


def test_what_no_tool_can_be_made_of_is_refused_before_a_model_calls_it() -> None:
    given: Any = "m.mem"
    for make in (memory_tools, recall_tool):
        with pytest.raises(InvalidInputError, match="memory 'm.mem' is no Memory; open one"):
            make(given)
        with pytest.raises(InvalidInputError, match="budget -3: give a whole number of tokens"):
            make(opened(), budget=-3)


def test_an_empty_note_is_no_note_and_the_model_is_told_so() -> None:
    memory = opened()
    (remember,) = memory_tools(memory, ["remember"])
    assert remember.invoke({"text": ""}) == "text '' says nothing; give what is to be remembered"
    assert memory.stats().steps == 0
