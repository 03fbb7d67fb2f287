"""A cache of token pairs: what an n-gram memory of the same bytes knows of the text so far, beside any model.

Knows token numbers. Knows nothing of models. A pair (token, the next one) is kept at random, as many as fit the bytes:
kept by the model's surprise they serve worse. Source of the mixture with a model: Grave et al. 2017 (arXiv:1612.04426),
there over states, here over pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError

SHARES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
TRUSTS = (0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True)
class Weights:
    """share: of the cache in a prediction, at most. trust: pairs seen of a token at which it has half of that."""

    share: float
    trust: float


@dataclass
class Pairs:
    """Pairs of one stream. vocabulary: number of tokens. bytes_per_token: kept, of what is read; a pair takes the bits
    of two tokens.
    """

    vocabulary: int
    bytes_per_token: float = 1.0
    seed: int = 0
    _kept: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64), init=False)
    _last: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.bytes_per_token <= 0:
            raise InvalidInputError(f"bytes_per_token={self.bytes_per_token}: more than 0 is needed")
        self._generator = torch.Generator().manual_seed(self.seed)

    @property
    def pair_bits(self) -> int:
        return 2 * math.ceil(math.log2(self.vocabulary))

    @property
    def bytes(self) -> int:
        return math.ceil(len(self._kept) * self.pair_bits / 8)

    def remember(self, tokens: Tensor) -> None:
        """The next tokens [T] of the stream, if there are any."""
        if not len(tokens):
            return
        whole = tokens if self._last is None else torch.cat((torch.tensor([self._last]), tokens))
        pairs = whole[:-1] * self.vocabulary + whole[1:]
        chance = min(1.0, self.bytes_per_token * 8 / self.pair_bits)
        kept = pairs[torch.rand(len(pairs), generator=self._generator) < chance]
        self._kept = torch.cat((self._kept, kept)).sort().values
        self._last = int(whole[-1])

    def chances(self, before: Tensor, following: Tensor) -> tuple[Tensor, Tensor]:
        """Of each token [T] after the one before it [T]: its share of pairs kept, and how many begin so, [T] each."""
        counts = self._number(before * self.vocabulary, self.vocabulary)
        same = self._number(before * self.vocabulary + following, 1)
        return same / counts.clamp(min=1), counts

    def _number(self, first: Tensor, width: int) -> Tensor:
        """How many pairs kept are in [first, first + width)."""
        return torch.searchsorted(self._kept, first + width) - torch.searchsorted(self._kept, first)


def mixed(nats: Tensor, chance: Tensor, counts: Tensor, weights: Weights) -> Tensor:
    """The nats [T] of a model, with a cache beside it."""
    share = weights.share * counts / (counts + weights.trust)
    return -torch.log((1 - share) * torch.exp(-nats) + share * chance + 1e-12)


def fitted(nats: Tensor, chance: Tensor, counts: Tensor) -> Weights:
    """The weights that cost least on these tokens [T], of a grid."""
    grid = [Weights(share, trust) for share in SHARES for trust in TRUSTS]
    return min(grid, key=lambda each: float(mixed(nats, chance, counts, each).mean()))
