"""Codes: 96 bytes that keep the angle."""

import gzip
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agentmem import codes
from agentmem.bench import bfcl
from agentmem.codes import GENERIC, Coder, coder_id, hamming, similarity
from agentmem.encode import DEFAULT, resolve
from agentmem.errors import InvalidInputError
from agentmem.testing import HashEncoder

DATA = Path(os.environ.get("AGENTMEM_DATA", Path(__file__).parents[2] / "shared" / "data"))
LOCOMO = DATA / "locomo_dev.jsonl.gz"
VECTORS = arrays(np.float32, st.tuples(st.integers(1, 9), st.just(64)), elements=st.floats(-1, 1, width=32))


def random_vectors(n: int, dimension: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dimension)).astype(np.float32)


@pytest.mark.parametrize("dimension", [1, 3, 64, 256, 384, 500, 768, 1024, 3072])
def test_any_dimension_gives_96_bytes(dimension: int) -> None:
    made = Coder(dimension).encode(random_vectors(5, dimension))
    assert made.dtype == np.uint8
    assert made.shape == (5, 96)


@given(VECTORS)
def test_a_code_does_not_depend_on_its_batch(vectors: np.ndarray) -> None:
    coder = Coder(64, np.full(64, 0.01), seed=3)
    alone = [coder.encode(vectors[i : i + 1])[0] for i in range(len(vectors))]
    np.testing.assert_array_equal(coder.encode(vectors), alone)


@given(VECTORS, st.floats(0.01, 100))
def test_a_code_does_not_depend_on_length(vectors: np.ndarray, factor: float) -> None:
    coder = Coder(64)
    near = np.abs(vectors.astype(np.float64) @ codes._rotation(64, 0)).min() < 1e-5
    if not near:
        np.testing.assert_array_equal(coder.encode(vectors), coder.encode(vectors * np.float32(factor)))


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 32, 256]))
def test_a_seed_is_a_rotation(seed: int, size: int) -> None:
    spun = codes._spun(np.random.default_rng(seed), size, size) / size**1.5
    np.testing.assert_allclose(spun @ spun.T, np.eye(size), atol=1e-12)


def test_codes_are_the_same_on_every_machine() -> None:
    vectors = np.sin(np.arange(3 * 300)).reshape(3, 300)
    assert hashlib.sha256(Coder(300, seed=7).encode(vectors).tobytes()).hexdigest()[:16] == "f09420983fc59d9c"


def test_the_same_seed_gives_the_same_codes_and_another_does_not() -> None:
    vectors = random_vectors(3, 64)
    np.testing.assert_array_equal(Coder(64, seed=1).encode(vectors), Coder(64, seed=1).encode(vectors))
    assert (Coder(64, seed=1).encode(vectors) != Coder(64, seed=2).encode(vectors)).any()
    assert coder_id("mine", 1) != coder_id("mine", 2)


@pytest.mark.parametrize("dimension", [256, 384, 768, 1024])
def test_similarity_estimates_the_cosine(dimension: int) -> None:
    base, noise = random_vectors(1, dimension), random_vectors(400, dimension, 1)
    others = np.linspace(-2, 2, 400)[:, None] * base + noise
    true = (others @ base[0]) / np.linalg.norm(others, axis=1) / np.linalg.norm(base)
    coder = Coder(dimension)
    made = coder.encode(others)
    for estimated in (similarity(coder.encode(base)[0], made), coder.similarity(base[0], made)):
        error = estimated - true
        assert np.sqrt((error**2).mean()) < 0.06
        assert abs(error.mean()) < 0.02


def test_a_vector_is_like_itself_and_unlike_its_opposite() -> None:
    coder = Coder(64)
    vector = random_vectors(1, 64)
    made = coder.encode(np.concatenate([vector, -vector]))
    np.testing.assert_allclose(similarity(made[0], made), [1, -1], atol=1e-6)


@given(VECTORS)
def test_nothing_is_like_a_zero_vector(vectors: np.ndarray) -> None:
    coder = Coder(64, np.full(64, 0.05))
    made = coder.encode(np.concatenate([np.zeros((1, 64), np.float32), vectors]))
    assert not made[0].any()
    assert not similarity(made[0], made).any()
    assert not coder.similarity(np.zeros(64), made).any()
    for code, vector in zip(made[1:], vectors, strict=True):
        assert similarity(code, made)[0] == 0
        assert coder.similarity(vector, made)[0] == 0


def test_only_a_zero_vector_gets_the_empty_code() -> None:
    centre = np.eye(8)[0]
    made = Coder(8, centre).encode(np.array([centre, np.zeros(8), np.eye(8)[1]]))
    assert made.any(axis=1).tolist() == [True, False, True]


def test_distances_are_the_same_without_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    made = np.random.default_rng(0).integers(0, 256, (70_000, 96), np.uint8)
    by_bits = np.unpackbits(made ^ made[5], axis=1).sum(axis=1)
    np.testing.assert_array_equal(hamming(made[5], made), by_bits)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    np.testing.assert_array_equal(hamming(made[5], made), by_bits)


