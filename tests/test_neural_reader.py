"""Reading: near atoms found by their bits, newer cues supersede older ones, and what was then is read as of then."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agentmem.neural import checkpoints
from agentmem.neural.crystal import MemoryCrystal
from agentmem.neural.nearest import PER_QUERY, hamming, nearest
from agentmem.neural.quantise import pack
from agentmem.neural.reader import QUICKLY, SHARPNESS, gather, mix
from agentmem.neural.settings import ATOM, CLUSTER, METADATA, CrystalSettings
from agentmem.neural.tasks import layout
from agentmem.neural.tasks.task import ASK, FACT, SYMBOLS
from agentmem.neural.tokens import TokenModel
from agentmem.neural.view import BLOCK, Packed, View, joined, view_of

torch.set_num_threads(1)
D = 24
SETTINGS = CrystalSettings(dimension=D)
SAME = 0.8665  # as training leaves it


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 40), st.integers(1, 5), st.sampled_from([3, 8, 16]), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_hamming_distance_is_the_number_of_bits_that_differ(codes: int, queries: int, size: int, seed: int) -> None:
    one, other = (
        torch.randint(256, (number, size), generator=seeded(seed + i)).byte()
        for i, number in enumerate((codes, queries))
    )
    slow = [[sum(int(a ^ b).bit_count() for a, b in zip(x, y, strict=True)) for x in one] for y in other.tolist()]
    assert hamming(one, other).tolist() == np.array(slow).tolist()


def test_the_atoms_that_pass_are_those_whose_cues_are_nearest() -> None:
    slots = torch.randn(1, 4_000, SETTINGS.slots, SETTINGS.slot_bits, generator=seeded(1))
    codes = pack(slots.flatten(2))
    query = slots[:, [7, 3_900], 1, : SETTINGS.cue_bits].unsqueeze(1)
    born = torch.arange(4_000)[None]
    passed = nearest(codes, born, query, torch.tensor([9_000, 9_000]), SETTINGS, SAME)
    assert passed is not None
    assert {7, 3_900} <= set(passed[0].tolist())
    assert len(passed[0]) <= 2 * PER_QUERY
    assert passed[0].tolist() == sorted(set(passed[0].tolist()))


def test_many_queries_are_scored_against_all_atoms() -> None:
    codes = torch.zeros(1, 100, SETTINGS.atom_bytes - METADATA, dtype=torch.uint8)
    query, born = torch.zeros(1, 2, 50, SETTINGS.cue_bits), torch.zeros(1, 100)
    assert nearest(codes, born, query, torch.zeros(50), SETTINGS, SAME) is None


def test_atoms_that_are_not_born_yet_keep_no_other_from_passing() -> None:
    slots = torch.randn(1, 4_000, SETTINGS.slots, SETTINGS.slot_bits, generator=seeded(1))
    slots[:, 1_000:] = slots[:, 7:8]  # the same cue, written later 3,000 times
    query, born = slots[:, 7:8, 1, : SETTINGS.cue_bits].unsqueeze(1), torch.arange(4_000)[None]
    passed = nearest(pack(slots.flatten(2)), born, query, torch.tensor([900]), SETTINGS, SAME)
    assert passed is not None
    assert 7 in passed[0].tolist()
    assert max(passed[0].tolist()) <= 900


@pytest.mark.parametrize("seed", range(3))
def test_of_every_head_and_position_the_nearest_slots_that_may_be_read_there_pass(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentmem.neural.nearest.PER_QUERY", 4)
    generator, late = seeded(seed), [20, 40, 58]
    births = torch.randint(1, 4, (60,), generator=generator).cumsum(0)  # some were evicted
    positions = births[late] * 100 + 103  # these atoms are born there, and read from the next block on
    query = torch.randn(2, 2, 3, SETTINGS.cue_bits, generator=generator)
    slots = torch.randn(2, 60, 2, SETTINGS.slot_bits, generator=generator)
    slots[:, late, :, : SETTINGS.cue_bits] = query.transpose(1, 2)
    packed = torch.cat((pack(slots.flatten(2)), torch.zeros(2, 60, METADATA).byte()), -1)
    near = Packed(SETTINGS, packed, births.expand(2, -1)).near(query, positions, same=0.25)  # that differ by 48 bits
    assert (near.start.diff() >= 0).all()
    assert near.number < 2 * 60
    for stream, (passed, own) in enumerate(zip(near.start[:, ::2] // 100, slots, strict=True)):
        found = torch.isin(births, passed)
        assert near.cues[stream].equal(own[found, :, : SETTINGS.cue_bits].sign().flatten(0, 1))
        for head in range(2):
            for wanted, end in zip(query[stream, head], late, strict=True):
                cues = own[:end, :, : SETTINGS.cue_bits].sign().flatten(0, 1)
                differ = (cues != wanted.sign()).sum(-1)
                fifth = differ.topk(5, largest=False).values[-1]
                assert found[(differ < fifth).nonzero() // 2].all()


def test_of_a_cue_that_was_written_more_often_than_may_pass_the_newest_pass() -> None:
    slots = torch.randn(1, 4_000, SETTINGS.slots, SETTINGS.slot_bits, generator=seeded(1))
    noise = (torch.rand(2_000, SETTINGS.cue_bits, generator=seeded(2)) < 0.02).float()
    query = slots[:, 7:8, 1, : SETTINGS.cue_bits].unsqueeze(1).clone()
    slots[0, 1_000:3_000, 1, : SETTINGS.cue_bits] = query[0, 0] * (1 - 2 * noise)
    passed = nearest(pack(slots.flatten(2)), torch.arange(4_000)[None], query, torch.tensor([9_000]), SETTINGS, SAME)
    assert passed is not None
    assert passed[0].tolist()[-1] == 2_999
    assert min(passed[0].tolist()) > 2_700


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 400), st.integers(0, 99))
def test_a_cue_that_was_written_many_times_is_read_as_it_was_written_last(times: int, seed: int) -> None:
    """Three copies of each, as units, clusters and atoms are, with noise that would put any of them first."""
    torch.manual_seed(0)
    crystal = MemoryCrystal(D)
    with torch.no_grad():
        crystal.reader.superseded_by.fill_(1.0)  # all three as training leaves them
        crystal.reader.log_scale.fill_(4.5)
        crystal.reader.same_cue.fill_(SAME)
    cue = torch.randn(1, SETTINGS.cue_bits, generator=seeded(seed)).sign()
    noise = (torch.rand(3 * times, SETTINGS.cue_bits, generator=seeded(seed + 1)) < 0.02).float()
    view = atoms_of(cue * (1 - 2 * noise), [each for each in range(times) for _ in range(3)])
    scores = torch.einsum("c,bnc->bn", cue[0], view.cues)[:, None, None].expand(1, 2, 1, -1) / SETTINGS.cue_bits * 90
    with torch.no_grad():
        best, chosen = crystal.reader.best(scores, view)
        left = (best - crystal.reader.superseded(best, chosen, view)).softmax(-1)
    newest = view.start.gather(1, chosen[:, 0, 0]) == (times - 1) * 100
    assert float(left[0, 0, 0][newest[0]].sum()) > 0.5


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 200), st.floats(0.0, 10.0), st.integers(0, 99))
def test_what_is_read_comes_first_when_all_slots_are_put_in_order(number: int, spread: float, seed: int) -> None:
    """Of two streams and heads, some with more slots of the best's cue than are looked at, some with few."""
    reader, view = MemoryCrystal(D).reader, atoms_of(torch.zeros(number, SETTINGS.cue_bits), list(range(number)))
    scores = torch.randn(2, 2, 3, view.number, generator=seeded(seed)) * spread
    order = torch.stack([torch.randperm(view.number, generator=seeded(seed + each)) for each in range(2)])
    with torch.no_grad():
        best, chosen = reader.best(scores, replace(view, order=order))
        everything = reader._first(scores, order[:, None, None])
    wanted = everything.topk(min(SETTINGS.read, view.number), -1).values
    assert everything.gather(-1, chosen).sort(-1, descending=True).values.equal(wanted)
    assert best.equal(scores.gather(-1, chosen))


