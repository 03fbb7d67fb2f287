"""Imitation of an oracle, with DAgger: from the second round on the pupil plays too, and the oracle says what would
have been right there.

Source: Ross et al. 2011 (arXiv:1011.0686). Knows demonstrations, a loss, and a training in its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import torch
import torch.nn.functional as F
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural import losses
from agentmem.neural.reader import FORBIDDEN, Reading
from agentmem.neural.runs import Run
from agentmem.neural.task_training import marked
from agentmem.neural.train import Step, Trainer
from agentmem.neural.view import block_start
from agentmem.policy.choice import ChoiceNetwork
from agentmem.policy.choosing import ChoicePolicy
from agentmem.policy.demonstrations import Choices, Shift, kept
from agentmem.policy.horizon import grown, horizon
from agentmem.policy.shown import Batch, Episode, Showing, acted, batch_of, episode
from agentmem.policy.step_network import Decided, StepNetwork
from agentmem.rollout.raised import closing

BATCH = 32
WITHOUT = 0.15
"""Share of decisions that are learned without any context, as a policy without memory sees them."""
HIDDEN = 4.0
"""How much more often a decision that turns on a hidden fact is drawn."""
ACTING = 0.5
"""Share of the decisions of a later round that are the pupil's."""
ACTED = 256
"""Steps of an episode in which the pupil plays, at most: one that is lost would go on for long."""
DEMONSTRATIONS = "demonstrations"
EASY = 0.02
"""The least weight of a step; of others the more, the less likely the right action still is (Lin et al. 2017,
arXiv:1708.02002): most steps of a corridor are easy."""
WRITE_READ, IMPORTANCE, RECALLED = 0.5, 0.1, 0.3
"""Weights of losses; that of actions is 1."""


@dataclass
class ChoiceImitation:
    """known: what is learned from."""

    known: Choices | None = None

    def add(self, shown: Sequence[Choices]) -> None:
        """Raises InvalidInputError for too few to learn from."""
        known = Choices.joined([*([self.known] if self.known else []), *shown])
        if len(known) < BATCH:
            raise InvalidInputError(
                f"{len(known)} decisions were shown, and a batch has {BATCH}: show longer shifts (--set steps=N) or "
                "more of them (--episodes N), in another folder"
            )
        self.known = known

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


