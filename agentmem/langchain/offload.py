"""Old results of tools give way to their beginning and the step that has them whole.

An edit for LangChain's ContextEditingMiddleware, which edits a copy of the messages for one call of the model. Knows
messages and an episode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AnyMessage, BaseMessage, ToolMessage

from agentmem.errors import InvalidInputError
from agentmem.ingest.talk import said
from agentmem.langchain.history import said_steps
from agentmem.memory import EpisodeWriter, Memory
from agentmem.records import brief, digest
from agentmem.tokens import count, truncate

EDITED = {"edited": True, "strategy": "offload_tool_results"}


class OffloadToolResults:
    """`ContextEditingMiddleware(edits=[OffloadToolResults(memory)])`.

    trigger: tokens of messages, by the middleware's counter, from which on results of tools but the newest `keep` are
    cut, those of more than `least` tokens, to their first `shown` tokens. What is cut is logged whole in the episode
    first, once for each call, and recalled from there. Raises what `log` raises.
    """

    def __init__(
        self,
        memory: Memory,
        episode: str = "offloaded",
        trigger: int = 100_000,
        keep: int = 3,
        least: int = 200,
        shown: int = 50,
    ) -> None:
        for name, number in (("trigger", trigger), ("keep", keep), ("least", least), ("shown", shown)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise InvalidInputError(f"{name} {brief(number)} must be a whole number, 0 or more")
        self.memory, self.episode = memory, episode
        self.trigger, self.keep, self.least, self.shown = trigger, keep, least, shown
        self._writer: EpisodeWriter | None = None

    def apply(self, messages: list[AnyMessage], *, count_tokens: Callable[[Sequence[BaseMessage]], int]) -> None:
        """Cut what is too much, in place."""
        if count_tokens(messages) <= self.trigger:
            return
        results = [(place, message) for place, message in enumerate(messages) if isinstance(message, ToolMessage)]
        for place, message in results[: max(0, len(results) - self.keep)]:
            text = said(message.content)[0]
            if count(text) > self.least and "context_editing" not in message.response_metadata:
                messages[place] = self._cut(message, text)

    def _cut(self, message: ToolMessage, text: str) -> ToolMessage:
        if self._writer is None:
            self._writer = self.memory.episode(id=self.episode)
        (step,) = said_steps(message)
        key = f"{self.episode}/{message.tool_call_id}/{digest(text.encode())}"  # ids are given again by some models
        logged = self._writer.log(**step, key=key)
        changed: dict[str, Any] = {
            "artifact": None,
            "content": f"{truncate(text, self.shown)}\n[The whole result is step {logged.id} of memory.]",
            "response_metadata": {**message.response_metadata, "context_editing": EDITED},
        }
        return message.model_copy(update=changed)
