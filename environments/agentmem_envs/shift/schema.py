"""Which arguments a tool takes, and whether a call has them. Knows forms of values, not what tools do."""

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any, Literal, get_args, get_origin, get_type_hints

from agentmem_envs.calls import Call, Refused

Schema = Mapping[str, Mapping[str, str]]
"""tool: argument: one of the forms below, or its texts, as in a|b; one that ends in ? may be left out."""

_FORMS: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "strings": lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9,
    "object": lambda value: isinstance(value, dict),
    "objects": lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
}


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


def widened(schema: Schema, more: Schema) -> Schema:
    """The schema in which these tools take more arguments."""
    return {**schema, **{tool: {**schema[tool], **arguments} for tool, arguments in more.items()}}


def forms(method: Callable[..., Any]) -> dict[str, str]:
    """The arguments of a method and their forms, read from its annotations."""
    hints = {name: hint for name, hint in get_type_hints(method).items() if name != "return"}
    given = signature(method).parameters
    return {name: _form(hint) + "?" * (given[name].default is not Parameter.empty) for name, hint in hints.items()}


def _form(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "|".join(get_args(hint))
    if hint == list[str]:
        return "strings"
    if str(hint).startswith("list["):
        return "objects"
    return {int: "integer", float: "number"}.get(hint, "string")
