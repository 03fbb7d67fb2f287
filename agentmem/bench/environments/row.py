"""A row of the table of tasks: a model trained on so many steps of a task, then playing other episodes.

Knows environments, models and how they are trained; knows no table. A row that is done is kept as a file, one that is
not goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium
import torch

from agentmem.bench.environments import recurrent_ppo
from agentmem.bench.environments.kept import kept_row
from agentmem.bench.environments.options import IMITATION, MAZES, OURS, RECURRENT_PPO, TASKS, Task
from agentmem.bench.environments.peers import bytes_carried, peer
from agentmem.bench.environments.recurrent_ppo import TRACE
from agentmem.bench.neural.peers.sizes import count
from agentmem.neural.train import Trainer, TrainSettings
from agentmem.policy.bc import StepImitation
from agentmem.policy.played import play
from agentmem.policy.ppo import ReinforcedTraining
from agentmem.policy.reference import drawn, policy_lm
from agentmem.policy.step_network import StepNetwork

EPISODES, LANES, FIRST = 100, 25, 1_000_000_000
"""Played after training; so many at once, the first with this seed, which no training reaches but by chance."""
DEMONSTRATIONS = 2_000
RATE = 2e-3
SAVED = 50
"""Updates from one save to the next."""

Tell = Callable[[float], None]


@dataclass(frozen=True)
class Row:
    """task, model, protocol: by name. steps: of episodes, each counted as often as it is learned from by imitation, as
    it is played by ppo.
    """

    task: str
    model: str
    protocol: str
    seed: int
    steps: int

    @property
    def name(self) -> str:
        return f"{self.task}-{self.model}-{self.protocol}-{self.seed}"

    def file(self, folder: Path) -> Path:
        """Where it is kept."""
        return folder / f"{self.name}.json"


def row(asked: Row, folder: Path, tell: Tell = lambda done: None) -> dict[str, Any]:
    """What is asked, with its results, from the folder or trained and kept there. Raises InvalidInputError where the
    folder has it of other settings or what it needs is not installed, SettingsError while another process trains it.
    """

    def result(unfinished: Path) -> dict[str, Any]:
        make = maker_of(asked.task)
        if asked.model == RECURRENT_PPO:
            return _told(recurrent_ppo.result(asked, make, EPISODES, FIRST, tell))
        model, figures = trained(asked, unfinished, tell)
        return figures | _told(_played(model, make))

    return made_once(asked, {}, folder, result)


def made_once(
    asked: Row, options: Mapping[str, Any], folder: Path, result: Callable[[Path], dict[str, Any]]
) -> dict[str, Any]:
    """As `row`. options: what else is asked. result: makes it, given where an unfinished training is kept."""
    unfinished = folder / f"{asked.name}-{asked.steps}.training"  # of another budget it has used up another share
    made = kept_row(asked.file(folder), {**asdict(asked), **options}, lambda: result(unfinished))
    unfinished.unlink(missing_ok=True)
    return made


def trained(asked: Row, unfinished: Path, tell: Tell) -> tuple[StepNetwork, dict[str, Any]]:
    """The model, and what its training took."""
    model = network(asked)
    objective = _objective(asked, maker_of(asked.task))
    settings = TrainSettings(asked.seed, tokens=asked.steps, learning_rate=RATE)
    trainer: Trainer[StepNetwork] = Trainer(model, objective, settings)
    if unfinished.is_file():
        trainer.load(unfinished)
    while trainer.done < 1:
        trainer.train(steps=SAVED)
        trainer.save(unfinished)
        tell(trainer.done)
    done = trainer.progress
    return model.eval(), {"env_steps": done.tokens, "updates": done.step, "seconds": done.seconds}


def _objective(asked: Row, make: Callable[..., gymnasium.Env[Any, Any]]) -> StepImitation | ReinforcedTraining:
    if asked.protocol == IMITATION:
        return StepImitation(make, _task(asked.task).luck, demonstrations=DEMONSTRATIONS)
    return ReinforcedTraining(make, trace=TRACE)


def network(asked: Row) -> StepNetwork:
    """As it is before training."""
    with maker_of(asked.task)() as env:
        ours = policy_lm(env, asked.seed, _task(asked.task).clock)
    return ours if asked.model == OURS else peer(asked.model, ours, asked.seed)


def maker_of(task: str) -> Callable[..., gymnasium.Env[Any, Any]]:
    """Makes the task's environment anew at each call. Raises InvalidInputError where its package is not installed."""
    known = _task(task)
    return drawn(known.env, known.options)


def _task(name: str) -> Task:
    return {**TASKS, **MAZES}[name]


@torch.no_grad()
def _played(model: StepNetwork, make: Callable[..., gymnasium.Env[Any, Any]]) -> dict[str, Any]:
    """Episodes of seeds that were not trained on, every action the likeliest."""
    returns: list[float] = []
    for start in range(FIRST, FIRST + EPISODES, LANES):
        with ExitStack() as opened:
            envs = [opened.enter_context(make()) for _ in range(LANES)]
            ended = play(model, envs, range(start, start + LANES))
        returns += ended.rewards.sum(1).tolist()
    steps = ended.part(torch.tensor([0])).steps.part(0, int(ended.real[0].sum()))
    return {"returns": returns, "parameters": count(model), "bytes": bytes_carried(model, steps)}


def _told(found: dict[str, Any]) -> dict[str, Any]:
    returns = found.pop("returns")
    above = sum(each > 0 for each in returns) / len(returns)
    return {"return_mean": sum(returns) / len(returns), "above_0": above, "episodes": len(returns), **found}
