"""A tool call as text, `{"tool": NAME, "args": {...}}`: written and read here; what a tool does is known elsewhere."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

LIMIT = 4096
"""Most characters of an action."""
_ENCODER = json.JSONEncoder(sort_keys=True)


class Refused(Exception):
    """An action that is no call, or a call that cannot be done. The agent reads the message; nothing was changed."""


@dataclass(frozen=True)
class Call:
    """One use of a tool."""

    tool: str
    args: Mapping[str, Any]

    @cached_property
    def text(self) -> str:
        return _ENCODER.encode({"args": self.args, "tool": self.tool})


def call(tool: str, **args: Any) -> Call:
    return Call(tool, args)


def parse(action: object) -> Call:
    """The call that an action writes. Raises Refused for every other text or object."""
    if not isinstance(action, str) or len(action) > LIMIT:
        raise Refused(f"an action is a text of at most {LIMIT} characters")
    try:
        said = json.loads(action)
    except (ValueError, RecursionError):
        raise Refused('an action is JSON: {"tool": NAME, "args": {...}}') from None
    if not isinstance(said, dict) or set(said) != {"tool", "args"}:
        raise Refused('an action is an object of "tool" and "args"')
    if not isinstance(said["tool"], str) or not isinstance(said["args"], dict):
        raise Refused('"tool" is a name and "args" an object')
    return Call(said["tool"], said["args"])
