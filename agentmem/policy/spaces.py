"""Observations of any Gymnasium space as numbers: ids into one table, and plain numbers.

Knows spaces and their values; knows no network. What a space becomes is told by `Features`, which travels with weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agentmem.errors import InvalidInputError, PlayError
from agentmem.policy.words import numbers
from agentmem.rollout.raised import called

LEVELS = 16
"""Of a whole number of a small range; of a picture's numbers greater ones count as the greatest."""
EXACT = 1 << 24
"""Whole numbers that float32 tells apart."""
WORDS, TEXT = 512, 32
"""Rows for the words of texts, and words of one text, at most."""
MOST, ROWS = 4_096, 100_000
"""Ids or numbers of one observation, and rows of the table, at most."""


@dataclass(frozen=True)
class Leaf:
    """One part of an observation: `path` into it, and what it is: ids, words or floats. number: of values. levels: of
    each, for ids; of floats that are scaled to 0 to 1, else 0. least: the value that is level 0. start: the first row
    in the table, of ids and words.
    """

    path: tuple[str | int, ...]
    kind: str
    number: int
    levels: int = 0
    least: int = 0
    start: int = 0

    @property
    def rows(self) -> int:
        return {"ids": self.number * self.levels, "words": WORDS, "floats": 0}[self.kind]


@dataclass(frozen=True)
class Features:
    """What a space becomes: `ids` and `floats` of an observation, and rows of the table they point into."""

    leaves: tuple[Leaf, ...]

    @classmethod
    def of(cls, space: spaces.Space[Any]) -> Features:
        """Raises InvalidInputError for a space with a part that is not known, and for a large one, as pictures are."""
        found, start = [], 0
        for leaf in _leaves(space, ()):
            found.append(Leaf(**{**vars(leaf), "start": start}))
            start += found[-1].rows
        numbers_of = sum(leaf.number for leaf in found)
        if not 0 < numbers_of <= MOST:
            raise InvalidInputError(
                f"observations of {space} have {numbers_of} numbers: 1 to {MOST} are taken; make them smaller by a "
                "wrapper, such as gymnasium.wrappers.ResizeObservation"
            )
        if (made := cls(tuple(found))).rows > ROWS:
            raise InvalidInputError(
                f"observations of {space} take {made.rows:,} rows of a table: {ROWS:,} at most are made; give its "
                "great numbers as a Box of floats by a wrapper, such as gymnasium.wrappers.TransformObservation"
            )
        return made

    @property
    def rows(self) -> int:
        return 1 + sum(leaf.rows for leaf in self.leaves)

    @property
    def ids(self) -> int:
        return sum(leaf.number for leaf in self.leaves if leaf.kind != "floats")

    @property
    def floats(self) -> int:
        return sum(leaf.number for leaf in self.leaves if leaf.kind == "floats")

    def __call__(self, observation: Any) -> tuple[np.ndarray, np.ndarray]:
        """ids int64 [number of ids], 0 for none; floats float32. Raises InvalidInputError for numbers that are not
        finite.
        """
        ids: list[np.ndarray] = [np.zeros(0, np.int64)]
        floats: list[np.ndarray] = [np.zeros(0, np.float32)]
        for leaf in self.leaves:
            value = observation
            for part in leaf.path:
                value = value[part]
            (floats if leaf.kind == "floats" else ids).append(_taken(leaf, value))
        return np.concatenate(ids), np.concatenate(floats)


def _taken(leaf: Leaf, value: Any) -> np.ndarray:
    if leaf.kind == "floats" and leaf.levels:
        return ((_finite(leaf, np.asarray(value, np.float64)) - leaf.least) / (leaf.levels - 1)).astype(np.float32)
    if leaf.kind == "floats":
        return _finite(leaf, np.asarray(value, np.float32))
    if leaf.kind == "words":
        words = numbers(str(value), TEXT).astype(np.int64)
        return np.where(words > 0, words % WORDS + 1 + leaf.start, 0)
    levels = _finite(leaf, np.asarray(value)).astype(np.int64) - leaf.least
    levels = np.minimum(np.maximum(levels, 0), leaf.levels - 1)  # in a quarter of the time of clip, for a few numbers
    return levels + np.arange(leaf.number) * leaf.levels + 1 + leaf.start


def _finite(leaf: Leaf, given: np.ndarray) -> np.ndarray:
    """Flat. Raises InvalidInputError for NaN and infinity, by their place."""
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        place = tuple(np.argwhere(~np.isfinite(given))[0].tolist())
        part = "".join(f"[{each!r}]" for each in leaf.path)
        raise InvalidInputError(
            f"observation{part} is {given[place]} at {list(place)}; finite numbers are needed: mend it by a wrapper, "
            "such as gymnasium.wrappers.TransformObservation with numpy.nan_to_num"
        )
    return given.reshape(-1)


def seen(
    features: Features, observation: Any, env: gymnasium.Env[Any, Any], where: str
) -> tuple[np.ndarray, np.ndarray]:
    """What an observation becomes, as `features` has it; what they refuse is a PlayError of the environment that gave
    it. where: in an episode.
    """
    try:
        return features(observation)
    except InvalidInputError as error:
        raise PlayError(f"environment {called(env)}, {where}: {error}") from error


def _leaves(space: spaces.Space[Any], path: tuple[str | int, ...]) -> Iterator[Leaf]:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space.spaces, Mapping) else enumerate(space.spaces)
        for name, part in inner:
            yield from _leaves(part, (*path, name))
    elif isinstance(space, spaces.Discrete):
        yield Leaf(path, "ids", 1, int(space.n), int(space.start))
    elif isinstance(space, spaces.MultiDiscrete):
        least = int(space.start.min())
        yield Leaf(path, "ids", int(space.nvec.size), int((space.start + space.nvec).max()) - least, least)
    elif isinstance(space, spaces.MultiBinary):
        yield Leaf(path, "ids", int(np.prod(space.shape)), 2)
    elif isinstance(space, spaces.Box):
        yield _box(space, path)
    elif isinstance(space, spaces.Text) or hasattr(space, "ordered_placeholders"):  # Minigrid's missions
        yield Leaf(path, "words", TEXT)
    else:
        raise InvalidInputError(
            f"observations with a part {space} are not known: Dict, Tuple, Discrete, MultiDiscrete, MultiBinary, Box "
            "and Text are; make it one of these by a wrapper"
        )


def _box(space: spaces.Box, path: tuple[str | int, ...]) -> Leaf:
    """Whole numbers are ids where they are few or of a picture, else floats, scaled where they stay apart."""
    number = int(np.prod(space.shape))
    if not np.issubdtype(space.dtype, np.integer):
        return Leaf(path, "floats", number)
    least = int(space.low.min())
    levels = int(space.high.max()) - least + 1
    if space.dtype == np.uint8 or levels <= LEVELS:
        return Leaf(path, "ids", number, min(LEVELS, levels), least)
    return Leaf(path, "floats", number, levels, least) if levels <= EXACT else Leaf(path, "floats", number)
