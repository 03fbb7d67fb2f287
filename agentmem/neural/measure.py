"""Recall over one long stream: what is answered exactly, from how many bytes, at what cost per token.

Knows a token model and the recall task. Writes in chunks, then asks; questions change neither stream nor memory.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from agentmem.neural.tasks.key_value import EVERY, Facts, RecallTask, exact, questions
from agentmem.neural.tokens import TokenModel
from agentmem.neural.transformer import State

CHUNK = 10_000
TOGETHER = 10  # questions in one chunk


@dataclass(frozen=True)
class Recalled:
    """exact: share of `asked` questions whose two symbols are both right. Bytes are of the whole stream's memory.

    resident_bytes: atoms, recent crystals and open states, without the transformer's windows. Costs are of processor
    time in microseconds; read_us_per_token: of tokens read with all of the memory in reach.
    """

    tokens: int
    facts: int
    asked: int
    exact: float
    atom_bytes: int
    resident_bytes: int
    write_us_per_token: float
    read_us_per_token: float


@torch.no_grad()
def recalled(
    model: TokenModel, task: RecallTask, ask: int = 200, seed: int = 0, layers: tuple[int, ...] | None = None
) -> Recalled:
    """Write a fresh stream of the task, then ask `ask` questions. layers: those read, all by default."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    stream, facts = task.stream(1, generator)
    began = time.process_time()
    state = written(model, stream)
    middle = time.process_time()
    right = [_asked(model, state, facts, generator, layers) for _ in range(-(-ask // TOGETHER))]
    spent = time.process_time() - middle
    return Recalled(
        tokens=task.horizon,
        facts=task.facts,
        asked=len(right) * TOGETHER,
        exact=float(torch.cat(right).float().mean()),
        atom_bytes=state.memory.atom_bytes,
        resident_bytes=state.memory.resident_bytes,
        write_us_per_token=(middle - began) / task.horizon * 1e6,
        read_us_per_token=spent / (len(right) * TOGETHER * EVERY) * 1e6,
    )


def written(model: TokenModel, stream: Tensor) -> State:
    """The state after a stream [B, T], chunk by chunk."""
    state = model.transformer.start(len(stream))
    for chunk in stream.split(CHUNK, 1):
        state = model.remember(chunk, state)
    return state


def _asked(
    model: TokenModel, state: State, facts: Facts, generator: torch.Generator, layers: tuple[int, ...] | None
) -> Tensor:
    asked = questions(facts, TOGETHER, generator)
    return exact(model.ask(asked.tokens, state, layers), asked).flatten()
