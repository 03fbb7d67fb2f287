"""A chat model that says what a test tells it to, and keeps every prompt it was given."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from agentmem.tokens import count

Answer = str | AIMessage
WORD = re.compile(r"\s*\S+\s*")


class ScriptedChatModel(BaseChatModel):
    """Answers with the next of `script`, or with what `script` makes of the prompt; no network, no weights.

    prompts: what it was asked, in order. bound: the names of the tools it was offered last. It counts tokens as
    `agentmem.tokens.count`, and 4 for each message. IndexError where the script has come to its end.
    """

    script: list[Answer] | Callable[[list[BaseMessage]], Answer]
    prompts: list[list[BaseMessage]] = Field(default_factory=list)
    bound: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> ScriptedChatModel:
        self.bound[:] = [getattr(tool, "name", None) or str(tool) for tool in tools]
        return self

    def get_num_tokens(self, text: str) -> int:
        return count(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """4 for each message, and what it says and calls."""
        calls = [str(message.tool_calls) for message in messages if isinstance(message, AIMessage)]
        return sum(4 + count(str(message.text)) for message in messages) + sum(map(count, calls))

    def _answer(self, messages: list[BaseMessage]) -> AIMessage:
        self.prompts.append(list(messages))
        answer = self.script(messages) if callable(self.script) else self._next(self.script, len(self.prompts))
        return AIMessage(answer) if isinstance(answer, str) else answer.model_copy()

    def _next(self, script: Sequence[Answer], asked: int) -> Answer:
        if asked > len(script):
            raise IndexError(f"answer {asked} was asked for, and the script has {len(script)}; add one to script=")
        return script[asked - 1]

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> Iterator[ChatGenerationChunk]:
        """A word at a time, then the calls."""
        answer = self._answer(messages)
        for word in WORD.findall(str(answer.text)):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word, id=answer.id))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", id=answer.id, tool_call_chunks=_chunks(answer)))


def _chunks(answer: AIMessage) -> list[ToolCallChunk]:
    return [
        ToolCallChunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
        for index, call in enumerate(answer.tool_calls)
    ]
