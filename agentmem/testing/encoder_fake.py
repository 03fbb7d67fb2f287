"""An encoder without weights: the same words give the same vector, on every machine."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

_WORD = re.compile(r"\w+")


class HashEncoder:
    """Each word is a fixed random direction; a text is the normalised sum of its words' directions.

    Texts that share words are close; no other meaning is known. `calls` counts the texts encoded.
    """

    def __init__(self, dimension: int = 64, seed: int = 0) -> None:
        self.dimension = dimension
        self.seed = seed
        self.name = f"hash-{dimension}-{seed}"
        self.calls = 0
        self._words: dict[str, np.ndarray] = {}

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """float32 [len(sentences), dimension]; a text without words is the zero vector."""
        self.calls += len(sentences)
        rows = [self._text(text) for text in sentences]
        return np.stack(rows) if rows else np.zeros((0, self.dimension), np.float32)

    def _text(self, text: str) -> np.ndarray:
        total = np.zeros(self.dimension, np.float32)
        for word in _WORD.findall(text.lower()):
            total += self._word(word)
        return total / max(float(np.linalg.norm(total)), 1e-9)

    def _word(self, word: str) -> np.ndarray:
        if word not in self._words:
            digest = hashlib.blake2b(f"{self.seed} {word}".encode(), digest_size=8).digest()
            rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
            self._words[word] = rng.standard_normal(self.dimension).astype(np.float32)
        return self._words[word]
