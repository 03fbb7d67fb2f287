"""What a measurement prints or writes: JSON that any reader takes, and times of no more digits than they are worth."""

from __future__ import annotations

import json
import math
import re
from typing import Any

TIMED = re.compile(r"_(us|ms)(_|$)")
"""In the name of a time; how long something was asked to take is not measured."""
DIGITS = 4
"""Of a time: the next run says the fourth anew."""


def json_of(value: Any, **form: Any) -> str:
    """A JSON document; a number that JSON cannot hold, such as a sum of rewards that ran over, is null. form: keywords
    of json.dumps.
    """
    return json.dumps(_finite(value), allow_nan=False, **form)


def timed(value: Any, name: str = "") -> Any:
    """A result with DIGITS of its times. name: that it stands under."""
    if isinstance(value, dict):
        return {each: timed(inner, str(each)) for each, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(timed(inner, name) for inner in value)
    return told(value) if isinstance(value, float) and TIMED.search(name) else value


def told(time: float) -> float:
    """A time with DIGITS of it."""
    return float(f"{time:.{DIGITS}g}")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
