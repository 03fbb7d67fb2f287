"""The recall task over one long stream: what is answered exactly, from how many bytes, at what cost per token.

Knows a token model and the recall task. No fact is asked for twice: the second question would be answered by the first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from agentmem.errors import InvalidInputError
from agentmem.neural.measure import Watch, answers, bytes_of, clock, device_of, quiet, written
from agentmem.neural.tasks.key_value import FactQuestions, RecallTask, earlier_questions, questions
from agentmem.neural.tokens import TokenModel
from agentmem.neural.transformer import State
from agentmem.neural.view import View

ANEW = 0.3  # share of facts that set a key anew, in the second stream


@dataclass(frozen=True)
class Recalled:
    """Shares of questions whose two symbols are both right, and what they cost.

    exact: of `asked` different keys. exact_int8, exact_fp32: the same with atoms of so many bits a number. latest: of
    `asked_latest` keys that were set anew, in a second stream; earlier: of `asked_earlier` values before, asked as of
    then; None where nothing was set anew. Bytes are of the first stream; resident_bytes: atoms, recent crystals and
    open states; memory_bytes: the transformer's windows too. Costs are in microseconds of `measure.clock`;
    read_us_per_token: of tokens read with all of the memory in reach.
    """

    tokens: int
    facts: int
    asked: int
    asked_latest: int
    asked_earlier: int
    exact: float
    exact_int8: float
    exact_fp32: float
    latest: float | None
    earlier: float | None
    atom_bytes: int
    resident_bytes: int
    memory_bytes: int
    write_us_per_token: float
    read_us_per_token: float


@torch.no_grad()
def recalled(model: TokenModel, task: RecallTask, ask: int = 200, seed: int = 0, progress: Watch = quiet) -> Recalled:
    """Write two fresh streams of the task, one with a third of its keys set anew, and ask `ask` questions of each kind,
    or as many as there are facts to ask for.

    Raises InvalidInputError where nothing is asked.
    """
    if ask < 1:
        raise InvalidInputError(f"ask={ask}: at least one question is needed")
    model.eval()
    generator, device = torch.Generator().manual_seed(seed), device_of(model)
    stream, facts = task.stream(1, generator)
    times = [clock(device)]
    state, wide = written(model, stream, progress)
    times.append(clock(device))
    asked = questions(facts, min(ask, int(facts.latest.sum())), generator)
    times.append(clock(device))
    exact = _share(model, state, state.memory.view(), asked)
    times.append(clock(device))
    return Recalled(
        tokens=task.horizon,
        facts=task.facts,
        asked=asked.at.shape[1],
        exact=exact,
        exact_int8=_share(model, state, wide.view(state, "int8"), asked),
        exact_fp32=_share(model, state, wide.view(state, "float"), asked),
        **_anew(model, replace(task, overwritten=ANEW), ask, generator, progress),
        atom_bytes=state.memory.atom_bytes,
        resident_bytes=state.memory.resident_bytes,
        memory_bytes=bytes_of(state),
        write_us_per_token=(times[1] - times[0]) / task.horizon * 1e6,
        read_us_per_token=(times[3] - times[2]) / asked.tokens.shape[1] * 1e6,
    )


def _anew(model: TokenModel, task: RecallTask, ask: int, generator: torch.Generator, progress: Watch) -> dict[str, Any]:
    """The figures of a stream that sets keys anew."""
    stream, facts = task.stream(1, generator)
    if not facts.anew.any():
        return {"latest": None, "asked_latest": 0, "earlier": None, "asked_earlier": 0}
    state, _ = written(model, stream, progress)
    view = state.memory.view()
    latest = questions(facts, min(ask, int(facts.anew.sum())), generator, facts.anew)
    earlier = earlier_questions(facts, min(ask, int(facts.past.sum())), generator)
    return {
        "latest": _share(model, state, view, latest),
        "asked_latest": latest.at.shape[1],
        "earlier": _share(model, state, view, earlier),
        "asked_earlier": earlier.at.shape[1],
    }


def _share(model: TokenModel, state: State, view: View, asked: FactQuestions) -> float:
    """Of questions, those answered exactly."""
    return float(answers(model, state, view, asked).all(-1).double().mean())
