"""Texts to vectors: the offline default, and one face for everybody else's encoders.

Knows wordllama's two files (a tokenizer and a table of 256-d token vectors), which it reads itself: the package's own
loader reaches for the network. Knows nothing of codes, stores or what the texts are.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import threading
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentmem.errors import EncoderError, InvalidInputError, MissingExtraError, in_brief
from agentmem.types import Encoder

Vectors = NDArray[np.float32]

LONGEST = 6000
_BATCH = 512
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_WEIGHTS = "weights/l2_supercat_256.safetensors"
_INSTALL = "pip install 'wordllama>=0.4.0' 'tokenizers' 'safetensors'"
_NAMES = ("model_name_or_path", "model_name", "name_or_path", "base_model_name", "model", "name")


class _Default:
    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT: Final = _Default()
"""Stands for the encoder that comes with agentmem, a `StaticEncoder`."""


class StaticEncoder:
    """Mean of static token vectors (wordllama's l2_supercat, MIT, 256-d): no network, no torch, 15,000 texts a second.

    Nothing is loaded before the first `encode`. Raises MissingExtraError when wordllama is not installed, EncoderError
    when its files cannot be read.
    """

    dimension = 256

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @cached_property
    def id(self) -> str:
        """The name of the weights and a digest of them: of the file's length and first megabyte."""
        path = _file(_WEIGHTS)
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(1 << 20) + str(path.stat().st_size).encode()).hexdigest()
        return f"wordllama-l2_supercat-256@{digest[:12]}"

    def encode(self, sentences: list[str]) -> Vectors:
        """float32 [n, 256]: unit vectors, zeros for a text without tokens. Reads 6,000 characters of each."""
        tokenizer, table = self._loaded
        vectors = np.zeros((len(sentences), self.dimension), np.float32)
        for start in range(0, len(sentences), _BATCH):
            batch = [_encodable(text[:LONGEST]) for text in sentences[start : start + _BATCH]]
            for row, encoding in enumerate(tokenizer.encode_batch(batch, add_special_tokens=False), start):
                if encoding.ids:
                    vectors[row] = table.rows(encoding.ids).mean(axis=0)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(norms > 0, norms, 1)
        return vectors

    @property
    def _loaded(self) -> tuple[Any, _Table]:
        with self._lock:
            return self._files

    @cached_property
    def _files(self) -> tuple[Any, _Table]:
        return _load(_file(_TOKENIZER), _file(_WEIGHTS))


class LangChainEncoder:
    """An encoder from anything with LangChain's `Embeddings.embed_documents`."""

    def __init__(self, embeddings: Any) -> None:
        self.embeddings = embeddings

    @cached_property
    def id(self) -> str:
        return _described(self.embeddings, self.encode([_PROBE]).shape[-1])

    def encode(self, sentences: list[str]) -> Vectors:
        """float32 [n, d]."""
        return np.asarray(self.embeddings.embed_documents(sentences), np.float32)