def test_of_two_layers_only_what_is_later_for_certain_supersedes() -> None:
    cue = torch.randn(SETTINGS.cue_bits, generator=seeded(5)).sign()
    atom, unit = atoms_of(cue[None], [1]), atoms_of(cue[None], [1])
    spans = ((0, 100), (150, 160), (199, 209), (200, 210))
    lost = []
    for start, end in spans:
        there = torch.full_like(unit.start, start), torch.full_like(unit.end, end)
        one = replace(unit, layer=torch.zeros_like(unit.layer), start=there[0], end=there[1])
        lost.append(reading_of(joined([atom, one]), 10_000)[0] > 1)
    assert lost == [False, False, False, True]


def test_reading_through_the_bits_finds_what_reading_all_finds() -> None:
    torch.manual_seed(0)
    crystal = MemoryCrystal(D)
    crystal.crystallize(torch.randn(1, 120_003, D, generator=seeded(2)))
    assert crystal.memory is not None
    view = crystal.memory.view()
    query = torch.randn(1, 2, D, generator=seeded(3))
    at = torch.full((2,), crystal.memory.position)
    few, whole = (crystal.reader(query, crystal.writer.cue, each, at) for each in (view, view.unpacked()))
    assert few.view.number < whole.view.number / 2
    torch.testing.assert_close(few.out, whole.out, atol=2e-2, rtol=0)


