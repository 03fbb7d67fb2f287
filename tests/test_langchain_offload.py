"""Old results of tools that give way to a step, and chat models that condense."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ContextEditingMiddleware
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.tools import tool
from strategies import chat, opened

from agentmem import CondenseError, InvalidInputError, Memory
from agentmem.langchain import ChatModelCondenser, OffloadToolResults
from agentmem.tokens import count
from agentmem.types import Layer


def results(number: int, words: int = 400) -> list[Any]:
    """Calls and their long answers."""
    found: list[Any] = [HumanMessage("Read the pages.")]
    for n in range(number):
        found.append(
            AIMessage("", tool_calls=[{"name": "read", "args": {"page": n}, "id": f"c{n}", "type": "tool_call"}])
        )
        found.append(ToolMessage(f"Page {n} begins. " + f"word{n} " * words, tool_call_id=f"c{n}", name="read"))
    return found


def texts(messages: list[Any]) -> list[str]:
    return [str(message.content) for message in messages if isinstance(message, ToolMessage)]


def test_old_results_give_way_to_their_beginning_and_the_step_that_has_them(memory: Memory) -> None:
    before, messages = results(6), results(6)
    edit = OffloadToolResults(memory, trigger=500, keep=2)
    edit.apply(messages, count_tokens=count_tokens_approximately)
    assert len(messages) == len(before)
    assert texts(messages)[4:] == texts(before)[4:]
    for cut, whole in zip(texts(messages)[:4], texts(before)[:4], strict=True):
        assert cut.startswith(whole[:15])
        assert count(cut) < 80
        step = memory.step(cut.rsplit("step ", 1)[1].split()[0])
        assert (step.text, step.kind, step.actor) == (whole, "observation", "tool")
    assert [message.type for message in messages] == [message.type for message in before]
    assert "Page 1 begins" in memory.recall("page 1 begins", 1_000).text


def test_each_result_is_logged_once_however_often_it_is_cut(memory: Memory) -> None:
    for number in (4, 5, 6):
        messages = results(number)
        edit = OffloadToolResults(memory, trigger=500, keep=2)
        edit.apply(messages, count_tokens=count_tokens_approximately)
        again = list(messages)
        edit.apply(again, count_tokens=count_tokens_approximately)
        assert again == messages
    assert len(list(memory.steps("offloaded"))) == 4
    other = results(3, words=500)  # another conversation with the same ids
    OffloadToolResults(memory, trigger=500, keep=2).apply(other, count_tokens=count_tokens_approximately)
    assert len(list(memory.steps("offloaded"))) == 5


@pytest.mark.parametrize("settings", [{"trigger": 100_000}, {"trigger": 0, "keep": 6}, {"trigger": 0, "least": 9_999}])
def test_what_need_not_give_way_stays(memory: Memory, settings: dict[str, int]) -> None:
    messages = results(5)
    OffloadToolResults(memory, **settings).apply(messages, count_tokens=count_tokens_approximately)
    assert messages == results(5)
    assert memory.head().position == 0


def test_an_agent_with_the_edit_sends_short_prompts_and_keeps_its_state(memory: Memory) -> None:
    class Model(GenericFakeChatModel):
        sent: list[list[BaseMessage]] = []  # noqa: RUF012

        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            self.sent.append(list(messages))
            return super()._generate(messages, *args, **kwargs)

    @tool
    def read(page: int) -> str:
        """Read a page."""
        return f"Page {page}. " + "word " * 500

    answers = [message for message in results(8) if isinstance(message, AIMessage)]
    model = Model(messages=iter([*answers, AIMessage("Done.")]))
    edit = ContextEditingMiddleware(edits=[OffloadToolResults(memory, trigger=1_500, keep=1)])
    state = create_agent(model, [read], middleware=[edit]).invoke({"messages": [("user", "Read.")]})
    assert max(map(count_tokens_approximately, model.sent)) < 2_500
    assert count_tokens_approximately(state["messages"]) > 4_000
    assert len(list(memory.steps("offloaded"))) == 7


def test_a_setting_that_makes_no_sense_is_refused(memory: Memory) -> None:
    with pytest.raises(InvalidInputError, match="keep -1"):
        OffloadToolResults(memory, keep=-1)


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
