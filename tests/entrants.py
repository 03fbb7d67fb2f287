"""What the tests of `agentmem bench neural lm` share: short texts, an untrained model of them, and its entrant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from agentmem.bench.neural import rivals
from agentmem.bench.neural.peers import Crystal
from agentmem.neural.corpus import Corpus
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.text import Vocabulary
from agentmem.neural.text_model import TextModel
from agentmem.neural.tokens import TokenModel, settings_of


def texts(folder: Path, number: int = 2, words: int = 3_000) -> list[str]:
    generator = np.random.default_rng(0)
    for i in range(number):
        (folder / f"{i}.txt").write_text(" ".join(generator.choice(["sun", "moon", "rain", "wind"], words)))
    return [str(folder / f"{i}.txt") for i in range(number)]


def model_of(paths: list[str]) -> TextModel:
    vocabulary = Vocabulary.learned([Path(each).read_text() for each in paths], 261)
    torch.manual_seed(0)
    crystal = CrystalSettings(dimension=16, code_bits=192, cue_bits=64, heads=1, offsets=2)
    sizes = settings_of(vocabulary.size, crystal, bound=1, d_model=16, n_heads=2, lower=1, upper=1, window=16)
    return TextModel(TokenModel(sizes), vocabulary)


def corpus_of(text: TextModel, paths: list[str]) -> Corpus:
    """The texts, each long enough to train on."""
    tokens = tuple(np.tile(text.vocabulary.encode(Path(each).read_text()), 4) for each in paths)
    return Corpus(text.vocabulary, tokens)


def entrant(text: TextModel) -> rivals.Entrant:
    return rivals.Entrant("ours", 0, 0, Crystal(text.model), Path("unsaved"), "")
