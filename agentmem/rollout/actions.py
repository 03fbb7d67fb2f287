"""Whether an environment can be given an action: by its space, as loosely as environments commonly take it.

Gymnasium's own `contains` is stricter than its environments, which take lists, and numbers beyond a Box, which they
clip. Knows spaces; knows no environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import Any

import numpy as np
from gymnasium import Space, spaces

ANY = "any_action"
"""The attribute, true, of an environment that is to be given every action, since it grades what is in no space too."""
SHOWN = 120
"""Characters of a space in a message."""


def accepts(space: Space[Any], action: Any) -> bool:
    """Whether an action may be one of a space; True for one of a kind that is not known here.

    A class of others may take more than the one of Gymnasium that it is made of.
    """
    if type(space).__module__.startswith("gymnasium."):
        return _taken(space, action)
    return _taken(space, action) or bool(space.contains(action))


def _taken(space: Space[Any], action: Any) -> bool:
    if isinstance(space, spaces.Discrete):
        return 0 <= _whole(action, int(space.start) - 1) - int(space.start) < int(space.n)
    if isinstance(space, spaces.Text):
        return isinstance(action, str)
    if isinstance(space, spaces.Dict):
        return isinstance(action, Mapping) and all(
            key in action and accepts(inner, action[key]) for key, inner in space.spaces.items()
        )
    if isinstance(space, spaces.Tuple):
        listed = isinstance(action, tuple | list | np.ndarray) and len(action) == len(space.spaces)
        return listed and all(map(accepts, space.spaces, action))
    if isinstance(space, spaces.Box | spaces.MultiBinary | spaces.MultiDiscrete):
        return _filled(space, action)
    return True


def needed(space: Space[Any]) -> str:
    """A space in a message."""
    said = str(space)
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}…"


def _whole(action: Any, otherwise: int) -> int:
    try:
        return int(action) if isinstance(action, np.bool_) else index(action)
    except TypeError:
        return otherwise


def _filled(space: Space[Any], action: Any) -> bool:
    """Whether it is numbers in the shape of the space, which a kind of whole numbers has."""
    try:
        array = np.asarray(action)
    except (TypeError, ValueError, RuntimeError):  # rows of different lengths, a tensor that has gradients
        return False
    if array.shape != space.shape or array.dtype.kind not in (
        "biu" if isinstance(space, spaces.MultiDiscrete) else "biuf"
    ):
        return False
    if isinstance(space, spaces.MultiBinary):
        return bool(((array == 0) | (array == 1)).all())
    if isinstance(space, spaces.MultiDiscrete):
        return bool(((space.start <= array) & (array <= space.start + (space.nvec - 1))).all())
    return not np.isnan(array).any()
