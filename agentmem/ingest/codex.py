"""Sessions of Codex: `~/.codex/sessions/YYYY/MM/DD/rollout-*.jsonl`.

A line is `{timestamp, type, payload}`: `session_meta` names the session, a `response_item` is an item as OpenAI's
Responses API has them, and the other types say the same again for people, or how the session is set up. Older files
have the items without the wrapper, after a first line with the session's id. What Codex itself puts before the user's
words (`<environment_context>`) is left out. A session is an episode; its lines are never rewritten, so their numbers
are its keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentmem.ingest.items import problem_of, steps_of
from agentmem.ingest.report import Found
from agentmem.ingest.source import Source
from agentmem.ingest.talk import Talk, parsed, said

WRAPPERS = ("session_meta", "response_item", "event_msg", "turn_context", "compacted", "world_state")
PUT_IN = ("<environment_context>", "<user_instructions>", "<permissions instructions>", "# AGENTS.md instructions")
META = {"id", "timestamp"}


def is_codex(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    if value.get("type") in WRAPPERS and isinstance(value.get("payload"), Mapping):
        return True
    return _is_first(value) or value.get("record_type") == "state"


def _is_first(value: Mapping[str, Any]) -> bool:
    """Whether it is the first line of an older file."""
    return value.keys() >= META and bool(value.keys() & {"instructions", "git"}) and "type" not in value


def read_codex(source: Source) -> Iterator[Found]:
    talk = Talk(source.path.stem)
    named = False
    for number, line in source.objects():
        if id := _session(line):
            if not named:  # a session that goes on from another has the other's first line too
                talk, named = Talk(id), True
        elif (item := _item(line)) is None:
            continue
        elif problem := problem_of(item):
            source.bad(number, f"the item {problem}")
        elif not _is_put_in(item):
            yield from steps_of(talk, number, str(number), {**item, "output": _plain(item.get("output"))}, _at(line))


def _session(line: Mapping[str, Any]) -> str:
    """The session's id, where the line names it."""
    payload = line.get("payload") if line.get("type") == "session_meta" else line if _is_first(line) else None
    return str(payload.get("id") or "") if isinstance(payload, Mapping) else ""


def _item(line: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if line.get("type") in WRAPPERS:
        payload = line.get("payload")
        return payload if line["type"] == "response_item" and isinstance(payload, Mapping) else None
    return line if "type" in line else None


def _is_put_in(item: Mapping[str, Any]) -> bool:
    """Whether Codex wrote a message in the user's or the developer's place."""
    if item.get("role") == "developer":
        return True
    return item.get("role") == "user" and said(item.get("content"))[0].lstrip().startswith(PUT_IN)


def _plain(output: Any) -> Any:
    """The output in `{"output": "...", "metadata": {...}}`, which is written as JSON in a text."""
    inner = parsed(output) if isinstance(output, str) and output.startswith('{"output"') else output
    return inner["output"] if isinstance(inner, Mapping) and "output" in inner else output


def _at(line: Mapping[str, Any]) -> Any:
    return line.get("timestamp")
