"""What a measurement prints or writes as JSON: any reader takes it."""

from __future__ import annotations

import json
import math
from typing import Any


def json_of(value: Any, **form: Any) -> str:
    """A JSON document; a number that JSON cannot hold, such as a sum of rewards that ran over, is null. form: keywords
    of json.dumps.
    """
    return json.dumps(_finite(value), allow_nan=False, **form)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
