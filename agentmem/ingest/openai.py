"""Conversations in OpenAI's formats: a list of messages or items, an object that holds one, several, or JSON lines.

An object holds `messages` (Chat Completions; `choices`, if there, are the answer), or `input` and `output` (Responses).
A line of JSON is such an object, as in fine-tuning files, or one message of a conversation that is the whole file. A
conversation is called by its `id`, else by the file and its number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentmem.ingest.items import is_item, is_message, problem_of, steps_of
from agentmem.ingest.report import Found
from agentmem.ingest.source import Source
from agentmem.ingest.talk import Talk

NAMES = ("conversation_id", "thread_id", "session_id", "id")


def is_openai(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and (is_item(value[0]) or is_openai(value[0]))
    if is_message(value) or is_item(value):
        return True
    return isinstance(value, Mapping) and any(is_item(item) for item in items_of(value)[:3])


def items_of(value: Mapping[str, Any]) -> list[Any]:
    """The messages and items of a conversation."""
    found: list[Any] = []
    if isinstance(asked := value.get("input"), str):
        found.append({"role": "user", "content": asked})
    for field in ("messages", "input", "output"):
        found += value[field] if isinstance(value.get(field), list) else []
    choices = value.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) and "message" in choices[0]:
        found.append(choices[0]["message"])
    return found


def read_openai(source: Source) -> Iterator[Found]:
    if source.whole:
        yield from _whole(source, source.json())
        return
    talk = Talk(source.name)
    for number, value in source.objects():
        if not (is_message(value) or is_item(value)):
            yield from _conversation(source, number, value, f"{source.name}/{number}")
        elif problem := problem_of(value):
            source.bad(number, f"it {problem}")
        else:
            yield from steps_of(talk, number, str(number), value, _at(value))


def _whole(source: Source, value: Any) -> Iterator[Found]:
    if isinstance(value, list) and value and not is_item(value[0]):
        for place, conversation in enumerate(value, 1):
            yield from _conversation(source, 0, conversation, f"{source.name}/{place}")
    else:
        yield from _conversation(source, 0, {"messages": value} if isinstance(value, list) else value, source.name)


def _conversation(source: Source, number: int, value: Any, name: str) -> Iterator[Found]:
    if not isinstance(value, Mapping) or not items_of(value):
        source.bad(number, "a conversation has messages, or input and output, each a list")
        return
    own = next((value[field] for field in NAMES if isinstance(value.get(field), str) and value[field]), name)
    title = value.get("title")
    talk = Talk(own, title if isinstance(title, str) and title else None)
    yield from _steps(source, number, talk, items_of(value))
    yield Found(number, own, None)


def _steps(source: Source, number: int, talk: Talk, items: Sequence[Any]) -> Iterator[Found]:
    if talk.goal is None:
        talk.goal = first_said(items)
    for place, item in enumerate(items):
        if problem := problem_of(item):
            source.bad(number, f"messages[{place}] {problem}")
        else:
            yield from steps_of(talk, number, str(place), item, _at(item))


def first_said(items: Sequence[Any]) -> str | None:
    """What the user says first, in brief."""
    talk = Talk("")
    for item in items:
        if is_message(item) and item["role"] == "user":
            talk.say(0, "", "user", item.get("content"))
            return talk.goal
    return None


def _at(value: Mapping[str, Any]) -> Any:
    return next((value[field] for field in ("timestamp", "created_at", "create_time") if value.get(field)), None)
