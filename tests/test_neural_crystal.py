"""MemoryCrystal: ratios, bytes, what may be read when, gradients, saving, what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from elsewhere import THERE, Elsewhere, a_device
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.crystal import MemoryCrystal
from agentmem.neural.memory import Memory
from agentmem.neural.quantise import from_int8, pack, quantise, to_int8, unpack
from agentmem.neural.settings import CLUSTER, UNIT, CrystalSettings
from agentmem.neural.writer import SHARPNESS

torch.set_num_threads(1)
D = 24
TOKENS = 437


@pytest.fixture
def crystal() -> MemoryCrystal:
    torch.manual_seed(0)
    return MemoryCrystal(D)


def states(tokens: int, streams: int = 2, seed: int = 1) -> Tensor:
    return torch.randn(streams, tokens, D, generator=torch.Generator().manual_seed(seed))


def kept(crystal: MemoryCrystal) -> Memory:
    assert crystal.memory is not None
    return crystal.memory


def test_a_hundred_tokens_become_ten_units_two_clusters_and_one_atom(crystal: MemoryCrystal) -> None:
    layers = crystal.crystallize(states(1_003)).layers
    assert [tuple(each.slots.shape) for each in layers] == [(2, 100, 2, 384), (2, 20, 2, 384), (2, 10, 2, 384)]


def test_a_unit_of_many_slots_has_one_for_each_of_its_tokens_and_an_atom_has_them_all() -> None:
    layers = MemoryCrystal(D, slots=24, cue_bits=16).crystallize(states(1_003)).layers
    assert [tuple(each.slots.shape) for each in layers] == [(2, 100, 10, 32), (2, 20, 24, 32), (2, 10, 24, 32)]
    assert layers[UNIT].at[0].flatten().tolist() == list(range(1_000))


@torch.no_grad()
def test_by_chance_what_is_kept_is_in_proportion_to_its_importance() -> None:
    torch.manual_seed(0)
    crystal = MemoryCrystal(D, slots=1, cue_bits=64, chance=1.0)
    for each in crystal.writer.importance:
        torch.nn.init.zeros_(each.weight)
        torch.nn.init.zeros_(each.bias)
    kept = crystal.crystallize(torch.randn(1, 20_003, D)).layers[UNIT].at[0].flatten() % 10
    assert (torch.bincount(kept, minlength=10) > 150).all()  # 200 on average, of 2,000
    odds = 2.0
    candidates = torch.zeros(1, 2_000, 2, 768)
    candidates[..., 1, 0] = 1.0
    crystal.writer.importance[UNIT].weight[0, 0] = math.log(odds) / SHARPNESS
    crystals, _ = crystal.writer._chosen(UNIT, candidates, torch.arange(4_000).view(1, 2_000, 2), 0)
    share = (crystals.at[0].flatten() % 2).float().mean().item()
    assert share == pytest.approx(odds / (1 + odds), abs=0.03)


def test_an_atom_is_96_bytes_and_4_of_metadata(crystal: MemoryCrystal) -> None:
    crystal.crystallize(states(1_003))
    assert kept(crystal).atoms.dtype == torch.uint8
    assert kept(crystal).atoms.shape == (2, 10, 100)
    assert kept(crystal).atom_bytes == 1_000


def test_the_defaults_are_those_of_the_design() -> None:
    settings = CrystalSettings()
    assert (settings.dimension, settings.code_bits, settings.spans) == (768, 768, (10, 50, 100))


def ends() -> st.SearchStrategy[list[int]]:
    """Where the chunks of a stream of TOKENS end, the last of them at its end."""
    return st.sets(st.integers(1, TOKENS - 1), max_size=12).map(lambda inner: [*sorted(inner), TOKENS])


@settings(max_examples=20)
@given(ends(), st.integers(1, 5), st.sampled_from([2, 16]), st.sampled_from([0.0, 1.0]))
@torch.no_grad()
def test_any_chunks_give_the_memory_of_the_whole_and_never_more_than_the_budget(
    at: list[int], room: int, slots: int, chance: float
) -> None:
    torch.manual_seed(0)
    sizes = {"slots": slots, "code_bits": 32 * slots, "cue_bits": 16, "chance": chance}
    atom = 4 * slots + 4
    crystal = MemoryCrystal(D, **sizes, budget=room * atom, recent=(60, 150)).double()
    tokens = states(TOKENS).double()  # exact enough, and `write` takes float32 alone
    whole, memory = crystal._write(tokens, crystal.start(2))[1], crystal.start(2)
    for start, end in zip([0, *at], at, strict=False):
        memory = crystal._write(tokens[:, start:end], memory)[1]
        units, clusters, atoms = memory.made
        assert memory.position == end == units * 10 + memory.hidden.shape[1]
        assert (units, clusters) == (clusters * 5 + memory.open[0].number, atoms * 2 + memory.open[1].number)
        assert memory.atom_bytes == min(room, atoms) * atom
        readable = [
            sum((i + 1) * span + 3 + late > end // 10 * 10 for i in range(made))
            for span, late, made in ((10, 60, units), (50, 150, clusters))
        ]
        assert [each.shape[1] for each in memory.recent] == readable
        assert (memory.births().diff() > 0).all()
    assert memory.made == whole.made == (43, 8, 4)
    assert torch.equal(memory.atoms, whole.atoms)
    assert all(torch.equal(memory.recent[layer], whole.recent[layer]) for layer in (UNIT, CLUSTER))


@pytest.mark.parametrize(("depth", "most"), [(1, 20), (2, 32), (3, 32)])
def test_recall_gives_vectors_of_the_layers_asked_for(crystal: MemoryCrystal, depth: int, most: int) -> None:
    crystal.crystallize(states(1_010))
    assert crystal.recall(states(4, seed=2), depth=depth).shape == (2, most, D)


@torch.no_grad()
def test_what_is_recalled_is_weighted_by_its_share_of_the_readings_and_the_best_of_all_heads_is_first() -> None:
    torch.manual_seed(0)
    crystal, query = MemoryCrystal(D, read=8), states(3, seed=2)
    torch.nn.init.normal_(crystal.reader.correction.weight)
    crystal.crystallize(states(203))
    view, at = kept(crystal).view(), torch.full((3,), 203)
    reading = crystal.reader(query, crystal.writer.cue, view, at)
    share = torch.zeros(2, 2, 3, view.number).scatter(-1, reading.chosen, reading.weights).mean(2)
    for stream, recalled in enumerate(crystal.recall(query)):
        best = share[stream].sum(0).argsort(descending=True)[:8]
        weighted = torch.cat([share[stream, head, best, None] * view.values[stream, best] for head in range(2)], -1)
        torch.testing.assert_close(recalled, crystal.reader.expand(weighted))


def test_recall_of_nothing_is_empty(crystal: MemoryCrystal) -> None:
    assert crystal.recall(states(4)).shape == (2, 0, D)


@torch.no_grad()
def test_what_was_written_beside_the_memory_is_recalled_as_what_was_kept(crystal: MemoryCrystal) -> None:
    written, memory = crystal.write(states(437), crystal.start(2))
    beside = crystal.recall(states(4, seed=2), written=written)
    assert beside.shape == (2, 32, D)
    for other in (memory, crystal.write(states(9_000, seed=3), crystal.start(2))[1]):
        crystal.memory = other
        assert torch.equal(crystal.recall(states(4, seed=2), written=written), beside)
    crystal.forget()
    with pytest.raises(InvalidInputError, match=r"slots that were written is \[2, 43, 2, 384\]; \[3, 43, 2, 384\] is"):
        crystal.recall(states(4, streams=3), written=written)
    others = MemoryCrystal(D, slots=3).crystallize(states(437))
    with pytest.raises(InvalidInputError, match=r"slots that were written is \[2, 43, 3, 256\]; \[2, 43, 2, 384\] is"):
        crystal.recall(states(4), written=others)


def test_what_was_written_is_recalled_by_its_own_state(crystal: MemoryCrystal) -> None:
    tokens = states(203)
    crystal.crystallize(tokens)
    view = kept(crystal).view().unpacked()
    match = crystal.reader.match(crystal.reader.query(tokens, crystal.writer.cue), view)
    best = match[0, 0].max(0).indices
    assert ((view.start[0] <= best) & (best < view.end[0])).float().mean() > 0.9


def test_every_parameter_gets_a_gradient(crystal: MemoryCrystal) -> None:
    torch.nn.init.normal_(crystal.reader.correction.weight)
    written = crystal.crystallize(states(203))
    forecasts = [each.logits.sigmoid().sum() for each in written.choices]  # what the loss of importance trains
    (crystal.recall(states(5, seed=3), written=written).square().sum() + sum(forecasts)).backward()
    without = [name for name, each in crystal.named_parameters() if each.grad is None or not each.grad.any()]
    assert without == []


def test_births_are_kept_in_three_bytes() -> None:
    memory = Memory.empty(CrystalSettings(dimension=D), 1)
    atoms = torch.zeros(1, 1, 100, dtype=torch.uint8)
    atoms[0, 0, -4:-1] = torch.tensor([4, 3, 2])
    assert replace(memory, atoms=atoms).births().tolist() == [[4 + 3 * 256 + 2 * 65536]]


def test_a_saved_crystal_recalls_the_same_and_goes_on_the_same(crystal: MemoryCrystal, tmp_path: Path) -> None:
    crystal.crystallize(states(437))
    crystal.save(tmp_path / "crystal.safetensors")
    loaded = MemoryCrystal.load(tmp_path / "crystal.safetensors")
    assert loaded.settings == crystal.settings
    for each in (crystal, loaded):
        each.crystallize(states(250, seed=5))
    query = states(3, seed=6)
    assert torch.equal(loaded.recall(query), crystal.recall(query))


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")  # here it is no no-op
def test_a_memory_moves_with_its_weights(crystal: MemoryCrystal, tmp_path: Path) -> None:
    crystal.crystallize(states(437))
    crystal.save(tmp_path / "crystal.safetensors")
    expected = crystal.recall(states(3, seed=6))
    with a_device():
        moved = MemoryCrystal.load(tmp_path / "crystal.safetensors").to(THERE)
        found = moved.recall(states(3, seed=6).to(THERE))
        moved.crystallize(states(250, seed=5).to(THERE))
        assert isinstance(found, Elsewhere)
        torch.testing.assert_close(found.cpu(), expected)
        back = moved.to("cpu")
    crystal.crystallize(states(250, seed=5))
    assert torch.equal(kept(back).atoms, kept(crystal).atoms)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("not tensors")
    with pytest.raises(InvalidInputError, match="no safetensors file"):
        MemoryCrystal.load(tmp_path / "note.txt")


def test_signs_survive_packing_as_numpy_packs_them() -> None:
    numbers = torch.randn(3, 5, 768)
    assert torch.equal(unpack(pack(numbers)), quantise(numbers, "sign"))
    assert np.array_equal(pack(numbers).numpy(), np.packbits(numbers.numpy() >= 0, axis=-1))


@given(arrays(np.uint8, st.tuples(st.integers(0, 3), st.integers(1, 9))))
def test_any_bytes_survive_unpacking(packed: np.ndarray) -> None:
    assert np.array_equal(pack(unpack(torch.from_numpy(packed))).numpy(), packed)


@given(arrays(np.float32, st.integers(0, 9), elements=st.floats(width=32, allow_nan=False)))
def test_int8_is_within_half_a_step_of_the_nearest_number_it_has(numbers: np.ndarray) -> None:
    reached = torch.from_numpy(numbers).clamp(-127 / 32, 127 / 32)
    read = from_int8(to_int8(torch.from_numpy(numbers)))
    assert ((read - reached).abs() <= 0.5 / 32).all()
    assert torch.equal(from_int8(to_int8(read)), read)


def test_signs_are_trained_through_where_they_are_not_clipped() -> None:
    numbers = torch.tensor([-3.0, -0.5, 0.5, 3.0], requires_grad=True)
    quantise(numbers, "sign").sum().backward()
    assert numbers.grad is not None
    assert numbers.grad.tolist() == [0, 1, 1, 0]


def test_a_wrong_shape_is_named_beside_the_right_one(crystal: MemoryCrystal) -> None:
    with pytest.raises(InvalidInputError, match=r"context_embeddings is .*32 \[2, 5, 7\]; .*16 \[B, T, 24\] is needed"):
        crystal.crystallize(torch.zeros(2, 5, 7))
    crystal.crystallize(states(5))
    with pytest.raises(InvalidInputError, match=r"query is .*32 \[3, 1, 24\]; .*16 \[2, T, 24\] is needed: forget\(\)"):
        crystal.recall(torch.zeros(3, 1, D))
    with pytest.raises(
        InvalidInputError, match=r"query is .*32 \[2, 0, 24\]; .* \[2, T, 24\], without a size of 0, is needed$"
    ):
        crystal.recall(states(0))
    with pytest.raises(InvalidInputError, match="streams=-1: at least 1 is needed"):
        crystal.start(-1)
    with pytest.raises(InvalidInputError, match="streams=1000000000000: 1,048,576 is the most"):
        crystal.start(10**12)


@pytest.mark.parametrize("shape", [(2, 5, 7), (3, 5, D), (2, 0, D), (5, D)])
def test_what_is_written_has_the_shape_of_its_memory(crystal: MemoryCrystal, shape: tuple[int, ...]) -> None:
    said = rf"hidden state is torch.float32 \[{', '.join(map(str, shape))}\]; .*16 \[2, T, 24\].* is needed"
    with pytest.raises(InvalidInputError, match=said):
        crystal.write(torch.zeros(shape), crystal.start(2))


def test_another_number_of_streams_than_a_memory_has_is_told_where_one_begins(crystal: MemoryCrystal) -> None:
    with pytest.raises(InvalidInputError, match=r"\[2, T, 24\] is needed: start\(B\) begins a memory of B streams"):
        crystal.write(states(5, streams=3), crystal.start(2))


@pytest.mark.parametrize("type", [torch.float64, torch.int64])
def test_a_wrong_type_is_named_beside_the_right_ones(crystal: MemoryCrystal, type: torch.dtype) -> None:
    said = rf"is {type} \[2, 5, 24\]; torch.float32 or torch.bfloat16 or torch.float16 \[B, T, 24\] is needed"
    for refused in (crystal.crystallize, crystal.recall):
        with pytest.raises(InvalidInputError, match=said):
            refused(torch.zeros(2, 5, D, dtype=type))
    with pytest.raises(InvalidInputError, match=said.replace("B,", "2,")):
        crystal.write(torch.zeros(2, 5, D, dtype=type), crystal.start(2))


def test_what_float32_holds_exactly_is_taken(crystal: MemoryCrystal) -> None:
    tokens = states(203).bfloat16()
    crystal.crystallize(tokens)
    narrow, atoms = crystal.recall(tokens[:, :3]), kept(crystal).atoms
    crystal.forget()
    crystal.crystallize(tokens.float())
    assert torch.equal(crystal.recall(tokens[:, :3].float()), narrow)
    assert torch.equal(kept(crystal).atoms, atoms)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused_and_the_memory_stays(crystal: MemoryCrystal, number: float) -> None:
    crystal.crystallize(states(137))
    before = kept(crystal)
    wrong = states(60)
    wrong[1, 50, 7] = number
    with pytest.raises(InvalidInputError, match=rf"context_embeddings \[1, 50, 7\] is {number}; finite numbers"):
        crystal.crystallize(wrong)
    assert crystal.memory is before
    with pytest.raises(InvalidInputError, match=rf"query \[1, 50, 7\] is {number}; finite numbers are needed"):
        crystal.recall(wrong)


def test_numbers_whose_squares_are_not_finite_are_refused_before_they_spoil_a_memory(crystal: MemoryCrystal) -> None:
    wrong = states(60)
    wrong[1, 50, 7] = 3e38
    with pytest.raises(
        InvalidInputError, match=r"context_embeddings \[1, 50, 7\] is 3e\+38; numbers up to 1e\+15 are needed"
    ):
        crystal.crystallize(wrong)
    with pytest.raises(InvalidInputError, match=r"query \[1, 50, 7\] is 3e\+38; numbers up to 1e\+15 are needed"):
        crystal.recall(wrong)
    crystal.crystallize(states(60) * 1e15)
    assert crystal.recall(states(3) * 1e15).isfinite().all()


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="cue_bits=400"):
        MemoryCrystal(D, cue_bits=400)
    for depth in (4, 1.5, "2", None, True):
        with pytest.raises(InvalidInputError, match=f"depth={depth!r}: 1 "):
            MemoryCrystal(D).recall(states(1), depth=depth)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["foo", 5, torch.zeros(2, 3), MemoryCrystal(D)])
def test_what_is_no_memory_of_a_crystal_is_refused_when_it_is_set(crystal: MemoryCrystal, wrong: Any) -> None:
    crystal.crystallize(states(137))
    before = kept(crystal)
    with pytest.raises(InvalidInputError, match=f"memory is an? {type(wrong).__name__}; a Memory is needed: start and"):
        crystal.memory = wrong
    with pytest.raises(InvalidInputError, match="the memory is of a model with dimension=16, and this one has dim"):
        crystal.memory = MemoryCrystal(16).start(2)
    assert crystal.memory is before
    crystal.memory = crystal.start(1)
    assert crystal.crystallize(states(60, streams=1)).layers[UNIT].number
