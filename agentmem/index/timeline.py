"""The state table of a namespace as arrays: which key took which value at which step."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentmem.types import STATE_FORMS, State
from agentmem.words import stems

_NUMBER = re.compile(r"[-+]?[$€£]?(-?\d+(?:\.\d+)?)")
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Stated:
    """The states of a view, by key within an episode, in log order: arrays [n].

    row: of the step; key, value: indexes into the tables; before: the state of the same key before it in its episode,
    -1 for none; last: whether it is the newest of them. Tables, per key: form (index into STATE_FORMS), words (how many
    stems). Per value: values as text, numbers as float (NaN for none). with_stem: (number of first key, stem -> keys).
    """

    row: np.ndarray
    key: np.ndarray
    value: np.ndarray
    before: np.ndarray
    last: np.ndarray
    form: np.ndarray
    words: np.ndarray
    values: Sequence[str]
    numbers: np.ndarray
    with_stem: Sequence[tuple[int, Mapping[str, Sequence[int]]]]


class Timeline:
    """Grows with the log. Sealed states are those of the log up to the watermark; the rest is read ahead of it."""

    def __init__(self) -> None:
        self._sealed: list[tuple[int, int, int]] = []
        self._ahead: list[tuple[int, int, int]] = []
        self._keys: dict[tuple[str, str], int] = {}
        self._values: dict[str, int] = {}
        self._words: list[int] = []
        self._with_stem: dict[str, list[int]] = {}

    def seal(self, states: Iterable[State], watermark: int) -> None:
        """Take in published states; what was read ahead of the watermark before it got there is dropped."""
        self._sealed += [self._numbered(state) for state in states]
        self._ahead = [row for row in self._ahead if row[0] > watermark]

    def read_ahead(self, states: Iterable[State]) -> None:
        """Take in states of steps that are not crystallized yet."""
        self._ahead += [self._numbered(state) for state in states]

    def of(self, positions: set[int]) -> list[State]:
        """The sealed states of the steps at these log positions, in log order."""
        keys, values = list(self._keys), list(self._values)
        return [State(at, *keys[key], values[value]) for at, key, value in self._sealed if at in positions]

    def _numbered(self, state: State) -> tuple[int, int, int]:
        name = (state.form, state.key)
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = len(self._keys)
            own = dict.fromkeys(stems(state.key))
            self._words.append(len(own))
            for stem in own:
                self._with_stem.setdefault(stem, []).append(key)
        return state.position, key, self._values.setdefault(state.value, len(self._values))

    def cut(self, positions: np.ndarray, episode: np.ndarray) -> Stated:
        """The states of the steps at these log positions, which are of these episodes."""
        position, key, value = np.array(self._sealed + self._ahead, np.int64).reshape(-1, 3).T
        row = np.searchsorted(positions, position)
        known = row < len(positions)
        known[known] = positions[row[known]] == position[known]
        forms = np.array([STATE_FORMS.index(form) for form, _ in self._keys], np.int64)
        values = list(self._values)
        return _ordered(
            (row[known], key[known], value[known]),
            episode,
            (forms, np.array(self._words, np.int64), values, _numbers(values), [(0, self._with_stem)]),
        )


def join_stated(parts: Sequence[Stated], rows: Sequence[np.ndarray], episode: np.ndarray) -> Stated:
    """The states of several views as of one whose rows they have at `rows`, which are of these episodes."""
    keys = np.cumsum([0, *(len(part.form) for part in parts)])
    values = np.cumsum([0, *(len(part.values) for part in parts)])
    columns = (
        np.concatenate([_NONE, *(at[part.row] for part, at in zip(parts, rows, strict=True))]),
        np.concatenate([_NONE, *(part.key + shift for part, shift in zip(parts, keys, strict=False))]),
        np.concatenate([_NONE, *(part.value + shift for part, shift in zip(parts, values, strict=False))]),
    )
    said = [value for part in parts for value in part.values]
    stem_keys = [
        (first + int(shift), found) for part, shift in zip(parts, keys, strict=False) for first, found in part.with_stem
    ]
    forms, words = (np.concatenate([_NONE, *(getattr(part, name) for part in parts)]) for name in ("form", "words"))
    return _ordered(columns, episode, (forms, words, said, _numbers(said), stem_keys))


def _ordered(columns: tuple[np.ndarray, np.ndarray, np.ndarray], episode: np.ndarray, tables: tuple) -> Stated:  # type: ignore[type-arg]
    row, key, value = columns
    order = np.lexsort((row, episode[row], key))
    row, key, value = row[order], key[order], value[order]
    same = np.zeros(len(row), bool)
    same[1:] = (key[1:] == key[:-1]) & (episode[row[1:]] == episode[row[:-1]])
    before = np.where(same, np.arange(len(row)) - 1, -1)
    return Stated(row, key, value, before, ~np.append(same[1:], False)[: len(row)], *tables)


def _numbers(values: Sequence[str]) -> np.ndarray:
    return np.array([float(found[1]) if (found := _NUMBER.match(value)) else np.nan for value in values], np.float64)
