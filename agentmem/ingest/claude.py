"""Sessions of Claude Code: `~/.claude/projects/*/*.jsonl`.

A line is a message of the user, the assistant or the system, or bookkeeping, which is left out, as are thinking, what
the program itself puts in the user's mouth (`isMeta`), and summaries of what stands above. A session is an episode, and
so is each agent that it started (`isSidechain`). A line has a `uuid` that it keeps where a session is copied into
another one, so a step is logged once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentmem.ingest import blocks
from agentmem.ingest.report import Found
from agentmem.ingest.source import Source
from agentmem.ingest.talk import Talk

SAID = ("user", "assistant")
TITLES = {"summary": "summary", "ai-title": "aiTitle", "custom-title": "customTitle"}
HUSHED = ("compact_boundary", "turn_duration", "api_error", "microcompact_boundary")
PASSED = ("isMeta", "isCompactSummary")


def is_claude(value: Any) -> bool:
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        return False
    if "sessionId" in value or ("messageId" in value and "snapshot" in value):
        return True
    return value["type"] in SAID and "uuid" in value and isinstance(value.get("message"), Mapping)


def read_claude(source: Source) -> Iterator[Found]:
    talks: dict[str, _Session] = {}
    title: str | None = None
    for number, line in source.objects():
        if title_of(line):
            title = title_of(line)
        elif problem := _problem(line):
            source.bad(number, problem)
        elif _tells(line):
            name = episode_of(line, source.path.stem)
            talk = talks.setdefault(name, _Session(name, title))
            yield from _steps(talk, number, line)


def title_of(line: Mapping[str, Any]) -> str | None:
    """What the session is called, where the line tells it."""
    title = line.get(TITLES.get(str(line.get("type")), ""))
    return title if isinstance(title, str) else None


class _Session(Talk):
    """A talk whose keys are those of its lines alone."""

    def _found(self, number: int, key: str, at: Any, **step: Any) -> Found:
        found = super()._found(number, key, at, **step)
        return found._replace(step={**(found.step or {}), "key": f"claude/{key}"})


def episode_of(line: Mapping[str, Any], stem: str) -> str:
    """The session, or within it the agent, that a line is of."""
    session = str(line.get("sessionId") or stem)
    return f"{session}/{line.get('agentId') or 'agent'}" if line.get("isSidechain") else session


def _problem(line: Mapping[str, Any]) -> str:
    if line.get("type") not in SAID:
        return ""
    message = line.get("message")
    if not isinstance(line.get("uuid"), str):
        return f"a line of the {line['type']} has no uuid"
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), str | list):
        return f"a line of the {line['type']} has no message with content"
    return ""


def _tells(line: Mapping[str, Any]) -> bool:
    """Whether a line tells something that was said or done."""
    if any(line.get(mark) for mark in PASSED):
        return False
    if line.get("type") == "system":
        return isinstance(line.get("content"), str) and line.get("subtype") not in HUSHED and "uuid" in line
    return line.get("type") in SAID


def _steps(talk: Talk, number: int, line: Mapping[str, Any]) -> Iterator[Found]:
    content = line["content"] if line["type"] == "system" else line["message"]["content"]
    yield from blocks.steps_of(talk, number, str(line["uuid"]), str(line["type"]), content, line.get("timestamp"))
