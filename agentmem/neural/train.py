"""The trainer: seeded, resumable, one readable loop.

Joins model, task, curriculum and losses. Writes a line of JSON per report and checkpoints as safetensors. Time is
processor time, so a busy machine trains no less.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentmem.neural import losses
from agentmem.neural.curriculum import RECALL, Stage
from agentmem.neural.files import load, save
from agentmem.neural.quantise import Precision
from agentmem.neural.tasks.key_value import exact, questions
from agentmem.neural.tokens import Output, TokenModel

QUESTIONS = 10
TRAINING = "Training"


@dataclass(frozen=True)
class TrainSettings:
    """tokens: per batch, about. seconds: of processor time; the learning rate falls over them. binary: share of
    batches that are read as signs. write_read, reconstruction, rate: weights of those losses.
    """

    seed: int = 0
    seconds: float = 300.0
    tokens: int = 8_000
    learning_rate: float = 3e-3
    warmup: int = 50
    binary: float = 0.65
    write_read: float = 0.5
    reconstruction: float = 0.02
    rate: float = 0.01
    report_every: int = 25


@dataclass(frozen=True)
class Progress:
    """Where training is. exact: running share of right answers in this stage."""

    step: int = 0
    stage: int = 0
    seconds: float = 0.0
    exact: float = 0.0


class Trainer:
    """Trains a TokenModel on recall, through the stages of a curriculum.

    report: takes each line of metrics. `save` and `load` keep everything, so a resumed run takes the same steps,
    save that the learning rate follows processor time.
    """

    def __init__(
        self,
        model: TokenModel,
        settings: TrainSettings | None = None,
        curriculum: tuple[Stage, ...] = RECALL,
        report: Callable[[dict[str, Any]], None] = lambda line: None,
    ) -> None:
        self.model, self.settings, self.curriculum, self.report = model, settings or TrainSettings(), curriculum, report
        self.generator = torch.Generator().manual_seed(self.settings.seed)
        self.progress = Progress()
        self.optimizer = torch.optim.AdamW(
            model.parameters(), self.settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
        )

    def train(self, steps: int | None = None) -> Progress:
        """Take so many steps, or as many as the seconds allow."""
        self.model.train()
        end = None if steps is None else self.progress.step + steps
        while self.progress.seconds < self.settings.seconds and self.progress.step != end:
            began = time.process_time()
            metrics = self.one_step()
            spent = self.progress.seconds + time.process_time() - began
            self.progress = replace(self.progress, step=self.progress.step + 1, seconds=spent)
            if self.progress.step % self.settings.report_every == 0:
                self.report({**asdict(self.progress), "left": self.settings.seconds - spent, **metrics})
            self._advance(metrics["exact_now"])
        return self.progress

    def one_step(self) -> dict[str, float]:
        """One batch, one update."""
        stage = self.curriculum[self.progress.stage]
        self.model.transformer.crystal.writer.hard = stage.hard
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        parts, right = self._losses(stage)
        total = sum(parts.values(), torch.zeros(()))
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call, unused-ignore]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return {"exact_now": right, **{name: float(each.detach()) for name, each in parts.items()}}

    def save(self, path: str | Path) -> None:
        """Model, optimizer, generator and progress in one safetensors file."""
        named = {f"model.{name}": each for name, each in self.model.state_dict().items()}
        for i, kept in self.optimizer.state_dict()["state"].items():
            named |= {f"optimizer.{i}.{name}": each for name, each in kept.items()}
        save(path, TRAINING, self.progress, {**named, "generator": self.generator.get_state()}, None)

    def load(self, path: str | Path) -> None:
        """Go on from what `save` wrote, with the same model, settings and curriculum."""
        saved = load(path, TRAINING)
        self.model.load_state_dict(_under("model.", saved.tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, each in _under("optimizer.", saved.tensors).items():
            number, key = name.split(".")
            state.setdefault(int(number), {})[key] = each
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.generator.set_state(saved.tensors["generator"])
        self.progress = Progress(**saved.settings)

    def _losses(self, stage: Stage) -> tuple[dict[str, Tensor], float]:
        layer = stage.layers[int(torch.randint(len(stage.layers), (), generator=self.generator))]
        tail = QUESTIONS * QUESTIONS
        streams = max(8, self.settings.tokens // (stage.horizon + tail))
        stream, facts = stage.task(layer).stream(streams, self.generator)
        asked = questions(facts, QUESTIONS, self.generator)
        output = self.model(
            torch.cat((stream, asked.tokens), 1), tail=tail, layers=(layer,), precision=self._precision(), shared=True
        )  # fmt: skip
        written_at = facts.at.gather(1, asked.fact) + 3
        parts = self._weighted(output, stream, written_at, asked.at, asked.answers)
        return parts, float(exact(output.log_probabilities, asked).float().mean())

    def _weighted(
        self, output: Output, stream: Tensor, written_at: Tensor, at: Tensor, answers: Tensor
    ) -> dict[str, Tensor]:
        weigh, words = self.settings, output.log_probabilities
        next_token = losses.next_token(words, torch.cat((at, at + 1), 1), torch.cat(tuple(answers.unbind(-1)), 1))
        right = output.view.covers(written_at)
        contrast = torch.stack([losses.write_read(each.match, at, right) for each in output.readings]).mean()
        bags = self.model.bag_log_probabilities(output.written)[:, : stream.shape[1] // 10]
        units = stream[:, : bags.shape[1] * 10].unflatten(1, (-1, 10))
        return {
            "next_token": next_token,
            "write_read": weigh.write_read * contrast,
            "reconstruction": weigh.reconstruction * losses.reconstruction(bags, units),
            "rate": weigh.rate * output.written.rate,
        }

    def _precision(self) -> Precision:
        return "sign" if torch.rand((), generator=self.generator) < self.settings.binary else "float"

    def _learning_rate(self) -> float:
        warm = min(1.0, (self.progress.step + 1) / self.settings.warmup)
        return self.settings.learning_rate * warm * max(0.05, 1 - self.progress.seconds / self.settings.seconds)

    def _advance(self, right: float) -> None:
        running = 0.95 * self.progress.exact + 0.05 * right
        stage = self.progress.stage
        if running > self.curriculum[stage].until and stage + 1 < len(self.curriculum):
            stage, running = stage + 1, running / 2
        self.progress = replace(self.progress, stage=stage, exact=running)


def to_jsonl(path: str | Path) -> Callable[[dict[str, Any]], None]:
    """A report that appends each line of metrics to a file."""

    def report(line: dict[str, Any]) -> None:
        with Path(path).open("a") as file:
            file.write(json.dumps(line) + "\n")

    return report


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
