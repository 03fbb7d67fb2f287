"""agentmem's own lines: its export, one step a line, and histories, one a line.

A history is `{id, steps: [{id, time, actor, kind, text, session, subjects}, ...]}`: each session becomes the episode
`{history}/{session}`, or `{history}` where it is null; each step gets the key `{history}/{step}`; whatever else the
line holds (questions) is left. An export is described in `agentmem.transfer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentmem.ingest.report import Found
from agentmem.ingest.source import Source
from agentmem.records import brief
from agentmem.types import RECORD_TYPES


def is_export(line: Any) -> bool:
    """Whether it is a line of an export: a step of an episode, an event, a crystal or an attachment."""
    if not isinstance(line, Mapping):
        return False
    return ("episode" in line and "text" in line) or line.get("type") in ("crystal", "attachment", *RECORD_TYPES)


def read_export(source: Source) -> Iterator[Found]:
    for number, line in source.objects():
        yield Found(number, None, line)


def is_history(line: Any) -> bool:
    return isinstance(line, Mapping) and isinstance(line.get("steps"), list) and "type" not in line


def read_history(source: Source) -> Iterator[Found]:
    for number, history in source.objects():
        name, steps = history.get("id"), history.get("steps")
        if isinstance(name, str) and isinstance(steps, list):
            yield from _history(source, number, name, steps)
        else:
            source.bad(number, "a history has an id, which is a str, and steps, which is a list")


def _history(source: Source, number: int, name: str, steps: list[Any]) -> Iterator[Found]:
    episodes: dict[str, None] = {}
    for place, step in enumerate(steps):
        if problem := _problem(step):
            source.bad(number, f"steps[{place}] {problem}")
            continue
        session = step["session"]
        episode = name if session is None else f"{name}/{session}"
        episodes[episode] = None
        yield Found(number, episode, _line(name, step))
    for episode in episodes:
        yield Found(number, episode, None)


def _problem(step: Any) -> str:
    """What keeps a step of a history from being a line of an export; "" if nothing does."""
    if not isinstance(step, dict):
        return f"is {brief(step)}; give an object"
    for field in ("id", "text", "session"):
        if field not in step:
            return f"has no {field}"
    for field, absent in (("id", False), ("session", True)):
        value = step[field]
        if not (_is_name(value) or (absent and value is None)):
            return f"has the {field} {brief(value)}; give a str or a number{', or null for none' if absent else ''}"
    return ""


def _is_name(value: Any) -> bool:
    return value != "" and isinstance(value, str | int) and not isinstance(value, bool)


def _line(history: str, step: Mapping[str, Any]) -> dict[str, Any]:
    """A history's step as a line of an export."""
    line = {"key": f"{history}/{step['id']}", "text": step["text"]}
    line |= {"kind": step.get("kind") or "message", "actor": step.get("actor"), "at": step.get("time")}
    return line | {"subjects": step.get("subjects") or []}
