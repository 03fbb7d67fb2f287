"""Conversations as steps: what is said, the tools that are called, and what they answer.

Knows how chat formats write content (a text, or a list of parts) and arguments; knows no format as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from agentmem.ingest.report import Found

KEPT = 4_000  # characters of a value that data keeps
GOAL = 200  # characters of a first message that are taken for the goal
UNSAID = ("thinking", "redacted_thinking", "reasoning", "tool_use", "tool_call", "function_call", "tool_reference")
"""Parts that are no words to anybody, or are told elsewhere in the message."""
MILLISECONDS = 1e11


class Talk:
    """One conversation. Keys are `{episode}/{key}`, and results reply to the call with their id, or of their name."""

    def __init__(self, episode: str, goal: str | None = None) -> None:
        self.episode, self.goal = episode, goal
        self._calls: dict[str, tuple[str, str]] = {}
        self._last: dict[str, str] = {}

    def say(self, number: int, key: str, actor: str, content: Any, at: Any = None) -> Found | None:
        """A message; None where the content has no words and no parts."""
        text, parts = said(content)
        if not text.strip():
            return None
        if self.goal is None and actor == "user" and not text.startswith("<"):  # a program's own tags are no goal
            self.goal = goal_of(text)
        data = {"parts": parts} if parts else None
        return self._found(number, key, at, text=text, kind="message", actor=actor, data=data)

    def call(
        self, number: int, key: str, name: str, arguments: Any, id: Any = None, at: Any = None, actor: str = "assistant"
    ) -> Found:
        """A tool that is called, with arguments as a mapping or as JSON."""
        arguments = parsed(arguments)
        found = self._found(
            number, key, at, text=f"{name}({shown(arguments)})", kind="action", actor=actor,
            data={"tool": name, "call": id, "arguments": arguments},
        )  # fmt: skip
        assert found.step is not None
        self._last[name] = found.step["key"]
        self._calls[str(id)] = name, found.step["key"]
        return found

    def result(
        self, number: int, key: str, content: Any, id: Any = None, name: Any = None, at: Any = None, **data: Any
    ) -> Found:
        """What a tool answered."""
        text, parts = said(content)
        name = name if isinstance(name, str) else None
        called, replied = self._calls.get(str(id), (name, None)) if id else (name, self._last.get(name or ""))
        kept = {"tool": name or called, "call": id, "parts": parts, **data}
        data = {what: value for what, value in kept.items() if value}
        return self._found(
            number, key, at, text=text, kind="observation", actor="tool", data=data or None, reply_to=replied
        )

    def _found(self, number: int, key: str, at: Any, **step: Any) -> Found:
        step |= {"key": f"{self.episode}/{key}", "at": time_of(at)}
        told = {name: clean(value) for name, value in step.items() if value is not None}
        return Found(number, self.episode, told, self.goal)


def said(content: Any) -> tuple[str, list[Any]]:
    """The words of a message's content, and those parts that are no words, which the text names in brackets."""
    if content is None or isinstance(content, str):
        return clean(content or ""), []
    if not isinstance(content, list):
        return clean(shown(content)), []
    lines, parts = [], []
    for part in content:
        words = _words(part)
        if words is None:
            parts.append(kept(part))
            words = _placeholder(part)
        lines.append(words)
    return clean("\n".join(line for line in lines if line)), parts


def clean(value: Any) -> Any:
    """A value with question marks in its texts for what cannot be stored: lone surrogates."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {clean(name): clean(inner) for name, inner in value.items()}
    return [clean(inner) for inner in value] if isinstance(value, list) else value


def _words(part: Any) -> str | None:
    """What a part says; None if it is something else than words."""
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        for field in ("text", "refusal", "transcript"):
            if isinstance(part.get(field), str):
                return str(part[field])
        if part.get("type") in UNSAID:
            return ""
    return None


def _placeholder(part: Any) -> str:
    """[image_url: https://example.org/a.png]"""
    if not isinstance(part, Mapping):
        return f"[{shown(part)[:80]}]"
    type = part.get("type") or part.get("content_type") or "part"
    inner = part.get(str(type))
    for place in (part, inner if isinstance(inner, Mapping) else {}):
        for field in ("filename", "file_id", "url", "image_url"):
            name = place.get(field)
            if isinstance(name, str) and not name.startswith("data:"):
                return f"[{type}: {name[:200]}]"
    return f"[{type}]"


def kept(value: Any) -> Any:
    """A value for data: long texts in it (images in base64) are cut."""
    if isinstance(value, str):
        return value if len(value) <= KEPT else f"{value[:80]}… ({len(value):,} characters)"
    if isinstance(value, Mapping):
        return {str(name): kept(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [kept(inner) for inner in value]
    return value


def parsed(arguments: Any) -> Any:
    """Arguments that are written as JSON, read; other text as it is."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments) if arguments.strip() else {}
    except (ValueError, RecursionError):
        return arguments


def shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def goal_of(text: str) -> str | None:
    """The first line of a text, cut at a word."""
    line = next((line.strip() for line in clean(text).splitlines() if line.strip()), "")
    return line if len(line) <= GOAL else f"{line[:GOAL].rsplit(' ', 1)[0]}…"


def time_of(at: Any) -> str | None:
    """A time as ISO: as it is, or from seconds or milliseconds since 1970."""
    if isinstance(at, int | float) and not isinstance(at, bool) and 0 < at < 1e14:
        return datetime.fromtimestamp(at / 1000 if at > MILLISECONDS else at, UTC).isoformat()
    return at if isinstance(at, str) and at else None


def some(*found: Found | None) -> Iterable[Found]:
    return (one for one in found if one is not None)
