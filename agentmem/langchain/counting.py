"""Tokens of messages, by the model's own counter where it has one that counts here.

Knows chat models; knows no memory. Each message is counted once and remembered for as long as it is the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.language_models import BaseChatModel, BaseLanguageModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from agentmem.ingest.talk import said, shown
from agentmem.langchain.messages import calls_of, split
from agentmem.memory.checks import tokens_counted
from agentmem.remembered import LONG, TEXTS, on_forget_of
from agentmem.tokens import count

CountMessages = Callable[[Sequence[BaseMessage]], int]
ASKING = ("langchain_anthropic", "langchain_google_genai", "langchain_google_vertexai")
"""Packages whose models count tokens by a request to their service: too slow for every message."""
MESSAGES, TEXT = "get_num_tokens_from_messages", ("get_num_tokens", "get_token_ids")
OVERHEAD = 4  # tokens that a message costs beside its words
PICTURE = 1_000  # tokens of a part that is no words
MOST = 20_000  # messages remembered


def count_messages(messages: Sequence[BaseMessage]) -> int:
    """Tokens of messages on the high side, by `agentmem.tokens.count`."""
    return sum(map(_count, messages))


def _count(message: BaseMessage) -> int:
    text, parts = said(message.content)
    called = sum(count(f"{call['name']} {shown(call['args'])}") + OVERHEAD for call in calls_of(message))
    return count(text) + called + PICTURE * len(parts) + OVERHEAD


def counts_here(model: BaseChatModel) -> bool:
    """Whether a model has a counter of its own that asks no service."""
    if model.custom_get_token_ids is not None:
        return True
    return _own(model, MESSAGES, *TEXT) and not any(kind.__module__.startswith(ASKING) for kind in type(model).__mro__)


def own_counter(model: BaseChatModel) -> CountMessages | None:
    """A model's own counter of messages, if it has one that counts here, and for a model of this name."""
    if not counts_here(model):
        return None
    try:
        model.get_num_tokens_from_messages([HumanMessage("")])
    except NotImplementedError:  # of ChatOpenAI's, for names it does not know
        return None
    return cast(CountMessages, model.get_num_tokens_from_messages)


def _own(model: BaseChatModel, *names: str) -> bool:
    """Whether a model's class has one of these methods in place of LangChain's, which needs GPT-2's tokenizer."""
    return any(getattr(type(model), name) is not getattr(BaseLanguageModel, name) for name in names)


class Counter:
    """Counts messages, texts and tools for one model. given: counts in place of the model's own counter."""

    def __init__(self, model: BaseChatModel, given: CountMessages | None) -> None:
        own = own_counter(model)
        self.model, self._given = model, given
        self._counts = given or own or count_messages
        texts = count if own is None else model.get_num_tokens if _own(model, *TEXT) else None
        self._text = None if given else texts
        self._messages: dict[str, tuple[BaseMessage, int]] = {}
        self._texts: dict[str, int] = {}
        self._tools: dict[int, tuple[Any, int]] = {}
        self._empty = self._of(HumanMessage(""))
        on_forget_of(self.forget)

    def forget(self) -> None:
        """Drop what texts were counted: they may be those of steps that were erased."""
        self._texts.clear()

    def message(self, message: BaseMessage) -> int:
        if message.id is None:
            return self._of(message)
        known = self._messages.get(message.id)
        if known is None or not (known[0] is message or known[0] == message):
            if len(self._messages) >= MOST:
                self._messages.clear()
            known = self._messages[message.id] = message, self._of(message)
        return known[1]

    def _of(self, message: BaseMessage) -> int:
        if self._given is None and split(message)[1]:  # of pictures a model's own counter fails, or fetches them
            return _count(message)
        return tokens_counted(self._counts([message]))

    def text(self, text: str) -> int:
        """Tokens of a text beside those of the message that it stands in; of a short one counted once."""
        if len(text) > LONG:
            return self._of_text(text)
        known = self._texts.get(text)
        if known is None:
            if len(self._texts) >= TEXTS:
                self._texts.clear()
            known = self._texts[text] = self._of_text(text)
        return known

    def _of_text(self, text: str) -> int:
        if self._text is not None:
            return tokens_counted(self._text(text))
        return max(0, self._of(HumanMessage(text)) - self._empty) if text else 0

    def fixed(self, system: SystemMessage | None, told: Sequence[Any]) -> int:
        """Tokens of what every prompt has: the system message, the tools, the schema of the answer."""
        return (self.message(system) if system is not None else 0) + sum(map(self._told, told))

    def _told(self, tool: Any) -> int:
        known = self._tools.get(id(tool))
        if known is None or known[0] is not tool:
            schemas = [json.dumps(each, ensure_ascii=False, default=str) for each in schemas_of(tool)]
            known = self._tools[id(tool)] = tool, sum(map(self.text, schemas))
        return known[1]


def schemas_of(tool: Any) -> list[dict[str, Any]]:
    """What a model is told of a tool, or of a schema that its answer is to have."""
    if isinstance(tool, BaseTool | dict):
        return [convert_to_openai_tool(tool)]
    if isinstance(tool, ProviderStrategy):
        return [tool.schema_spec.json_schema]
    strategy = tool if isinstance(tool, ToolStrategy) else ToolStrategy(getattr(tool, "schema", tool))
    return [spec.json_schema for spec in strategy.schema_specs]
