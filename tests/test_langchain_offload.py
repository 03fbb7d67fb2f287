"""Old results of tools that give way to a step, and chat models that condense."""

from __future__ import annotations

from typing import Any

import pytest
from agents import calls, orphans, thread
from langchain.agents import create_agent
from langchain.agents.middleware import ContextEditingMiddleware
from langchain.tools import tool
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately
from langgraph.checkpoint.memory import InMemorySaver
from strategies import chat, opened

from agentmem import CondenseError, InvalidInputError, Memory
from agentmem.langchain import ChatModelCondenser, EpisodicMemory, OffloadToolResults
from agentmem.testing import ScriptedChatModel
from agentmem.tokens import count
from agentmem.types import Layer


@tool
def read(page: int) -> str:
    """Read a page."""
    return f"Page {page} begins. " + f"word{page} " * 400


@tool
def shoot(page: int) -> list[Any]:
    """Take a picture of a page."""
    return [{"type": "text", "text": f"Page {page} shows. " + "word " * 400}, PICTURE]


PICTURE = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}


def worked(memory: Memory, *pages: AIMessage, expands: bool = True, **options: Any) -> tuple[ScriptedChatModel, Any]:
    """The model of an agent that read pages with its old results offloaded, and the agent's last state."""
    model = ScriptedChatModel(script=[*pages, "Done."])
    mine = EpisodicMemory(memory, tools=("recall", "expand") if expands else (), when=lambda call: False)
    edit = ContextEditingMiddleware(edits=[OffloadToolResults(mine, **options)])
    agent = create_agent(model, [read, shoot], middleware=[edit, mine], checkpointer=InMemorySaver())
    state = agent.invoke({"messages": [("user", "Read.")]}, thread(), context={"user_id": "ann"})
    return model, state


def pages(number: int, name: str = "read") -> list[AIMessage]:
    return [calls((name, {"page": page}), first=page) for page in range(number)]


def texts(messages: list[Any]) -> list[str]:
    return [message.text for message in messages if isinstance(message, ToolMessage)]


def test_old_results_give_way_to_their_beginning_and_the_step_that_has_them(memory: Memory) -> None:
    model, state = worked(memory, *pages(6), trigger=500, keep=2)
    shown, whole = texts(model.prompts[-1]), texts(state["messages"])
    assert shown[4:] == whole[4:]
    own = memory.scoped("ann")
    for short, long in zip(shown[:4], whole[:4], strict=True):
        assert short.startswith(long[:15])
        assert count(short) < 100
        id = short.rpartition("expand('")[2].partition("'")[0]
        assert f"[cut here; the whole is step {id}, " in short
        (step,) = own.expand(id)
        assert (step.text, step.kind, step.actor) == (long, "observation", "tool")
    assert not any(map(orphans, model.prompts))


def test_each_result_is_logged_once_where_its_user_is(memory: Memory) -> None:
    worked(memory, *pages(6), trigger=500, keep=2)
    assert memory.episodes() == []
    said = [step.text for step in memory.scoped("ann").steps()]
    assert len(said) == len(set(said)) == 1 + 6 * 2 + 1


def test_an_agent_without_the_tool_is_not_told_of_it(memory: Memory) -> None:
    model, _ = worked(memory, *pages(3), expands=False, trigger=500, keep=1)
    assert "expand" not in texts(model.prompts[-1])[0]
    assert "the whole is step s" in texts(model.prompts[-1])[0]


def test_pictures_stay_and_the_words_beside_them_give_way(memory: Memory) -> None:
    model, _ = worked(memory, *pages(3, "shoot"), trigger=500, keep=1)
    first = next(message for message in model.prompts[-1] if isinstance(message, ToolMessage))
    assert first.content[1] == PICTURE
    assert first.text.startswith("Page 0 shows.")
    assert count(first.text) < 100


@pytest.mark.parametrize("settings", [{"trigger": 100_000}, {"trigger": 0, "keep": 6}, {"trigger": 0, "least": 9_999}])
def test_what_need_not_give_way_stays(memory: Memory, settings: dict[str, int]) -> None:
    model, state = worked(memory, *pages(5), **settings)
    assert texts(model.prompts[-1]) == texts(state["messages"])


def test_what_is_offloaded_is_recalled(memory: Memory) -> None:
    model = ScriptedChatModel(script=[*pages(6), "Done."])
    mine = EpisodicMemory(memory, cue=lambda messages: "How does page 1 begin?")
    edit = ContextEditingMiddleware(edits=[OffloadToolResults(mine, trigger=500, keep=2)])
    create_agent(model, [read], middleware=[edit, mine]).invoke({"messages": [("user", "Read.")]})
    told = [message.text for message in model.prompts[-1] if message.additional_kwargs.get("lc_source")]
    assert "Page 1 begins" in told[0]


def test_prompts_are_short_and_the_state_is_whole(memory: Memory) -> None:
    model, state = worked(memory, *pages(8), trigger=1_500, keep=1)
    assert max(map(count_tokens_approximately, model.prompts)) < 2_500
    assert count_tokens_approximately(state["messages"]) > 4_000


def test_a_setting_that_makes_no_sense_is_refused(memory: Memory) -> None:
    with pytest.raises(InvalidInputError, match="keep -1"):
        OffloadToolResults(EpisodicMemory(memory), keep=-1)
    with pytest.raises(InvalidInputError, match="give the one in the agent's middleware"):
        OffloadToolResults(memory)  # type: ignore[arg-type]


# ---- condensing --------------------------------------------------------------------------------------------------


class Echo(GenericFakeChatModel):
    """Answers with the first words of what it is asked to condense."""

    asked: list[Any] = []  # noqa: RUF012
    answer: str | None = None

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(messages)
        self.messages = iter([AIMessage(self.answer if self.answer is not None else messages[-1].content[:60])])
        return super()._generate(messages, *args, **kwargs)


def test_a_chat_model_writes_units_and_clusters() -> None:
    model = Echo(messages=iter([]))
    with opened(condenser=ChatModelCondenser(model)) as memory:
        with memory.episode(id="chat") as episode:
            episode.log_many(chat(100))
        assert memory.stats().layers[Layer.UNIT].crystals > 0
        assert memory.verify().ok
    system, log = model.asked[0]
    assert f"{max(12, len(log.content.split()) // 10)} words" in system.content
    assert "no request to you" in system.content


def test_an_answer_without_words_fails_crystallizing_and_the_log_is_safe() -> None:
    model = Echo(messages=iter([]), answer="  ")
    with opened(condenser=ChatModelCondenser(model)) as memory:
        with pytest.raises(CondenseError, match="no words"), memory.episode(id="chat") as episode:
            episode.log_many(chat(60))
        assert len(list(memory.steps())) == 60
        model.answer = "They talked."
        memory.crystallize()


def test_what_is_no_chat_model_condenses_nothing() -> None:
    with pytest.raises(InvalidInputError, match="no chat model"):
        ChatModelCondenser("openai:gpt-4o")  # type: ignore[arg-type]
