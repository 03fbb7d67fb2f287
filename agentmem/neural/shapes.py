"""Checks of tensor shapes, with messages that name both: what came, and what is needed."""

from __future__ import annotations

from torch import Tensor

from agentmem.errors import InvalidInputError


def check(name: str, tensor: Tensor, *needed: int | str) -> None:
    """Raise InvalidInputError unless tensor's sizes equal `needed`; a word stands for any size."""
    shape = list(tensor.shape)
    fits = len(shape) == len(needed) and all(
        isinstance(size, str) or size == real for size, real in zip(needed, shape, strict=True)
    )
    if not fits:
        raise InvalidInputError(f"{name} is {shape}; [{', '.join(map(str, needed))}] is needed")
