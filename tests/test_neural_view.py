"""Views: which slots may be read when, of whom, in what order, and atoms that are joined at once or only found."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentmem.neural.crystal import MemoryCrystal
from agentmem.neural.memory import STORED, Memory
from agentmem.neural.quantise import Precision, quantise, unpack
from agentmem.neural.settings import ATOM, CLUSTER, METADATA, UNIT, CrystalSettings
from agentmem.neural.view import View, born_at, view_of

torch.set_num_threads(1)
D = 24
SETTINGS = CrystalSettings(dimension=D)
LAYERS = (UNIT, CLUSTER, ATOM)


def crystals_of(layer: int, number: int, streams: int = 1, sizes: CrystalSettings = SETTINGS) -> View:
    """So many that were written one after another."""
    slots = torch.randn(streams, number, sizes.slots_of[layer], sizes.slot_bits)
    return view_of(sizes, layer, slots, torch.arange(number).expand(streams, -1))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_crystal_is_read_from_when_its_tokens_are_seen_until_it_is_no_longer_recent(layer: int) -> None:
    view, span = crystals_of(layer, 3), SETTINGS.spans[layer]
    kept = SETTINGS.recent[layer] if layer < ATOM else 10**9
    born = int(born_at(SETTINGS, layer, torch.tensor(1)))
    assert born == 2 * span + 3
    at = torch.tensor([born - 1, born, born + kept - 1, born + kept])
    second = 1 * SETTINGS.slots
    assert view.readable(at)[0, :, second].tolist() == [False, True, True, layer == ATOM]
    assert (view.start[0, second].item(), view.end[0, second].item()) == (span, 2 * span)


def test_units_and_clusters_are_read_of_late_only_and_atoms_always() -> None:
    crystal = MemoryCrystal(D)
    crystal.crystallize(torch.randn(1, 6_003, D))
    assert crystal.memory is not None
    view = crystal.memory.view().unpacked()
    old = (view.end[0] <= 100) & view.readable(torch.tensor([6_003]))[0, 0]
    assert view.layer[old].tolist() == [ATOM, ATOM]


@given(st.tuples(*[st.integers(1, 6)] * 3), st.integers(1, 4))
def test_slots_are_in_the_order_of_their_tokens_those_of_one_crystal_too(
    ratios: tuple[int, int, int], slots: int
) -> None:
    ratios = (ratios[0] + slots, *ratios[1:])
    sizes = CrystalSettings(dimension=D, code_bits=48 * slots, slots=slots, cue_bits=16, ratios=ratios)
    for layer in LAYERS:
        view = crystals_of(layer, 3, sizes=sizes)
        assert (view.order.diff() > 0).all()
        assert ((view.start <= view.order) & (view.order < view.end)).all()


def test_of_a_shared_memory_each_stream_knows_its_own() -> None:
    view = crystals_of(UNIT, 3, streams=2)
    shared, at = view.shared(), torch.tensor([[[5]], [[25]]])
    assert shared.cues.equal(view.cues.flatten(0, 1)[None])
    assert shared.number == 2 * view.number == 12
    for found in (shared.covers(at), shared.holds(at)):
        assert [each.nonzero().flatten().tolist() for each in found[:, 0]] == [[0, 1], [10, 11]]


@pytest.mark.parametrize("atoms", [0, 1, 512, 513])  # a query of two heads passes 512 of all slots or more
def test_few_atoms_are_joined_and_many_are_found_by_each_query_and_no_other_layer_has_them(atoms: int) -> None:
    packed = torch.randint(256, (2, atoms, 100)).byte()
    packed[..., -4:-1] = torch.stack([torch.arange(atoms) // weight % 256 for weight in (1, 256, 65_536)], -1)
    memory = replace(Memory.empty(SETTINGS, 2), atoms=packed, position=100 * atoms + 3)
    view = memory.view()
    assert (view.packed is not None) == (atoms > 512)
    slots = unpack(packed[..., :-METADATA]).view(2, 2 * atoms, SETTINGS.slot_bits)
    for whole in (view.unpacked(), view.unpacked().only((ATOM,))):
        assert torch.cat((whole.cues, whole.values), -1).equal(slots)
        assert (whole.start // 100).tolist() == [[each // 2 for each in range(2 * atoms)]] * 2
    assert (view.number, view.only((ATOM,)).number, view.only((UNIT, CLUSTER)).number) == (2 * atoms, 2 * atoms, 0)
    near = view.near(torch.randn(2, 2, 1, SETTINGS.cue_bits), torch.tensor([memory.position]), 0.9)
    assert (near.number == 2 * atoms) == (atoms <= 512)


@pytest.mark.parametrize("precision", [None, "sign", "int8", "float"])
@torch.no_grad()
def test_what_was_written_just_now_is_read_as_it_will_be_stored_or_as_precisely_as_is_asked(
    precision: Precision | None,
) -> None:
    crystal = MemoryCrystal(D)
    start = crystal.start(2)
    written, after = crystal.write(torch.randn(2, 203, D), start)
    view, slots = start.view(written, precision), [each.slots.flatten(1, 2) for each in written.layers]
    wanted = [quantise(each, precision or STORED[layer]) for layer, each in enumerate(slots)]
    assert torch.cat((view.cues, view.values), -1).equal(torch.cat(wanted, 1))
    assert view.at.equal(torch.cat([each.at.flatten(1) for each in written.layers], 1))
    kept = after.view()
    for layer in LAYERS:
        assert kept.only((layer,)).cues.equal(start.view(written).only((layer,)).cues)


@settings(max_examples=10)
@given(st.integers(10, 40))
@torch.no_grad()
def test_as_many_are_recalled_as_may_be_read_from_the_block_on_that_has_begun(tokens: int) -> None:
    crystal = MemoryCrystal(D)
    crystal.crystallize(torch.randn(1, tokens, D))
    assert crystal.recall(torch.randn(1, 1, D)).shape[1] == 2 * ((tokens // 10 * 10 - 3) // 10)
