"""Raw observations and actions as text: numbers rounded, long arrays as their shape and range.

Knows JSON values and numpy arrays; knows no environment. Same value, same text.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

SHOWN = 24  # numbers of an array that are told one by one
KEPT = 4_000  # characters of JSON up to which data holds the raw value
DIGITS = 4


def described(value: Any) -> str:
    """[0.03, -0.12], or position: 0.03, velocity: -0.12, or array 84 x 84 of uint8, from 0 to 255, mean 33.1"""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or isinstance(value, bool | np.bool_):
        return json.dumps(None if value is None else bool(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {described(inner)}" for name, inner in value.items())
    if isinstance(value, int | float | np.integer | np.floating):
        return _number(value)
    return _several(value)


def text_of(observation: Any) -> str:
    """Its `text` where it has one, else its values in words."""
    said = observation.get("text") if isinstance(observation, Mapping) else None
    return said if isinstance(said, str) else described(observation)


def candidates_of(observation: Any) -> list[str]:
    """The calls to choose from, if the observation has some."""
    lines = observation.get("candidates") if isinstance(observation, Mapping) else None
    return lines.split("\n") if isinstance(lines, str) and lines else []


def _leaves(value: Any) -> Iterator[str]:
    """All single values in nested JSON, as text."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    else:
        yield str(value)


def own_values(calls: Sequence[str]) -> list[list[str]]:
    """Of each call in JSON the values that tell it from the others: not those that all have."""
    values = [list(dict.fromkeys(_arguments(call))) for call in calls]
    counts = Counter(each for mine in values for each in mine)
    return [[each for each in mine if counts[each] < len(calls)] for mine in values]


def _arguments(call: str) -> Iterator[str]:
    try:
        given = json.loads(call)
    except ValueError:
        return iter(())
    return _leaves(given.get("args", {})) if isinstance(given, dict) else iter(())


def _several(value: Any) -> str:
    array = None if _is_mixed(value) else np.asarray(value)
    if array is None or array.dtype.kind not in "biuf":
        return _listed(value)
    if array.size <= SHOWN:
        return _nested(array)
    shape = " x ".join(map(str, array.shape))
    low, high, mean = (_number(one) for one in (array.min(), array.max(), array.mean()))
    return f"array {shape} of {array.dtype}, from {low} to {high}, mean {mean}"


def _listed(value: Any) -> str:
    try:
        parts = iter(value)
    except TypeError:  # one thing, such as a complex number, or of a class of one's own
        return str(value)
    return f"[{', '.join(map(described, parts))}]"


def _is_mixed(value: Any) -> bool:
    """Whether a list holds other things than numbers in equal rows."""
    if not isinstance(value, list | tuple):
        return False
    try:
        return np.asarray(value).dtype.kind not in "biuf"
    except ValueError:  # rows of different lengths
        return True


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        return _number(array.item())
    return f"[{', '.join(_nested(inner) for inner in array)}]"


def _number(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    try:
        number = float(value)
    except OverflowError:  # a whole number without end, as JSON may have
        return f"{Decimal(value):.{DIGITS - 1}e}"
    return f"{int(value)}" if number.is_integer() and abs(value) < 1e15 else f"{number:.{DIGITS}g}"


def raw(value: Any) -> Any:
    """A value as JSON for data; of a long array its shape and type. NaN and infinities are written as text."""
    plain = _plain(value)
    if len(json.dumps(plain, default=str)) <= KEPT:
        return plain
    array = None if _is_mixed(value) or isinstance(value, str | Mapping) else np.asarray(value)
    return {"left_out": "too long"} if array is None else {"shape": list(array.shape), "dtype": str(array.dtype)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
