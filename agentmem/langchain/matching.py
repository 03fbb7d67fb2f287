"""Which values a filter lets through, and which namespaces match a pattern. Pure; knows no store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import ge, gt, le, lt
from typing import Any

from agentmem.errors import InvalidInputError
from agentmem.records import DEEPEST, brief
from agentmem.types import Namespace

ORDER: dict[str, Callable[[Any, Any], bool]] = {"$gt": gt, "$gte": ge, "$lt": lt, "$lte": le}
OPERATORS = ("$eq", "$ne", *ORDER)


def check_filter(wanted: Any, depth: int = 0) -> None:
    """InvalidInputError for an operator that is not known, or what is too deep."""
    if depth > DEEPEST:
        raise InvalidInputError(f"the filter is more than {DEEPEST} levels deep, or holds itself; ask for less")
    for inner in wanted if isinstance(wanted, list | tuple) else ():
        check_filter(inner, depth + 1)
    if not isinstance(wanted, Mapping):
        return
    for name, inner in wanted.items():
        if isinstance(name, str) and name.startswith("$") and name not in OPERATORS:
            raise InvalidInputError(f"operator {brief(name)} of a filter is unknown; use one of {', '.join(OPERATORS)}")
        check_filter(inner, depth + 1)


def lets_through(wanted: Mapping[str, Any] | None, value: Mapping[str, Any]) -> bool:
    """Whether each field of a filter fits the value's: {"city": "Bern", "age": {"$gte": 18}}."""
    return all(fits(value.get(name), inner) for name, inner in (wanted or {}).items())


def fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        if any(str(name).startswith("$") for name in wanted):
            return all(_holds(value, name, inner) for name, inner in wanted.items())
        return isinstance(value, Mapping) and lets_through(wanted, value)
    if isinstance(wanted, list | tuple):
        same = isinstance(value, list | tuple) and len(value) == len(wanted)
        return same and all(fits(one, other) for one, other in zip(value, wanted, strict=True))
    return bool(value == wanted)


def _holds(value: Any, operator: str, other: Any) -> bool:
    """Numbers are compared with numbers and with texts that are numbers, texts with texts; all else is not so."""
    if operator in ("$eq", "$ne"):
        return bool(value == _plain(other)) == (operator == "$eq")
    if isinstance(value, str) and isinstance(other, str):
        return bool(ORDER[operator](value, other))
    one, two = _number(value), _number(other)
    return one is not None and two is not None and ORDER[operator](one, two)


def _plain(value: Any) -> Any:
    """Tuples as the lists they come back as."""
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None


def matches(namespace: Namespace, kind: str, path: Sequence[str]) -> bool:
    """Whether a namespace begins, or ends, with these labels; "*" stands for any one."""
    if kind not in ("prefix", "suffix"):
        raise InvalidInputError(f"match type {brief(kind)} is unknown; use 'prefix' or 'suffix'")
    if len(namespace) < len(path):
        return False
    labels = namespace[: len(path)] if kind == "prefix" else namespace[len(namespace) - len(path) :]
    return all(pattern in ("*", label) for label, pattern in zip(labels, path, strict=True))
