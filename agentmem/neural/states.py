"""What a stream carries, as bytes and back: so that it can be kept wherever bytes can be kept, and gone on with.

The bytes are safetensors, the same for the same state. They name the settings and the weights they were made with,
since a state says something to these alone, and have a digest of the whole. Knows states and the models that made them;
knows nothing of where bytes are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, get_args, overload

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.blocks import Cache
from agentmem.neural.crystal import MemoryCrystal
from agentmem.neural.files import BROKEN, DIGEST, HEADER, MEMORY, digest, fingerprint, memory_of, tensors_of
from agentmem.neural.memory import Memory
from agentmem.neural.settings import check_same
from agentmem.neural.shapes import article
from agentmem.neural.tokens import TokenModel
from agentmem.neural.transformer import InfiniteMemoryTransformer, State

Model = MemoryCrystal | InfiniteMemoryTransformer | TokenModel
HALVES = ("lower", "upper")


def to_bytes(model: Model, state: State | Memory) -> bytes:
    """A state of a model's stream, or a memory of a MemoryCrystal, as bytes that `from_bytes` takes back.

    model: the one that made the state, on any device: the bytes name its settings and weights, and a state does not
    tell of whose weights it is. Raises InvalidInputError for what is neither, and for a state of another model's sizes.
    """
    _check_model(model)
    if not isinstance(state, Memory if isinstance(model, MemoryCrystal) else State):
        raise InvalidInputError(f"{article(type(model).__name__)} has no {type(state).__name__}; {_fitting(model)}")
    if isinstance(state, State):
        check_same("state", state.sizes, _transformer(model).settings.sizes)
    else:
        check_same("memory", state.settings.sizes, asdict(model.settings))
    whole = torch.contiguous_format
    tensors = {name: each.detach().cpu().clone(memory_format=whole) for name, each in _parts(state).items()}
    header = _header(model)
    header[DIGEST] = digest(header, tensors)
    return save(tensors, {HEADER: json.dumps(header, sort_keys=True)})


@overload
def from_bytes(model: MemoryCrystal, content: bytes) -> Memory: ...
@overload
def from_bytes(model: InfiniteMemoryTransformer | TokenModel, content: bytes) -> State: ...
def from_bytes(model: Model, content: bytes) -> State | Memory:
    """The State that was made with `to_bytes`, or the Memory if the model is a MemoryCrystal, on the model's device.

    Raises InvalidInputError for bytes of something else, for a state of other settings or of other weights, and for
    one that was changed since; those of earlier versions have no digest to tell it by.
    """
    _check_model(model)
    if not isinstance(content, bytes):
        raise InvalidInputError(f"content is {article(type(content).__name__)}; give the bytes that to_bytes made")
    own, device = _header(model), next(model.parameters()).device
    try:
        header, loaded = _read(content)
        refusal = next((_refusal(what, header[what], own[what]) for what in own if header[what] != own[what]), None)
        if DIGEST in header and header[DIGEST] != digest(header, loaded):
            refusal = f"{len(content)} bytes of a state that was changed (its digest is another); give another copy"
        if refusal is None:
            tensors = {name: each.to(device) for name, each in loaded.items()}
            return _memory(model, tensors) if isinstance(model, MemoryCrystal) else _state(model, tensors)
    except (SafetensorError, *BROKEN) as error:
        raise InvalidInputError(
            f"{len(content)} bytes that are no state of a neural memory ({error!r}); give what to_bytes made"
        ) from error
    raise InvalidInputError(refusal)


def _check_model(model: Model) -> None:
    if not isinstance(model, Model):
        kinds = ", ".join(each.__name__ for each in get_args(Model))
        raise InvalidInputError(f"model is {article(type(model).__name__)}; one of {kinds} is needed, in front")


# ---- a state taken apart and put together


def _parts(state: State | Memory) -> dict[str, Tensor]:
    if isinstance(state, Memory):
        return {MEMORY + name: each for name, each in tensors_of(state).items()}
    tensors = _parts(state.memory)
    if state.convolution is not None:
        tensors["convolution"] = state.convolution
    for half in HALVES:
        for number, cache in enumerate(getattr(state, half)):
            if cache is not None:
                tensors |= {f"{half}.{number}.keys": cache.keys, f"{half}.{number}.values": cache.values}
    return tensors


def _memory(model: MemoryCrystal, tensors: Mapping[str, Tensor]) -> Memory:
    kept = {name.removeprefix(MEMORY): each for name, each in tensors.items() if name.startswith(MEMORY)}
    return memory_of(model.settings, kept)


def _state(model: InfiniteMemoryTransformer | TokenModel, tensors: Mapping[str, Tensor]) -> State:
    transformer = _transformer(model)
    lower, upper = (
        tuple(_cache(tensors, f"{half}.{number}") for number in range(getattr(transformer.settings, half)))
        for half in HALVES
    )
    memory = _memory(transformer.crystal, tensors)
    return State(memory, tensors.get("convolution"), lower, upper)


def _transformer(model: Model) -> InfiniteMemoryTransformer:
    """Of a model that has states."""
    assert not isinstance(model, MemoryCrystal)
    return model.transformer if isinstance(model, TokenModel) else model


def _cache(tensors: Mapping[str, Tensor], name: str) -> Cache | None:
    """A cache; None for one that was not filled yet."""
    filled = f"{name}.keys" in tensors
    return Cache(tensors[f"{name}.keys"], tensors[f"{name}.values"]) if filled else None


# ---- what made it


def _header(model: Model) -> dict[str, Any]:
    """What a state must agree with, as JSON has it."""
    made = {
        "model": type(model).__name__,
        "settings": asdict(model.settings),
        "weights": fingerprint(model.state_dict())[:16],
    }
    return json.loads(json.dumps(made))


def _read(content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors. Safetensors begin with eight bytes, how long the JSON after them is, which has metadata."""
    tensors = load(content)
    size = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"][HEADER]), tensors


def _fitting(model: Model) -> str:
    return "give its Memory" if isinstance(model, MemoryCrystal) else "give the State of a stream"


def _refusal(what: str, there: Any, own: Any) -> str:
    if what == "model":
        return f"the bytes hold a state of {there}, not of {own}; load it with the model that made it"
    if what == "weights":
        remedy = "load it with the weights that made it, or stream the tokens again"
        return f"the state was made with weights {there} and the model has weights {own}; {remedy}"
    other = sorted(name for name in {**_flat(there), **_flat(own)} if _flat(there).get(name) != _flat(own).get(name))
    differing = [", ".join(f"{name}={_flat(each).get(name)}" for name in other) for each in (there, own)]
    return f"the state was made with {differing[0]} and the model has {differing[1]}; use the model that made it"


def _flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Settings within settings, by their dotted names."""
    flat: dict[str, Any] = {}
    for name, each in settings.items():
        flat |= _flat(each, f"{before}{name}.") if isinstance(each, Mapping) else {before + name: each}
    return flat
