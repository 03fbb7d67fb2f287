"""Groups of messages, kept while a conversation grows at its end. Knows messages by identity; knows no memory."""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_

from langchain_core.messages import BaseMessage, ToolMessage

from agentmem.langchain.messages import groups_of, put_together


def begins(messages: Sequence[BaseMessage], known: Sequence[BaseMessage]) -> bool:
    """Whether messages begin with these very ones."""
    return len(known) <= len(messages) and all(map(is_, known, messages))


class Groups:
    """`groups_of` messages, made again only of what is new or may still change.

    closed: the groups at the beginning that nothing later can change: all their calls are answered, and others came
    after them.
    """

    def __init__(self) -> None:
        self.closed: list[list[BaseMessage]] = []
        self._messages: list[BaseMessage] = []  # those of the closed groups, and what was left out between them

    def of(self, messages: Sequence[BaseMessage]) -> tuple[list[list[BaseMessage]], int]:
        """The groups, and how many of them were closed before and are the same: 0 for another conversation."""
        if not begins(messages, self._messages):
            self.closed, self._messages = [], []
        same, rest = len(self.closed), messages[len(self._messages) :]
        newest = max((at for at, message in enumerate(rest) if not isinstance(message, ToolMessage)), default=0)
        groups, whole = put_together(rest[:newest])
        if whole:
            self.closed += groups
            self._messages += rest[:newest]
            rest = rest[newest:]
        return [*self.closed, *groups_of(rest)], same
