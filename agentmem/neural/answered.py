"""Any task over long streams: how many of its questions are answered, and which tokens of the answers are right.

Knows a token model and the form of tasks. Knows nothing of any one task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from agentmem.errors import InvalidInputError
from agentmem.neural.measure import Watch, answers, quiet, written
from agentmem.neural.tasks.task import Task
from agentmem.neural.tokens import TokenModel


@dataclass(frozen=True)
class Answered:
    """exact: share of `asked` different questions with every token right. by_place: share of right first tokens, second
    tokens and so on, each after the right ones; what is past an answer's end counts as right. tokens: of one stream.
    atom_bytes: of one stream's memory.
    """

    tokens: int
    asked: int
    exact: float
    by_place: tuple[float, ...]
    atom_bytes: int


@torch.no_grad()
def answered(
    model: TokenModel,
    task: Task[Any],
    streams: int = 1,
    ask: int = 200,
    seed: int = 0,
    progress: Watch = quiet,
) -> Answered:
    """Write so many fresh streams of the task, one by one, and ask `ask` questions of each, or as many as it has.

    Raises InvalidInputError for no streams or questions.
    """
    if streams < 1 or ask < 1:
        raise InvalidInputError(f"streams={streams}, ask={ask}: at least one stream and one question are needed")
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    told = []
    for number in range(streams):
        stream, facts = task.stream(1, generator)
        asked = task.questions(facts, min(ask, task.askable), generator)
        state, _ = written(model, stream, lambda doing, done: progress(doing, (number + done) / streams))  # noqa: B023
        told.append(answers(model, state, state.memory.view(), asked))
    longest = max(each.shape[1] for each in told)
    right = torch.cat([F.pad(each, (0, longest - each.shape[1]), value=True) for each in told])
    by_place = tuple(right.float().mean(0).tolist())
    exact = float(right.all(-1).double().mean())
    return Answered(task.horizon, len(right), exact, by_place, state.memory.atom_bytes)