@pytest.mark.parametrize("scale", [12.0, 1_000.0])
def test_a_match_is_a_cosine_by_a_scale_that_is_limited_and_trains_what_looks_and_what_is_found(scale: float) -> None:
    torch.manual_seed(0)
    crystal = MemoryCrystal(D)
    torch.nn.init.normal_(crystal.reader.correction.weight)
    torch.nn.init.constant_(crystal.reader.log_scale, math.log(scale))
    hidden, cues = torch.randn(2, 3, D), torch.randn(5, SETTINGS.cue_bits, requires_grad=True)
    view, cue = atoms_of(cues, list(range(5))), crystal.writer.cue
    correction = crystal.reader.correction(crystal.reader.norm(hidden)).unflatten(-1, (2, -1))
    looked = (cue(hidden).unsqueeze(2) + correction).transpose(1, 2).unsqueeze(3)
    wanted = min(scale, 100.0) * F.cosine_similarity(looked, view.cues[:, None, None], dim=-1)
    got = crystal.reader.match(crystal.reader.query(hidden, cue), view)
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=0)
    trained = cues, crystal.writer.cue_projection.weight, crystal.reader.correction.weight
    for each in zip(*(torch.autograd.grad(every.cos().sum(), trained) for every in (got, wanted)), strict=True):
        torch.testing.assert_close(*each, atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_a_reading_is_the_softmax_of_match_less_decay_and_layer_beside_nothing_at_all() -> None:
    torch.manual_seed(0)
    crystal = MemoryCrystal(D)
    reader, scales = crystal.reader, (6.0, 20.0)
    reader.superseded_by.fill_(-10.0)
    reader.log_scale.copy_(torch.tensor(scales).log())
    for each in (reader.raw_lambda, reader.layer_bias, reader.null):
        torch.nn.init.normal_(each, generator=seeded(1))
    reader.log_tau.copy_(torch.tensor([100.0, 900.0]).log())
    hidden = torch.randn(1, 203, D, generator=seeded(2))
    crystal.crystallize(hidden)
    assert crystal.memory is not None
    view, at = crystal.memory.view().unpacked().only((CLUSTER, ATOM)), torch.tensor([57, 117, 209])
    reading = reader(hidden[:, at - 57], crystal.writer.cue, view, at)
    query, cues = reader.query(hidden[:, at - 57], crystal.writer.cue), F.normalize(view.cues[0], dim=-1)
    for head, scale in enumerate(scales):
        rate, tau = F.softplus(reader.raw_lambda[head]), reader.log_tau[head].exp()
        for token, position in enumerate((50, 110, 200)):  # its block's first
            born = (view.born[0] <= position).nonzero().flatten()
            decay = rate * torch.log1p((position - view.end[0, born]).clamp(min=0) / tau)
            score = scale * (cues[born] @ query[0, head, token]) - decay + reader.layer_bias[head, view.layer[born]]
            wanted = torch.zeros(view.number)
            wanted[born] = torch.cat((score, reader.null[head][None])).softmax(0)[:-1]
            got = torch.zeros(view.number).scatter(0, reading.chosen[0, head, token], reading.weights[0, head, token])
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)
    assert [int((view.born[0] <= each).sum()) for each in (50, 110, 200)] == [0, 6, 8]


@torch.no_grad()
def test_shares_of_a_reading_are_its_weights_by_layer_and_the_null_slot_has_the_rest() -> None:
    crystal = MemoryCrystal(D, read=100)
    reader, bias = crystal.reader, torch.tensor([0.0, 1.0, 2.0])
    reader.layer_bias.copy_(bias.expand(2, -1))
    reader.null.fill_(3.0)
    for each in (reader.log_scale, reader.raw_lambda, reader.superseded_by):
        each.fill_(-30.0)  # every slot of a layer counts as much as any other
    hidden = torch.randn(1, 203, D, generator=seeded(1))
    crystal.crystallize(hidden)
    assert crystal.memory is not None
    at = torch.tensor([9, 60, 209])
    shares = reader(hidden[:, :3], crystal.writer.cue, crystal.memory.view(), at).shares
    slots = torch.tensor([[0, 0, 0], [10, 2, 0], [38, 6, 2]])  # two of each that is whole three tokens before its block
    wanted = torch.cat((torch.full((3, 1), 3.0).exp(), slots * bias.exp()), 1)
    torch.testing.assert_close(shares, (wanted / wanted.sum(1, keepdim=True)).expand(1, 2, -1, -1))


