"""What PolicyLM is measured against: the same encoder and heads around a GRU, a windowed transformer, or nothing.

Each has as many parameters as the PolicyLM beside it, within 3 %. Knows networks; knows no environment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from agentmem.bench.neural.peers.sizes import TOLERANCE, count, nearest
from agentmem.errors import InvalidInputError
from agentmem.neural.blocks import Block, Cache, ShortConvolution
from agentmem.neural.measure import bytes_of
from agentmem.policy.policy_lm import PolicyLM
from agentmem.policy.reference import seeded
from agentmem.policy.step_network import Remembered, StepNetwork, Steps

WINDOW = 64
"""Steps that each block of a windowed transformer reaches back, as in PolicyLM."""


@dataclass(frozen=True)
class Carried:
    """position: steps seen; kept: what the network carries from step to step."""

    position: int = 0
    kept: Any = None


class Gru(StepNetwork):
    """A GRU of `size` states (Cho et al. 2014, arXiv:1406.1078)."""

    def __init__(self, like: PolicyLM, size: int) -> None:
        super().__init__(*_of(like))
        width = like.settings.transformer.d_model
        self.gru, self.out = nn.GRU(width, size, batch_first=True), nn.Linear(size, width)

    def start(self, episodes: int) -> Carried:
        return Carried()

    def remember(self, x: Tensor, state: Carried) -> Remembered:
        hidden, kept = self.gru(x, state.kept)
        return Remembered(x + self.out(hidden), Carried(state.position + x.shape[1], kept))


class Windowed(StepNetwork):
    """A windowed transformer: as many blocks as PolicyLM, feed-forwards of `size`, and a window of WINDOW steps."""

    def __init__(self, like: PolicyLM, size: int) -> None:
        super().__init__(*_of(like))
        sizes = like.settings.transformer
        self.convolution = ShortConvolution(sizes.d_model, sizes.conv)
        self.blocks = nn.ModuleList(
            Block(sizes.d_model, sizes.n_heads, WINDOW) for _ in range(sizes.lower + sizes.upper)
        )
        for block in self.blocks:
            block.feed_forward = _feed_forward(sizes.d_model, size)

    def start(self, episodes: int) -> Carried:
        return Carried(kept=(None, [None] * len(self.blocks)))

    def remember(self, x: Tensor, state: Carried) -> Remembered:
        convolution, before = state.kept
        hidden, convolution = self.convolution(x, convolution)
        caches: list[Cache] = []
        for block, cache in zip(self.blocks, before, strict=True):
            hidden, cache = block(hidden, cache)
            caches.append(cache)
        return Remembered(hidden, Carried(state.position + x.shape[1], (convolution, caches)))


class Nothing(StepNetwork):
    """Remembers nothing: a feed-forward of `size` on each step."""

    remembers = False

    def __init__(self, like: PolicyLM, size: int) -> None:
        super().__init__(*_of(like))
        width = like.settings.transformer.d_model
        self.forwards = nn.Sequential(nn.LayerNorm(width), _feed_forward(width, size))

    def start(self, episodes: int) -> Carried:
        return Carried()

    def remember(self, x: Tensor, state: Carried) -> Remembered:
        return Remembered(x + self.forwards(x), Carried(state.position + x.shape[1]))


PEERS: dict[str, Callable[[PolicyLM, int], StepNetwork]] = {"gru": Gru, "windowed": Windowed, "none": Nothing}


def peer(name: str, like: PolicyLM, seed: int) -> StepNetwork:
    """A peer with as many parameters as a policy. Raises InvalidInputError where none comes within 3 %."""
    make, goal = PEERS[name], count(like)
    size = seeded(seed, lambda: nearest(range(1, 4_096), lambda each: count(make(like, each)), goal))
    model = seeded(seed, lambda: make(like, size))
    if abs(count(model) / goal - 1) > TOLERANCE:
        raise InvalidInputError(f"{name} of {goal} parameters: none comes nearer than {count(model)}")
    return model


def bytes_carried(model: StepNetwork, steps: Steps) -> int:
    """Of one episode [1, T], at its end."""
    return bytes_of_state(model(steps)[1])


def bytes_of_state(state: Any) -> int:
    """What a network carries from step to step."""
    return _bytes(state.kept) if isinstance(state, Carried) else bytes_of(state)


def _bytes(kept: Any) -> int:
    if isinstance(kept, Tensor | Cache):
        return kept.nbytes
    return sum(map(_bytes, kept)) if isinstance(kept, list | tuple) else 0


def _of(like: PolicyLM) -> tuple[Any, int, int, int, bool]:
    settings = like.settings
    return settings.features, settings.actions, settings.transformer.d_model, settings.clock, settings.acted


def _feed_forward(width: int, inner: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
