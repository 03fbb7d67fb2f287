"""MemoryCrystal: hidden states in, crystals kept at 100 bytes per 100 tokens, and what matters of them out again.

Joins writer, memory and reader; saves them in one file. Knows nothing of tokens or of the transformer around it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agentmem.errors import InvalidInputError
from agentmem.neural.files import load, save
from agentmem.neural.memory import Memory
from agentmem.neural.reader import Reader, gather
from agentmem.neural.settings import ATOM, CLUSTER, UNIT, CrystalSettings, check_same, sized
from agentmem.neural.shapes import STATES, check, check_device, check_finite, check_type, check_weight
from agentmem.neural.values import Choices, Crystals, Written
from agentmem.neural.view import View, block_start
from agentmem.neural.writer import Writer

MOST_STREAMS = 2**20
ANEW = "start(B) begins a memory of B streams"
EMPTIED = "forget() empties the memory, for another B"
MOVED = "states.to_bytes and from_bytes bring it to the model's device"  # and a crystal's own memory moves with it


class MemoryCrystal(nn.Module):
    """A memory of hidden states as crystals: 10 tokens to a unit, 5 units to a cluster, 2 clusters to an atom.

        crystal = MemoryCrystal(dimension=96)
        crystal.crystallize(states)              # [B, T, 96], as they come
        found = crystal.recall(query)            # [B, k, 96]

    Other keywords are those of CrystalSettings. An atom is 768 bits and 4 bytes of metadata; `memory` is what is kept.
    Weights are float32, and whatever is called of a crystal of others raises InvalidInputError; what it is given may
    have fewer bits, and torch.autocast may be around it.
    """

    memory: Memory | None

    def __init__(self, dimension: int = 768, **keywords: object) -> None:
        super().__init__()
        self.settings = CrystalSettings(dimension=dimension, **keywords)  # type: ignore[arg-type]
        self.writer = Writer(self.settings)
        self.reader = Reader(self.settings)
        self.memory = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Raises InvalidInputError for a memory that is none of this crystal's, at once and not where it is used."""
        if name == "memory" and value is not None:  # no property: nn.Module takes a module past it, as one of its own
            self._check_memory(value, "start and write give one, states.from_bytes one that was kept")
        super().__setattr__(name, value)

    def crystallize(self, context_embeddings: Tensor) -> Written:
        """Write context_embeddings [B, T, dimension], the continuation of what was written before; T >= 1, of any size.

        Returns the crystals that this completed, with gradients: slots [B, n, S, slot_bits] of units, clusters, atoms.
        Raises InvalidInputError for another shape, another B than before, any type but float32, bfloat16 and float16,
        and for numbers that are not finite or whose squares are not.
        """
        self._check("context_embeddings", context_embeddings, self.memory, EMPTIED)
        memory = self.memory or self.start(len(context_embeddings))
        written, self.memory = self._write(context_embeddings, memory)
        return written

    def recall(self, query: Tensor, depth: int = 3, written: Written | None = None) -> Tensor:
        """The slots that answer query [B, Tq, dimension] best: float32 [B, k, dimension], the best first.

        k: settings.read, or as many as each of the B streams has to read, where that is fewer.

        depth: how many layers are read, from atoms down: 1 atoms, 2 clusters too, 3 units too. written: crystals that
        `crystallize` or `write` gave of B streams, read with gradients in place of the memory. Each row is weighted by
        its share of the reading. Raises InvalidInputError for another depth, crystals of another B, other sizes or on
        another device, and a query that `crystallize` would refuse.
        """
        self._check("query", query, self.memory, EMPTIED)
        if isinstance(depth, bool) or not isinstance(depth, int) or not 1 <= depth <= len(self.settings.ratios):
            raise InvalidInputError(f"depth={depth!r}: 1 (atoms), 2 (clusters too) or 3 (units too) is needed")
        memory = self.memory or self.start(len(query))
        view, position = (memory.view(), memory.position) if written is None else self._of_written(written, memory)
        return self._best(query.float(), view.only((ATOM, CLUSTER, UNIT)[:depth]), position)

    def start(self, streams: int) -> Memory:
        """An empty memory of so many streams. Raises InvalidInputError for none, and more than 2**20."""
        sized(1, MOST_STREAMS, streams=streams)
        return Memory.empty(self.settings, streams, self._weight.device)

    def forget(self) -> None:
        """Empty the memory; the weights stay."""
        self.memory = None

    def write(self, hidden: Tensor, memory: Memory) -> tuple[Written, Memory]:
        """What hidden [B, T, dimension] adds to a memory, and the memory with it. Changes nothing.

        Raises InvalidInputError for hidden states that `crystallize` would refuse, and a memory of other sizes.
        """
        self._check_memory(memory, "start gives the first, write each next one")
        self._check("hidden state", hidden, memory, ANEW)
        return self._write(hidden, memory)

    def _write(self, hidden: Tensor, memory: Memory) -> tuple[Written, Memory]:
        hidden = torch.cat((memory.hidden, hidden), 1)
        position = memory.made[UNIT] * self.settings.spans[UNIT] + hidden.shape[1]
        units, of_units = self.writer.units(hidden, memory.made[UNIT])
        clusters, of_clusters, open_units = self._merge(CLUSTER, memory.open[0].then(units))
        atoms, of_atoms, open_clusters = self._merge(ATOM, memory.open[1].then(clusters))
        written = Written((units, clusters, atoms), (of_units, of_clusters, of_atoms))
        rest = hidden[:, units.number * self.settings.ratios[UNIT] :]
        return written, memory.remember(written, rest, (open_units, open_clusters), position)

    def save(self, path: str | Path) -> None:
        """Weights, settings and memory in one safetensors file."""
        save(path, "MemoryCrystal", self.settings, self.state_dict(), self.memory)

    @classmethod
    def load(cls, path: str | Path) -> MemoryCrystal:
        """What `save` wrote, its weights as float32. Raises InvalidInputError for a file of something else."""
        saved = load(path, "MemoryCrystal")
        crystal = saved.built(lambda settings: cls(**settings))
        crystal.memory = saved.memory(crystal.settings)
        return crystal

    def _merge(self, layer: int, below: Crystals) -> tuple[Crystals, Choices, Crystals]:
        """The crystals of a layer that are complete, what they were chosen from, and those below that wait."""
        whole = below.number // self.settings.ratios[layer] * self.settings.ratios[layer]
        return *self.writer.merge(layer, below.part(0, whole)), below.part(whole)

    def _of_written(self, written: Written, memory: Memory) -> tuple[View, int]:
        """What may be read of crystals alone, and where their stream was: the memory's end if it has just got them."""
        check_type("written", written, Written, "crystallize and write give it")
        streams, units = len(memory.atoms), written.layers[UNIT]
        for each, slots in zip(written.layers, self.settings.slots_of, strict=True):
            check("slots that were written", each.slots, streams, each.number, slots, self.settings.slot_bits)
            check_device("slots that were written", each.slots, self._weight, "write their hidden states again, there")
        made = units.first + units.number
        behind = made * self.settings.spans[UNIT] + self.settings.lookahead
        return self.start(streams).view(written), memory.position if made == memory.made[UNIT] else behind

    def _best(self, query: Tensor, view: View, position: int) -> Tensor:
        if not view.number:
            return query[:, :0]
        positions = torch.full((query.shape[1],), position, device=query.device)
        reading = self.reader(query, self.writer.cue, view, positions)
        view = reading.view
        share = reading.weights.new_zeros(*reading.weights.shape[:3], view.number)
        share = share.scatter(-1, reading.chosen, reading.weights).mean(2)
        readable = view.readable(block_start(positions[:1]))[:, 0].sum(-1).min()
        chosen = share.mean(1).topk(min(self.settings.read, int(readable)), -1).indices
        heads = chosen[:, None].expand(-1, self.settings.heads, -1)
        weighted = share.gather(-1, heads).unsqueeze(-1) * gather(view.values, heads)
        return self.reader.expand(weighted.transpose(1, 2).flatten(2)).float()  # autocast gives fewer bits

    @property
    def _weight(self) -> Tensor:
        """One, as an example of all."""
        return self.writer.cue_projection.weight

    def _check_memory(self, memory: Memory, remedy: str) -> None:
        check_type("memory", memory, Memory, remedy)
        check_same("memory", memory.settings.sizes, self.settings.sizes)
        check_device("memory", memory.hidden, self._weight, MOVED)

    def _check(self, name: str, tensor: Tensor, memory: Memory | None, anew: str) -> None:
        """Of what goes with a memory, or with none yet. anew: what helps where that is of another B."""
        check_weight("MemoryCrystal", self._weight)
        streams = "B" if memory is None else len(memory.atoms)
        check(name, tensor, streams, "T", self.settings.dimension, types=STATES, anew=anew)
        check_device(name, tensor, self._weight)
        check_finite(name, tensor)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> MemoryCrystal:
        """What moves each weight to a device moves the memory too. It keeps its types, which are not the weights'."""
        super()._apply(fn, recurse)
        if self.memory is not None:
            self.memory = _moved(self.memory, fn(self.memory.hidden.new_empty(0)).device)
        return self


def _moved(memory: Memory, device: torch.device) -> Memory:
    units, clusters = (
        replace(each, slots=each.slots.to(device), importance=each.importance.to(device), at=each.at.to(device))
        for each in memory.open
    )
    recent = memory.recent[UNIT].to(device), memory.recent[CLUSTER].to(device)
    return replace(
        memory, hidden=memory.hidden.to(device), open=(units, clusters), recent=recent, atoms=memory.atoms.to(device)
    )
