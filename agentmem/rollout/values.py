"""Raw observations and actions as JSON and blobs, and back: exactly what they were, by the space they are of."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import Space, spaces

LISTED = 64
"""Numbers of an array that are written as JSON; longer ones, and what JSON cannot hold, are blobs."""
BLOB = "npy:"


def pack(value: Any, name: str = "", blobs: dict[str, bytes] | None = None) -> tuple[Any, dict[str, bytes]]:
    """A value as JSON, and the arrays that are not in it by their names."""
    blobs = {} if blobs is None else blobs
    if isinstance(value, Mapping):
        return {str(key): pack(inner, f"{name}/{key}", blobs)[0] for key, inner in value.items()}, blobs
    if isinstance(value, tuple | list):
        return [pack(inner, f"{name}/{place}", blobs)[0] for place, inner in enumerate(value)], blobs
    if isinstance(value, np.generic):
        value = np.asarray(value) if isinstance(value, np.floating | np.complexfloating) else value.item()
    if isinstance(value, float) and not np.isfinite(value):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        return (value if isinstance(value, str | int | float | bool | None) else str(value)), blobs
    if value.size <= LISTED and value.dtype.kind in "biuf" and np.isfinite(value).all():
        return value.tolist(), blobs
    held = io.BytesIO()
    np.save(held, value, allow_pickle=False)
    name = name or "value"
    while name in blobs:  # the keys "a/b", and "b" within "a"
        name += "+"
    blobs[name] = held.getvalue()
    return f"{BLOB}{name}", blobs


def unpack(space: Space[Any], value: Any, blobs: Mapping[str, bytes]) -> Any:
    """What was packed, as an element of the space; a value that is none of its elements as it stands."""
    if isinstance(value, str) and value.startswith(BLOB) and value.removeprefix(BLOB) in blobs:
        value = np.load(io.BytesIO(blobs[value.removeprefix(BLOB)]), allow_pickle=False)
    if isinstance(space, spaces.Dict) and isinstance(value, Mapping):
        return {key: unpack(space[key], value[key], blobs) for key in space.spaces if key in value}
    if isinstance(space, spaces.Tuple) and isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(unpack(inner, each, blobs) for inner, each in zip(space.spaces, value, strict=True))
    if isinstance(space, spaces.Discrete) and isinstance(value, int):
        return space.dtype.type(value)
    if isinstance(space, spaces.Box | spaces.MultiBinary | spaces.MultiDiscrete) and not isinstance(value, str):
        return np.asarray(value, space.dtype).reshape(space.shape)
    return value
