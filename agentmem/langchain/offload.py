"""Old results of tools give way to their beginning and the step that has them whole.

An edit for LangChain's ContextEditingMiddleware, which edits a copy of the messages for one call of the model. Knows
messages and the agent's memory, which has logged them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from langchain_core.messages import AnyMessage, BaseMessage, ToolMessage
from langgraph.runtime import get_runtime

from agentmem.errors import InvalidInputError
from agentmem.langchain.fitting import cut_note, with_words
from agentmem.langchain.messages import split
from agentmem.langchain.middleware import EpisodicMemory
from agentmem.records import brief, check_whole
from agentmem.tokens import count, truncate

EDITED = {"edited": True, "strategy": "offload_tool_results"}


class OffloadToolResults:
    """`middleware=[ContextEditingMiddleware(edits=[OffloadToolResults(memory)]), memory]`.

    memory: the agent's EpisodicMemory. trigger: tokens of messages, by the other middleware's counter, from which on
    results of tools but the newest `keep` are cut, those of more than `least` tokens, to their first `shown` tokens.
    What is cut is a step of the memory: one that it has not logged yet stays whole for this call of the model.
    """

    def __init__(
        self, memory: EpisodicMemory, trigger: int = 100_000, keep: int = 3, least: int = 200, shown: int = 50
    ) -> None:
        if not isinstance(memory, EpisodicMemory):
            raise InvalidInputError(
                f"memory {brief(memory)} is no EpisodicMemory; give the one in the agent's middleware"
            )
        for name, number in (("trigger", trigger), ("keep", keep), ("least", least), ("shown", shown)):
            check_whole(name, number, 0)
        self.memory, self.trigger, self.keep, self.least, self.shown = memory, trigger, keep, least, shown

    def apply(self, messages: list[AnyMessage], *, count_tokens: Callable[[Sequence[BaseMessage]], int]) -> None:
        """Cut what is too much, in place."""
        if count_tokens(messages) <= self.trigger:
            return
        thread = self.memory.thread(get_runtime(), messages)
        results = [(place, message) for place, message in enumerate(messages) if isinstance(message, ToolMessage)]
        for place, message in results[: max(0, len(results) - self.keep)]:
            words, parts = split(message)
            if count(words) > self.least and (step := thread.step_of(message)) is not None:
                text = truncate(words, self.shown) + cut_note(step, self.memory.settings.hint)
                edited = {**message.response_metadata, "context_editing": EDITED}
                cut = with_words(message, text, parts)
                messages[place] = cut.model_copy(update={"artifact": None, "response_metadata": edited})