def test_codes_need_not_lie_next_to_each_other() -> None:
    made = np.random.default_rng(0).integers(0, 256, (20, 192), np.uint8)
    np.testing.assert_array_equal(
        hamming(made[3, :96], made[::2, :96]), hamming(made[3, :96].copy(), made[::2, :96].copy())
    )
    assert hamming(made[0, :96], made[:0, :96]).shape == (0,)
    assert similarity(made[0, :96], made[:0, :96]).shape == (0,)
    assert Coder(4).similarity(np.ones(4), made[:0, :96]).shape == (0,)


def test_wrong_shapes_are_refused_with_both() -> None:
    with pytest.raises(InvalidInputError, match=r"\[2, 5\].*\[n, 64\]"):
        Coder(64).encode(np.ones((2, 5)))
    with pytest.raises(InvalidInputError, match=r"\[3\].*\[64\]"):
        Coder(64, np.ones(3))
    with pytest.raises(InvalidInputError, match=r"\[95\]"):
        hamming(np.zeros(95, np.uint8), np.zeros((1, 96), np.uint8))
    with pytest.raises(InvalidInputError, match=r"int64 \[1, 96\]"):
        Coder(4).similarity(np.ones(4), np.zeros((1, 96), np.int64))
    with pytest.raises(InvalidInputError, match="dimension 0"):
        Coder(0)
    with pytest.raises(InvalidInputError, match="encoder=None"):
        Coder.of(None)


def test_the_centre_is_of_our_own_texts_and_of_no_log() -> None:
    assert len(set(GENERIC)) == 64
    coder, other = Coder.of(HashEncoder()), Coder.of(HashEncoder())
    np.testing.assert_array_equal(coder.centre, other.centre)
    assert 0 < np.linalg.norm(coder.centre) < 1


def test_centring_spreads_the_codes_of_real_texts() -> None:
    encoder = resolve(DEFAULT)
    assert encoder is not None
    vectors = encoder.encode([f"{text} And then?" for text in GENERIC])
    plain, centred = Coder(256), Coder.of(encoder)
    assert mean_similarity(centred, vectors) < 0.6 * mean_similarity(plain, vectors)


def mean_similarity(coder: Coder, vectors: np.ndarray) -> float:
    made = coder.encode(vectors)
    return float(np.mean([similarity(code, made).mean() for code in made]))


Asked = tuple[list[str], list[tuple[str, set[int]]]]
"""Texts, and questions with the places of their evidence."""


def bfcl_talks() -> Iterator[Asked]:
    for person in bfcl.load():
        rows = {turn.id: row for row, turn in enumerate(person.turns)}
        yield [turn.text for turn in person.turns], [(one.text, {rows[one.evidence]}) for one in person.questions]


def locomo_talks() -> Iterator[Asked]:
    with gzip.open(LOCOMO, "rt") as lines:
        for talk in map(json.loads, lines):
            rows = {step["id"]: row for row, step in enumerate(talk["steps"])}
            asked = [
                (q["text"], {rows[step] for step in q["evidence_step_ids"] if step in rows}) for q in talk["questions"]
            ]
            texts = [f"{step['actor']}: {step['text']}" for step in talk["steps"]]
            yield texts, [(text, evidence) for text, evidence in asked if evidence]


@pytest.mark.parametrize("talks", [bfcl_talks, *([locomo_talks] if LOCOMO.is_file() else [])])
@pytest.mark.slow
def test_on_real_conversations_codes_find_nearly_what_vectors_find(talks: Callable[[], Iterator[Asked]]) -> None:
    found = np.array([row for texts, asked in talks() for row in recalls(texts, asked)])
    by_vectors, by_cue_and_codes, by_codes = found.mean(axis=0)
    assert by_codes > by_vectors - 0.03
    assert by_cue_and_codes > by_vectors - 0.02


def recalls(texts: list[str], asked: list[tuple[str, set[int]]]) -> Iterator[list[float]]:
    """recall@10 of each question by vectors, by the cue's vector and codes, and by codes alone."""
    encoder = resolve(DEFAULT)
    assert encoder is not None
    coder, vectors = Coder.of(encoder), encoder.encode(texts)
    made, cues = coder.encode(vectors), encoder.encode([text for text, _ in asked])
    for cue, (_, evidence) in zip(cues, asked, strict=True):
        by_codes = similarity(coder.encode(cue[None])[0], made)
        yield [recall(scores, evidence) for scores in (vectors @ cue, coder.similarity(cue, made), by_codes)]


def recall(scores: np.ndarray, evidence: set[int], k: int = 10) -> float:
    return len(evidence & set(np.argsort(-scores, kind="stable")[:k].tolist())) / len(evidence)


def test_faiss_counts_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (1000, 96), dtype=np.uint8)
    expected = hamming(rows[7], rows)
    monkeypatch.setattr("agentmem.codes.MANY", 1)
    for some in (rows, rows[:1], rows[::2], np.asfortranarray(rows)):
        found = hamming(rows[7], some)
        assert found.dtype == expected.dtype
        assert found.tolist() == [int(np.unpackbits(rows[7] ^ row).sum()) for row in some]
    assert hamming(rows[7], rows).tolist() == expected.tolist()