def atoms_of(cues: Tensor, serial: list[int]) -> View:
    """One slot for each cue [n, cue_bits], in atoms of these numbers."""
    slots = torch.cat((cues, torch.randn(len(cues), SETTINGS.value_bits, generator=seeded(4))), -1)
    empty = torch.full_like(slots, -1.0)
    return view_of(SETTINGS, ATOM, torch.stack((slots, empty), 1)[None], torch.tensor([serial]))


def reading_of(view: View, position: int) -> dict[int, float]:
    """What is read of each slot of a view by the cue of its first, after training has set supersession on."""
    crystal = MemoryCrystal(D)
    with torch.no_grad():
        crystal.reader.superseded_by.fill_(1.0)
    scores = torch.where(view.readable(torch.tensor([position])), torch.zeros(1, 1, view.number), -1e9)[:, None]
    lost = crystal.reader.superseded(scores, torch.arange(view.number)[None, None, None], view)
    return dict(enumerate(lost[0, 0, 0].tolist()))


def test_an_older_slot_loses_to_a_newer_one_of_the_same_cue_and_to_no_other() -> None:
    cue, other = torch.randn(2, SETTINGS.cue_bits, generator=seeded(5)).sign()
    lost = reading_of(atoms_of(torch.stack((cue, other, cue)), [1, 2, 3]), 10_000)
    assert lost[0] > 5
    assert max(lost[2], lost[4]) < 0.1


def test_what_is_not_written_yet_supersedes_nothing() -> None:
    cue = torch.randn(1, SETTINGS.cue_bits, generator=seeded(6)).sign().expand(2, -1)
    view = atoms_of(cue, [1, 8])
    assert reading_of(view, 500)[0] < 0.1
    assert reading_of(view, 950)[0] > 5


@pytest.mark.parametrize("streams", [1, 2])  # that wrote what both read
@pytest.mark.parametrize("states", [1, 10, 40])  # whose slots are compared: gathered, of all gathered, or once for all
@given(st.integers(0, 99))
@settings(max_examples=3, deadline=None)
def test_a_slot_loses_by_how_likely_one_of_the_newer_ones_that_are_read_is_of_its_cue(
    states: int, streams: int, seed: int
) -> None:
    reader, generator = MemoryCrystal(D).reader, seeded(seed)
    crystals = torch.arange(40)[:, None].expand(-1, 2)  # of two slots of the same cue
    cues = torch.randn(5, SETTINGS.slot_bits, generator=generator)[crystals % 5]
    slots = cues + torch.randn(streams, 40, 2, SETTINGS.slot_bits, generator=generator) / 3
    serial = torch.randint(1, 4, (streams, 40), generator=generator).cumsum(1)
    view = replace(view_of(SETTINGS, ATOM, slots, serial), layer=crystals.flatten() % 3)
    scores = torch.randn(2, 2, states, 80, generator=generator)
    scores, chosen = scores.masked_fill(scores < 1, -1e9).topk(12)
    cosine = F.cosine_similarity(view.cues[:, :, None], view.cues[:, None], dim=-1)
    alike = view.layer[:, None] == view.layer
    newer = torch.where(alike, view.order[:, None] > view.order[..., None], view.start[:, None] >= view.end[..., None])
    of_the_cue = (SHARPNESS * (cosine - reader.same_cue)).sigmoid() * newer
    rows = torch.arange(2)[:, None, None, None, None] % streams
    of_those_read = of_the_cue[rows, chosen[..., None], chosen[..., None, :]] * (scores > -1e8).unsqueeze(-2)
    wanted = (1 - (1 - of_those_read).prod(-1)) * F.softplus(QUICKLY * reader.superseded_by)
    lost, trained = reader.superseded(scores, chosen, view), (reader.same_cue, reader.superseded_by)
    assert lost.max() > 0.01
    torch.testing.assert_close(lost, wanted, atol=1e-5, rtol=1e-4)
    for got, each in zip(*(torch.autograd.grad(every.sum(), trained) for every in (lost, wanted)), strict=True):
        torch.testing.assert_close(got, each, atol=1e-4, rtol=1e-3)


