"""Chat histories: messages come back as they were, are recalled as steps, and are cleared for good."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory
from strategies import opened

from agentmem import InvalidInputError, Memory
from agentmem.langchain import EpisodicChatHistory

CALL = {"name": "look", "args": {"where": "cellar"}, "id": "c1", "type": "tool_call"}
TALK: list[BaseMessage] = [
    SystemMessage("Be brief."),
    HumanMessage("Where is the key?", id="h1"),
    AIMessage("", tool_calls=[CALL]),
    ToolMessage("A key on a hook.", tool_call_id="c1", name="look"),
    AIMessage([{"type": "text", "text": "In the cellar."}], response_metadata={"model_name": "m"}),
    HumanMessage([{"type": "text", "text": "And this?"}, {"type": "image_url", "image_url": {"url": "data:x"}}]),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _deprecated() -> Iterator[None]:
    """LangChain says of every chat history that it is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_messages_come_back_as_they_were_added(file: Path) -> None:
    with opened(file) as memory:
        history = EpisodicChatHistory(memory, "ann")
        assert history.messages == []
        history.add_messages(TALK[:3])
        for message in TALK[3:]:
            history.add_message(message)
        assert history.messages == TALK
    with opened(file) as memory:
        assert EpisodicChatHistory(memory, "ann").messages == TALK


def test_what_is_said_and_called_is_recalled_as_steps(memory: Memory) -> None:
    EpisodicChatHistory(memory, "ann").add_messages(TALK)
    steps = [(step.kind, step.actor, step.text) for step in memory.steps("ann")]
    assert ("message", "user", "Where is the key?") in steps
    assert ("action", "assistant", 'look({"where": "cellar"})') in steps
    assert ("observation", "tool", "A key on a hook.") in steps
    assert "hook" in memory.recall("where is the key").text


def test_the_same_message_twice_is_two_messages(memory: Memory) -> None:
    history = EpisodicChatHistory(memory, "ann")
    history.add_user_message("Yes.")
    history.add_user_message("Yes.")
    history.add_ai_message("Fine.")
    assert [message.content for message in history.messages] == ["Yes.", "Yes.", "Fine."]


def test_what_is_no_text_is_cleaned(memory: Memory) -> None:
    history = EpisodicChatHistory(memory, "ann")
    odd = {"name": "look", "args": {"where": "\ud801"}, "id": "c1", "type": "tool_call"}
    history.add_messages([HumanMessage("odd \ud800 text"), AIMessage("", tool_calls=[odd])])
    assert [message.content for message in history.messages] == ["odd ? text", ""]
    assert [step.text for step in memory.steps("ann")] == ["odd ? text", 'look({"where": "?"})']


def test_sessions_are_apart_and_cleared_for_good(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "agent.mem", encoder=None) as memory:
        one, other = EpisodicChatHistory(memory, "ann"), EpisodicChatHistory(memory, "bob")
        one.add_user_message("My number is 0171 555 0199, do not tell.")
        other.add_user_message("Hello.")
        one.clear()
        assert one.messages == []
        assert [message.content for message in other.messages] == ["Hello."]
        assert not any(b"0171 555" in path.read_bytes() for path in tmp_path.iterdir())
        one.clear()
        one.add_user_message("Again.")
        assert [message.content for message in one.messages] == ["Again."]
        assert memory.verify().ok


async def test_a_history_is_awaited(memory: Memory) -> None:
    history = EpisodicChatHistory(memory, "ann")
    await history.aadd_messages(TALK[:2])
    assert await history.aget_messages() == TALK[:2]
    await history.aclear()
    assert await history.aget_messages() == []


def test_a_chain_with_history_reads_and_writes_it(memory: Memory) -> None:
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{text}")])
    model = GenericFakeChatModel(messages=iter([AIMessage("Hello Ann."), AIMessage("Ann.")]))
    chain = RunnableWithMessageHistory(
        prompt | model,
        lambda id: EpisodicChatHistory(memory, id),
        input_messages_key="text",
        history_messages_key="history",
    )
    for text in ("I am Ann.", "Who am I?"):
        chain.invoke({"text": text}, config={"configurable": {"session_id": "s"}})
    said = [message.content for message in EpisodicChatHistory(memory, "s").messages]
    assert said == ["I am Ann.", "Hello Ann.", "Who am I?", "Ann."]


def test_a_session_has_a_name(memory: Memory) -> None:
    with pytest.raises(InvalidInputError, match="session_id"):
        EpisodicChatHistory(memory, "")
