"""What callbacks log of chains, graphs and agents, called and awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt

from agentmem import InvalidInputError, Memory
from agentmem.langchain import EpisodicChatHistory, EpisodicRecorder, EpisodicRetriever

Invoke = Callable[..., Any]


@pytest.fixture(params=["called", "awaited"])
def invoke(request: pytest.FixtureRequest) -> Invoke:
    def invoke(runnable: Any, given: Any, **config: Any) -> Any:
        if request.param == "called":
            return runnable.invoke(given, config)
        return asyncio.run(runnable.ainvoke(given, config))

    return invoke


class Scripted(GenericFakeChatModel):
    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def scripted(*answers: AIMessage | str) -> Scripted:
    return Scripted(messages=iter([AIMessage(one) if isinstance(one, str) else one for one in answers]))


def calling(name: str, id: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": id, "type": "tool_call"}])


def logged(memory: Memory, episode: str | None = None) -> list[tuple[str, str | None, str]]:
    return [(step.kind, step.actor, step.text) for step in memory.steps(episode)]


@tool
def look(where: str) -> str:
    """Look somewhere."""
    if where == "attic":
        raise ValueError("too dark")
    if where == "safe":
        return str(interrupt("may I?"))
    return f"A key in the {where}."


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


def agent(model: Any, checkpointer: Any = None, **tools: Any) -> Any:
    graph = StateGraph(State)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([look], **tools))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=checkpointer)


def test_a_chain_is_an_episode_of_what_was_asked_and_answered(memory: Memory, invoke: Invoke) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "Where is the {thing}?")])
    recorder = EpisodicRecorder(memory)
    invoke(prompt | scripted("In the cellar."), {"thing": "key"}, callbacks=[recorder])
    assert logged(memory) == [("message", "user", "Where is the key?"), ("message", "assistant", "In the cellar.")]
    (episode,) = memory.episodes()
    assert (episode.goal, episode.ended is not None) == ("key", True)
    assert (recorder._runs, recorder._roots) == ({}, {})


def test_runs_are_episodes_of_their_own_unless_one_is_named(memory: Memory, invoke: Invoke) -> None:
    for recorder in (EpisodicRecorder(memory), EpisodicRecorder(memory), EpisodicRecorder(memory, "talk")):
        invoke(scripted("Fine."), "Well?", callbacks=[recorder])
    invoke(scripted("Fine again."), "And now?", callbacks=[EpisodicRecorder(memory, "talk")])
    assert [episode.id for episode in memory.episodes()] == ["episode-1", "episode-2", "talk"]
    assert [text for _, _, text in logged(memory, "talk")] == ["Well?", "Fine.", "And now?", "Fine again."]


def test_an_agents_calls_and_results_are_logged_once(memory: Memory, invoke: Invoke) -> None:
    model = scripted(calling("look", "1", where="hall"), calling("look", "2", where="cellar"), "It is in the cellar.")
    invoke(agent(model), {"messages": [("user", "Find the key.")]}, callbacks=[EpisodicRecorder(memory)])
    assert logged(memory) == [
        ("message", "user", "Find the key."),
        ("action", "assistant", 'look({"where": "hall"})'),
        ("observation", "tool", "A key in the hall."),
        ("action", "assistant", 'look({"where": "cellar"})'),
        ("observation", "tool", "A key in the cellar."),
        ("message", "assistant", "It is in the cellar."),
    ]
    assert memory.episodes()[0].goal == "Find the key."
    assert "cellar" in memory.recall("where is the key").text


@pytest.mark.parametrize("episode", [None, "thread"])
def test_a_conversation_that_goes_on_is_not_logged_again(memory: Memory, invoke: Invoke, episode: str | None) -> None:
    graph = agent(scripted("Hello Ann.", "You are Ann.", "Yes."), InMemorySaver())
    for text in ("I am Ann.", "Who am I?", "Who am I?"):
        recorder = EpisodicRecorder(memory, episode)  # a process of its own
        invoke(graph, {"messages": [("user", text)]}, callbacks=[recorder], configurable={"thread_id": "t"})
    said = ["I am Ann.", "Hello Ann.", "Who am I?", "You are Ann.", "Who am I?", "Yes."]
    assert [text for _, _, text in logged(memory)] == said
    assert len(memory.episodes()) == (1 if episode else 3)


def test_what_a_tool_raised_is_logged_and_the_error_goes_on(memory: Memory, invoke: Invoke) -> None:
    graph = agent(scripted(calling("look", "1", where="attic")), handle_tool_errors=False)
    with pytest.raises(ValueError, match="too dark"):
        invoke(graph, {"messages": [("user", "Find it.")]}, callbacks=[EpisodicRecorder(memory)])
    assert logged(memory)[-2:] == [
        ("observation", "tool", "raised ValueError('too dark')"),
        ("observation", "chain", "raised ValueError('too dark')"),
    ]
    assert memory.episodes()[0].ended is not None


def test_an_interrupted_graph_has_raised_nothing_and_goes_on(memory: Memory, invoke: Invoke) -> None:
    graph = agent(scripted(calling("look", "1", where="safe"), "Done."), InMemorySaver())
    config = {"callbacks": [EpisodicRecorder(memory, "t")], "configurable": {"thread_id": "t"}}
    invoke(graph, {"messages": [("user", "Find it.")]}, **config)
    invoke(graph, Command(resume="yes"), **config)
    assert [text for _, _, text in logged(memory)] == ["Find it.", 'look({"where": "safe"})', "yes", "Done."]


def test_a_tool_and_a_model_alone_are_runs(memory: Memory, invoke: Invoke) -> None:
    invoke(look, {"where": "hall"}, callbacks=[EpisodicRecorder(memory)])
    invoke(FakeListLLM(responses=["Under the mat."]), "Where?", callbacks=[EpisodicRecorder(memory)])
    assert [text for _, _, text in logged(memory)] == [
        'look({"where": "hall"})', "A key in the hall.", "Where?", "Under the mat."
    ]  # fmt: skip
    assert all(episode.ended is not None for episode in memory.episodes())


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return [Document(f"A book on {query}.")]


def test_what_a_retriever_finds_is_logged_but_not_what_memory_recalled(memory: Memory, invoke: Invoke) -> None:
    memory.episode(id="old").log("The key hangs in the kitchen.")
    invoke(Shelf(), "keys", callbacks=[EpisodicRecorder(memory, "books")])
    invoke(EpisodicRetriever(memory=memory), "key", callbacks=[EpisodicRecorder(memory, "recalled")])
    assert [text for _, _, text in logged(memory, "books")] == ['Shelf({"query": "keys"})', "A book on keys."]
    assert [text for _, _, text in logged(memory, "recalled")] == ['EpisodicRetriever({"query": "key"})']


def test_what_memory_put_into_a_prompt_is_not_logged(memory: Memory, invoke: Invoke) -> None:
    told = HumanMessage("<planning_context>", additional_kwargs={"lc_source": "agentmem"})
    prompt = [SystemMessage("Be brief."), HumanMessage("Where?"), told]
    invoke(scripted("Here."), prompt, callbacks=[EpisodicRecorder(memory, "t")])
    assert [text for _, _, text in logged(memory)] == ["Where?", "Here."]


def test_what_is_no_text_is_cleaned(memory: Memory, invoke: Invoke) -> None:
    model = scripted(calling("look", "1", where="hall \ud801"), "odd \ud802")
    invoke(agent(model), {"messages": [("user", "odd \ud800 text")]}, callbacks=[EpisodicRecorder(memory)])
    said = ["odd ? text", 'look({"where": "hall ?"})', "A key in the hall ?.", "odd ?"]
    assert [text for _, _, text in logged(memory)] == said
    assert memory.episodes()[0].goal == "odd ? text"


def test_of_a_long_error_the_beginning_is_logged(memory: Memory) -> None:
    def fail(given: str) -> str:
        raise ValueError("bad " + "z" * 100_000)

    with pytest.raises(ValueError, match="bad"):
        RunnableLambda(fail).invoke("Well?", {"callbacks": [EpisodicRecorder(memory)]})
    ((_, _, text),) = logged(memory)
    assert text.startswith("raised ValueError('bad zz")
    assert len(text) < 4_100


def test_many_runs_side_by_side_are_kept_apart(memory: Memory) -> None:
    recorder = EpisodicRecorder(memory)
    chain = (
        ChatPromptTemplate.from_template("Number {n}?")
        | RunnableLambda(lambda prompt: prompt.to_string())
        | (FakeListLLM(responses=["Yes."]))
    )
    chain.batch([{"n": n} for n in range(12)], {"callbacks": [recorder], "max_concurrency": 4})
    said = [[step.text for step in memory.steps(episode.id)] for episode in memory.episodes()]
    assert len(said) == 12
    assert {texts[-1] for texts in said} == {"Yes."}
    assert sorted(texts[0] for texts in said) == sorted(f"Human: Number {n}?" for n in range(12))


def test_an_error_of_the_memory_is_the_chains_unless_told_otherwise(memory: Memory) -> None:
    memory.close()
    with pytest.raises(Exception, match="closed"):
        scripted("Fine.").invoke("Well?", {"callbacks": [EpisodicRecorder(memory)]})
    answer = scripted("Fine.").invoke("Well?", {"callbacks": [EpisodicRecorder(memory, raise_error=False)]})
    assert answer.content == "Fine."


@pytest.mark.parametrize("make", [EpisodicRecorder, EpisodicChatHistory])
def test_a_path_in_place_of_a_memory_is_refused_at_once(make: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"memory 'a.mem' is no Memory; open one: Memory.open\(path\)"):
        make("a.mem", "tuesday")
