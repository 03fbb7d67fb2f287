"""Imitation by a GRU: it goes through shifts as they were shown, several side by side, and carries its state along.

Knows demonstrations, a loss, and a training in its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from agentmem.bench.environments.recurrent_choice import RecurrentChoice, RecurrentPolicy, recurrent_choice
from agentmem.errors import InvalidInputError
from agentmem.neural.runs import Command, Run
from agentmem.neural.train import Step, Trainer, TrainSettings
from agentmem.policy.bc import DEMONSTRATIONS, HIDDEN
from agentmem.policy.demonstrations import Choices
from agentmem.policy.files import DIGITS

CHUNK, LANES = 500, 8
"""Steps from one update to the next, which the loss goes back through: half of what is needed was shown more than 200
steps before; and shifts side by side."""
RATE = 2e-3
SEED = 0

Tell = Callable[[float], None]


@dataclass
class RecurrentImitation:
    """known: shifts, whole and in order. Each update is of the next `chunk` steps of `lanes` of them; when these are
    over, others are drawn, and where their first chunk ends.
    """

    known: Sequence[Choices]
    chunk: int = CHUNK
    lanes: int = LANES
    _now: dict[str, Tensor] = field(default_factory=dict)
    """rows int64 [lanes], of known; at int64, their next step; state [1, lanes, size], before it."""

    def step(self, model: RecurrentChoice, stage: int, generator: torch.Generator) -> Step:
        if not self._now or int(self._now["at"]) >= max(len(self.known[row]) for row in self._now["rows"]):
            self._draw(model, generator)
        start, end = int(self._now["at"]), int(self._now["at"]) + self.chunk
        present, own, right, hidden, real = self._side_by_side(max(0, start), end)
        logits, state = model(present, own, self._now["state"])
        each = F.cross_entropy(logits.flatten(0, 1), right.flatten(), reduction="none").view(right.shape)
        weights = (1 + (HIDDEN - 1) * hidden) * real
        self._now |= {"at": torch.tensor(end), "state": state.detach()}
        hits = float((logits.detach().argmax(-1) == right)[real].float().mean())
        return Step({"choice": (each * weights).sum() / weights.sum()}, hits, int(real.sum()))

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return False

    def kept(self, model: RecurrentChoice) -> dict[str, Tensor]:
        return self._now

    def take_up(self, model: RecurrentChoice, kept: dict[str, Tensor]) -> None:
        self._now = kept

    def _draw(self, model: RecurrentChoice, generator: torch.Generator) -> None:
        rows = torch.randperm(len(self.known), generator=generator)[: self.lanes]
        at = -torch.randint(self.chunk, (), generator=generator)
        self._now = {"rows": rows, "at": at, "state": torch.zeros(1, len(rows), model.settings.size)}

    def _side_by_side(self, start: int, end: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """present, own, right, hidden and whether there is a step at all, [lanes, T, ...], of the steps drawn."""
        several = [self.known[row] for row in self._now["rows"]]
        end = min(end, max(map(len, several)))
        names = ("present", "own", "right", "hidden")
        parts = [torch.stack([_rows(getattr(each, name), start, end) for each in several]) for name in names]
        real = torch.stack([torch.arange(start, end) < len(each) for each in several])
        return parts[0], parts[1], parts[2], parts[3], real


def _rows(array: np.ndarray, start: int, end: int) -> Tensor:
    """int64 of these rows, with zeros behind the last."""
    rows = torch.from_numpy(array[start:end].astype(np.int64))
    return torch.cat((rows, rows.new_zeros(end - start - len(rows), *rows.shape[1:])))


def trained(
    folder: Path, command: Command, seconds: float, known: Callable[[], Sequence[Choices]], tell: Tell
) -> RecurrentPolicy:
    """Of the folder, where it is trained to the end, gone on with, or begun. known: what is learned from; it is asked
    only where something is left to learn. Raises SettingsError for the folder of another command, or in use.
    """
    objective = RecurrentImitation(())
    trainer = Trainer(recurrent_choice(SEED), objective, TrainSettings(SEED, seconds, learning_rate=RATE))
    with Run(folder, command, trainer, trainer.model.save) as run:
        if trainer.done < 1:
            objective.known = known()
        run.go(lambda run: tell(trainer.done))
        return RecurrentPolicy(trainer.model, f"gru {sha256(run.model.read_bytes()).hexdigest()[:DIGITS]}")


def demonstrations_in(folder: Path) -> list[Path]:
    """The files of a folder. Raises InvalidInputError where there is none."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise InvalidInputError(
            f"{folder} has no demonstrations: name the folder `{DEMONSTRATIONS}` in one that `agentmem train policy` "
            "made, or none, so that shifts are played"
        )
    return files
