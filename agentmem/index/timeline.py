"""The state table of a namespace as arrays: which key took which value at which step."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentmem.index.grown import Grown
from agentmem.types import STATE_FORMS, State
from agentmem.words import stems

_NUMBER = re.compile(r"[-+]?[$€£]?(-?\d+(?:\.\d+)?)")


class Names(NamedTuple):
    """What the numbers of keys and values from these on stand for: stem -> keys that have it, value -> its number.

    keys: how many there were when this was made; a timeline goes on growing while others read.
    """

    key: int
    value: int
    keys: int
    with_stem: Mapping[str, Sequence[int]]
    values: Mapping[str, int]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Stated:
    """The states of a view, by key within an episode, in log order: arrays [n].

    row: of the step; key, value: numbers; before: the state of the same key before it in its episode, -1 for none;
    last: whether it is the newest of them. Per key: form (index into STATE_FORMS), words (how many stems). Per value:
    numbers as float, NaN for none.
    """

    row: np.ndarray
    key: np.ndarray
    value: np.ndarray
    before: np.ndarray
    last: np.ndarray
    form: np.ndarray
    words: np.ndarray
    numbers: np.ndarray
    names: Sequence[Names]

    def keys_with(self, stem: str) -> np.ndarray:
        """Numbers of the keys that have a stem."""
        found = [np.zeros(0, np.int64)]
        for part in self.names:
            keys = np.array(tuple(part.with_stem.get(stem, ())), np.int64)
            found.append(keys[keys < part.keys] + part.key)
        return np.concatenate(found)

    def has(self, values: Iterable[str]) -> np.ndarray:
        """Which states have one of these values, bool [n]."""
        known = [part.values[value] + part.value for value in values for part in self.names if value in part.values]
        return np.isin(self.value, known)

    def text(self, value: int) -> str:
        """A value as it was said."""
        part = self.names[bisect.bisect([part.value for part in self.names], value) - 1]
        return part.texts[value - part.value]


class Timeline:
    """Grows with the log. Sealed states are those of the log up to the watermark; the rest is read ahead of it."""

    def __init__(self) -> None:
        self._sealed = Grown(3)  # position, key, value
        self._ahead: list[tuple[int, int, int]] = []
        self._keys: dict[tuple[str, str], int] = {}
        self._key_columns = Grown(2)  # form, words
        self._with_stem: dict[str, list[int]] = {}
        self._values: dict[str, int] = {}
        self._texts: list[str] = []
        self._numbers = Grown(1, np.float64)

    def seal(self, states: Sequence[State], watermark: int) -> None:
        """Take in published states; what was read ahead of the watermark before it got there is dropped."""
        if states:
            self._sealed.extend(list(zip(*map(self._numbered, states), strict=True)))
        self._ahead = [row for row in self._ahead if row[0] > watermark]

    def read_ahead(self, states: Iterable[State]) -> None:
        """Take in states of steps that are not crystallized yet."""
        self._ahead += map(self._numbered, states)

    def _numbered(self, state: State) -> tuple[int, int, int]:
        key = self._keys.get(state[1:3])
        if key is None:
            key = self._keys[state[1:3]] = len(self._keys)
            own = dict.fromkeys(stems(state.key))
            self._key_columns.extend([[STATE_FORMS.index(state.form)], [len(own)]])
            for stem in own:
                self._with_stem.setdefault(stem, []).append(key)
        value = self._values.setdefault(state.value, len(self._texts))
        if value == len(self._texts):
            self._texts.append(state.value)
            self._numbers.extend([[float(found[1]) if (found := _NUMBER.match(state.value)) else np.nan]])
        return state.position, key, value

    def cut(self, positions: np.ndarray, episode: np.ndarray, upto: int) -> Stated:
        """The states up to a log position of the steps at these, which are of these episodes."""
        ahead = np.array(self._ahead, np.int64).reshape(-1, 3).T
        position, key, value = np.concatenate([self._sealed.rows, ahead], axis=1)
        row = np.searchsorted(positions, position)
        known = (row < len(positions)) & (position <= upto)
        known[known] = positions[row[known]] == position[known]
        forms, words = self._key_columns.rows
        names = Names(0, 0, len(forms), self._with_stem, self._values, self._texts)
        columns = (row[known], key[known], value[known])
        return _ordered(columns, episode, (forms, words, self._numbers.rows[0], [names]))


def join_stated(parts: Sequence[Stated], rows: Sequence[np.ndarray], episode: np.ndarray) -> Stated:
    """The states of several views as of one whose rows they have at `rows`, which are of these episodes."""
    keys = np.cumsum([0, *(len(part.form) for part in parts)]).tolist()
    values = np.cumsum([0, *(len(part.numbers) for part in parts)]).tolist()
    columns = (
        np.concatenate([at[part.row] for part, at in zip(parts, rows, strict=True)]),
        np.concatenate([part.key + shift for part, shift in zip(parts, keys, strict=False)]),
        np.concatenate([part.value + shift for part, shift in zip(parts, values, strict=False)]),
    )
    names = [
        name._replace(key=name.key + key, value=name.value + value)
        for part, key, value in zip(parts, keys, values, strict=False)
        for name in part.names
    ]
    tables = (np.concatenate([getattr(part, name) for part in parts]) for name in ("form", "words", "numbers"))
    return _ordered(columns, episode, (*tables, names))


def _ordered(columns: tuple[np.ndarray, np.ndarray, np.ndarray], episode: np.ndarray, tables: tuple) -> Stated:  # type: ignore[type-arg]
    row, key, value = columns
    scope = key * (int(episode.max(initial=0)) + 1) + episode[row]
    order = np.lexsort((row, scope))
    row, key, value, scope = row[order], key[order], value[order], scope[order]
    same = np.append(scope[1:] == scope[:-1], False)[: len(row)]  # as the one after it
    before = np.where(np.append(False, same[:-1])[: len(row)], np.arange(len(row)) - 1, -1)
    return Stated(row, key, value, before, ~same, *tables)
