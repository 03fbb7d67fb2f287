"""Documents to token numbers: byte-pair encoding learned from the documents themselves, and streams of them.

Knows files, text and token numbers. Knows nothing of models.
Source of byte-pair encoding over text: Sennrich et al. 2016 (arXiv:1508.07909); over bytes, so any text can be encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from operator import index
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from agentmem.errors import InvalidInputError, in_brief
from agentmem.neural.shapes import check_type

BYTES = 256
Tokens = NDArray[np.uint16]


@dataclass(frozen=True)
class Document:
    """One text to be read from its beginning to its end. name: of the file or folder it came from."""

    name: str
    text: str


def documents(paths: Iterable[str | Path]) -> Iterator[Document]:
    """A file is a document; so is a folder, of all its .txt and .md files in order of their names.

    Raises InvalidInputError for a path that is not there, a folder without such files, what is neither, or a file that
    is no UTF-8.
    """
    for given in paths:
        path = Path(given)
        if not str(given) or (path.exists() and not path.is_file() and not path.is_dir()):
            raise InvalidInputError(
                f"{str(given)!r} is neither a file nor a folder; give text files, or folders of them"
            )
        if not path.exists():
            raise InvalidInputError(f"{path} is not there; name a text file, or a folder of .txt or .md files")
        files = _files(path)
        if not files:
            raise InvalidInputError(f"{path} has no .txt or .md file in it; name a folder that has, or a text file")
        yield Document(str(path), "\n\n".join(map(_read, files)))


def digests(paths: Iterable[str | Path]) -> dict[str, dict[str, str]]:
    """By each path that is there, absolute, what tells the texts of its files from others, by their names in it.

    A file's own name is ".". Raises InvalidInputError for one that is no UTF-8.
    """
    there = [Path(each).resolve() for each in paths if str(each) and (Path(each).is_file() or Path(each).is_dir())]
    return {
        str(path): {str(each.relative_to(path)): sha256(_read(each).encode()).hexdigest() for each in _files(path)}
        for path in there
    }


class Vocabulary:
    """Numbers for pieces of text; every text is encoded, and decoded back to itself."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def learned(cls, texts: Iterable[str], size: int) -> Vocabulary:
        """The `size` pieces that shorten these texts most. Raises InvalidInputError for fewer pieces than bytes."""
        if not BYTES < size <= 2**16:
            raise InvalidInputError(f"a vocabulary of {size:,} pieces; {BYTES + 1} to {2**16:,} are needed")
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def of(cls, json: str) -> Vocabulary:
        """From what `json` gave. Raises InvalidInputError for something else."""
        try:
            return cls(Tokenizer.from_str(json))
        except Exception as error:  # of no class of its own
            raise InvalidInputError(
                f"{json[:40]!r}... is no vocabulary ({error}); give what Vocabulary.json gave"
            ) from error

    @property
    def json(self) -> str:
        return str(self._tokenizer.to_str())

    @property
    def size(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    @property
    def digest(self) -> str:
        """The same for the same pieces alone."""
        return sha256(self.json.encode()).hexdigest()[:16]

    def encode(self, text: str) -> Tokens:
        """uint16 [number of pieces]. Raises InvalidInputError for no str, and half a character (a lone surrogate)."""
        check_type("text", text, str, "decode bytes first, and give one text at a time")
        lines = text.splitlines(keepends=True)
        try:
            pieces = self._tokenizer.encode_batch_fast(lines) if lines else []
        except TypeError as error:
            raise InvalidInputError("the text has half a character in it, a lone surrogate: decode it anew") from error
        return np.concatenate([np.asarray(each.ids, np.uint16) for each in pieces] or [np.zeros(0, np.uint16)])

    def decode(self, tokens: Sequence[int] | Tokens | Tensor) -> str:
        """Text of whole numbers. Raises InvalidInputError for one that is no token here."""
        try:
            numbers = [index(each) for each in tokens]
        except TypeError as error:
            raise InvalidInputError(
                f"tokens={in_brief(tokens)}: a row of whole numbers is needed, such as encode(text) gives; of several "
                "streams, one at a time"
            ) from error
        size = self.size
        wrong = next((each for each in numbers if not 0 <= each < size), None)
        if wrong is not None:
            raise InvalidInputError(
                f"token {in_brief(wrong)}: 0 to {size - 1} are needed; give tokens of the model that has this "
                "vocabulary"
            )
        return str(self._tokenizer.decode(numbers))


@dataclass(frozen=True)
class Stretches:
    """Random stretches of documents, `length` tokens and the one after them; longer documents more often."""

    tokens: tuple[Tokens, ...]
    length: int

    def __post_init__(self) -> None:
        if not any(len(each) > self.length for each in self.tokens):
            longest = max(map(len, self.tokens), default=0)
            raise InvalidInputError(
                f"no document has {self.length + 1:,} tokens; the longest of {len(self.tokens):,} has {longest:,}: "
                "give a longer one, or a folder of more text, which is one document of all its .txt and .md files"
            )

    def draw(self, streams: int, generator: torch.Generator) -> Tensor:
        """int64 [streams, length + 1]"""
        room = torch.tensor([max(0, len(each) - self.length) for each in self.tokens], dtype=torch.float64)
        chosen = torch.multinomial(room, streams, replacement=True, generator=generator).tolist()
        shares = torch.rand(streams, generator=generator, dtype=torch.float64).tolist()
        rows = []
        for document, share in zip(chosen, shares, strict=True):
            start = int(share * float(room[document]))
            rows.append(self.tokens[document][start : start + self.length + 1].astype(np.int64))
        return torch.from_numpy(np.stack(rows))


def _files(path: Path) -> list[Path]:
    """Of a document."""
    return sorted(each for each in path.rglob("*") if _readable(each)) if path.is_dir() else [path]


def _readable(path: Path) -> bool:
    return path.suffix in (".txt", ".md") and path.is_file()


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is no UTF-8 text: {error}; convert it first") from error
    except OSError as error:
        error.filename = str(path)  # which an error while reading does not tell
        raise
