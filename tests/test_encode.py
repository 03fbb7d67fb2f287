"""Encoders: the default, everybody else's, and what is refused."""

import builtins
import importlib.util
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentmem.encode import DEFAULT, CheckedEncoder, LangChainEncoder, StaticEncoder, encoder_id, resolve
from agentmem.errors import EncoderError, InvalidInputError, MissingExtraError
from agentmem.testing import HashEncoder
from agentmem.testing.encoder import EncoderContract


class Embeddings:
    """What LangChain's Embeddings look like."""

    model = "tiny"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(len(text)), float(text.count("e")), 1.0] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class Given:
    """An encoder that gives what it was told to."""

    def __init__(self, given: Any) -> None:
        self.given = given

    def encode(self, sentences: list[str]) -> Any:
        return self.given(sentences) if callable(self.given) else self.given


class Tensor:
    """What a torch tensor on a GPU looks like."""

    def __init__(self, array: np.ndarray, steps: tuple[str, ...] = ()) -> None:
        self.array, self.steps = array, steps

    def detach(self) -> "Tensor":
        return Tensor(self.array, (*self.steps, "detach"))

    def cpu(self) -> "Tensor":
        return Tensor(self.array, (*self.steps, "cpu"))

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        assert self.steps == ("detach", "cpu")
        return self.array.astype(dtype)


class TestStaticEncoder(EncoderContract):
    tolerance = 0.0

    def make_encoder(self) -> object:
        return StaticEncoder()


class TestDefault(EncoderContract):
    def make_encoder(self) -> object:
        return DEFAULT


class TestHashEncoder(EncoderContract):
    def make_encoder(self) -> object:
        return HashEncoder()


class TestLangChain(EncoderContract):
    def make_encoder(self) -> object:
        return Embeddings()


def cosine(one: str, other: str) -> float:
    vectors = StaticEncoder().encode([one, other])
    return float(vectors[0] @ vectors[1])


def test_the_default_puts_like_texts_together() -> None:
    assert cosine("the cat sat on the mat", "a kitten lay on the rug") > cosine(
        "the cat sat on the mat", "tax return form"
    )


def test_the_default_gives_unit_vectors_and_zeros_for_nothing() -> None:
    vectors = StaticEncoder().encode(["some text", "", "more"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-6)


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(codec=None), max_size=50), max_size=6))
def test_the_default_takes_any_text_and_a_row_depends_on_its_text_alone(texts: list[str]) -> None:
    encoder = resolve(DEFAULT)
    assert encoder is not None
    together = encoder.encode(texts)
    for row, text in zip(together, texts, strict=True):
        np.testing.assert_array_equal(row, encoder.encode([text])[0])


def test_naming_the_default_loads_neither_wordllama_nor_weights() -> None:
    code = (
        "import sys; from agentmem.encode import DEFAULT, resolve; e = resolve(DEFAULT); assert '@' in e.id;"
        "assert not {'wordllama', 'tokenizers', 'safetensors'} & set(sys.modules);"
        "e.encode(['x']); assert 'wordllama' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_wordllama_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for use in (lambda: StaticEncoder().encode(["x"]), lambda: StaticEncoder().id, lambda: resolve(StaticEncoder()).id):
        with pytest.raises(MissingExtraError, match=r"pip install 'wordllama.*encoder=None"):
            use()


def test_missing_or_broken_files_of_wordllama_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    spec = importlib.util.spec_from_file_location("wordllama", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(EncoderError, match="l2_supercat"):
        StaticEncoder().encode(["x"])
    for folder, name in (
        ("tokenizers", "l2_supercat_tokenizer_config.json"),
        ("weights", "l2_supercat_256.safetensors"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("{")
    with pytest.raises(EncoderError, match="cannot be read"):
        StaticEncoder().encode(["x"])


def test_a_missing_tokenizers_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "tokenizers":
            raise ImportError("no", name=name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="needs tokenizers: pip install"):
        StaticEncoder().encode(["x"])


# ---- resolve -----------------------------------------------------------------------------------------------------


def test_none_means_no_vectors_and_default_is_one_encoder() -> None:
    assert resolve(None) is None
    assert resolve(DEFAULT) is resolve(DEFAULT)
    resolved = resolve(HashEncoder())
    assert resolve(resolved) is resolved


def test_langchain_embeddings_are_adapted() -> None:
    resolved = resolve(Embeddings())
    assert resolved is not None
    assert isinstance(resolved.encoder, LangChainEncoder)
    np.testing.assert_array_equal(resolved.encode(["hey"]), np.array([[3, 1, 1]], np.float32))


@pytest.mark.parametrize(
    "wrong",
    ["all-MiniLM-L6-v2", b"x", 3, object(), HashEncoder, Embeddings],
    ids=lambda wrong: type(wrong).__name__ + getattr(wrong, "__name__", ""),
)
def test_what_is_no_encoder_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInputError, match="encode\\(list of str\\)"):
        resolve(wrong)


# ---- what an encoder may give ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [np.ones((2, 3)), [[1, 2], [3, 4]], [np.ones(3), np.ones(3)], np.ones((2, 5), np.float16), Tensor(np.ones((2, 4)))],
    ids=["float64", "lists", "list of arrays", "float16", "tensor"],
)
def test_arrays_lists_and_tensors_become_float32(given: Any) -> None:
    vectors = CheckedEncoder(Given(given)).encode(["a", "b"])
    assert vectors.dtype == np.float32
    assert vectors.shape[0] == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.ones((3, 4)), r"\[3, 4\] for 2 texts: \[2, d\]"),
        (np.ones(2), r"\[2\] for 2 texts"),
        (np.ones((2, 0)), r"\[2, 0\]"),
        (np.array([[1, 2], [3, np.nan]]), "NaN or infinity for text 1 of 2"),
        ([[1], [1, 2]], "not an array"),
        (None, r"\[\] for 2 texts|not an array"),
        ("text", "not an array"),
    ],
    ids=["rows", "one row", "no columns", "nan", "ragged", "none", "string"],
)
def test_anything_else_fails_naming_shapes(given: Any, said: str) -> None:
    with pytest.raises(EncoderError, match=said):
        CheckedEncoder(Given(given)).encode(["a", "b"])


def test_an_encoder_that_raises_or_changes_its_dimension_fails_loudly() -> None:
    with pytest.raises(EncoderError, match="Given.encode failed on 1 texts: division"):
        CheckedEncoder(Given(lambda texts: 1 / 0)).encode(["a"])
    growing = CheckedEncoder(Given(lambda texts: np.ones((len(texts), len(texts)))))
    growing.encode(["a"])
    with pytest.raises(EncoderError, match=r"\[n, 2\] after \[n, 1\]"):
        growing.encode(["a", "b"])


# ---- ids ---------------------------------------------------------------------------------------------------------


def test_an_id_is_the_encoders_own_or_its_class_name_and_dimension() -> None:
    own, named = HashEncoder(), HashEncoder(32)
    own.id = "mine/1"  # type: ignore[attr-defined]
    assert encoder_id(own) == "mine/1"
    assert encoder_id(named) == "agentmem.testing.encoder_fake.HashEncoder:hash-32-0:32"
    assert encoder_id(Given(lambda texts: np.ones((len(texts), 7)))).endswith(".Given:7")
    assert encoder_id(LangChainEncoder(Embeddings())).endswith(".Embeddings:tiny:3")
    resolved = resolve(DEFAULT)
    assert resolved is not None
    assert resolved.id == StaticEncoder().id
