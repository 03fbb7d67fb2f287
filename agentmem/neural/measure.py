"""Recall over one long stream: what is answered exactly, from how many bytes, at what cost per token.

Knows a token model and the recall task. Writes in chunks, then asks; questions change neither stream nor memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.quantise import Precision, quantise
from agentmem.neural.settings import ATOM
from agentmem.neural.tasks.key_value import FactQuestions, Facts, RecallTask, earlier_questions, overwritten_questions
from agentmem.neural.tasks.task import Questions, exact
from agentmem.neural.tokens import TokenModel
from agentmem.neural.transformer import State
from agentmem.neural.view import View, joined, view_of

CHUNK = 10_000
TOGETHER = 10  # questions in one chunk
ANEW = 0.3  # share of facts that set a key anew, in the second stream

Progress = Callable[[str, float], None]
"""Takes what is being done and the share of it that is done."""


def quiet(doing: str, done: float) -> None:
    """Reports nothing."""


@dataclass(frozen=True)
class Recalled:
    """Shares of `asked` questions whose two symbols are both right, and what they cost.

    exact: of different keys. exact_int8, exact_fp32: the same with atoms of so many bits a number. latest: of keys that
    were set anew, in a second stream; earlier: the value before, asked as of then. Bytes are of the first stream;
    resident_bytes: atoms, recent crystals and open states, without the transformer's windows. Costs are of processor
    time in microseconds; read_us_per_token: of tokens read with all of the memory in reach.
    """

    tokens: int
    facts: int
    asked: int
    exact: float
    exact_int8: float
    exact_fp32: float
    latest: float
    earlier: float
    atom_bytes: int
    resident_bytes: int
    write_us_per_token: float
    read_us_per_token: float


@torch.no_grad()
def recalled(
    model: TokenModel, task: RecallTask, ask: int = 200, seed: int = 0, progress: Progress = quiet
) -> Recalled:
    """Write two fresh streams of the task, one with a third of its keys set anew, and ask `ask` questions of each kind.

    Raises InvalidInputError where nothing is asked.
    """
    if ask < 1:
        raise InvalidInputError(f"ask={ask}: at least one question is needed")
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    stream, facts = task.stream(1, generator)
    began = time.process_time()
    state, wide = written(model, stream, progress)
    writing = time.process_time() - began
    each = min(TOGETHER, task.askable)
    asked = [task.questions(facts, each, generator) for _ in range(-(-ask // each))]
    began = time.process_time()
    right = _share(model, state, state.memory.view(), asked)
    reading = time.process_time() - began
    latest, earlier = _anew(model, replace(task, overwritten=ANEW), ask, generator, progress)
    return Recalled(
        tokens=task.horizon,
        facts=task.facts,
        asked=sum(each.at.shape[1] for each in asked),
        exact=right,
        exact_int8=_share(model, state, wide.view(state, "int8"), asked),
        exact_fp32=_share(model, state, wide.view(state, "float"), asked),
        latest=latest,
        earlier=earlier,
        atom_bytes=state.memory.atom_bytes,
        resident_bytes=state.memory.resident_bytes,
        write_us_per_token=writing / task.horizon * 1e6,
        read_us_per_token=reading / sum(each.tokens.shape[1] for each in asked) * 1e6,
    )


@dataclass(frozen=True)
class Wide:
    """Atoms of a stream before they were packed, slots [B, n, S, slot_bits], for comparison."""

    slots: Tensor

    def view(self, state: State, precision: Precision) -> View:
        """What may be read of a stream if its atoms were kept in this precision."""
        memory = state.memory
        serial = torch.arange(self.slots.shape[1], device=self.slots.device).expand(len(self.slots), -1)
        atoms = view_of(memory.settings, ATOM, quantise(self.slots, precision), serial)
        return joined([atoms, replace(memory.view(), packed=None)])


def written(model: TokenModel, stream: Tensor, progress: Progress = quiet) -> tuple[State, Wide]:
    """The state after a stream [B, T], chunk by chunk, and its atoms as they were before."""
    state = model.transformer.start(len(stream))
    device = next(model.parameters()).device
    atoms = []
    for i, chunk in enumerate(stream.split(CHUNK, 1)):
        _, crystals, state = model.transformer.write(model.embedded(chunk.to(device)), state)
        atoms.append(crystals.layers[ATOM].slots)
        progress("writing", min(1.0, (i + 1) * CHUNK / stream.shape[1]))
    return state, Wide(torch.cat(atoms, 1))


def _anew(
    model: TokenModel, task: RecallTask, ask: int, generator: torch.Generator, progress: Progress
) -> tuple[float, float]:
    stream, facts = task.stream(1, generator)
    state, _ = written(model, stream, progress)
    view = state.memory.view()

    def share(questions: Callable[[Facts, int, torch.Generator], FactQuestions]) -> float:
        asked = [questions(facts, TOGETHER, generator) for _ in range(-(-ask // TOGETHER))]
        return _share(model, state, view, list(asked))

    return share(overwritten_questions), share(earlier_questions)


def _share(model: TokenModel, state: State, view: View, asked: list[FactQuestions]) -> float:
    return float(torch.cat([answers(model, state, view, each) for each in asked]).float().mean())


def answers(model: TokenModel, state: State, view: View, asked: Questions) -> Tensor:
    """Which questions to one stream are answered exactly: bool [Q]."""
    asked = asked.to(next(model.parameters()).device)
    return exact(model.ask(asked.tokens, state, view, asked.times), asked).flatten()
