"""Long streams, measured: written in chunks, then asked; questions change neither stream nor memory.

Knows a token model and the form of questions. Knows nothing of any one task.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from agentmem.neural.quantise import Precision, quantise
from agentmem.neural.settings import ATOM, CLUSTER, UNIT
from agentmem.neural.tasks.task import Questions, right
from agentmem.neural.tokens import TokenModel
from agentmem.neural.transformer import State
from agentmem.neural.view import View, joined, view_of

CHUNK = 10_000
TOGETHER = 10  # questions in one chunk

Watch = Callable[[str, float], None]
"""Takes what is being done and the share of it that is done."""


def quiet(doing: str, done: float) -> None:
    """Reports nothing."""


def device_of(model: TokenModel) -> torch.device:
    return next(model.parameters()).device


def clock(device: torch.device) -> float:
    """Seconds of the processor's time; on a CUDA device those that pass, once it has done what it was given."""
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass(frozen=True)
class Wide:
    """All atoms of a stream before they were packed, slots [B, n, S, slot_bits], for comparison."""

    slots: Tensor

    def view(self, state: State, precision: Precision) -> View:
        """What may be read of a stream if the atoms that it keeps were kept in this precision."""
        memory, births = state.memory, state.memory.births()
        slots = self.slots
        if births.shape[1] < slots.shape[1]:  # some were evicted
            slots = torch.stack([each[kept] for each, kept in zip(slots, births, strict=True)])
        atoms = view_of(memory.settings, ATOM, quantise(slots, precision), births)
        return joined([atoms, memory.view().only((UNIT, CLUSTER))])


def written(model: TokenModel, stream: Tensor, progress: Watch = quiet) -> tuple[State, Wide]:
    """The state after a stream [B, T], chunk by chunk, and its atoms as they were before."""
    state, device = model.transformer.start(len(stream)), device_of(model)
    atoms = []
    for i, chunk in enumerate(stream.split(CHUNK, 1)):
        _, crystals, state = model.transformer.write(model.embedded(chunk.to(device)), state)
        atoms.append(crystals.layers[ATOM].slots)
        progress("writing", min(1.0, (i + 1) * CHUNK / stream.shape[1]))
    return state, Wide(torch.cat(atoms, 1))


def answers(model: TokenModel, state: State, view: View, asked: Questions) -> Tensor:
    """Which tokens of the answers are right, of questions to one stream, asked ten at a time: bool [Q, n]."""
    told = []
    for each in (some.to(device_of(model)) for some in asked.split(TOGETHER)):
        told.append(right(model.ask(each.tokens, state, view, each.times), each).flatten(0, 1))
    return torch.cat(told)


def bytes_of(state: State) -> int:
    """Bytes that one stream carries: its memory, and what the transformer's windows hold."""
    windows = sum(each.nbytes for each in (state.convolution, *state.lower, *state.upper) if each is not None)
    return state.memory.resident_bytes + windows // len(state.memory.atoms)
