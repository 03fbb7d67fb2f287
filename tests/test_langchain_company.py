"""A memory in company: other middleware, agents that an agent calls, models that fail, threads that branch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from agents import calls, orphans, thread
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    ModelRetryMiddleware,
    PIIMiddleware,
    SummarizationMiddleware,
    wrap_tool_call,
)
from langchain.agents.middleware.types import ToolCallRequest
from langchain.tools import tool
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from agentmem import Memory
from agentmem.langchain import EpisodicMemory
from agentmem.testing import ScriptedChatModel

ASKED: dict[str, Any] = {"messages": [("user", "Where is the red key?")]}
SEEN = "The red key was seen in room 3 yesterday."


@tool
def look(where: str) -> str:
    """Look somewhere."""
    return f"A key lies at the {where}."


@pytest.fixture
def memory() -> Memory:
    memory = Memory.open(":memory:", encoder=None)
    memory.episode(id="before").observe(SEEN)
    return memory


def logged(memory: Memory, episode: str = "t1") -> list[str]:
    return [step.text for step in memory.steps(episode)]


def has_context(prompt: Sequence[BaseMessage]) -> bool:
    return any(message.additional_kwargs.get("lc_source") == "agentmem" for message in prompt)


# ---- other middleware --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_what_is_redacted_before_the_model_is_redacted_in_the_log(memory: Memory, first: bool) -> None:
    @tool
    def search(name: str) -> str:
        """Search."""
        return f"{name}'s mail is ann@example.com, and she lives in Bern."

    redact, mine = PIIMiddleware("email", apply_to_tool_results=True), EpisodicMemory(memory)
    model = ScriptedChatModel(script=[calls(("search", {"name": "Ann"})), "Found.", "Where?"])
    order = [mine, redact] if first else [redact, mine]
    agent = create_agent(model, [search], middleware=order, checkpointer=InMemorySaver())
    state = agent.invoke({"messages": [("user", "Find Ann.")]}, thread())
    agent.invoke({"messages": [("user", "What is Ann's mail, and where does she live?")]}, thread("t2"))
    assert logged(memory)[2] == state["messages"][2].text == "Ann's mail is [REDACTED_EMAIL], and she lives in Bern."
    assert "lives in Bern" in model.prompts[-1][-1].text
    assert not any("ann@example.com" in message.text for message in model.prompts[-1])


@pytest.mark.parametrize("kept", [2, 3, 6])
def test_a_run_without_a_checkpointer_stays_one_when_a_summary_takes_its_place(memory: Memory, kept: int) -> None:
    summary = SummarizationMiddleware(
        ScriptedChatModel(script=["The key was sought."] * 9), trigger=("messages", 8), keep=("messages", kept)
    )
    script = [calls(("look", {"where": f"place {number}"})) for number in range(12)]
    model, mine = ScriptedChatModel(script=[*script, "Found."]), EpisodicMemory(memory)
    create_agent(model, [look], middleware=[mine, summary]).invoke(ASKED)
    _, run = memory.episodes()
    assert (run.goal, run.ended is not None) == ("Where is the red key?", True)
    assert len(logged(memory, run.id)) == len(set(logged(memory, run.id))) == 1 + 24 + 1
    assert not mine._threads


def test_a_run_that_begins_with_nothing_said_is_one_episode(memory: Memory) -> None:
    create_agent(ScriptedChatModel(script=["One."]), [], middleware=[EpisodicMemory(memory)]).invoke({"messages": []})
    _, run = memory.episodes()
    assert logged(memory, run.id) == ["One."]


def test_a_thread_without_a_checkpointer_is_told_its_history_and_logs_it_once(memory: Memory) -> None:
    agent = create_agent(ScriptedChatModel(script=lambda prompt: "Yes."), [], middleware=[EpisodicMemory(memory)])
    history: list[tuple[str, str]] = []
    for said in ("One?", "Two?", "Three?"):
        history.append(("user", said))
        agent.invoke({"messages": history}, thread("conv"))
        history.append(("assistant", "Yes."))
    assert logged(memory, "conv") == ["One?", "Yes.", "Two?", "Yes.", "Three?", "Yes."]


def test_what_context_editing_cleared_is_recalled(memory: Memory) -> None:
    @tool
    def search(room: int) -> str:
        """Search a room."""
        return f"Room {room} holds item {room * 7919 % 1000}. " + "dust lies on the shelves here. " * 40

    edit = ContextEditingMiddleware(edits=[ClearToolUsesEdit(trigger=1_000, keep=1)])
    mine = EpisodicMemory(memory, cue=lambda messages: "What item does room 3 hold?")
    model = ScriptedChatModel(script=[*(calls(("search", {"room": room}), first=room) for room in range(10)), "Done."])
    agent = create_agent(model, [search], middleware=[edit, mine], checkpointer=InMemorySaver())
    agent.invoke({"messages": [("user", "Search.")]}, thread())
    last = model.prompts[-1]
    assert [message.text for message in last if isinstance(message, ToolMessage)][:9] == ["[cleared]"] * 9
    assert f"item {3 * 7919 % 1000}" in next(message.text for message in last if has_context([message]))


def test_calls_that_could_not_be_parsed_keep_the_answer_that_langchain_gives(memory: Memory) -> None:
    bad = {"name": "look", "args": "{bad", "id": "x1", "error": "no JSON", "type": "invalid_tool_call"}

    def run(*middleware: Any) -> list[BaseMessage]:
        model = ScriptedChatModel(script=[AIMessage("", invalid_tool_calls=[bad]), "Well."])
        agent = create_agent(model, [look], middleware=middleware, checkpointer=InMemorySaver())
        for said in ("Look.", "Go on."):
            agent.invoke({"messages": [("user", said)]}, thread())
        return model.prompts[-1]

    with_, without = run(EpisodicMemory(memory)), run()
    assert (
        [message.type for message in with_] == [message.type for message in without] == ["human", "ai", "tool", "human"]
    )
    assert logged(memory)[:3] == ["Look.", "look({bad)", "Go on."]
    assert logged(memory)[3].startswith("Tool call look with id x1 could not be executed")


def test_a_recall_is_noted_once_however_often_the_model_is_tried(memory: Memory) -> None:
    class Flaky(ScriptedChatModel):
        def _generate(self, *args: Any, **options: Any) -> Any:
            answer = super()._generate(*args, **options)
            if len(self.prompts) < 3:
                raise TimeoutError
            return answer

    retry = ModelRetryMiddleware(max_retries=3, initial_delay=0, jitter=False)
    model = Flaky(script=["a", "b", "In room 3."])
    create_agent(model, [], middleware=[retry, EpisodicMemory(memory)]).invoke(ASKED)
    assert [has_context(prompt) for prompt in model.prompts] == [True] * 3
    assert len(list(memory._core.store.scan(types=["recall"]))) == 1


def test_an_agents_name_is_who_says_and_does(memory: Memory) -> None:
    model = ScriptedChatModel(script=[calls(("look", {"where": "door"}), says="I look."), "Found."])
    mine = EpisodicMemory(memory)
    create_agent(model, [look], middleware=[mine], name="scout", checkpointer=InMemorySaver()).invoke(ASKED, thread())
    assert [step.actor for step in memory.steps("t1")] == ["user", "scout", "scout", "tool", "scout"]


def test_of_a_long_error_the_beginning_is_logged(memory: Memory) -> None:
    @tool
    def fail() -> str:
        """Fail."""
        raise RuntimeError("bad " + "z" * 100_000)

    model = ScriptedChatModel(script=[calls(("fail", {}))])
    with pytest.raises(RuntimeError):
        create_agent(model, [fail], middleware=[EpisodicMemory(memory)], checkpointer=InMemorySaver()).invoke(
            ASKED, thread()
        )
    assert logged(memory)[2].startswith("raised RuntimeError('bad zzz")
    assert logged(memory)[2].endswith("… (100,027 characters)")
    assert len(logged(memory)[2]) < 4_100


def test_a_memory_that_was_given_stays_open_and_one_that_was_opened_is_closed(memory: Memory, tmp_path: Path) -> None:
    EpisodicMemory(memory).close()
    assert logged(memory, "before") == [SEEN]
    mine = EpisodicMemory(tmp_path / "agent.mem")
    mine.close()
    with pytest.raises(Exception, match="closed"):
        mine.memory.episodes()


# ---- agents that an agent calls ----------------------------------------------------------------------------------


def caller(memory: Memory, shared: bool) -> tuple[Any, ScriptedChatModel, ScriptedChatModel]:
    """An agent that calls another in a tool, twice, with a history that is not its own; and the models of both."""
    mine, helpers = EpisodicMemory(memory), ScriptedChatModel(script=lambda prompt: "Nobody knows.")
    helper = create_agent(helpers, [look], middleware=[mine if shared else EpisodicMemory(memory)])

    @tool
    def research(question: str) -> str:
        """Ask a helper."""
        told = [HumanMessage("Hello.", id="u0"), AIMessage("Hi.", id="a0"), HumanMessage(question)]
        return str(helper.invoke({"messages": told})["messages"][-1].text)

    asked = [("research", {"question": f"Where did Bob put his {thing} key?"}) for thing in ("violin", "house")]
    script = [calls(*asked), calls(("look", {"where": "mat"}), first=3), "Done."]
    model = ScriptedChatModel(script=script)
    return create_agent(model, [research, look], middleware=[mine], checkpointer=InMemorySaver()), model, helpers


@pytest.mark.parametrize("shared", [True, False])
def test_a_helper_has_an_episode_of_its_own_and_its_caller_keeps_its_context(memory: Memory, shared: bool) -> None:
    agent, model, helpers = caller(memory, shared)
    agent.invoke(ASKED, thread())
    assert [has_context(prompt) for prompt in model.prompts] == [True] * 3
    assert [has_context(prompt) for prompt in helpers.prompts] == [True] * 2
    _, own, *others = memory.episodes()
    assert (own.id, own.ended, len(logged(memory))) == ("t1", memory.head().position, 8)
    assert sorted(other.goal or "" for other in others) == [
        "Where did Bob put his house key?",
        "Where did Bob put his violin key?",
    ]
    for other in others:
        assert other.id.startswith("t1/tools:")
        said, answered = memory.steps(other.id)
        assert (said.actor, said.trust, answered.text) == ("assistant", None, "Nobody knows.")


def test_a_helper_stays_in_the_namespace_of_its_callers_user(memory: Memory) -> None:
    agent, _, _ = caller(memory, shared=True)
    agent.invoke(ASKED, thread(), context={"user_id": "ann"})
    assert len(memory.episodes()) == 1
    assert len(memory.scoped("ann").episodes()) == 3


def test_agents_that_are_nodes_of_a_graph_are_one_conversation(memory: Memory) -> None:
    """They share the thread and its messages, and each has the namespace of checkpoints of its own node."""
    graph = StateGraph(MessagesState)
    for name in ("one", "two"):
        model = ScriptedChatModel(script=lambda prompt, name=name: f"{name} to {prompt[-1].text}")
        agent = create_agent(model, [], middleware=[EpisodicMemory(memory, when=lambda call: False)], name=name)
        graph.add_node(name, agent)
    graph.add_edge(START, "one").add_edge("one", "two")
    compiled = graph.compile(checkpointer=InMemorySaver())
    for said in ("Hello", "Bye"):
        compiled.invoke({"messages": [HumanMessage(said)]}, thread())
    said = [each for word in ("Hello", "Bye") for each in (word, f"one to {word}", f"two to one to {word}")]
    assert logged(memory) == said
    assert [(step.actor, step.trust) for step in memory.steps("t1")][:2] == [("user", "user"), ("one", None)]


# ---- threads that branch -----------------------------------------------------------------------------------------


def priced() -> Any:
    """A tool that answers otherwise each time."""
    told = iter(range(1, 9))

    @tool
    def price(item: str) -> str:
        """Tell the price of an item."""
        number = next(told)
        return f"At try {number} the price of the {item} is {number * 111} francs. " + "Details follow here. " * 300

    return price


@pytest.mark.parametrize("restarted", [True, False])
def test_what_a_tool_answers_when_it_runs_again_is_another_step(memory: Memory, restarted: bool) -> None:
    price, saver = priced(), InMemorySaver()
    model = ScriptedChatModel(script=[calls(("price", {"item": "boat"})), "It is 111.", "It is 222."])
    make: Callable[[], Any] = lambda: create_agent(  # noqa: E731
        model, [price], middleware=[EpisodicMemory(memory, window=2_000, large=200)], checkpointer=saver
    )
    agent = make()
    agent.invoke({"messages": [("user", "What is the price of the boat?")]}, thread())
    (past,) = [state for state in agent.get_state_history(thread()) if state.next == ("tools",)]
    (make() if restarted else agent).invoke(None, past.config)
    for number, prompt in enumerate(model.prompts[1:], 1):
        shown = next(message.text for message in prompt if isinstance(message, ToolMessage))
        step = memory.step(shown.rpartition("whole is step ")[2].partition(",")[0])
        assert step.text.startswith(f"At try {number} the price of the boat is {number * 111} francs.")
        assert shown.startswith(step.text[:40])
    assert [text[:8] for text in logged(memory)][1:] == [
        'price({"',
        "At try 1",
        "It is 11",
        "At try 2",
        "It is 22",
    ]


def test_what_was_said_otherwise_on_another_branch_is_logged_and_recalled_there_alone(memory: Memory) -> None:
    model = ScriptedChatModel(script=["One.", "Two.", "Jim."])
    agent = create_agent(model, [], middleware=[EpisodicMemory(memory)], checkpointer=InMemorySaver())
    agent.invoke({"messages": [HumanMessage("My cat is called Tom.", id="u1")]}, thread())
    past = next(state for state in agent.get_state_history(thread()) if state.next == ("model",))
    changed = HumanMessage("My cat is called Jim.", id="u1")
    fork = agent.update_state(past.config, {"messages": [changed]}, as_node="__start__")
    agent.invoke(None, fork)
    assert logged(memory) == ["My cat is called Tom.", "One.", "My cat is called Jim.", "Two."]
    agent.invoke({"messages": [HumanMessage("What is my cat called?")]}, thread())
    assert not any("Tom" in message.text for message in model.prompts[-1])


def test_on_another_branch_the_context_of_the_task_is_there_again(memory: Memory) -> None:
    model = ScriptedChatModel(script=[calls(("look", {"where": "door"})), "Found.", "Again.", "Forked."])
    agent = create_agent(model, [look], middleware=[EpisodicMemory(memory)], checkpointer=InMemorySaver())
    agent.invoke(ASKED, thread())
    agent.invoke({"messages": [("user", "And the red key of room 3?")]}, thread())
    states = agent.get_state_history(thread())
    past = next(each for each in states if each.next == ("model",) and len(each.values["messages"]) == 3)
    agent.invoke(None, past.config)
    assert [has_context(prompt) for prompt in model.prompts] == [True] * 4
    assert has_context(model.prompts[-1][1:2])
    assert not any(map(orphans, model.prompts))


# ---- before a tool that changes something ------------------------------------------------------------------------


ASK_FIRST = {"cancel_order"}


@wrap_tool_call
def ask_first(request: ToolCallRequest, handler: Callable[[ToolCallRequest], Any]) -> Any:
    """Put off a call that changes something, once, so that memory is asked about it: as docs/langgraph.md says."""
    call, before = request.tool_call, request.state["messages"][:-1]
    made = [(each["name"], each["args"]) for message in before for each in getattr(message, "tool_calls", ())]
    if call["name"] in ASK_FIRST and (call["name"], call["args"]) not in made:
        told = "Not done yet. Look at what memory holds, and call again if it is still right."
        return ToolMessage(told, tool_call_id=call["id"], status="error")
    return handler(request)


@pytest.mark.parametrize("forbidden", [True, False])
def test_before_a_tool_that_changes_something_memory_can_be_asked(memory: Memory, forbidden: bool) -> None:
    if forbidden:
        memory.episode(id="rules").observe("The order of the red boat must not be cancelled.")
    done = []

    @tool
    def cancel_order(order: str) -> str:
        """Cancel an order."""
        done.append(order)
        return "Cancelled."

    def script(prompt: list[BaseMessage]) -> str | AIMessage:
        if "must not" in "".join(message.text for message in prompt) or "Cancelled." in prompt[-1].text:
            return "I am done."
        return calls(("cancel_order", {"order": "red boat"}), first=len(prompt))

    mine = EpisodicMemory(memory, when=lambda call: call.failures > 0)
    agent = create_agent(
        ScriptedChatModel(script=script), [cancel_order], middleware=[mine, ask_first], checkpointer=InMemorySaver()
    )
    streamed = agent.stream({"messages": [("user", "Cancel it.")]}, thread(), stream_mode="messages")
    words = [chunk.text for chunk, _ in streamed if isinstance(chunk, AIMessage) and chunk.text]
    assert "".join(words) == "I am done."
    assert done == ([] if forbidden else ["red boat"])
    assert not any("must not" in text for text in logged(memory))  # memory's words are in no state and no log again