@dataclass
class StepImitation:
    """make: the environment of each batch, given a generator. luck: share of actions that are drawn. episodes: of a
    batch, fewer where they are long: `tokens` steps in all, about.
    demonstrations: that are shown again and again, of each environment that is made; by default each is new. acting:
    share of batches in which the pupil plays, once it has learned the first steps, and the oracle says what would have
    been right. Raises InvalidInputError for a luck or an acting that is no share.
    """

    make: Callable[[torch.Generator], gymnasium.Env[Any, Any]]
    luck: float = 0.1
    episodes: int = 64
    tokens: int = 2_000
    demonstrations: int | None = None
    acting: float = 0.0
    _shown: dict[tuple[str, int], Episode] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for name, each in (("luck", self.luck), ("acting", self.acting)):
            if not 0 <= each <= 1:
                raise InvalidInputError(f"{name} {each:g}: give a share, from 0 to 1")

    def step(self, model: StepNetwork, stage: int, generator: torch.Generator) -> Step:
        acting = stage and self.acting and float(torch.rand((), generator=generator)) < self.acting
        episodes = self._acted if acting else self._episodes
        batch = batch_of(list(episodes(model, horizon(stage), generator)))
        decided, _ = model(batch.steps)
        real = batch.right >= 0
        each = F.cross_entropy(decided.logits.flatten(0, 1), batch.right.clamp(min=0).flatten(), reduction="none")
        weights = (1 - (-each.detach()).exp() + EASY) * real.flatten()
        hits = float((decided.logits.detach().argmax(-1) == batch.right)[real].float().mean())
        parts = {"action": (each * weights).sum() / weights.sum()}
        if model.remembers and (batch.at >= 0).any():
            parts |= {"recalled": RECALLED * _recalled(model, decided, batch), **_remembered(decided, batch)}
        return Step(parts, hits, int(real.sum()))

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return grown(stage, done)

    def _episodes(self, model: StepNetwork, most: int, generator: torch.Generator) -> Iterator[Episode]:
        shown = 0
        with closing(self.make(generator)) as env:
            for _ in range(self.episodes):
                seed = int(torch.randint(self.demonstrations or 2**31, (), generator=generator))
                one = self._episode(env, model, seed, most)
                yield one
                shown += len(one.right)
                if shown >= self.tokens:
                    return

    def _acted(self, model: StepNetwork, most: int, generator: torch.Generator) -> list[Episode]:
        most = min(most, ACTED)
        with ExitStack() as opened:
            envs = [opened.enter_context(closing(self.make(generator))) for _ in range(max(1, self.tokens // most))]
            seeds = torch.randint(self.demonstrations or 2**31, (len(envs),), generator=generator).tolist()
            showings = [Showing(env, model.features, seed, most) for env, seed in zip(envs, seeds, strict=True)]
            return acted(model, showings)

    def _episode(self, env: gymnasium.Env[Any, Any], model: StepNetwork, seed: int, most: int) -> Episode:
        key = repr(env.spec and env.spec.kwargs), seed
        before = self._shown.get(key)
        if before is not None and (before.over or len(before.right) == most):
            return before
        one = episode(env, model.features, seed, self.luck, most)
        if self.demonstrations is not None:
            self._shown[key] = one
        return one


def _recalled(model: StepNetwork, decided: Decided, batch: Batch) -> Tensor:
    """Where an earlier step is needed, what was seen there is to be told: mean -log p of its ids, summed over them.

    Each id is told among those that could stand in its place.
    """
    needs = batch.at >= 0
    said = losses.picked(decided.hidden, batch.at.clamp(min=0))[needs] @ model.table.weight.T
    seen = losses.picked(batch.steps.ids, batch.shown.clamp(min=0))[needs]
    total, first = said.new_zeros(()), 0
    for leaf in [each for each in model.features.leaves if each.kind != "floats"]:
        if leaf.kind == "ids":
            rows = said[:, leaf.start + 1 : leaf.start + 1 + leaf.rows].reshape(-1, leaf.levels)
            level = (seen[:, first : first + leaf.number] - leaf.start - 1).flatten() % leaf.levels
            total = total + F.cross_entropy(rows, level, reduction="sum")
        first += leaf.number
    return total / len(said)


def _remembered(decided: Decided, batch: Batch) -> dict[str, Tensor]:
    """What is needed later is to be kept, and found when it is."""
    if not decided.readings or decided.written is None:
        return {}
    at, shown = batch.at.clamp(min=0), batch.shown
    needed = marked(shown, batch.right.shape[1])
    kept = torch.stack([losses.importance(each, needed) for each in decided.written.choices]).mean()
    found = torch.stack([_found(each, at, shown) for each in decided.readings]).mean()
    return {"write_read": WRITE_READ * found, "importance": IMPORTANCE * kept}


def _found(reading: Reading, at: Tensor, shown: Tensor) -> Tensor:
    """The write-read contrast of the slots that hold what a step needs, among those it may read."""
    view, now = reading.view, block_start(at).unsqueeze(-1)
    readable = (view.born.unsqueeze(1) <= now) & (now < view.retired.unsqueeze(1))
    right = view.holds(shown.unsqueeze(-1)) & readable
    match = losses.picked(reading.match.transpose(1, 2), at).masked_fill(~readable.unsqueeze(2), FORBIDDEN)
    places = torch.arange(at.shape[1]).expand_as(at)
    return losses.write_read(match.transpose(1, 2), places, right)


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

    What was shown is kept in the run's folder and not shown again. watch, stop: as in `Run.go`; stop is looked at
    after each decision that is shown, too. tell: (episodes shown in this round, all of them).
    """
    for number, shifts in enumerate(rounds):
        pupil = ChoicePolicy(trainer.model) if number else None
        try:
            objective.add(list(_shown(shifts, run.folder / DEMONSTRATIONS, pupil, stop, tell)))
        except _Stopped:
            break
        share = (number + 1) / len(rounds)
        run.go(watch, lambda share=share: stop() or trainer.done >= share)  # type: ignore[misc]
        if stop():
            break
    return trainer.done == 1


class _Stopped(Exception):
    """What was being shown is not whole, and not kept."""


def _shown(
    shifts: Sequence[Shift],
    folder: Path,
    pupil: ChoicePolicy | None,
    stop: Callable[[], bool],
    tell: Callable[[float, float], None],
) -> Iterator[Choices]:
    """Raises _Stopped as soon as `stop` says so."""

    def told(done: float) -> None:
        if stop():
            raise _Stopped
        tell(done, len(shifts))

    for number, shift in enumerate(shifts):
        told(number)
        yield kept(shift, folder, pupil, lambda done, number=number: told(number + done))  # type: ignore[misc]
    tell(len(shifts), len(shifts))
