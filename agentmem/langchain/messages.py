"""Messages as steps, and as groups that stand or fall together.

Knows LangChain's messages; knows no memory. `agentmem.ingest` makes a message's steps, as it does of those in a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
)

from agentmem.ingest.langchain import fields_of, message_steps
from agentmem.ingest.talk import KEPT, Talk, clean, said
from agentmem.records import NAME_LIMIT

SOURCE, OURS = "lc_source", "agentmem"
"""In additional_kwargs: the middleware that wrote a message, or decided on it."""
MARK = 16
"""Letters of a key that stand for the step's text."""
USUAL = (AIMessage, ToolMessage)  # what most messages are: telling these apart by their type is quickest
LOST = "There is no answer to this call: the run was cut off."
Fields = dict[str, Any]
"""Of a step, as `EpisodeWriter.log` takes them."""


def is_made(message: BaseMessage) -> bool:
    """Whether a middleware wrote the message, so that it is nobody's words: a summary is no user's."""
    source = message.additional_kwargs.get(SOURCE)
    return source == OURS or isinstance(message, SystemMessage) or (isinstance(message, HumanMessage) and bool(source))


def key_of(name: str, text: str) -> str:
    """An idempotency key of a name made of ids, and of a text: another text under the same name is another step."""
    return f"{short(name)}/{hashlib.sha256(text.encode()).hexdigest()[:MARK]}"


def short(name: str) -> str:
    """A name made of ids; hashed where it is too long for a key."""
    return name if len(name) < NAME_LIMIT - MARK else hashlib.sha256(name.encode()).hexdigest()


def name_of(message: BaseMessage) -> str:
    """The message's id; one made of what it says where it has none."""
    return message.id or hashlib.sha256(words_of(message).encode()).hexdigest()


def words_of(message: BaseMessage) -> str:
    """What a message says, in text that can be stored."""
    return said(message.content)[0]


def split(message: BaseMessage) -> tuple[str, list[Any]]:
    """What a message says, and its parts that are no words: pictures, sounds, files."""
    if isinstance(message.content, str):
        return words_of(message), []
    parts = [part for part in message.content if said([part])[1]]
    return said([part for part in message.content if part not in parts])[0], parts


def calls_of(message: BaseMessage) -> list[Mapping[str, Any]]:
    """The calls of a message; those that could not be parsed too, since LangChain answers them."""
    if not isinstance(message, AIMessage):
        return []
    return [*message.tool_calls, *(call for call in message.invalid_tool_calls if call["id"] is not None)]


def steps_of(message: BaseMessage, talk: Talk, name: str = "") -> list[Fields]:
    """What ingesting a message out of a file logs of it: what it says, and each call; or an answer. With keys."""
    fields = fields_of(message_to_dict(message))
    found = message_steps(talk, 0, name, fields) if fields is not None else ()
    return [{what: value for what, value in one.step.items() if what != "reply_to"} for one in found if one.step]


def said_steps(message: BaseMessage) -> list[Fields]:
    """`steps_of` a message alone, without keys."""
    return [{what: value for what, value in step.items() if what != "key"} for step in steps_of(message, Talk(""))]


def group_steps(group: Sequence[BaseMessage], episode: str, own: Collection[str]) -> Iterator[Fields]:
    """The steps of a group of `groups_of`: what is said, then each call beside its answer.

    Not what a middleware made up, nor calls of these tools, `own`. A key is `{episode}/{message}`, of a call
    `{episode}/{message}/{its place}`.
    """
    talk = Talk(episode)
    answers = {each.tool_call_id: each for each in group[1:] if isinstance(each, ToolMessage) and not is_made(each)}
    trust = {"trust": "user"} if isinstance(group[0], HumanMessage) else {}
    for step in [] if is_made(group[0]) else steps_of(group[0], talk, name_of(group[0])):
        if step["kind"] != "action":
            yield step | trust
        elif step["data"]["tool"] not in own:
            yield step
            if (answer := answers.get(str(step["data"]["call"]))) is not None:
                yield from ({**each, "trust": "tool"} for each in steps_of(answer, talk, name_of(answer)))


def raised_step(call: Fields, error: Exception) -> Fields:
    """What a tool raised instead of an answer, by the step of its call."""
    text, told = raised_text(error), {"tool": call["data"]["tool"], "call": call["data"]["call"], "status": "error"}
    step = {"text": text, "kind": "observation", "actor": "tool", "data": told, "trust": "tool"}
    return step | {"key": key_of(f"{call['key']}/raised", text)}


def raised_text(error: BaseException) -> str:
    """What is logged of an error; of a long one the beginning."""
    text = clean(f"raised {error!r}")
    return text if len(text) <= KEPT else f"{text[:KEPT]}… ({len(text):,} characters)"


def failed(answer: BaseMessage) -> bool:
    return isinstance(answer, ToolMessage) and answer.status == "error"


def groups_of(messages: Iterable[BaseMessage]) -> list[list[BaseMessage]]:
    """Messages with calls and all that answers them, wherever it stands; each other message alone.

    What answers nothing that is here is left out, and a call without an answer gets `LOST` for one.
    """
    groups, whole = put_together(messages)
    return groups if whole else [_answered(group) for group in groups]


def put_together(messages: Iterable[BaseMessage]) -> tuple[list[list[BaseMessage]], bool]:
    """The groups without what is made up for a lacking answer, and whether none lacks."""
    groups: list[list[BaseMessage]] = []
    waiting: dict[str, list[BaseMessage]] = {}
    lacking = False
    for message in messages:
        if isinstance(message, ToolMessage):
            if (group := waiting.pop(message.tool_call_id, None)) is not None:
                group.append(message)
            continue
        groups.append(group := [message])
        calls = calls_of(message)
        lacking = lacking or any(str(call["id"]) in waiting for call in calls)
        waiting |= {str(call["id"]): group for call in calls}
    return groups, not (lacking or waiting)


def _answered(group: list[BaseMessage]) -> list[BaseMessage]:
    answers = {answer.tool_call_id for answer in group if isinstance(answer, ToolMessage)}
    missing = [call for call in calls_of(group[0]) if str(call["id"]) not in answers]
    made = {SOURCE: OURS}
    return group + [
        ToolMessage(LOST, tool_call_id=str(call["id"]), name=call["name"], status="error", additional_kwargs=made)
        for call in missing
    ]


def turn_of(messages: Sequence[BaseMessage]) -> int:
    """The place of the user's last message; 0 if there is none."""
    for after, message in enumerate(reversed(messages), 1):
        if type(message) not in USUAL and isinstance(message, HumanMessage) and not is_made(message):
            return len(messages) - after
    return 0
