"""The trainer: seeded, resumable, one readable loop.

Knows a model, what it is trained on as an `Objective`, and a budget of processor time or tokens. Writes a line of JSON
per report and checkpoints as safetensors. Time is processor time, so a busy machine trains no less.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from agentmem.errors import InvalidInputError, PathError
from agentmem.neural.files import BROKEN, Saved, load, save, shortened
from agentmem.neural.mixed import autocast

TRAINING = "Training"
Model = TypeVar("Model", bound=nn.Module)
Trained = TypeVar("Trained", bound=nn.Module, contravariant=True)


@dataclass(frozen=True)
class Step:
    """What one batch gave. losses: to be added up. right: share of right answers. tokens: how many were seen."""

    losses: dict[str, Tensor]
    right: float
    tokens: int


class Objective(Protocol[Trained]):
    """What a model is trained on, stage by stage."""

    def step(self, model: Trained, stage: int, generator: torch.Generator) -> Step: ...

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        """Whether to leave a stage, given the running share of right answers in it and the share of the budget that is
        used up.
        """


@runtime_checkable
class Streaming(Protocol[Trained]):
    """An objective that carries something from step to step and keeps it with the training, as tensors by name."""

    def kept(self, model: Trained) -> dict[str, Tensor]: ...

    def take_up(self, model: Trained, kept: dict[str, Tensor]) -> None:
        """Go on from what `kept` gave of the same model; where that is nothing, from the beginning."""


@dataclass(frozen=True)
class TrainSettings:
    """seconds: of processor time; tokens: read in training; it ends at the first that is reached, and the learning
    rate falls towards it. warmup: steps in which it rises before. mixed: multiply in bfloat16, where that is quicker.
    report_every: steps from one line of metrics to the next; the first and the last step have one too.
    """

    seed: int = 0
    seconds: float = math.inf
    tokens: float = math.inf
    learning_rate: float = 3e-3
    warmup: int = 50
    mixed: bool = False
    report_every: int = 25

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.tokens > 0 and min(self.seconds, self.tokens) < math.inf):
            raise InvalidInputError(
                f"seconds={self.seconds} and tokens={self.tokens}: one of them must be an end, above 0"
            )
        if not 0 < self.learning_rate < math.inf:
            raise InvalidInputError(f"learning_rate={self.learning_rate}: a number above 0 is needed, such as 0.003")
        for name, each in (("warmup", self.warmup), ("report_every", self.report_every)):
            if each < 1:
                raise InvalidInputError(f"{name}={each} steps: 1 or more are needed")


@dataclass(frozen=True)
class Progress:
    """Where training is. exact: running share of right answers in this stage."""

    step: int = 0
    stage: int = 0
    seconds: float = 0.0
    tokens: int = 0
    exact: float = 0.0

    def done(self, settings: TrainSettings) -> float:
        """The share of the budget that is used up."""
        return max(self.seconds / settings.seconds, self.tokens / settings.tokens)


class Trainer(Generic[Model]):
    """Trains a model towards an objective.

    report: takes each line of metrics that is due; `line` is the one of the last step, due or not. `save` and `load`
    keep everything, so a resumed run takes the same steps, save that the learning rate follows processor time where
    that is the budget, and that an objective which carries something from step to step without being `Streaming` begins
    anew.
    """

    def __init__(
        self,
        model: Model,
        objective: Objective[Model],
        settings: TrainSettings,
        report: Callable[[dict[str, Any]], None] = lambda line: None,
    ) -> None:
        self.model, self.objective, self.settings, self.report = model, objective, settings, report
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.progress = Progress()
        self.line: dict[str, Any] = {}
        self.optimizer = torch.optim.AdamW(
            model.parameters(), settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
        )

    @property
    def done(self) -> float:
        """The share of the budget that is used up, at most 1."""
        return min(1.0, self.progress.done(self.settings))

    @property
    def due(self) -> bool:
        """Whether the last step is one of those whose metrics are reported."""
        return self.progress.step == 1 or self.progress.step % self.settings.report_every == 0 or self.done == 1

    def train(self, steps: int | None = None) -> Progress:
        """Take so many steps, or as many as the budget allows."""
        self.model.train()
        end = None if steps is None else self.progress.step + steps
        while self.progress.done(self.settings) < 1 and self.progress.step != end:
            self._advance(*self._timed_step())
        return self.progress

    def one_step(self) -> Step:
        """One batch, one update. Raises InvalidInputError, and updates nothing, where they are not finite."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        device = next(self.model.parameters()).device
        with autocast(device, enabled=self.settings.mixed):
            step = self.objective.step(self.model, self.progress.stage, self.generator)
        self.optimizer.zero_grad()
        loss = torch.stack([each.float() for each in step.losses.values()]).sum()
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        self._check_finite(step, loss, torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
        self.optimizer.step()
        return step

    def save(self, path: str | Path) -> None:
        """Model, optimizer, objective, generator and progress in one safetensors file."""
        named = {f"model.{name}": each for name, each in self.model.state_dict().items()}
        for i, kept in self.optimizer.state_dict()["state"].items():
            named |= {f"optimizer.{i}.{name}": each for name, each in kept.items()}
        if isinstance(self.objective, Streaming):
            named |= {f"objective.{name}": each for name, each in self.objective.kept(self.model).items()}
        save(path, TRAINING, self.progress, {**named, "generator": self.generator.get_state()}, None)

    def load(self, path: str | Path, remove: str = "it") -> None:
        """Go on from what `save` wrote, with the same settings and objective. remove: what is in the way of a new one.

        Raises InvalidInputError for what was saved of a model of other sizes, or is not whole.
        """
        try:
            self._take_up(load(path, TRAINING))
        except PathError:
            raise
        except (InvalidInputError, *BROKEN) as error:
            raise InvalidInputError(
                f"{path} is not whole, or of another model ({shortened(error.__cause__ or error)}): remove {remove} to "
                "begin anew, or train into another folder"
            ) from error

    def _take_up(self, saved: Saved) -> None:
        self.model.load_state_dict(_under("model.", saved.tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, each in _under("optimizer.", saved.tensors).items():
            number, key = name.split(".")
            state.setdefault(int(number), {})[key] = each
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        if isinstance(self.objective, Streaming):
            self.objective.take_up(self.model, _under("objective.", saved.tensors))
        self.generator.set_state(saved.tensors["generator"])
        self.progress = Progress(**saved.settings)

    def _check_finite(self, step: Step, loss: Tensor, gradient: Tensor) -> None:
        if (loss + gradient).isfinite():
            return
        parts = {**step.losses, "gradient": gradient}
        said = ", ".join(f"{name} {float(each.detach())}" for name, each in parts.items() if not each.isfinite())
        raise InvalidInputError(
            f"step {self.progress.step + 1} would have spoilt the model: {said or 'the sum of losses is too large'}. "
            "What was last saved is untouched: load it with a lower TrainSettings.learning_rate, or begin elsewhere "
            "with another seed"
        )

    def _timed_step(self) -> tuple[Step, float]:
        began = time.process_time()
        return self.one_step(), time.process_time() - began

    def _advance(self, step: Step, spent: float) -> None:
        now, stage = self.progress, self.progress.stage
        running = 0.95 * now.exact + 0.05 * step.right
        seconds, tokens = now.seconds + spent, now.tokens + step.tokens
        if self.objective.next_stage(stage, running, self.progress.done(self.settings)):
            stage, running = stage + 1, running / 2
        self.progress = Progress(now.step + 1, stage, seconds, tokens, running)
        parts = {name: float(each.detach()) for name, each in step.losses.items()}
        left = seconds * (1 / self.done - 1)
        said = {"done": self.done, "left": left, "right": step.right, "loss": sum(parts.values())}
        self.line = {**asdict(self.progress), **said, **parts}
        if self.due:
            self.report(self.line)

    def _learning_rate(self) -> float:
        warm = min(1.0, (self.progress.step + 1) / self.settings.warmup)
        return self.settings.learning_rate * warm * max(0.05, 1 - self.progress.done(self.settings))


def to_jsonl(path: str | Path) -> Callable[[dict[str, Any]], None]:
    """A report that appends each line of metrics to a file."""

    def report(line: dict[str, Any]) -> None:
        try:
            with Path(path).open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            error.filename = str(path)  # which a full disk does not tell
            raise

    return report


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
