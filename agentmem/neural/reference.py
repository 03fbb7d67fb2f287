"""The reference models: their sizes, and what they are trained on. What the benchmarks measure is one of these.

Knows numbers that belong together. Knows nothing of files, or of how long training goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from agentmem.neural.curriculum import growing
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.task_training import TaskTraining
from agentmem.neural.tasks.key_value import VOCABULARY
from agentmem.neural.tasks.named import Sized
from agentmem.neural.text import Stretches, Tokens
from agentmem.neural.text_training import TextTraining
from agentmem.neural.tokens import TokenModel, TokenSettings, settings_of

RECALL = settings_of(
    VOCABULARY, CrystalSettings(dimension=96), d_model=96, n_heads=4, lower=1, upper=1, window=50
)  # fmt: skip
"""Facts among filler: 0.43 million numbers."""

STRETCH, STREAMS, CHUNK = 12_000, 4, 1_000
"""Tokens that a text stream goes on for; streams side by side; tokens of each between two updates."""


def text_settings(vocabulary: int) -> TokenSettings:
    """Of a language model of so many tokens: 1.11 million numbers with 2,048 of them."""
    crystal = CrystalSettings(
        dimension=128, slots=16, cue_bits=32, recent=(300, 1500), heads=1, offsets=2, sharpest=32.0, chance=1.0
    )  # fmt: skip
    return settings_of(vocabulary, crystal, bound=1, d_model=128, n_heads=4, lower=3, upper=1, window=128, conv=4)


def task_settings(vocabulary: int) -> TokenSettings:
    """Of a model of any other task: a slot says three tokens, and what is read first can be looked up again."""
    crystal = CrystalSettings(dimension=96)
    return settings_of(vocabulary, crystal, bound=3, d_model=96, n_heads=4, lower=1, upper=2, window=50)


def seeded(settings: TokenSettings, seed: int) -> TokenModel:
    """An untrained model; the same seed gives the same weights. Leaves torch's own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TokenModel(settings)


def recall_training() -> TaskTraining:
    return TaskTraining()


def task_training(sized: Sized) -> TaskTraining:
    return TaskTraining(growing(sized))


def text_training(tokens: Sequence[Tokens]) -> TextTraining:
    """tokens: of each document. Raises InvalidInputError where none has more than STRETCH."""
    return TextTraining(Stretches(tuple(tokens), STRETCH), streams=STREAMS, chunk=CHUNK)
