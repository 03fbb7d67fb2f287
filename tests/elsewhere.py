"""A device that every machine has: tensors there are refused together with tensors of the processor, as on a GPU.

They say that their device is "meta" and have their numbers all the same, on the processor, so that code which looks at
numbers runs too. Knows torch's dispatch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

THERE = torch.device("meta")
MOVES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
INDEXES = (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default, torch.ops.aten._index_put_impl_.default)


class Elsewhere(torch.Tensor):
    """A tensor there; `here` has its numbers."""

    here: Tensor
    is_meta = False

    @staticmethod
    def __new__(cls, here: Tensor) -> Elsewhere:
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, here.shape, strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype, device=THERE
        )
        made.here = here
        return made  # type: ignore[no-any-return]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return called(func, args, kwargs or {})

    def __repr__(self, **keywords: Any) -> str:
        return f"Elsewhere({self.here})"


@contextmanager
def a_device() -> Iterator[None]:
    """Within it, what is made on THERE, or moved there, is Elsewhere."""
    with Lists(), Calls():
        yield


class Lists(TorchFunctionMode):
    """What goes from lists to tensors and back without asking anyone else."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        wanted = (kwargs or {}).get("device")
        if func is torch.tensor and wanted is not None:
            return func(*args, **{**kwargs, "device": "cpu"}).to(wanted)
        if func is Tensor.tolist and isinstance(args[0], Elsewhere):
            return args[0].here.tolist()
        return func(*args, **(kwargs or {}))


class Calls(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return called(func, args, kwargs or {})


def called(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    flat, form = tree_flatten((args, kwargs))
    there = any(isinstance(each, Elsewhere) for each in flat)
    if there:
        check_together(func, flat)
    wanted = kwargs.get("device")
    plain = [each.here if isinstance(each, Elsewhere) else each for each in flat]
    args, kwargs = tree_unflatten(plain, form)
    if wanted is not None:
        kwargs["device"] = "cpu"
    generator = kwargs.get("generator")
    onto = there if wanted is None else torch.device(wanted) == THERE
    if onto and generator is not None:
        raise RuntimeError(f"{func}: a generator of the processor for a tensor elsewhere")
    out = func(*args, **kwargs)
    name = func._schema.name
    if there and name.endswith("_") and not name.endswith("__"):  # it changes its first argument
        return flat[0]
    return tree_map(lambda each: Elsewhere(each) if onto and type(each) is Tensor else each, out)


def check_together(func: Any, flat: list[Any]) -> None:
    """Only a number, or an index, may come from the processor."""
    if func in MOVES:
        return
    of_here = [each for each in flat if isinstance(each, Tensor) and not isinstance(each, Elsewhere) and each.dim()]
    if of_here and not (func in INDEXES and all(each.dtype in (torch.int64, torch.bool) for each in of_here)):
        raise RuntimeError(f"{func}: a tensor {list(of_here[0].shape)} of the processor with one elsewhere")
