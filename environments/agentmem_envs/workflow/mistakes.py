"""What pydantic finds wrong with a definition, in words: each mistake with its place, the value and what to give.

Knows how models say what they want; knows no workflow.
"""

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from agentmem.errors import InvalidInputError

NAME = "a name is a letter and up to 63 letters, digits, _ and - of ASCII"
BARE = "YAML takes a bare yes, no, on or off for true or false: put it in quotes"
KEY = "[key]"  # how pydantic calls, in a place, a name of a mapping
NEAR = 0.7  # of what two names have in common, to take one for the other
WORDS = {
    "int": "give a whole number",
    "finite_number": "give a whole number",
    "bool": "give true or false",
    "dict_type": "give a mapping of names",
    "tuple_type": "give a list",
    "string_pattern_mismatch": NAME,
    "greater_than_equal": "give at least {ge:,}",
    "less_than_equal": "give at most {le:,}",
    "literal_error": "give {expected}",
    "too_short": "give at least one",
    "string_too_short": "give a text",
    "string_too_long": "give at most {max_length:,} characters",
}
"""By pydantic's types of errors, or how they begin."""


def refusal(found: Sequence[str], file: str = "") -> InvalidInputError:
    """The error that tells the first ten of the problems of a definition, which may stand in a file."""
    more = [f"and {len(found) - 10} more"] if len(found) > 10 else []
    what = f"the workflow's definition{f' in {file!r}' if file else ''} cannot be used:"
    return InvalidInputError("\n".join([what, *(f"  {each}" for each in [*found[:10], *more])]))


def mistakes(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """What is wrong with what a model was to be made of."""
    return [_told(each, model) for each in error.errors(include_url=False) if not _follows(each)]


def hint(name: str, known: Iterable[str]) -> str:
    """What to give in place of a name that is not among those that are known."""
    known = list(known)
    near = get_close_matches(name[:80], known, 1, NEAR)  # of longer texts it would take long
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"


def bare(text: bool, *values: object) -> str:
    """Where a text is wanted and one of the values is true or false, how it came to be and what to do; else nothing."""
    return f"; {BARE}" if text and any(isinstance(each, bool) for each in values) else ""


def cut(written: str) -> str:
    return written if len(written) <= 80 else written[:77] + "..."


def _follows(error: Any) -> bool:
    """Whether one of pydantic's errors is there only because of another: a list that is empty without its mistakes."""
    return error["type"] == "too_short" and bool(error["input"])


def _told(error: Any, model: type[BaseModel]) -> str:
    """place: the value: what to do, of one of pydantic's errors."""
    place, kind, given = error["loc"], error["type"], error["input"]
    if place[-1:] == (KEY,):  # the place of a name that is no text is not as it was written
        return f"{_where(place[:-2])}: {_short(given)}: {NAME}{_quotes(given)}"
    if kind == "missing":
        return f"{_where(place)}: is missing; needed are {', '.join(_keys(model, place[:-1], needed=True))}"
    if kind in ("extra_forbidden", "invalid_key"):
        name = str(place[-1])
        return f"{_where(place)}: {cut(name)!r}: no such key; {hint(name, _keys(model, place[:-1]))}"
    return f"{_where(place)}: {_short(given)}: {_remedy(error, model)}"


def _where(place: Sequence[Any]) -> str:
    return ".".join(cut(str(part)) for part in place) or "the definition"


def _remedy(error: Any, model: type[BaseModel]) -> str:
    kind, given = error["type"], error["input"]
    if kind == "model_type":
        return f"give a mapping with the keys {', '.join(_keys(model, error['loc']))}"
    if kind.startswith("string_type"):
        return f"give a text{_quotes(given)}"
    for begins, words in WORDS.items():
        if kind.startswith(begins):
            quoted = ", without quotes" if begins in ("int", "bool") and isinstance(given, str) else ""
            return words.format_map(error.get("ctx", {})) + quoted
    return str(error["msg"]).removeprefix("Value error, ")


def _quotes(given: object) -> str:
    """How what is no text becomes one, if it may have been meant as one."""
    if isinstance(given, Sequence | dict | None):
        return ""
    return bare(True, given) or ": put it in quotes"


def _keys(model: type[BaseModel], place: Sequence[Any], needed: bool = False) -> list[str]:
    """Of the model at a place in one."""
    kind: Any = model
    for part in place:
        fields = getattr(kind, "model_fields", None)
        kind = fields[part].annotation if fields else next(each for each in get_args(kind)[::-1] if each is not ...)
    return [name for name, field in kind.model_fields.items() if field.is_required() or not needed]


def _short(value: object) -> str:
    try:
        return cut(_written(value))
    except RecursionError:
        return "lists within lists, too deep"


def _written(value: object) -> str:
    try:
        return json.dumps(value, default=repr, ensure_ascii=False)
    except (TypeError, ValueError):  # keys that JSON has not, such as dates; a dict within itself
        return repr(value)
