"""Rare words and other words for them: of their class (a number, a name, a word, a mixture), coined or known before.

Knows words and how often they are used; nothing of histories.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from agentmem.words import STOPWORDS

Class = Literal["number", "name", "word", "mixed"]
RUN = re.compile(r"[^\W_]+")
ONE_IN = 10_000
"""A word is rare that is no more than one in so many (or stands but twice)."""
YEARS = range(1900, 2100)
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


class Forms:
    """The words of texts, the rare ones among them, and the words known of each class, an entry for each use."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.counts: Counter[str] = Counter()
        small: Counter[str] = Counter()
        for text in texts:
            runs = RUN.findall(text)
            self.counts.update(run.lower() for run in runs)
            small.update(run for run in runs if run.islower())
        limit = max(2, self.counts.total() // ONE_IN)
        self.rare: dict[str, Class] = {}
        for word, n in self.counts.items():
            kind = class_of(word, capital=not small[word])
            if kind and (n <= limit or kind in ("name", "mixed")):
                self.rare[word] = kind
        self.known: dict[Class, list[str]] = {"number": [], "name": [], "word": [], "mixed": []}
        for word, kind in self.rare.items():
            self.known[kind].append(word)
        self._taken = set(self.counts)

    def another(self, rng: random.Random, coined: int) -> dict[str, str]:
        """A word for each rare one: so many of them new, spread at random, the others known ones."""
        words = list(self.rare)
        new = set(rng.sample(words, min(len(words), max(0, coined))))
        uses = dict(self.known)
        found = {word: self._coin(rng, word) if word in new else rng.choice(uses[self.rare[word]]) for word in words}
        for word, other in found.items():
            self.known[self.rare[word]].append(other)
        return found

    def drawn(self, rng: random.Random) -> str:
        """Any known word; a new one where none is."""
        known = self.known["word"] or self.known["name"]
        return rng.choice(known) if known else self._first(rng)

    def _first(self, rng: random.Random) -> str:
        self.known["word"].append(self._coin(rng, "word"))
        return self.known["word"][0]

    def _coin(self, rng: random.Random, word: str) -> str:
        """A word like this one that no text had; after some tries, one that some text had."""
        coined = word
        for _ in range(8):
            coined = _digits(rng, word) if any(map(str.isdigit, word)) else _syllables(rng, word)
            if coined not in self._taken:
                break
        self._taken.add(coined)
        return coined


def class_of(word: str, capital: bool) -> Class | None:
    """Of a word in small letters; None for what is never varied. capital: it is never written small."""
    if not word.isascii() or word in STOPWORDS or len(word) < 3:
        return None
    if word.isdigit():
        return None if int(word) in YEARS else "number"
    if not word.isalpha():
        return "mixed"
    return "name" if capital else "word"


def cased(word: str, like: str) -> str:
    """In capitals, or with one, as another is; a run in mixed case gives a capital."""
    if like.islower() or not like[0].isupper():
        return word
    return word.upper() if like.isupper() and len(like) > 1 else word.capitalize()


def _digits(rng: random.Random, word: str) -> str:
    """Another digit for each; a number's first is no 0."""
    other = "".join(rng.choice("0123456789") if letter.isdigit() else letter for letter in word)
    return rng.choice("123456789") + other[1:] if other[0] == "0" else other


def _syllables(rng: random.Random, word: str) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(max(3, len(word) // 2)))
