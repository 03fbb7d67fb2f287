"""The export of ChatGPT: `conversations.json`, a list of conversations, each a tree of messages.

A conversation is the way from its root to `current_node`: what was asked again in other words lies beside it and is
left out, as are messages that were hidden from the user. A message to a tool (`recipient`) is an action. Keys are the
ids of conversation and message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentmem.ingest.report import Found
from agentmem.ingest.source import Source
from agentmem.ingest.talk import Talk, said, some
from agentmem.records import brief

SAID = ("text", "multimodal_text", "code", "execution_output", "tether_quote")
PEOPLE = ("user", "assistant", "system")


def is_chatgpt(value: Any) -> bool:
    one = value[0] if isinstance(value, list) and value else value
    return isinstance(one, Mapping) and isinstance(one.get("mapping"), Mapping)


def read_chatgpt(source: Source) -> Iterator[Found]:
    value = source.json()
    for place, conversation in enumerate(value if isinstance(value, list) else [value]):
        if is_chatgpt(conversation) and not isinstance(conversation, list):
            yield from _conversation(conversation, f"{source.name}/{place + 1}")
        else:
            source.bad(0, f"conversation {place} is {brief(conversation)}; it has a mapping of its messages")


def _conversation(conversation: Mapping[str, Any], name: str) -> Iterator[Found]:
    own = next((conversation[one] for one in ("conversation_id", "id") if isinstance(conversation.get(one), str)), name)
    title = conversation.get("title")
    talk = Talk(own or name, title if isinstance(title, str) and title else None)
    last: Mapping[str, Any] = {}
    for message in messages_of(conversation):
        yield from _steps(talk, message, last)
        last = message
    yield Found(0, talk.episode, None)


def messages_of(conversation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The messages from the root to the node where the conversation stands."""
    nodes, found = conversation["mapping"], list[Mapping[str, Any]]()
    at, passed = conversation.get("current_node") or next(reversed(nodes), None), set[str]()
    while isinstance(at, str) and at not in passed and isinstance(node := nodes.get(at), Mapping):
        passed.add(at)
        if isinstance(message := node.get("message"), Mapping):
            found.append({"id": at, **message})
        at = node.get("parent")
    return found[::-1]


def _steps(talk: Talk, message: Mapping[str, Any], last: Mapping[str, Any]) -> Iterator[Found]:
    """The step of a message; of a tool's it replies to the call, if that stands right before."""
    key, role, name, at = str(message["id"]), _of(message, "role"), _of(message, "name"), message.get("create_time")
    content = _content(message)
    if content is None:
        return
    recipient = message.get("recipient") or "all"
    if role == "assistant" and recipient != "all":
        yield talk.call(0, key, str(recipient), said(content)[0], key, at)
    elif role in PEOPLE:
        yield from some(talk.say(0, key, role, content, at))
    elif role == "tool":
        called = str(last.get("id")) if (last.get("recipient") or "all") != "all" else None
        yield talk.result(0, key, content, called, name, at)


def _of(message: Mapping[str, Any], field: str) -> str:
    author = message.get("author")
    return str(author.get(field) or "") if isinstance(author, Mapping) else ""


def _content(message: Mapping[str, Any]) -> Any:
    """What a message says; None for what was hidden, or is thought."""
    content, about = message.get("content"), message.get("metadata")
    if isinstance(about, Mapping) and about.get("is_visually_hidden_from_conversation"):
        return None
    if not isinstance(content, Mapping) or content.get("content_type") not in SAID:
        return None
    return content["parts"] if isinstance(content.get("parts"), list) else content.get("text")
