"""Numbers to few bits: signs (1 bit) trained through, and int8 of a fixed scale.

Knows tensors. Knows nothing of crystals. Source of the straight-through gradient, clipped: Courbariaux et al. 2016
(arXiv:1602.02830), equation 4; here it is clipped at 2, as the inputs are layer-normed.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError

Precision = Literal["sign", "int8", "float"]
"""Of numbers as they are read."""
CLIP = 2.0
INT8_SCALE = 32.0  # few layer-normed numbers lie beyond 127 / 32, four deviations


def quantise(numbers: Tensor, precision: Precision) -> Tensor:
    """Numbers [...] as they will be read back, [...]; the gradient passes as if nothing had been rounded.

    Raises InvalidInputError for another precision.
    """
    if precision not in get_args(Precision):
        raise InvalidInputError(f"precision {precision!r}: give one of {', '.join(get_args(Precision))}")
    if precision == "float":
        return numbers
    if precision == "sign":
        passed = numbers.clamp(-CLIP, CLIP)
        return passed + (_signs(numbers) - passed).detach()
    return numbers + (from_int8(to_int8(numbers)) - numbers).detach()


def to_int8(numbers: Tensor) -> Tensor:
    """Numbers [...] as int8 [...] of 32 steps to 1; those beyond 127 / 32 become that."""
    return (numbers.detach() * INT8_SCALE).round().clamp(-127, 127).to(torch.int8)


def from_int8(whole: Tensor) -> Tensor:
    """int8 [...] as float32 [...]."""
    return whole.float().mul_(1 / INT8_SCALE)  # exact, for 1 / 32 is


def pack(numbers: Tensor) -> Tensor:
    """Signs of numbers [..., bits] as uint8 [..., bits / 8], the first bit highest (as numpy.packbits).

    bits: a multiple of 8; CrystalSettings has no other.
    """
    bits = (numbers.detach() >= 0).unflatten(-1, (-1, 8)).to(torch.uint8)
    return (bits << _shifts(numbers)).sum(-1, dtype=torch.uint8)


def unpack(packed: Tensor) -> Tensor:
    """uint8 [..., bytes] as +1 and -1, float32 [..., bytes * 8]."""
    bits = (packed.unsqueeze(-1) >> _shifts(packed)) & 1
    return bits.flatten(-2).float().mul_(2).sub_(1)


def _signs(numbers: Tensor) -> Tensor:
    return torch.where(numbers >= 0, 1.0, -1.0)


def _shifts(like: Tensor) -> Tensor:
    return torch.arange(7, -1, -1, dtype=torch.uint8, device=like.device)
