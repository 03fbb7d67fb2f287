"""A tool call as text: `{"args": {...}, "tool": "..."}`. Knows the form of calls, not what they do."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args, get_origin, get_type_hints

LIMIT = 4096
"""Most characters of an action."""

Schema = Mapping[str, Mapping[str, str]]
"""tool: argument: one of the forms below, or its texts, as in a|b; one that ends in ? may be left out."""

_FORMS: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "strings": lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "objects": lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
}


_ENCODER = json.JSONEncoder(sort_keys=True)


class Refused(Exception):
    """A call that is no call, that no tool takes, or that a tool declines. The agent reads the message."""


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


def parse(text: object) -> Call:
    """The call that a text writes. Raises Refused on any other text, of any length."""
    if not isinstance(text, str) or len(text) > LIMIT:
        raise Refused(f"an action is a text of at most {LIMIT} characters")
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused('an action is JSON: {"tool": NAME, "args": {...}}') from None
    if not isinstance(read, dict) or not isinstance(read.get("tool"), str) or not isinstance(read.get("args"), dict):
        raise Refused('an action has a "tool", a text, and "args", an object')
    return Call(read["tool"], read["args"])


def check(call: Call, schema: Schema) -> None:
    """Raises Refused unless the schema has the tool, all its arguments are there, no others, and each of its form."""
    if call.tool not in schema:
        raise Refused(f"no tool {call.tool!r}; there are {', '.join(sorted(schema))}")
    forms = schema[call.tool]
    missing = [name for name, form in forms.items() if name not in call.args and not form.endswith("?")]
    unknown = [name for name in call.args if name not in forms]
    if missing or unknown:
        raise Refused(f"{call.tool} takes {', '.join(forms)}; missing {missing}, unknown {unknown}")
    for name, value in call.args.items():
        form = forms[name].rstrip("?")
        if not (_FORMS[form](value) if form in _FORMS else value in form.split("|")):
            raise Refused(f"{call.tool}: {name} is of the form {form}")


def forms(method: Callable[..., Any]) -> dict[str, str]:
    """The arguments of a method and their forms, read from its annotations."""
    hints = {name: hint for name, hint in get_type_hints(method).items() if name != "return"}
    return {name: _form(hint) for name, hint in hints.items()}


def _form(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "|".join(get_args(hint))
    if hint == list[str]:
        return "strings"
    if str(hint).startswith("list["):
        return "objects"
    return "integer" if hint is int else "string"
