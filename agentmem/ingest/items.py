"""OpenAI's messages and items: the messages of Chat Completions, and the items of the Responses API.

Knows one message or item at a time and what is wrong with it; which conversation it is of is told. What is
no message, call or output (reasoning, snapshots) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentmem.ingest import blocks
from agentmem.ingest.report import Found
from agentmem.ingest.talk import Talk, said, some
from agentmem.records import brief

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
ITEMS = ("message", "function_call", "function_call_output", "reasoning", "custom_tool_call", "custom_tool_call_output")
SHELLS = ("local_shell_call", "local_shell_call_output")
BUILT_IN = ("web_search_call", "file_search_call", "code_interpreter_call", "computer_call", "image_generation_call")


def is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("role") in ROLES and bool(value.keys() & {"content", "tool_calls"})


def is_item(value: Any) -> bool:
    """Whether it is an item of the Responses API, or a message as that takes one."""
    return isinstance(value, Mapping) and (value.get("type") in (*ITEMS, *SHELLS, *BUILT_IN) or is_message(value))


def problem_of(value: Any) -> str:
    """What keeps it from being a message or an item; "" if nothing does."""
    if not isinstance(value, Mapping):
        return f"is {brief(value)}; give an object"
    if _type(value) != "message":
        return ""
    if "role" not in value:
        return "has no role"
    if value["role"] not in ROLES:
        return f"has the role {brief(value['role'])}; it is one of {', '.join(ROLES)}"
    return _call_problem(value)


def _type(item: Mapping[str, Any]) -> str:
    return str(item.get("type") or "message")


def _call_problem(message: Mapping[str, Any]) -> str:
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        return f"has the tool_calls {brief(calls)}; give a list"
    for place, call in enumerate(calls):
        if not isinstance(call, Mapping) or not isinstance(call.get(str(call.get("type", "function"))), Mapping):
            return (
                f"has the call tool_calls[{place}] {brief(call)}; it has a type, and its name and arguments under that"
            )
    return ""


def steps_of(talk: Talk, number: int, key: str, value: Mapping[str, Any], at: Any = None) -> Iterator[Found]:
    """The steps of a message or item. number: of its line. key: what it is called within the conversation."""
    type = _type(value)
    if type == "message":
        yield from _message(talk, number, key, value, at)
    elif type == "agent_message":
        yield from some(talk.say(number, key, "assistant", value.get("content"), at))
    elif type.endswith("_output"):
        output, id = value.get("output"), value.get("call_id") or value.get("id")
        yield talk.result(number, key, _output(output), id, at=at)
    elif type.endswith("_call"):
        name, arguments = _called(type, value)
        yield talk.call(number, key, name, arguments, value.get("call_id") or value.get("id"), at)


def _message(talk: Talk, number: int, key: str, value: Mapping[str, Any], at: Any) -> Iterator[Found]:
    role, content = str(value["role"]), value.get("content")
    if role in ("tool", "function"):
        yield talk.result(number, key, content, value.get("tool_call_id"), value.get("name"), at)
        return
    if blocks.has_tools(content):
        yield from blocks.steps_of(talk, number, key, role, content, at)
        return
    audio = value.get("audio")
    words = said(content)[0] or value.get("refusal") or (audio.get("transcript") if isinstance(audio, Mapping) else "")
    actor = str(value.get("name") or role)
    yield from some(talk.say(number, key, actor, content if said(content)[0] else words, at))
    for place, call in enumerate(_calls(value)):
        inner = call[str(call.get("type", "function"))]
        arguments = inner.get("arguments", inner.get("input", ""))
        yield talk.call(number, f"{key}/{place}", str(inner.get("name")), arguments, call.get("id"), at, actor)


def _calls(message: Mapping[str, Any]) -> list[Any]:
    """The calls of a message, with the one of the older format."""
    older = message.get("function_call")
    return [*(message.get("tool_calls") or []), *([{"function": older}] if isinstance(older, Mapping) else [])]


def _called(type: str, item: Mapping[str, Any]) -> tuple[str, Any]:
    """The name and the arguments of an item that calls something."""
    if "name" in item:
        return str(item["name"]), item.get("arguments", item.get("input", ""))
    for field in ("action", "queries", "code", "arguments"):
        if field in item:
            return type.removesuffix("_call"), item[field]
    return type.removesuffix("_call"), {}


def _output(output: Any) -> Any:
    """What a tool put out; a shell's is an object with its output inside."""
    if isinstance(output, Mapping) and isinstance(output.get("content", output.get("output")), str | list):
        return output.get("content", output.get("output"))
    return output
