"""A conversation's messages in a memory, as LangChain's chat histories keep them. Knows messages and one episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict

from agentmem.errors import NotFoundError
from agentmem.ingest.talk import clean
from agentmem.langchain.messages import said_steps
from agentmem.memory import EpisodeWriter, Memory, check_memory
from agentmem.records import check_name
from agentmem.types import Step


class EpisodicChatHistory(BaseChatMessageHistory):
    """The messages of one session, each a step or more of the episode with its id: recalled as all that is logged.

    `messages` gives them back as they were added. `clear` erases them from the file for good. LangChain itself
    deprecates chat histories; an agent gets its memory from a middleware instead.
    """

    def __init__(self, memory: Memory, session_id: str) -> None:
        self.memory, self.session_id = check_memory(memory), check_name("session_id", session_id)
        self._writer: EpisodeWriter | None = None

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        return messages_from_dict([step.data["message"] for step in self._steps() if _has_message(step)])

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Log messages in one transaction."""
        if messages:
            if self._writer is None:
                self._writer = self.memory.episode(id=self.session_id)
            self._writer.log_many([step for message in messages for step in steps_of(message)])

    def clear(self) -> None:
        """Erase every step of the session, with the crystals made of them."""
        if steps := [step.id for step in self._steps()]:
            self.memory.erase(steps=steps)

    def _steps(self) -> list[Step]:
        try:
            return list(self.memory.steps(self.session_id))
        except NotFoundError:  # nothing was said yet
            return []


def steps_of(message: BaseMessage) -> list[dict[str, Any]]:
    """A message as keywords of `log`: what it says and the tools it calls. The first holds all of it in its data."""
    whole = clean(message_to_dict(message))
    steps = said_steps(message) or [{"text": "", "kind": "message", "actor": message.type}]
    steps[0]["data"] = {**(steps[0].get("data") or {}), "message": whole}
    return steps


def _has_message(step: Step) -> bool:
    return isinstance(step.data, dict) and "message" in step.data
