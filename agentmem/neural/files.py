"""Weights, settings and memory in one safetensors file: never pickle, and the settings travel with the weights.

The same weights, settings and words give the same bytes, and a file is there whole or not at all. Knows tensors by name
and frozen settings. Knows nothing of the modules they belong to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.memory import Memory
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.values import Crystals

HEADER = "agentmem"  # one entry of metadata, since the order of several is not fixed
MEMORY = "memory."
OPEN = ("slots", "importance", "at")


@dataclass(frozen=True)
class Saved:
    """What a file held. command: what made it. notes: what else was said of it, as JSON has it."""

    settings: dict[str, Any]
    command: str
    tensors: dict[str, Tensor]
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> dict[str, Tensor]:
        return {name: each for name, each in self.tensors.items() if not name.startswith(MEMORY)}

    def memory(self, settings: CrystalSettings) -> Memory | None:
        """The memory that was saved along, if there was one."""
        kept = {name.removeprefix(MEMORY): each for name, each in self.tensors.items() if name.startswith(MEMORY)}
        return memory_of(settings, kept) if kept else None


def save(
    path: str | Path,
    kind: str,
    settings: Any,
    weights: Mapping[str, Tensor],
    memory: Memory | None,
    command: str = "",
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write a file of `kind`. settings: a frozen dataclass. command: what made the weights. notes: as JSON has them."""
    tensors = {**weights, **({MEMORY + name: each for name, each in tensors_of(memory).items()} if memory else {})}
    header = {"kind": kind, "settings": asdict(settings), "command": command, "notes": dict(notes or {})}
    plain = {name: each.detach().cpu().contiguous() for name, each in tensors.items()}
    write(path, to_bytes(plain, {HEADER: json.dumps(header, sort_keys=True)}))


def write(path: str | Path, content: bytes) -> None:
    """Put content in the place of a file at once: whoever reads it meanwhile, or a kill, finds the old or the new."""
    part = Path(f"{path}.part")
    part.write_bytes(content)
    os.replace(part, path)


def load(path: str | Path, kind: str) -> Saved:
    """Read a file of `kind`. Raises InvalidInputError for one of another kind, FileNotFoundError for none."""
    try:
        with safe_open(path, "pt") as file:
            header = _header(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise InvalidInputError(f"{path} is no safetensors file ({error}); a {kind} is needed") from error
    if header.get("kind") != kind:
        raise InvalidInputError(f"{path} holds {header.get('kind', 'weights of unknown kind')}; a {kind} is needed")
    return Saved(_frozen(header["settings"]), header["command"], tensors, header["notes"])


def _header(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Of a file of ours; empty for another. The first files had an entry of metadata for each, and no notes."""
    if "kind" in metadata:
        return {**metadata, "settings": json.loads(metadata["settings"]), "notes": {}}
    return dict(json.loads(metadata.get(HEADER, "{}")))


def _frozen(settings: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where settings have tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def tensors_of(memory: Memory) -> dict[str, Tensor]:
    """A memory as tensors by name."""
    named = {"hidden": memory.hidden, "atoms": memory.atoms}
    for layer, (open, recent) in enumerate(zip(memory.open, memory.recent, strict=True)):
        named |= {f"open.{layer}.{name}": getattr(open, name) for name in OPEN}
        named[f"recent.{layer}"] = recent
    counts = [memory.position, *memory.made, *(each.first for each in memory.open)]
    return {**named, "counts": torch.tensor(counts)}


def memory_of(settings: CrystalSettings, kept: dict[str, Tensor]) -> Memory:
    """The memory that `tensors_of` took apart."""
    position, units, clusters, atoms, *first = kept["counts"].tolist()
    unit, cluster = (_crystals(kept, layer, first[layer]) for layer in (0, 1))
    recent = kept["recent.0"], kept["recent.1"]
    made = units, clusters, atoms
    return Memory(settings, position, kept["hidden"], (unit, cluster), recent, made, kept["atoms"])


def _crystals(kept: dict[str, Tensor], layer: int, first: int) -> Crystals:
    slots, importance, at = (kept[f"open.{layer}.{name}"] for name in OPEN)
    return Crystals(slots, importance, at, first)
