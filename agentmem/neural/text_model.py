"""TextModel: a token model with the vocabulary it was trained with, in one file that can be used alone.

Knows how text becomes tokens of this model. Knows nothing of training or of where text is from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.files import Saved, load
from agentmem.neural.text import Vocabulary
from agentmem.neural.tokens import KIND, TokenModel

VOCABULARY = "vocabulary"  # the note that has it


@dataclass(frozen=True)
class TextModel:
    """A model and the vocabulary of its tokens, of the same size. Raises InvalidInputError for different sizes."""

    model: TokenModel
    vocabulary: Vocabulary

    def __post_init__(self) -> None:
        tokens = self.model.settings.vocabulary
        if tokens != self.vocabulary.size:
            raise InvalidInputError(
                f"a model of {tokens} tokens with a vocabulary of {self.vocabulary.size} pieces; "
                "give the vocabulary that the model was trained with"
            )

    def tokens(self, text: str) -> Tensor:
        """Text as a stream of its own: int64 [1, T]."""
        device = next(self.model.parameters()).device
        return torch.from_numpy(self.vocabulary.encode(text).astype(np.int64)).to(device)[None]

    def save(self, path: str | Path, command: str = "", notes: Mapping[str, Any] | None = None) -> None:
        """As `TokenModel.save`, with the vocabulary; `TokenModel.load` takes it too."""
        self.model.save(path, command, {**(notes or {}), VOCABULARY: self.vocabulary.json})

    @classmethod
    def load(cls, path: str | Path) -> TextModel:
        """What `save` wrote. Raises InvalidInputError for a file of something else or without a vocabulary."""
        return cls.of(load(path, KIND), path)

    @classmethod
    def of(cls, saved: Saved, path: str | Path) -> TextModel:
        """From what the file at `path` held. Raises InvalidInputError where that has no vocabulary."""
        if VOCABULARY not in saved.notes:
            raise InvalidInputError(
                f"{path} has no vocabulary in it: name a model that `agentmem train neural text` made, or "
                "load this one as TokenModel, and its vocabulary apart"
            )
        return cls(TokenModel.of(saved), Vocabulary.of(saved.notes[VOCABULARY]))
