"""What a memory evicts under a budget: the least of importance times decay, and what reading does to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from agentmem.neural.crystal import MemoryCrystal
from agentmem.neural.memory import Memory
from agentmem.neural.settings import CrystalSettings

torch.set_num_threads(1)
D = 24


@pytest.fixture
def crystal() -> MemoryCrystal:
    torch.manual_seed(0)
    return MemoryCrystal(D)


def states(tokens: int) -> Tensor:
    return torch.randn(1, tokens, D, generator=torch.Generator().manual_seed(1))


def kept(crystal: MemoryCrystal) -> Memory:
    assert crystal.memory is not None
    return crystal.memory


def test_a_budget_is_kept_and_the_least_important_go_first(crystal: MemoryCrystal) -> None:
    crystal = MemoryCrystal(D, budget=500)
    crystal.crystallize(states(503))
    memory = kept(crystal)
    atoms = memory.atoms.clone()
    atoms[0, :, -1] = torch.tensor([250, 250, 0, 250, 250], dtype=torch.uint8)
    crystal.memory = replace(memory, atoms=atoms)
    crystal.crystallize(states(100))
    assert kept(crystal).atom_bytes == 500
    assert 2 not in kept(crystal).births()[0].tolist()


def test_of_equal_importance_the_oldest_goes_first(crystal: MemoryCrystal) -> None:
    crystal.crystallize(states(1_003))
    memory = kept(crystal)
    atoms = memory.atoms.clone()
    atoms[..., -1] = 100
    small = replace(memory, atoms=atoms, settings=replace(memory.settings, budget=300))
    assert small.within_budget().births()[0].tolist() == [7, 8, 9]


@given(
    st.integers(1, 3), st.integers(1, 40), st.integers(1, 130), st.sampled_from([0.0, 0.5, 20.0]),
    st.sampled_from([1, 3, 256]), st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_what_many_births_evict_is_what_each_by_itself_would(
    streams: int, room: int, new: int, exponent: float, levels: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    wide = CrystalSettings(dimension=D, budget=room * 100, exponent=exponent, tau=500.0)
    atoms = torch.randint(256, (streams, room + new, 100), generator=generator).byte()
    atoms[..., -1] = torch.randint(levels, atoms.shape[:2], generator=generator).byte()
    births = torch.randint(1, 30, atoms.shape[:2], generator=generator).cumsum(1)
    atoms[..., -4:-1] = torch.stack([births // weight % 256 for weight in (1, 256, 65_536)], -1).byte()
    one_by_one = replace(Memory.empty(wide, streams), atoms=atoms[:, :room])
    for each in atoms[:, room:].split(1, 1):
        one_by_one = replace(one_by_one, atoms=torch.cat((one_by_one.atoms, each), 1)).within_budget()
    assert torch.equal(replace(one_by_one, atoms=atoms).within_budget().atoms, one_by_one.atoms)


@given(st.integers(1, 6), st.integers(1, 20), st.sampled_from([0.0, 0.5, 3.0]), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_at_each_birth_the_least_of_importance_times_decay_by_its_age_in_tokens_goes(
    room: int, new: int, exponent: float, seed: int
) -> None:
    wide = CrystalSettings(dimension=D, budget=room * 100, exponent=exponent, tau=700.0)
    importance = torch.randint(256, (room + new,), generator=torch.Generator().manual_seed(seed))
    atoms = torch.zeros(1, room + new, 100, dtype=torch.uint8)
    atoms[0, :, -4], atoms[0, :, -1] = torch.arange(room + new), importance
    left = list(range(room))
    for newest in range(room, room + new):
        left.append(newest)
        worth = [(1 + int(importance[born])) * (1 + (newest - born) * 100 / 700.0) ** -exponent for born in left]
        left.pop(worth.index(min(worth)))
    assert replace(Memory.empty(wide, 1), atoms=atoms).within_budget().births()[0].tolist() == left


class Raised(TorchDispatchMode):
    """Counts the numbers that are raised to a power, as each atom's age is when it is weighed."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.numbers += out.numel() if func.overloadpacket is torch.ops.aten.pow else 0
        return out


@torch.no_grad()
def test_ten_births_under_a_full_budget_weigh_each_atom_twice_and_not_ten_times() -> None:
    crystal = MemoryCrystal(D, budget=20_000)
    crystal.crystallize(states(20_003))
    assert kept(crystal).atoms.shape[1] == 200
    with Raised() as raised:
        crystal.crystallize(states(1_000))
    assert 200 <= raised.numbers < 1_000


def test_reading_makes_an_atom_more_important(crystal: MemoryCrystal) -> None:
    crystal.crystallize(states(303))
    memory = kept(crystal)
    before = memory.atoms[0, :, -1].int()
    after = memory.reinforced(memory.births(), torch.tensor([[0.0, 0.5, 0.001]])).atoms[0, :, -1].int()
    assert (after - before > 0).tolist() == [False, True, False]
