"""Eviction replayed: what a stream's memory would be, had it been written under another budget, decay or importance.

Atoms do not depend on what is evicted, so one stream that kept all of them tells what any rule would have kept. Knows
memories; knows nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agentmem.neural.memory import Memory


@dataclass(frozen=True)
class Rule:
    """budget: bytes of atoms, at most. tau, exponent: of the decay; exponent 0 is none."""

    budget: int
    tau: float
    exponent: float


def evicted(memory: Memory, rule: Rule) -> Memory:
    """The memory after one atom after another was evicted by the rule. Changes nothing."""
    under = replace(memory.settings, budget=rule.budget, tau=rule.tau, exponent=rule.exponent)
    return replace(memory, settings=under).within_budget()


def with_importance(memory: Memory, importance: Tensor) -> Memory:
    """The same atoms of other importance, uint8 [n], in every stream."""
    atoms = memory.atoms.clone()
    atoms[..., -1] = importance
    return replace(memory, atoms=atoms)


def then(older: Memory, whole: Memory, first: int) -> Memory:
    """The atoms of `older`, and those of `whole` from number `first` on behind them."""
    return replace(whole, atoms=torch.cat((older.atoms, whole.atoms[:, first:]), 1))


def ranked(values: Tensor) -> Tensor:
    """Values [n] as importance, uint8: 0 for the least, 255 for the greatest, even between."""
    places = values.argsort().argsort().double()
    return (places * 255 / max(1, len(values) - 1)).round().to(torch.uint8)


def importance_of(memory: Memory) -> Tensor:
    """What the memory itself says of its first stream's atoms: uint8 [n]."""
    return memory.atoms[0, :, -1]
