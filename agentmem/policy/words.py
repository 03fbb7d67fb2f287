"""Texts of a decision as numbers: hashed words of the present, of remembered lines, and of what is offered.

Knows texts; knows no environment and no network. A word is equal to another where their numbers are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from zlib import crc32

import numpy as np

from agentmem.ingest.values import own_values

PRESENT, LINE, HEAD, OWN = 48, 28, 6, 17
"""Words of the present, a remembered line, its head, and of a candidate, at most."""
CHOICES, LINES = 8, 96
"""Candidates at most; remembered lines, as many as a policy is trained with."""
_WORD = re.compile(r"[#\w@]+(?:[.:-]+\w+)*")
_LINE = re.compile(r"\n(?! )")
"""A line that begins with a space goes on with a text: see `agentmem.recall.render`."""
_SAID = re.compile(r"^[a-z]+: ")


@lru_cache(maxsize=1 << 18)
def number(word: str) -> int:
    """A positive number of 31 bits, the same in every process."""
    return crc32(word.lower().encode()) & 0x7FFFFFFF or 1


def numbers(text: str, most: int) -> np.ndarray:
    """int32 [most], of a text's first words; 0 where it has no more."""
    found = [number(word) for word in _WORD.findall(text)[:most]]
    return np.array(found + [0] * (most - len(found)), np.int32)


@dataclass
class Lines:
    """Remembered lines, each kept once: int32 [n, HEAD + LINE], the words of its head and its own. 0 is no line."""

    rows: list[np.ndarray] = field(default_factory=lambda: [np.zeros(HEAD + LINE, np.int32)])
    places: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def table(self) -> np.ndarray:
        return np.stack(self.rows)

    def of(self, context: str) -> list[int]:
        """Where the lines of a planning context are kept, in its order."""
        found, head = [], ""
        for line in _LINE.split(context):
            if line.startswith("["):
                head = line
            elif said := _SAID.match(line):
                found.append(self._place(head, line[said.end() :]))
        return found

    def _place(self, head: str, line: str) -> int:
        key = head, line
        if key not in self.places:
            self.places[key] = len(self.rows)
            self.rows.append(np.concatenate((numbers(head, HEAD), numbers(line, LINE))))
        return self.places[key]


def padded(places: Sequence[int], most: int = LINES) -> np.ndarray:
    """int32 [most], the last of these places, behind zeros."""
    kept = list(places)[-most:]
    return np.array([0] * (most - len(kept)) + kept, np.int32)


def offered(text: str, candidates: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The present, int32 [PRESENT], of an observation's text, behind the tool if one alone is offered; and of each
    candidate, int32 [CHOICES, OWN], its tool, then the values that tell it from the others.
    """
    forms = [_form(each) for each in candidates]
    own = np.zeros((CHOICES, OWN), np.int32)
    for row, (tool, *_), values in zip(own, forms, own_values(candidates), strict=False):
        row[0], row[1:] = number(tool), numbers(" ".join(values), OWN - 1)
    one = forms[0] if len({tool for tool, *_ in forms}) == 1 else []
    return numbers(" ".join([*one, text]), PRESENT), own


def _form(call: str) -> list[str]:
    """The tool of a call and the names of its arguments; of what is no call, one that has no name."""
    try:
        given = json.loads(call)
        return [str(each) for each in (given["tool"], *given.get("args", ()))]
    except (ValueError, KeyError, TypeError):
        return [""]
