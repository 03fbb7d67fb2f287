"""Book text as filler: documents, cut into sentences and turned into tokens by any tokenizer, among them one by words.

Knows sentences and tokens. Knows nothing of what is told between the sentences.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError

Tokenizer = Callable[[str], list[int]]
_WORD = re.compile(r"\w+|[^\w\s]")
_BREAK = re.compile(r"(?<=[.!?])\s+|\n\s*\n")


class Words:
    """A tokenizer by words and marks, in lower case. Token 0 is any word that it does not know."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = ["<unknown>", *dict.fromkeys(words)]
        self.number = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def of(cls, texts: Iterable[str], size: int, always: Iterable[str] = ()) -> Words:
        """The words of the texts `always`, and the most frequent ones of `texts`, `size` tokens in all at most.

        Raises InvalidInputError if `always` alone has more.
        """
        needed = list(dict.fromkeys(word for text in always for word in cut(text)))
        if len(needed) >= size:
            raise InvalidInputError(f"size={size}: the {len(needed)} words always kept, and one, are needed")
        counted = Counter(word for text in texts for word in cut(text))
        ranked = sorted(counted, key=lambda word: (-counted[word], word))
        return cls(list(dict.fromkeys([*needed, *ranked]))[: size - 1])

    @property
    def vocabulary(self) -> int:
        return len(self.words)

    def __call__(self, text: str) -> list[int]:
        return [self.number.get(word, 0) for word in cut(text)]

    def text(self, tokens: Iterable[int]) -> str:
        """The words of tokens, with spaces between them."""
        return " ".join(self.words[token] for token in tokens)


def cut(text: str) -> list[str]:
    """Words and marks in lower case."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Prose:
    """Sentences as tokens [n], one after the other. starts: [sentences], where each begins, ascending from 0."""

    tokens: Tensor
    starts: Tensor

    @classmethod
    def of(cls, texts: Iterable[str], tokenize: Tokenizer, limit: int = 5_000_000) -> Prose:
        """The first sentences of texts, of `limit` tokens at most. Raises InvalidInputError if there are none."""
        tokens: list[int] = []
        starts = []
        for sentence in (each for text in texts for each in _BREAK.split(text)):
            said = tokenize(f" {sentence.strip()}") if sentence.strip() else []
            if tokens and len(tokens) + len(said) > limit:
                break
            starts += [len(tokens)] if said else []
            tokens += said
        if not tokens:
            raise InvalidInputError("the documents have no sentence; texts with words in them are needed")
        return cls(torch.tensor(tokens), torch.tensor(starts))

    def read(self, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`length` tokens from a random sentence on, from the first again after the last; and where sentences begin."""
        number = len(self.tokens)
        first = int(self.starts[torch.randint(len(self.starts), (), generator=generator)])
        once = ((self.starts - first) % number).sort().values
        rounds = torch.arange(length // number + 1) * number
        starts = (rounds[:, None] + once).flatten()
        return self.tokens[(first + torch.arange(length)) % number], starts[starts < length]
