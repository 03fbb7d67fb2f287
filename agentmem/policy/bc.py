"""Imitation of an oracle, with DAgger: from the second round on the pupil plays too, and the oracle says what would
have been right there.

Source: Ross et al. 2011 (arXiv:1011.0686). Knows demonstrations, a loss, and a training in its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from agentmem.neural.runs import Run
from agentmem.neural.train import Step, Trainer
from agentmem.policy.choice import ChoiceNetwork
from agentmem.policy.choosing import ChoicePolicy
from agentmem.policy.demonstrations import Choices, Shift, kept

BATCH = 32
WITHOUT = 0.15
"""Share of decisions that are learned without any context, as a policy without memory sees them."""
HIDDEN = 4.0
"""How much more often a decision that turns on a hidden fact is drawn."""
ACTING = 0.5
"""Share of the decisions of a later round that are the pupil's."""
DEMONSTRATIONS = "demonstrations"


@dataclass
class ChoiceImitation:
    """known: what is learned from."""

    known: Choices | None = None

    def add(self, shown: Sequence[Choices]) -> None:
        self.known = Choices.joined([*([self.known] if self.known else []), *shown])

    def step(self, model: ChoiceNetwork, stage: int, generator: torch.Generator) -> Step:
        assert self.known is not None
        often = torch.from_numpy(self.known.hidden) * (HIDDEN - 1) + 1
        at = torch.multinomial(often, BATCH, generator=generator)
        without = torch.rand(BATCH, generator=generator) < WITHOUT
        present, lines, own, right = self.known.batch(at, without)
        logits = model(present, lines, own)
        hits = float((logits.detach().argmax(-1) == right).float().mean())
        return Step({"choice": F.cross_entropy(logits, right)}, hits, BATCH)

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return False


def rounds_of(
    envs: Sequence[str], options: Mapping[str, Any], episodes: int, rounds: int, budgets: Sequence[int], seed: int
) -> list[list[Shift]]:
    """What is shown in each round: so many episodes of each environment, no seed twice, budgets in turn."""
    return [
        [
            Shift(env, options, seed + step * episodes + number, budgets[number % len(budgets)], ACTING if step else 0)
            for env in envs
            for number in range(episodes)
        ]
        for step in range(rounds)
    ]


def imitate(
    run: Run,
    trainer: Trainer[ChoiceNetwork],
    objective: ChoiceImitation,
    rounds: Sequence[Sequence[Shift]],
    watch: Callable[[Run], None] = lambda run: None,
    stop: Callable[[], bool] = lambda: False,
    tell: Callable[[float, float], None] = lambda done, total: None,
) -> bool:
    """Show and train, round by round, each with its share of the budget. Says whether it is used up.

    What was shown is kept in the run's folder and not shown again. watch, stop: as in `Run.go`. tell: (episodes shown
    in this round, all of them).
    """
    for number, shifts in enumerate(rounds):
        pupil = ChoicePolicy(trainer.model) if number else None
        objective.add(list(_shown(shifts, run.folder / DEMONSTRATIONS, pupil, tell)))
        share = (number + 1) / len(rounds)
        run.go(watch, lambda share=share: stop() or trainer.done >= share)  # type: ignore[misc]
        if stop():
            break
    return trainer.done == 1


def _shown(
    shifts: Sequence[Shift], folder: Path, pupil: ChoicePolicy | None, tell: Callable[[float, float], None]
) -> Iterator[Choices]:
    for number, shift in enumerate(shifts):
        yield kept(shift, folder, pupil, lambda done, number=number: tell(number + done, len(shifts)))  # type: ignore[misc]
        tell(number + 1, len(shifts))
