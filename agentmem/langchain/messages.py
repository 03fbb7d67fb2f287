"""Messages as steps, and as groups that stand or fall together.

Knows LangChain's messages; knows no memory. A step says what `agentmem.ingest` says of the same message out of a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agentmem.ingest.talk import said, shown
from agentmem.records import NAME_LIMIT

SOURCE, OURS = "lc_source", "agentmem"
"""In additional_kwargs: the middleware that wrote a message, or decided on it."""
LOST = "There is no answer to this call: the run was cut off."
Fields = dict[str, Any]
"""Of a step, as `EpisodeWriter.log` takes them."""


def is_made(message: BaseMessage) -> bool:
    """Whether a middleware wrote the message, so that it is nobody's words: a summary is no user's."""
    source = message.additional_kwargs.get(SOURCE)
    return source == OURS or isinstance(message, SystemMessage) or (isinstance(message, HumanMessage) and bool(source))


def key_of(*parts: object) -> str:
    """An idempotency key of ids; hashed where they are too long for one."""
    key = "/".join(map(str, parts))
    return key if len(key) <= NAME_LIMIT else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def name_of(message: BaseMessage) -> str:
    """The message's id; one made of what it says where it has none."""
    return message.id or hashlib.sha256(words_of(message).encode()).hexdigest()


def words_of(message: BaseMessage) -> str:
    """What a message says, in text that can be stored."""
    return said(message.content)[0].encode("utf-8", "replace").decode()


def said_step(message: BaseMessage, key: str) -> Fields | None:
    """What the user or the model says; None where that is nothing."""
    text = words_of(message)
    if not text.strip():
        return None
    human = isinstance(message, HumanMessage)
    actor = message.name or ("user" if human else "assistant" if isinstance(message, AIMessage) else message.type)
    step = {"text": text, "kind": "message", "actor": actor, "key": key, "trust": "user" if human else None}
    parts = said(message.content)[1]
    return step | ({"data": {"parts": parts}} if parts else {})


def call_step(call: Mapping[str, Any], key: str, actor: str = "assistant") -> Fields:
    """A tool that is called."""
    text = f"{call['name']}({shown(call['args'])})".encode("utf-8", "replace").decode()
    return {
        "text": text, "kind": "action", "actor": actor, "key": key, "data": {"tool": call["name"], "call": call["id"]},
    }  # fmt: skip


def result_step(call: Mapping[str, Any], answer: ToolMessage, key: str) -> Fields:
    """What a tool answered."""
    text, parts = words_of(answer), said(answer.content)[1]
    data = {"tool": call["name"], "call": call["id"], "parts": parts, "status": failed(answer) and "error"}
    told = {name: value for name, value in data.items() if value}
    return {"text": text, "kind": "observation", "actor": "tool", "key": key, "data": told, "trust": "tool"}


def raised_step(call: Mapping[str, Any], error: Exception, key: str) -> Fields:
    """What a tool raised instead of an answer."""
    text = f"raised {error!r}".encode("utf-8", "replace").decode()
    told = {"tool": call["name"], "call": call["id"], "status": "error"}
    return {"text": text, "kind": "observation", "actor": "tool", "key": key, "data": told, "trust": "tool"}


def failed(answer: BaseMessage) -> bool:
    return isinstance(answer, ToolMessage) and answer.status == "error"


def groups_of(messages: Iterable[BaseMessage]) -> list[list[BaseMessage]]:
    """Messages with calls and all that answers them, wherever it stands; each other message alone.

    What answers nothing that is here is left out, and a call without an answer gets `LOST` for one.
    """
    groups: list[list[BaseMessage]] = []
    waiting: dict[str, list[BaseMessage]] = {}
    lacking = False
    for message in messages:
        if isinstance(message, ToolMessage):
            if (group := waiting.pop(message.tool_call_id, None)) is not None:
                group.append(message)
            continue
        groups.append(group := [message])
        calls = message.tool_calls if isinstance(message, AIMessage) else ()
        lacking = lacking or bool(calls and any(str(call["id"]) in waiting for call in calls))
        waiting |= {str(call["id"]): group for call in calls}
    return [_answered(group) for group in groups] if lacking or waiting else groups


def _answered(group: list[BaseMessage]) -> list[BaseMessage]:
    asked = group[0].tool_calls if isinstance(group[0], AIMessage) else []
    answers = {answer.tool_call_id for answer in group if isinstance(answer, ToolMessage)}
    missing = [call for call in asked if str(call["id"]) not in answers]
    made = {SOURCE: OURS}
    return group + [
        ToolMessage(LOST, tool_call_id=str(call["id"]), name=call["name"], status="error", additional_kwargs=made)
        for call in missing
    ]


def turn_of(messages: Sequence[BaseMessage]) -> int:
    """The place of the user's last message; 0 if there is none."""
    for place in range(len(messages) - 1, -1, -1):
        if isinstance(messages[place], HumanMessage) and not is_made(messages[place]):
            return place
    return 0
