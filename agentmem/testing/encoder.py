"""What every encoder must do, as tests to inherit.

class TestMine(EncoderContract):
    def make_encoder(self):
        return MyEncoder()
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from agentmem.codes import Coder
from agentmem.encode import CheckedEncoder, resolve

TEXTS = [
    "The red door is locked; the key hangs in the kitchen.",
    "Do you have two tickets to Lisbon for Friday morning?",
    "def read(path):\n    return open(path).read()",
    '{"error": "not found", "code": 404}',
    "ok",
    "La clé est dans la cuisine, 鍵は台所にあります 🎉",
    "word " * 3000,
]
ODD = ["", " ", "\n\n", "\x00", "🎉", "a" * 5000]


class EncoderContract(ABC):
    """Subclass, say how to make yours, and let pytest collect it. `encoder=` takes what `make_encoder` returns."""

    tolerance = 1e-4

    @abstractmethod
    def make_encoder(self) -> Any:
        """A new encoder: an object with `encode(list of str)` or `embed_documents(list of str)`."""

    def encoder(self) -> CheckedEncoder:
        resolved = resolve(self.make_encoder())
        assert resolved is not None
        return resolved

    def test_gives_one_row_of_finite_numbers_per_text(self) -> None:
        encoder = self.encoder()
        vectors = encoder.encode(TEXTS)
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(TEXTS), encoder.dimension)
        assert encoder.encode([]).shape == (0, encoder.dimension)

    def test_a_row_depends_on_its_text_alone(self) -> None:
        encoder = self.encoder()
        together = encoder.encode(TEXTS)
        alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
        reversed_ = encoder.encode(TEXTS[::-1])[::-1]
        np.testing.assert_allclose(together, alone, atol=self.tolerance)
        np.testing.assert_allclose(together, reversed_, atol=self.tolerance)

    def test_another_encoder_made_the_same_way_gives_the_same_vectors_under_the_same_id(self) -> None:
        one, other = self.encoder(), self.encoder()
        assert one.id == other.id
        np.testing.assert_allclose(one.encode(TEXTS), other.encode(TEXTS), atol=self.tolerance)

    def test_takes_odd_texts(self) -> None:
        encoder = self.encoder()
        for text in ODD:
            assert encoder.encode([text]).shape == (1, encoder.dimension)

    def test_tells_texts_apart(self) -> None:
        assert len(np.unique(self.encoder().encode(TEXTS), axis=0)) == len(TEXTS)

    def test_does_not_change_the_list_it_is_given(self) -> None:
        given = list(TEXTS)
        self.encoder().encode(given)
        assert given == TEXTS

    def test_can_be_coded(self) -> None:
        encoder = self.encoder()
        codes = Coder.of(encoder).encode(encoder.encode(TEXTS))
        assert codes.shape == (len(TEXTS), 96)
