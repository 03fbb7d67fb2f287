"""LangChain's messages as JSON: of `messages_to_dict`, of `dumps` and `dumpd`, and of a message's `model_dump`.

A file is a list of messages, an object that holds one under `messages` (a graph's state), or lines of these. LangChain
itself is not imported: only what it writes is known here. A state with more in it keeps its messages alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentmem.ingest.report import Found
from agentmem.ingest.source import Source
from agentmem.ingest.talk import Talk, goal_of, said, some
from agentmem.records import brief

ACTORS = {"human": "user", "ai": "assistant", "system": "system", "developer": "developer", "chat": "", "generic": ""}
RESULTS = ("tool", "function")
PASSED = ("remove",)
TYPES = (*ACTORS, *RESULTS, *PASSED)


def is_langchain(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and is_langchain(value[0])
    if not isinstance(value, Mapping):
        return False
    return fields_of(value) is not None or _held(value) is not None


def fields_of(value: Any) -> dict[str, Any] | None:
    """A message's own fields with its type, out of any of the three shapes; None for what is no message."""
    if not isinstance(value, Mapping):
        return None
    inner, type = value, value.get("type")
    if value.get("lc") and isinstance(value.get("id"), list) and isinstance(value.get("kwargs"), Mapping):
        name = str(value["id"][-1]) if value["id"] else ""
        if not name.removesuffix("Chunk").endswith("Message"):
            return None
        inner, type = value["kwargs"], name.removesuffix("Chunk").removesuffix("Message").lower()
    elif isinstance(value.get("data"), Mapping) and "content" in value["data"]:
        inner = value["data"]
    type = str(type).removesuffix("MessageChunk").lower()
    return {**inner, "type": type} if type in TYPES and "content" in inner else None


def _held(value: Mapping[str, Any]) -> list[Any] | None:
    """The messages in a state, a prompt value or a checkpoint."""
    for field in ("messages", "kwargs", "values", "channel_values"):
        inner = value.get(field)
        if isinstance(inner, list) and inner and fields_of(inner[0]):
            return inner
        if isinstance(inner, Mapping) and (found := _held(inner)):
            return found
    return None


def read_langchain(source: Source) -> Iterator[Found]:
    if source.whole:
        value = source.json()
        if isinstance(value, list) and value and fields_of(value[0]) is None:
            for place, one in enumerate(value, 1):
                yield from _conversation(source, 0, one, f"{source.name}/{place}")
        else:
            yield from _conversation(source, 0, value, source.name)
        return
    talk = Talk(source.name)
    for number, value in source.objects():
        if message := fields_of(value):
            yield from message_steps(talk, number, str(number), message)
        else:
            yield from _conversation(source, number, value, f"{source.name}/{number}")


def _conversation(source: Source, number: int, value: Any, name: str) -> Iterator[Found]:
    messages = value if isinstance(value, list) else _held(value) if isinstance(value, Mapping) else None
    if not messages:
        source.bad(number, "it holds no messages of LangChain; give what messages_to_dict or dumps writes")
        return
    talk = Talk(name, first_said(messages))
    for place, one in enumerate(messages):
        if message := fields_of(one):
            yield from message_steps(talk, number, str(place), message)
        else:
            source.bad(number, f"messages[{place}] is {brief(one)}; a message has a type and content")
    yield Found(number, name, None)


def first_said(messages: Sequence[Any]) -> str | None:
    """What the human says first, in brief."""
    for message in map(fields_of, messages):
        if message and message["type"] == "human":
            return goal_of(said(message["content"])[0])
    return None


def message_steps(talk: Talk, number: int, key: str, message: Mapping[str, Any]) -> Iterator[Found]:
    """The steps of a message's own fields: what it says, and each tool it calls; or what a tool answered."""
    type, content = message["type"], message["content"]
    name = message.get("name") if isinstance(message.get("name"), str) else None
    if type in RESULTS:
        failed = {"status": "error"} if message.get("status") == "error" else {}
        yield talk.result(number, key, content, message.get("tool_call_id"), name, **failed)
    elif type in ACTORS:
        actor = name or ACTORS[type] or str(message.get("role") or type)
        yield from some(talk.say(number, key, actor, content))
        for place, call in enumerate(calls_of(message)):
            named = str(call.get("name"))
            yield talk.call(number, f"{key}/{place}", named, call.get("args"), call.get("id"), actor=actor)


def calls_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The calls of a message, those that could not be parsed too, or as OpenAI's own where there are no others."""
    calls = [*_list(message, "tool_calls"), *_list(message, "invalid_tool_calls")]
    if not calls:
        raw = _list(message.get("additional_kwargs"), "tool_calls")
        calls = [{"id": call.get("id"), **_raw(call.get("function"))} for call in raw]
    return calls


def _list(value: Any, field: str) -> list[Mapping[str, Any]]:
    """The objects in a list that may not be there."""
    inner = value.get(field) if isinstance(value, Mapping) else None
    return [one for one in inner if isinstance(one, Mapping)] if isinstance(inner, list) else []


def _raw(function: Any) -> dict[str, Any]:
    named = function if isinstance(function, Mapping) else {}
    return {"name": named.get("name"), "args": named.get("arguments")}
