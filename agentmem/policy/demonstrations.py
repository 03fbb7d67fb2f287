"""What a choice is learned from: an oracle's decisions in shifts, each with the planning context of the moment.

Knows environments, a memory and files. An episode is played once and kept: it takes longer than learning from it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.ingest.values import candidates_of, text_of
from agentmem.memory import Memory
from agentmem.neural.files import write
from agentmem.policy.words import CHOICES, HEAD, LINE, LINES, OWN, PRESENT, Lines, offered, padded
from agentmem.rollout.making import maker
from agentmem.rollout.policies import apart, begun
from agentmem.rollout.raised import closing
from agentmem.rollout.wrapper import PlanningContexts

Tell = Callable[[float], None]
UNREADABLE = (BadZipFile, zlib.error, TokenError, EOFError, LookupError, NotImplementedError, TypeError, ValueError)
"""What numpy raises for a file that is not whole."""
SHAPES = {"present": (PRESENT,), "lines": (LINES,), "own": (CHOICES, OWN), "table": (HEAD + LINE,)}
"""Of a decision, and of a line, as they are kept."""


@dataclass(frozen=True)
class Shift:
    """An episode to learn from: of an environment with these options and this seed; contexts of `budget` tokens.
    acting: the share of decisions that the pupil makes; the oracle makes the others.
    """

    env: str
    options: Mapping[str, Any]
    seed: int
    budget: int
    acting: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.env.rpartition('/')[2]}-{self.seed}-{self.budget}-{self.acting:g}"


@dataclass(frozen=True)
class Choices:
    """Decisions: present int32 [n, PRESENT]; lines int32 [n, LINES], places in `table`; own int32 [n, CHOICES, OWN];
    right int64 [n]; hidden bool [n], whether it turns on a fact that was shown before. table: int32 [m, HEAD + LINE].
    """

    present: np.ndarray
    lines: np.ndarray
    own: np.ndarray
    right: np.ndarray
    hidden: np.ndarray
    table: np.ndarray

    def __len__(self) -> int:
        return len(self.right)

    def batch(self, at: Tensor, without: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """present, lines, own and right of the decisions at [b]; without: bool [b], those that are shown no context."""
        rows = at.numpy()
        places = self.lines[rows] * ~without.numpy()[:, None]
        parts = self.present[rows], self.table[places], self.own[rows], self.right[rows]
        present, lines, own, right = (torch.from_numpy(each.astype(np.int64)) for each in parts)
        return present, lines, own, right

    @classmethod
    def joined(cls, several: Sequence[Choices]) -> Choices:
        starts = np.cumsum([0, *(len(each.table) for each in several[:-1])])
        lines = [each.lines + np.int32(start) for each, start in zip(several, starts, strict=True)]
        names = ("present", "own", "right", "hidden", "table")
        parts = {name: np.concatenate([getattr(each, name) for each in several]) for name in names}
        return cls(lines=np.concatenate(lines), **parts)


def shown(shift: Shift, pupil: Any = None, tell: Tell = lambda done: None) -> Choices:
    """Play a shift by its oracle, or partly by a pupil, and keep every decision with the right one.

    Raises InvalidInputError for an environment whose info does not tell the right candidate.
    """
    luck, lines, kept = np.random.default_rng(apart(shift.seed)), Lines(), []
    made = maker(shift.env, {**shift.options, "privileged": True})
    with closing(made(), shift.env) as env, Memory.open(":memory:", durability="process") as memory:
        contexts = PlanningContexts(env, memory, shift.budget)
        observation, info = contexts.reset(seed=shift.seed)
        pupil = begun(pupil, shift.seed, "pupil") if pupil is not None else None
        over, total = False, getattr(env.unwrapped, "steps", 1)
        while not over:
            right = right_of(info, shift.env)
            context = contexts.planning_context
            assert context is not None
            kept.append(
                (
                    offered(text_of(observation), candidates_of(observation)),
                    lines.of(context.text),
                    right,
                    bool(info["needs"]),
                )
            )
            acts = pupil is not None and luck.random() < shift.acting
            action = pupil.act(observation, context) if acts else right
            observation, _, terminated, truncated, info = contexts.step(action)
            over = terminated or truncated
            tell(len(kept) / total)
    return _choices(kept, lines)


def right_of(info: Mapping[str, Any], env: str) -> int:
    """The right candidate, as info tells it. Raises InvalidInputError where it does not."""
    if "gold_index" not in info:
        raise InvalidInputError(f"{env} does not tell the right candidate: it must be a shift, to learn choices from")
    return int(info["gold_index"])


def _choices(kept: Sequence[Any], lines: Lines) -> Choices:
    seen, told, right, hidden = zip(*kept, strict=True)
    present, own = (np.stack(part) for part in zip(*seen, strict=True))
    return Choices(
        present, np.stack([padded(each) for each in told]), own, np.array(right), np.array(hidden), lines.table
    )


def kept(shift: Shift, folder: Path, pupil: Any = None, tell: Tell = lambda done: None) -> Choices:
    """As `shown`; what the folder has of it is read from there, as by `read`."""
    file = folder / f"{shift.name}.npz"
    if not file.is_file():
        made = shown(shift, pupil, tell)
        folder.mkdir(parents=True, exist_ok=True)
        write(file, _packed(made))
    return read(file)


def read(file: Path) -> Choices:
    """What `kept` wrote. Raises InvalidInputError for what another version wrote, or something else."""
    try:
        with np.load(file) as arrays:
            there = Choices(**arrays)
    except UNREADABLE as error:
        raise InvalidInputError(f"{file} holds no demonstrations ({error!r}): remove it") from error
    for name, shape in SHAPES.items():
        if (other := getattr(there, name).shape[1:]) != shape:
            raise InvalidInputError(
                f"{file} was kept by another version ({name} {other}, and this needs {shape}): remove {file.parent}, "
                "so that it is shown again, or train into another folder"
            )
    return there


def _packed(choices: Choices) -> bytes:
    made = BytesIO()
    np.savez_compressed(made, **vars(choices))
    return made.getvalue()