class CheckedEncoder:
    """Any encoder, giving float32 [n, d] of one d and finite numbers, or EncoderError saying what it gave instead."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._dimension: int | None = None

    @cached_property
    def id(self) -> str:
        """See `encoder_id`. May encode one word to learn the dimension."""
        return encoder_id(self.encoder)

    @property
    def dimension(self) -> int:
        """d; encodes one word when nothing has been encoded yet."""
        return self._dimension or int(self.encode([_PROBE]).shape[1])

    def encode(self, sentences: list[str]) -> Vectors:
        """float32 [len(sentences), d]; no text gives [0, d]."""
        if not sentences:
            return np.zeros((0, self.dimension), np.float32)
        try:
            given = self.encoder.encode(sentences)
        except (EncoderError, MissingExtraError):
            raise
        except Exception as error:
            raise EncoderError(
                f"{_class_name(self.encoder)}.encode failed on {len(sentences)} texts: {error}"
            ) from error
        vectors = _checked(given, len(sentences), _class_name(self.encoder))
        if self._dimension not in (None, vectors.shape[1]):
            raise EncoderError(
                f"{_class_name(self.encoder)} gave vectors [n, {vectors.shape[1]}] after [n, {self._dimension}]: "
                "an encoder has one dimension"
            )
        self._dimension = vectors.shape[1]
        return vectors


_PROBE = "memory"


@cache
def default_encoder() -> CheckedEncoder:
    """The one StaticEncoder of this process."""
    return CheckedEncoder(StaticEncoder())


def resolve(encoder: Any) -> CheckedEncoder | None:
    """What an `encoder=` argument means: DEFAULT, None (no vectors), or an object with `encode` or `embed_documents`.

    sentence-transformers and model2vec models have the first, LangChain embeddings the second. Raises InvalidInputError
    for anything else. Loads and encodes nothing yet.
    """
    if encoder is None or isinstance(encoder, CheckedEncoder):
        return encoder
    if encoder is DEFAULT:
        return default_encoder()
    if not isinstance(encoder, type) and callable(getattr(encoder, "encode", None)) and not isinstance(encoder, str):
        return CheckedEncoder(encoder)
    if not isinstance(encoder, type) and callable(getattr(encoder, "embed_documents", None)):
        return CheckedEncoder(LangChainEncoder(encoder))
    raise InvalidInputError(
        f"encoder={in_brief(encoder)} is no encoder: pass DEFAULT, None, or an object with encode(list of str) "
        "or embed_documents(list of str)"
    )


def encoder_id(encoder: Any) -> str:
    """What tells an encoder's vectors from all others': its `id`, else its class, model name and dimension.

    Without an `id` or a method that tells the dimension one word is encoded. Raises EncoderError when that fails.
    """
    own = getattr(encoder, "id", None)
    if isinstance(own, str) and own:
        return own
    return _described(encoder, _told_dimension(encoder) or CheckedEncoder(encoder).dimension)


def _described(encoder: Any, dimension: int) -> str:
    names = (getattr(encoder, name, None) for name in _NAMES)
    name = next((name for name in names if isinstance(name, str) and name), "")
    return ":".join(part for part in (_class_name(encoder), name, str(dimension)) if part)


def _told_dimension(encoder: Any) -> int | None:
    for name in ("get_sentence_embedding_dimension", "dimension", "dim"):
        told = getattr(encoder, name, None)
        told = told() if callable(told) else told
        if isinstance(told, int):
            return told
    return None


def _class_name(encoder: Any) -> str:
    return f"{type(encoder).__module__}.{type(encoder).__qualname__}"


def _checked(given: Any, n: int, who: str) -> Vectors:
    """numpy or torch-like [n, d] to float32; EncoderError names the shapes."""
    for method in ("detach", "cpu"):
        given = getattr(given, method)() if hasattr(given, method) else given
    try:
        vectors = np.asarray(given, np.float32)
    except (TypeError, ValueError) as error:
        raise EncoderError(f"{who} gave {type(given).__name__}, not an array [{n}, d] of numbers: {error}") from error
    if vectors.ndim != 2 or vectors.shape[0] != n or vectors.shape[1] == 0:
        raise EncoderError(f"{who} gave an array {list(vectors.shape)} for {n} texts: [{n}, d] is needed")
    if not np.isfinite(vectors).all():
        row = int(np.argmin(np.isfinite(vectors).all(axis=1)))
        raise EncoderError(f"{who} gave a vector with NaN or infinity for text {row} of {n}")
    return vectors


def _encodable(text: str) -> str:
    """The text without lone surrogates, which no UTF-8 tokenizer takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _file(name: str) -> Path:
    """One of wordllama's files, without importing wordllama."""
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise MissingExtraError(f"the default encoder needs wordllama's files: {_INSTALL}, or pass encoder=None")
    path = Path(spec.origin).parent / name
    if not path.is_file():
        raise EncoderError(f"wordllama is installed without {path}: {_INSTALL} --force-reinstall, or pass encoder=None")
    return path


def _load(tokenizer_path: Path, weights_path: Path) -> tuple[Any, _Table]:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError(f"the default encoder needs {error.name}: {_INSTALL}, or pass encoder=None") from error
    try:
        tokenizer = Tokenizer.from_file(str(tokenizer_path))
        table = _Table(weights_path)
    except Exception as error:  # the library raises bare Exceptions of its own
        raise EncoderError(f"wordllama's files in {weights_path.parent.parent} cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer, table


class _Table:
    """The one table of a safetensors file, of half or single floats: what is never asked for stays on the disk."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            (entry,) = (entry for name, entry in json.loads(file.read(size)).items() if name != "__metadata__")
        self._path, self._start = path, 8 + size + entry["data_offsets"][0]
        self._kind = np.dtype({"F16": np.float16, "F32": np.float32}[entry["dtype"]])
        count, self._width = entry["shape"]
        self._lock = threading.Lock()
        self._place = np.full(count, -1, np.int32)  # in `_rows`, of those that were asked for
        self._rows = np.zeros((0, self._width), self._kind)

    def rows(self, numbers: list[int]) -> Vectors:
        """float32 [len(numbers), d]."""
        wanted = np.array(numbers)
        if (self._place[wanted] < 0).any():
            with self._lock:
                self._read(np.unique(wanted[self._place[wanted] < 0]))
        return np.asarray(np.take(self._rows, self._place[wanted], axis=0), np.float32)

    def _read(self, new: NDArray[Any]) -> None:
        size = int(self._place.max()) + 1
        if size + len(new) > len(self._rows):
            room = np.zeros((size + len(new) + size // 2, self._width), self._kind)
            room[:size] = self._rows[:size]
            self._rows = room
        bytes_each = self._width * self._kind.itemsize
        with self._path.open("rb", buffering=0) as file:
            for row, number in enumerate(new.tolist(), size):
                file.seek(self._start + number * bytes_each)
                self._rows[row] = np.frombuffer(file.read(bytes_each), self._kind)
        self._place[new] = np.arange(size, size + len(new))
