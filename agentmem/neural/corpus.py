"""Documents as token numbers, kept in a folder with their vocabulary: made once, read back in a second.

Knows files. Knows nothing of models or training.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from agentmem.errors import InvalidInputError
from agentmem.neural.files import write
from agentmem.neural.text import Tokens, Vocabulary, documents

VOCABULARY, TOKENS = "vocabulary.json", "tokens.npz"


@dataclass(frozen=True)
class Corpus:
    """tokens: of each document, uint16 [number]."""

    vocabulary: Vocabulary
    tokens: tuple[Tokens, ...]


def corpus(
    folder: Path, paths: Sequence[str], size: int, progress: Callable[[int, int], None] = lambda done, all: None
) -> Corpus:
    """What a folder keeps of documents; if it keeps nothing, made of those at paths.

    size: of the vocabulary, which is learned from all of them. progress: takes how many documents of how many are
    read; each is read twice. Raises InvalidInputError for paths that are no text, see `documents`.
    """
    return kept(folder) if is_kept(folder) else _made(paths, size, progress)


def is_kept(folder: Path) -> bool:
    """Whether a folder keeps a corpus."""
    return (folder / TOKENS).is_file()


def kept(folder: Path) -> Corpus:
    """What a folder keeps. Raises InvalidInputError for one that keeps nothing, or files that are not whole."""
    if not is_kept(folder):
        raise InvalidInputError(f"{folder} has no {TOKENS}: name the folder of a training on text")
    try:
        with np.load(folder / TOKENS) as arrays:
            tokens = tuple(arrays[f"arr_{i}"] for i in range(len(arrays.files)))
        vocabulary = Vocabulary.of((folder / VOCABULARY).read_text("utf-8"))
    except (InvalidInputError, ValueError, KeyError, EOFError, OSError, BadZipFile) as error:
        raise InvalidInputError(
            f"{folder / TOKENS} or {VOCABULARY} beside it is not whole: remove both, and the same training makes them "
            "again of its documents"
        ) from error
    return Corpus(vocabulary, tokens)


def keep(folder: Path, made: Corpus) -> None:
    """Write what `corpus` gave into a folder, if it is not there."""
    if not is_kept(folder):
        write(folder / VOCABULARY, made.vocabulary.json.encode())
        write(folder / TOKENS, _packed(made.tokens))  # last: it says that both are there


def _made(paths: Sequence[str], size: int, progress: Callable[[int, int], None]) -> Corpus:
    def read(before: int) -> Iterator[str]:
        for number, document in enumerate(documents(paths), before):
            progress(number, 2 * len(paths))
            yield document.text

    vocabulary = Vocabulary.learned(read(0), size)
    return Corpus(vocabulary, tuple(map(vocabulary.encode, read(len(paths)))))


def _packed(tokens: Sequence[Tokens]) -> bytes:
    content = io.BytesIO()
    np.savez(content, *tokens)
    return content.getvalue()
