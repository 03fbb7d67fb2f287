"""Checks of tensors: shape, type, device, finite numbers, with messages that name both: what came, what is needed.

And what a value of many tensors is shown as.
"""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError

TOKENS = (torch.int64,)
GREATEST = 1e15  # a norm squares numbers, and adds those of a state up
STATES = (torch.float32, torch.bfloat16, torch.float16)  # float32 holds all of them as they are


class Shown:
    """Of a dataclass with repr=False: it is shown with types and shapes, not with all numbers of its tensors."""

    def __repr__(self) -> str:
        parts = [f"{each.name}={_shown(getattr(self, each.name))}" for each in fields(self)]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(parts)})"


def _shown(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_shown, value))})"
    return repr(value)


def article(kind: str) -> str:
    """The name of a type as a message has it: "a Memory", "an InfiniteMemoryTransformer"."""
    return f"{'an' if kind[0].upper() in 'AEIOU' else 'a'} {kind}"


def check_type(name: str, value: object, kind: type, remedy: str) -> None:
    """Raise InvalidInputError unless a value is of a kind. remedy: where one comes from."""
    if not isinstance(value, kind):
        came, needed = article(type(value).__name__), article(kind.__name__)
        raise InvalidInputError(f"{name} is {came}; {needed} is needed: {remedy}")


def check(name: str, tensor: Tensor, *needed: int | str, types: tuple[torch.dtype, ...] = (), anew: str = "") -> None:
    """Raise InvalidInputError unless tensor is one whose sizes equal `needed`, and its type is one of `types`, if there
    are any.

    A word stands for any size from 1 on. anew: what helps where the first size alone, B, is another.
    """
    if not isinstance(tensor, Tensor):
        wanted = f"[{', '.join(map(str, needed))}] of {' or '.join(map(str, types)) or 'numbers'}"
        raise InvalidInputError(f"{name} is {article(type(tensor).__name__)}; a torch.Tensor {wanted} is needed")
    _check_dense(name, tensor)
    shape = list(tensor.shape)
    fits = _fit(shape, needed)
    if not fits or (types and tensor.dtype not in types):
        came, wanted = f"{shape}", f"[{', '.join(map(str, needed))}]" + ", without a size of 0," * (0 in shape)
        if types:
            came, wanted = f"{tensor.dtype} {came}", f"{' or '.join(map(str, types))} {wanted}"
        remedy = f": {anew}" if anew and not fits and _fit(shape, ("B", *needed[1:])) else ""
        raise InvalidInputError(f"{name} is {came}; {wanted} is needed{remedy}")


def _fit(shape: list[int], needed: tuple[int | str, ...]) -> bool:
    return len(shape) == len(needed) and all(
        real > 0 if isinstance(size, str) else real == size for size, real in zip(needed, shape, strict=True)
    )


def _check_dense(name: str, tensor: Tensor) -> None:
    """Raise InvalidInputError for a tensor that does not have all its numbers, one beside the other."""
    if tensor.is_meta:
        raise InvalidInputError(f"{name} is on the device meta, where tensors have no numbers; give one that has")
    if tensor.is_nested or tensor.layout is not torch.strided:
        form, remedy = ("nested", "to_padded_tensor") if tensor.is_nested else (str(tensor.layout), "to_dense")
        raise InvalidInputError(f"{name} is {form}; a dense tensor is needed, such as .{remedy} makes")


def check_weight(kind: str, weight: Tensor) -> None:
    """Raise InvalidInputError unless one weight of a module, as an example of all, has the type that it computes in."""
    if weight.dtype != torch.float32:
        raise InvalidInputError(
            f"the weights of this {kind} are {weight.dtype}; torch.float32 is needed: call .float() on it, or load it "
            "again where their rounding counts, and for products in bfloat16 put torch.autocast around its calls"
        )


def check_device(name: str, tensor: Tensor, weight: Tensor, remedy: str = "") -> None:
    """Raise InvalidInputError unless a tensor is where a weight of a module is, as an example of all."""
    if tensor.device != weight.device:
        remedy = remedy or f'move the one with .to("{weight.device}"), or the model with .to("{tensor.device}")'
        raise InvalidInputError(f"{name} is on {tensor.device} and the model's weights on {weight.device}; {remedy}")


def check_finite(name: str, tensor: Tensor) -> None:
    """Raise InvalidInputError for NaN, infinity and numbers whose squares come near it, and name the first."""
    if not tensor.is_floating_point():  # whole numbers are
        return
    wide = torch.promote_types(tensor.dtype, torch.float32)
    if torch.linalg.vector_norm(tensor.detach(), dtype=wide).isfinite():  # quicker than to look at each
        return
    small = tensor.abs() <= GREATEST
    if not small.all():
        place = (~small).nonzero()[0].tolist()
        needed = f"numbers up to {GREATEST:g}" if tensor[tuple(place)].isfinite() else "finite numbers"
        raise InvalidInputError(f"{name} {place} is {tensor[tuple(place)].item():g}; {needed} are needed")
