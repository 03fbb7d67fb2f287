"""Who sees which memory, and memory as tools."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agents import calls, thread
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver

import agentmem.langchain
from agentmem import Memory
from agentmem.errors import FullError, InvalidInputError, MissingExtraError
from agentmem.langchain import (
    EpisodicMemory,
    EpisodicStore,
    expand_tool,
    explain_recall_tool,
    memory_tools,
    recall_tool,
    remember_tool,
)
from agentmem.testing import ScriptedChatModel

SECRET = "The alarm code is 4711."
QUESTION: dict[str, Any] = {"messages": [HumanMessage("What is the alarm code?")]}


@dataclass
class User:
    user_id: str
    org: str | None = None


@pytest.fixture
def memory() -> Memory:
    return Memory.open(":memory:", encoder=None)


def asked(memory: Memory, script: list[Any], said: Any, name: str, context: Any, **options: Any) -> ScriptedChatModel:
    """The model of an agent that a user talked to once."""
    model = ScriptedChatModel(script=script)
    mine = EpisodicMemory(memory, tools=("recall", "remember", "explain_recall", "expand"), **options)
    agent = create_agent(model, [], middleware=[mine], checkpointer=InMemorySaver(), context_schema=type(context))
    agent.invoke({"messages": [HumanMessage(said)]}, thread(name), context=context)
    return model


def told(model: ScriptedChatModel) -> str:
    """All that the model was given beside what the user said."""
    return "\n".join(message.text for prompt in model.prompts for message in prompt[1:])


def test_users_never_see_each_others_memory_whatever_the_model_asks_for(memory: Memory) -> None:
    asked(memory, ["Noted."], SECRET, "t1", User("ann"))
    (secret, *_) = memory.scoped("ann").steps()
    for name in ("ann2", "an", "ann%", "Ann", "*"):
        nosy = [
            calls(("recall", {"query": "alarm code of ann", "user_id": "ann", "namespace": ["ann"]})),
            calls(("expand", {"id": secret.id}), ("explain_recall", {"query": SECRET}), first=2),
            "No idea.",
        ]
        assert "4711" not in told(asked(memory, nosy, "What is the alarm code?", f"of {name}", User(name)))
    assert "4711" in told(asked(memory, ["4711."], "What is the alarm code?", "t2", User("ann")))
    assert not list(memory.steps())


def test_two_users_in_a_thread_of_one_name_have_an_episode_each(memory: Memory) -> None:
    for name in ("ann", "bob"):
        asked(memory, ["Hello."], f"I am {name}.", "t1", User(name))
        assert [step.text for step in memory.scoped(name).steps()] == [f"I am {name}.", "Hello."]


def test_a_scope_names_the_fields_that_must_be_there(memory: Memory) -> None:
    asked(memory, ["Noted."], SECRET, "t1", User("ann", "acme"), scope=("org", "user_id", "thread_id"))
    assert len(list(memory.scoped("acme", "ann", "t1").steps())) == 2
    with pytest.raises(InvalidInputError, match=r"has no 'org', which scope \('org', 'user_id'\) asks for"):
        asked(memory, ["Noted."], SECRET, "t1", User("ann"), scope=("org", "user_id"))
    asked(memory, ["Noted."], SECRET, "t1", User("bob"), scope=lambda runtime: ("team", runtime.context.user_id))
    assert len(list(memory.scoped("team", "bob").steps())) == 2


def test_no_scope_leads_to_the_items_of_a_store(memory: Memory) -> None:
    EpisodicStore(memory).put(("users", "ann"), "code", {"text": SECRET})
    nosy = User("users", "langgraph.store")
    for scope in (("org", "user_id"), lambda runtime: (runtime.context.org, "users", "ann")):
        with pytest.raises(InvalidInputError, match=r"under 'langgraph\.store' lie a store's items"):
            asked(memory, ["No idea."], "What is the alarm code?", "t1", nosy, scope=scope)
    with pytest.raises(InvalidInputError, match="bare|tuple"):
        asked(memory, ["No idea."], "Hello.", "t1", nosy, scope=lambda runtime: "acme")


def test_a_user_may_be_named_in_the_config_and_a_mapping_be_the_context(memory: Memory) -> None:
    model = ScriptedChatModel(script=["Noted."] * 2)
    agent = create_agent(model, [], middleware=[EpisodicMemory(memory)], checkpointer=InMemorySaver())
    agent.invoke(QUESTION, {"configurable": {"thread_id": "t1", "user_id": "ann"}})
    agent.invoke(QUESTION, thread("t2"), context={"user_id": "bob"})
    assert [len(list(memory.scoped(name).steps())) for name in ("ann", "bob")] == [2, 2]


def test_a_view_stays_in_its_namespace_and_reads_what_it_may(memory: Memory) -> None:
    with memory.scoped("acme", "shared").episode() as episode:
        episode.observe("The alarm code of the office is 12.")
    view = memory.scoped("acme", read=[("acme", "shared")])
    model = asked(view, ["12."], "What is the alarm code?", "t1", User("ann"))
    assert "office is 12" in told(model)
    assert len(list(memory.scoped("acme", "ann").steps())) == 2


def test_a_second_process_remembers_what_the_first_did(tmp_path: Path) -> None:
    for script, said in ((["Noted."], SECRET), (["It is 4711."], "What is the alarm code?")):
        mine = EpisodicMemory(tmp_path / "agent.mem")
        model = ScriptedChatModel(script=script)
        create_agent(model, [], middleware=[mine]).invoke({"messages": [("user", said)]})
        mine.close()
    assert SECRET in told(model)


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_what_was_not_logged_is_logged_when_it_goes_on(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "agent.mem", encoder=None) as memory:
        connection = memory._core.store._writer.connection  # type: ignore[attr-defined]
        connection.execute("PRAGMA max_page_count=60").fetchall()
        said = HumanMessage(" ".join(f"word{number}" for number in range(40_000)))
        model = ScriptedChatModel(script=["Long.", "Good."])
        agent = create_agent(model, [], middleware=[EpisodicMemory(memory)], checkpointer=InMemorySaver())
        with pytest.raises(FullError, match="space"):
            agent.invoke({"messages": [said]}, thread())
        connection.execute("PRAGMA max_page_count=1000000").fetchall()
        agent.invoke(None, thread())
        assert [step.text for step in memory.steps()] == [said.text, "Long."]


def test_tools_of_a_thread_find_explain_note_and_expand(memory: Memory) -> None:
    with memory.episode(id="before") as episode:
        step = episode.observe(SECRET)
    script = [
        calls(("recall", {"query": "alarm code"})),
        calls(("explain_recall", {"query": "alarm code"}), first=2),
        calls(("remember", {"text": "The user forgets codes."}), first=3),
        calls(
            ("expand", {"id": step.id}),
            ("expand", {"id": "s99999999999"}),
            ("expand", {"id": step.id, "start": 99}),
            first=4,
        ),
        "4711.",
    ]
    model = ScriptedChatModel(script=script)
    mine = EpisodicMemory(memory, tools=("recall", "remember", "explain_recall", "expand"))
    agent = create_agent(model, [], middleware=[mine], checkpointer=InMemorySaver())
    state = agent.invoke(QUESTION, thread())
    found, why, noted, whole, missing, beyond = (
        message for message in state["messages"] if isinstance(message, ToolMessage)
    )
    assert f"{SECRET} <{step.id}>" in found.text
    assert why.text.startswith(f"{step.id} (step) ")
    assert "best_episode" in why.text
    note = list(memory.steps())[2]
    assert (note.text, noted.text) == ("The user forgets codes.", f"Noted as step {note.id}.")
    assert whole.text == SECRET
    assert (missing.status, beyond.status) == ("error", "error")
    assert f"{step.id} has {len(SECRET)} characters" in beyond.text
    assert [step.text for step in memory.steps()] == [SECRET, QUESTION["messages"][0].text, note.text, "4711."]
    assert [each.type for each in memory._core.store.scan(types=["recall"])] == ["recall"] * 3


def test_tools_of_a_memory_work_without_an_agent(memory: Memory) -> None:
    with memory.episode(id="before") as episode:
        for number in range(40):
            episode.observe(f"Door {number} has the code {number * 37}, which opens it at night only.")
    tools = {tool.name: tool for tool in memory_tools(memory)}
    assert "code 111" in tools["recall"].invoke({"query": "code of door 3"})
    assert tools["recall"].invoke({"query": "zebra"}) == "Memory holds nothing about that."
    assert "lexical" in tools["explain_recall"].invoke({"query": "code of door 3"})
    assert tools["remember"].invoke({"text": "Doors are numbered."}).startswith("Noted as step s")
    (unit, *_) = memory.crystals(["unit"])
    assert tools["expand"].invoke({"id": unit.id}).startswith(f"{unit.sources[0]}: Door 0 has")
    pages, start = "", 0
    while start is not None:
        page = tools["expand"].invoke({"id": unit.id, "start": start})
        text, _, more = page.partition("\n[")
        pages += text
        start = int(more.partition(" ")[0].replace(",", "")) if more else None
    assert pages.count("opens it at night only") == len(unit.sources)


@pytest.mark.parametrize("make", [recall_tool, remember_tool, explain_recall_tool, expand_tool])
def test_a_tool_asks_the_model_for_its_words_alone(memory: Memory, make: Any) -> None:
    tool: BaseTool = make(memory)
    assert set(tool.tool_call_schema.model_json_schema()["properties"]) <= {"query", "text", "id", "start"}
    assert tool.description


def test_without_langchain_the_line_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("langchain.", "agentmem.langchain."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "langchain", None)
    with pytest.raises(MissingExtraError, match=r"EpisodicMemory needs LangChain: pip install .*\[langchain\]'"):
        agentmem.langchain.EpisodicMemory  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'Memory'; it has Call, ChatModelCondenser"):
        agentmem.langchain.Memory  # noqa: B018
