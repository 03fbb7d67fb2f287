"""Claims in data: `key: value` lines, JSON and the arguments of calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from agentmem.claims.form import Claim, Said, claim, prose
from agentmem.salience import AGENTS

_KEY = r"[A-Za-z][\w.\-/]{0,40}(?: [\w.\-/()%]{1,40}){0,4}"
_LINE = re.compile(
    rf"^[ \t]*(?:[-*•>#|]+[ \t]*)?\**(?P<key>{_KEY})\**[ \t]*(?::\**[ \t]+|[ \t]*(?P<set>=)[ \t]*)"
    r"(?P<value>\S[^\n]{0,200})$",
    re.M,
)
_INLINE = re.compile(r"(?<![\w:/])(?P<key>[A-Za-z][A-Za-z_]{1,20})(?:: ?|=)(?P<value>[-+]?\d[\d.,/%]*)(?![\w:\-])")
_RHETORIC = frozenset(
    "user assistant system human ai agent note notes tip tips example examples step warning important thought action "
    "line observation answer question http https ps eg ie import return def class if for while else try".split()
)
_CODE = re.compile(r"[({\[\\;]|=$|//")
_DIGIT = re.compile(r"\d")
_PARTICULAR = re.compile(r"\d|[A-Z]")

_JSON = re.compile(r"[{\[](?=\s*[\"{\[])")
_CALLER = re.compile(r"([A-Za-z_][\w.]*)\($")
_CALL = re.compile(r"(?<![\w.])(?P<name>[A-Za-z_][\w.]{1,40})\((?=\s*[\"'A-Za-z_)])")
_ARGUMENT = re.compile(r"(?P<key>[A-Za-z_]\w*)\s*=\s*(?P<value>\"[^\"\n]{1,200}\"|'[^'\n]{1,200}'|-?[\w.]+)")
_IDENTITY = re.compile(r"(?:^|_)(?:id|uuid|key|number|path|file|filename|name|title|email|url)$", re.I)
_DECODER = json.JSONDecoder()
_DEEPEST = 6
_LEAVES = 64  # of one JSON value
_TRIES = 50  # at brackets that open no JSON


def lines(said: Said) -> Iterator[Claim]:
    """`key: value` and `key = value` lines, and `key: 12` anywhere; program code is left out."""
    for match in _LINE.finditer(said.text):
        value = match["value"].rstrip()
        code = _CODE.search(value) if match["set"] else value.endswith(("{", "[", "(", "=", "\\", ";", ","))
        if not code and match["key"].casefold().split()[0] not in _RHETORIC:
            yield claim("line", match["key"], match, value)
    for match in _INLINE.finditer(said.text):
        yield claim("line", match["key"], match)


def said_lines(said: Said) -> Iterator[Claim]:
    """In messages a colon is mostly rhetoric: only short values with something particular in them count."""
    telling = _DIGIT if said.actor.casefold() in AGENTS else _PARTICULAR
    for found in lines(Said(prose(said.text))):
        if len(found.value.split()) <= 6 and telling.search(found.value):
            yield Claim(said.subject(found.key), found.value, found.span, found.form)


def json_values(said: Said) -> Iterator[Claim]:
    """Leaves of JSON objects, each object named by its own identifier and by the call it is an argument of."""
    at, tries = 0, _TRIES
    while tries and (match := _JSON.search(said.text, at)):
        try:
            value, at = _DECODER.raw_decode(said.text, match.start())
        except (ValueError, RecursionError):
            at = match.end()
            tries -= 1
            continue
        caller = _CALLER.search(said.text[max(0, match.start() - 60) : match.start()])
        span = (match.start(), at)
        for key, leaf in _leaves(value, caller[1] if caller else "")[:_LEAVES]:
            yield Claim(key, leaf, span, "call" if caller else "data")


def _leaves(value: Any, path: str, depth: int = 0) -> list[tuple[str, str]]:
    if isinstance(value, dict | list) and depth < _DEEPEST:
        return _of_dict(value, path, depth) if isinstance(value, dict) else _of_list(value, path, depth)
    if isinstance(value, dict | list) or value is None or value == "":
        return []
    return [(path, value if isinstance(value, str) else json.dumps(value))]


def _of_dict(value: dict[str, Any], path: str, depth: int) -> list[tuple[str, str]]:
    own = _identity(value) if len(value) > 1 else None
    here = f"{path} {value[own]}".strip() if own else path
    mark = "." if ":" in here else ": "
    rows = (_leaves(v, f"{here}{mark}{k}" if here else k, depth + 1) for k, v in value.items() if k != own)
    return [leaf for row in rows for leaf in row]


def _of_list(value: list[Any], path: str, depth: int) -> list[tuple[str, str]]:
    """Plain items as one value; objects only where they name themselves, for a place in a list is no name."""
    if value and all(isinstance(item, str | int | float) for item in value):
        return [(path, ", ".join(map(str, value)))]
    items = [item for item in value if isinstance(item, dict) and (len(value) == 1 or _identity(item))]
    return [leaf for item in items for leaf in _leaves(item, path, depth + 1)]


def _identity(value: dict[str, Any]) -> str | None:
    named = (k for k, v in value.items() if isinstance(v, str | int) and v != "" and _IDENTITY.search(k))
    return next(named, None)


def calls(said: Said) -> Iterator[Claim]:
    """Named arguments of calls, `name(key=value)`."""
    for match in _CALL.finditer(said.text):
        body = said.text[match.end() : match.end() + 600].split("\n")[0].split(")")[0]
        given = {found["key"]: found["value"].strip("\"'") for found in _ARGUMENT.finditer(body)}
        own = _identity(given) if len(given) > 1 else None
        name = f"{match['name']} {given.pop(own)}" if own else match["name"]
        for key, value in given.items():
            yield Claim(f"{name}: {key}", value, (match.start(), match.end() + len(body)), "call")