@given(st.integers(1, 3), st.booleans(), st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_a_mixture_is_the_weighted_sum_of_the_rows_of_each_streams_own_and_so_are_its_gradients(
    streams: int, one: bool, seed: int
) -> None:
    generator = seeded(seed)
    values = torch.randn(1 if one else streams, 6, 4, generator=generator, requires_grad=True)
    weights = torch.rand(streams, 2, 3, 5, generator=generator, requires_grad=True)
    chosen = torch.randint(6, (streams, 2, 3, 5), generator=generator)
    rows = values[torch.arange(streams)[:, None, None, None] % len(values), chosen]
    for got, wanted in (
        (gather(values, chosen), rows),
        (mix(values, chosen, weights), (rows * weights.unsqueeze(-1)).sum(-2)),
    ):
        torch.testing.assert_close(got, wanted)
        trained = (values,) if wanted is rows else (values, weights)
        gradients = (torch.autograd.grad(each.cos().sum(), trained, retain_graph=True) for each in (got, wanted))
        for each in zip(*gradients, strict=True):
            torch.testing.assert_close(*each)


def test_views_side_by_side_keep_the_order_of_time() -> None:
    cues = torch.randn(2, SETTINGS.cue_bits, generator=seeded(7))
    both = joined([atoms_of(cues, [4, 5]), atoms_of(cues, [0, 1])])
    assert (both.order[0, :4].min() > both.order[0, 4:].max()).item()


def test_a_reading_does_not_change_within_a_block() -> None:
    torch.manual_seed(0)
    crystal = MemoryCrystal(D)
    crystal.crystallize(torch.randn(1, 503, D, generator=seeded(8)))
    assert crystal.memory is not None
    view = crystal.memory.view().unpacked()
    match = torch.zeros(1, 2, 2, view.number)
    scores = crystal.reader.scores(match, view, torch.tensor([600, 600 + BLOCK - 1]))
    assert torch.equal(scores[:, :, 0], scores[:, :, 1])
    later = crystal.reader.scores(match, replace(view), torch.tensor([600, 600 + BLOCK]))
    assert not torch.equal(later[:, :, 0], later[:, :, 1])


@given(st.lists(st.integers(0, 700), min_size=1, max_size=3), st.booleans(), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
@torch.no_grad()
def test_positions_in_any_order_are_each_read_as_if_alone(firsts: list[int], whole: bool, seed: int) -> None:
    torch.manual_seed(0)
    crystal = MemoryCrystal(D, recent=(60, 150))
    crystal.crystallize(torch.randn(1, 703, D, generator=seeded(8)))
    assert crystal.memory is not None
    view = crystal.memory.view().unpacked()
    starts = torch.tensor(firsts) // (BLOCK if whole else 1) * (BLOCK if whole else 1)
    positions = (starts[:, None] + torch.arange(BLOCK)).flatten()
    match = torch.randn(1, 2, len(positions), view.number, generator=seeded(seed))
    scores = crystal.reader.scores(match, view, positions)
    alone = [crystal.reader.scores(match[:, :, [i]], view, positions[[i]]) for i in range(len(positions))]
    assert torch.equal(scores, torch.cat(alone, 2))


@torch.no_grad()
def test_the_shipped_model_says_the_last_of_twenty_values_of_a_key_and_the_last_but_one_as_of_then() -> None:
    model = TokenModel.load(checkpoints.path("recall")).eval()
    stream, key, values = set_anew(20, every=100)
    state = model.transformer.start(1)
    for chunk in stream.split(1_000, 1):
        state = model.remember(chunk, state)
    question = torch.cat((layout.filler(1, 50, seeded(9))[0], torch.tensor([ASK]), key))
    for as_of, value in ((2_200, values[-1]), (1_915, values[-2])):
        tokens = torch.cat((question, value))[None]
        said = model.ask(tokens, state, as_of=torch.full((tokens.shape[1],), as_of)).argmax(-1)[0]
        assert said[-3:-1].tolist() == value.tolist()


def set_anew(times: int, every: int) -> tuple[Tensor, Tensor, list[Tensor]]:
    """A stream in which one key is given so many values, and 200 tokens after the last."""
    stream, key = layout.filler(1, times * every + 200, seeded(1)), torch.tensor([3, 1, 4])
    values = [torch.randint(SYMBOLS, (2,), generator=seeded(i)) for i in range(times)]
    for i, value in enumerate(values):
        stream[0, i * every + 20 : i * every + 26] = torch.cat((torch.tensor([FACT]), key, value))
    return stream, key, values
