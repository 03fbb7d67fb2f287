"""Equal parameters: the width, and where it can be chosen the feed-forward, that come nearest to a number of them.

Knows a function that builds a model of a width. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from agentmem.errors import InvalidInputError

TOLERANCE = 0.03
USUAL = 4.0  # the feed-forward's width in widths of the model
WIDEST = 2_048


@dataclass(frozen=True)
class Size:
    """width: of the model. wider: of the feed-forward layers, in widths."""

    width: int
    wider: float = USUAL

    @property
    def heads(self) -> int:
        """The largest of 4, 3 and 2 that divides the width."""
        return next((heads for heads in (4, 3, 2) if self.width % heads == 0), 1)

    @property
    def head_width(self) -> int:
        """For packages where four heads have a width of their own: a quarter of the width, in eights, 32 at least."""
        return max(32, round(self.width / 32) * 8)


Model = TypeVar("Model", bound=nn.Module)
Make = Callable[[Size], nn.Module]


def fitted(make: Callable[[Size], Model], parameters: int, free: bool = True, name: str = "it") -> Model:
    """The model that `make` builds nearest to so many parameters, all of them counted once.

    free: the feed-forward may have any width, so the width is a multiple of 8. Raises InvalidInputError where none
    comes within 3 %.
    """
    size = best_size(make, parameters, free)
    model = make(size)
    counted = count(model)
    if abs(counted / parameters - 1) > TOLERANCE:
        raise InvalidInputError(
            f"{name} comes no nearer to {parameters} parameters than {counted}, with {size}; give another number"
        )
    return model


def best_size(make: Make, parameters: int, free: bool) -> Size:
    def of(size: Size) -> int:
        with torch.random.fork_rng(devices=[]):
            return count(make(size))

    widths = range(8, WIDEST, 8) if free else [width for width in range(8, WIDEST) if Size(width).heads > 1]
    width = nearest(widths, lambda each: of(Size(each)), parameters)
    if not free:
        return Size(width)
    inner = nearest(range(width, 12 * width), lambda each: of(Size(width, (each + 0.5) / width)), parameters)
    return Size(width, (inner + 0.5) / width)


def nearest(choices: Sequence[int], value: Callable[[int], int], goal: int) -> int:
    """Of ascending choices the one whose value, which ascends too, is nearest to the goal."""
    low, high = 0, len(choices) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if value(choices[middle]) < goal:
            low = middle
        else:
            high = middle
    return min(choices[low], choices[high], key=lambda each: abs(value(each) - goal))


def count(model: nn.Module) -> int:
    """Parameters, shared ones once."""
    return sum(each.numel() for each in model.parameters())
