"""Content blocks as Anthropic's messages have them: text, tool_use, tool_result, images; thinking is left out.

Knows one message's content; knows no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentmem.ingest.report import Found
from agentmem.ingest.talk import Talk, some

TOOLS = ("tool_use", "server_tool_use", "mcp_tool_use")


def is_result(block: Any) -> bool:
    """Whether it is what a tool answered: tool_result, web_search_tool_result and the like."""
    return isinstance(block, Mapping) and str(block.get("type")).endswith("tool_result")


def has_tools(content: Any) -> bool:
    """Whether the content calls tools, or tells what they answered."""
    return isinstance(content, list) and any(
        is_result(block) or (isinstance(block, Mapping) and block.get("type") in TOOLS) for block in content
    )


def steps_of(talk: Talk, number: int, key: str, actor: str, content: Any, at: Any = None) -> Iterator[Found]:
    """The steps of a message's content, in its order; what stands between two tools is one message."""
    words: list[Any] = []
    for place, block in enumerate(content if isinstance(content, list) else [content]):
        called = isinstance(block, Mapping) and block.get("type") in TOOLS
        if not called and not is_result(block):
            words.append(block)
            continue
        yield from some(talk.say(number, f"{key}/{place}.", actor, words, at))
        words = []
        if called:
            yield talk.call(
                number, f"{key}/{place}", str(block.get("name")), block.get("input"), block.get("id"), at, actor
            )
        else:
            yield _result(talk, number, f"{key}/{place}", block, at)
    yield from some(talk.say(number, key, actor, words, at))


def _result(talk: Talk, number: int, key: str, block: Mapping[str, Any], at: Any) -> Found:
    failed = {"status": "error"} if block.get("is_error") else {}
    return talk.result(number, key, block.get("content"), block.get("tool_use_id"), at=at, **failed)
