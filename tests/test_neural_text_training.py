"""Training on text: what counts as said again, what a reading should find, and a model that learns from it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.files import load, save
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.text import Stretches
from agentmem.neural.text_training import Chunk, Streams, TextTraining, contrast_of_layers
from agentmem.neural.tokens import TokenModel, settings_of
from agentmem.neural.train import Trainer, TrainSettings

torch.set_num_threads(1)
SIZE = 40


def small() -> TokenModel:
    torch.manual_seed(0)
    crystal = CrystalSettings(dimension=32, code_bits=192, cue_bits=64, heads=1, offsets=2)
    return TokenModel(settings_of(SIZE, d_model=32, n_heads=2, lower=1, upper=1, window=32, bound=1, crystal=crystal))


def streams_of(tokens: Tensor) -> Streams:
    return Streams.of(tokens, small().transformer.start(len(tokens)))


def random_tokens(number: int, size: int = 6) -> Tensor:
    return torch.randint(size, (2, number), generator=torch.Generator().manual_seed(3))


def chunk_of(tokens: Tensor, start: int, needed: Tensor | None = None) -> Chunk:
    needed = torch.ones(tokens.shape) if needed is None else needed
    after = tokens[:, -1:]
    return Chunk(torch.cat((tokens, after), 1), streams_of(tokens).pairs, start, needed)


def test_a_pair_that_is_said_again_is_telling_as_its_token_is_rare() -> None:
    tokens = random_tokens(200)
    for row, found in zip(tokens.tolist(), streams_of(tokens).telling.tolist(), strict=True):
        pairs = list(pairwise(row))
        wanted = [row.count(first) ** -0.5 * (pairs.count((first, second)) > 1) for first, second in pairs]
        assert found == pytest.approx([*wanted, 0])
        assert sum(wanted) > 0


def test_a_pair_that_stands_nowhere_else_is_not_telling() -> None:
    assert streams_of(torch.arange(30)[None]).telling.tolist() == [[0.0] * 30]


def test_a_place_is_repeated_where_the_same_two_tokens_stood_before() -> None:
    tokens = random_tokens(300)
    at, repeats = chunk_of(tokens, 200).repeated(30, torch.Generator().manual_seed(1))
    assert at.shape == (2, 30)
    assert repeats.shape == (2, 30, 300)
    for row in range(2):
        for place, where in zip((at[row] + 200).tolist(), repeats[row], strict=True):
            same = [p for p in range(place) if pair(tokens[row], p) == pair(tokens[row], place)]
            assert where.nonzero().flatten().tolist() == (same if place < 299 else [])


def test_where_few_places_are_repeated_no_other_is_given_what_stood_before() -> None:
    tokens = torch.arange(300).repeat(2, 1)
    tokens[:, 100:190] = tokens[:, :90]  # before the chunk alone
    tokens[0, 250:252] = tokens[0, 20:22]
    at, repeats = chunk_of(tokens, 200).repeated(30, torch.Generator().manual_seed(1))
    assert at[repeats.any(-1)].tolist() == [50]
    assert repeats[0][at[0] == 50].nonzero()[:, 1].tolist() == [20, 120]


def pair(tokens: Tensor, place: int) -> list[int]:
    return tokens[place : place + 2].tolist()


def test_what_is_needed_is_trained_before_what_is_not() -> None:
    tokens = random_tokens(300)
    needed = torch.zeros(tokens.shape)
    needed[:, 240:260] = 1
    at, repeats = chunk_of(tokens, 200, needed).repeated(10, torch.Generator().manual_seed(1))
    counted = at[repeats.any(-1)]
    assert ((counted >= 40) & (counted < 60)).all()


def test_finding_what_was_said_before_costs_little_and_missing_it_much() -> None:
    model, tokens = small(), random_tokens(401, SIZE)
    tokens[:, 300:320] = tokens[:, 100:120]
    streams = streams_of(tokens)
    output, after = model.through(tokens[:, :-1], streams.state)
    chunk = Chunk.of(streams.read(output, after), 0)
    reading = output.readings[0]
    at, repeats = chunk.repeated(50, torch.Generator().manual_seed(2))
    places = reading.view.at.clamp(min=0)
    right = torch.zeros_like(reading.match)
    for row in range(2):
        for place, where in zip(at[row].tolist(), repeats[row], strict=True):
            right[row, :, place] = where[places[row]].float()
    losses = [
        contrast_of_layers(replaced(reading, match), output.bound, at, repeats, chunk).item()
        for match in (30 * right, torch.zeros_like(right), 30 * (1 - right))
    ]
    assert losses[0] < losses[1] < losses[2]


def test_a_chunk_knows_the_token_after_each_of_its_places() -> None:
    tokens, model = random_tokens(300), small()
    streams = streams_of(tokens)
    chunk = Chunk.of(streams.read(*model.through(tokens[:, :200], streams.state)), 0)
    pairs = chunk.tokens[:, :-1] * (int(tokens.max()) + 1) + chunk.tokens[:, 1:]
    assert pairs.equal(chunk.pairs)


def test_what_was_read_before_the_chunk_is_needed_as_when_it_was_read() -> None:
    tokens, model = random_tokens(401), small()
    now = streams_of(tokens)
    for start in (0, 200):
        output, after = model.through(tokens[:, start : start + 200], now.state)
        now = now.read(output, after)
        if not start:
            first = Chunk.of(now, 0).needed
    both = Chunk.of(now, 200)
    assert both.needed.shape == (2, 400)
    assert both.needed[:, :200].equal(first)
    assert min(both.needed[:, 200:].mean(), first.mean()) > 0.01


def replaced(reading: object, match: Tensor) -> object:
    return type(reading)(**{**vars(reading), "match": match})


def test_a_model_learns_a_text_and_every_parameter_with_it() -> None:
    text = np.tile(np.arange(SIZE, dtype=np.uint16), 40)
    model = small()
    torch.nn.init.normal_(model.transformer.crystal.reader.correction.weight, std=0.1)
    training = TextTraining(Stretches((text,), 600), streams=2, chunk=150)
    lines: list[dict[str, float]] = []
    run = Trainer(model, training, TrainSettings(tokens=1e6, warmup=1, report_every=1), lines.append)
    run.train(steps=20)
    assert lines[-1]["next_token"] < 0.75 * lines[0]["next_token"]
    still = [name for name, each in model.named_parameters() if not run.optimizer.state[each]["exp_avg"].any()]
    assert set(still) <= {"copy_offset.weight", "copy_offset.bias"}  # with one token bound there is no offset to choose


def test_streams_begin_anew_when_their_stretch_is_read() -> None:
    training = looped()
    generator, read = torch.Generator().manual_seed(0), []
    model = small()
    for _ in range(4):
        training.step(model, 0, generator)
        assert training._streams is not None
        read.append(training._streams)
    assert [each.state.position for each in read] == [200, 400, 600, 200]
    assert [each.telling is read[0].telling for each in read] == [True, True, True, False]  # it is worked out once


def looped() -> TextTraining:
    return TextTraining(Stretches((np.arange(2_000, dtype=np.uint16) % SIZE,), 600), streams=2, chunk=200)


@pytest.mark.parametrize("mixed", [False, True])
def test_a_training_that_was_stopped_within_its_streams_goes_on_exactly_as_if_it_had_not_been(
    mixed: bool, tmp_path: Path
) -> None:
    settings = TrainSettings(tokens=10**4, warmup=1, mixed=mixed)
    whole, first = (Trainer(small(), looped(), settings) for _ in range(2))
    whole.train(steps=5)
    first.train(steps=2)
    first.save(tmp_path / "training")
    first.train(steps=1)
    again = Trainer(small(), looped(), settings)
    again.load(tmp_path / "training")
    again.train(steps=3)
    assert again.progress.step == 5
    whole.save(tmp_path / "whole")
    again.save(tmp_path / "again")
    wanted, got = (load(tmp_path / name, "Training").tensors for name in ("whole", "again"))
    assert {"objective.state", "objective.tokens", "generator", "model.bias", "optimizer.0.exp_avg"} <= set(wanted)
    assert list(got) == list(wanted)
    assert [name for name, each in wanted.items() if not torch.equal(each, got[name])] == []


def test_a_training_that_was_saved_without_what_was_surprising_goes_on(tmp_path: Path) -> None:
    settings = TrainSettings(tokens=10**4, warmup=1)
    before, again = (Trainer(small(), looped(), settings) for _ in range(2))
    before.train(steps=2)
    before.save(tmp_path / "training")
    tensors = load(tmp_path / "training", "Training").tensors
    del tensors["objective.surprise"]
    save(tmp_path / "training", "Training", before.progress, tensors, None)
    again.load(tmp_path / "training")
    again.train(steps=1)
    assert again.progress.tokens == 3 / 2 * before.progress.tokens


@pytest.mark.parametrize("chunk", [1, 4, 10])
@pytest.mark.slow
def test_chunks_in_which_no_unit_is_made_are_trained_on_too(chunk: int) -> None:
    lines: list[dict[str, float]] = []
    training = TextTraining(Stretches((np.arange(2_000, dtype=np.uint16) % SIZE,), 60), streams=2, chunk=chunk)
    Trainer(small(), training, TrainSettings(tokens=10**4, report_every=1), lines.append).train(steps=25)
    assert [line["tokens"] for line in lines] == [2 * chunk * (step + 1) for step in range(25)]
    assert [name in lines[0] for name in ("next_token", "write_read")] == [True, False]
    assert any("write_read" in line for line in lines)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"streams": 0}, "streams=0: at least 1 is needed"),
        ({"chunk": 0}, "chunk=0: at least 1 is needed"),
        ({"chunk": 601}, "chunk=601 of stretches of 600 tokens: 1 to that many are needed"),
    ],
)
def test_chunks_that_are_no_part_of_a_stretch_are_refused(sizes: dict[str, int], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        TextTraining(Stretches((np.zeros(700, np.uint16),), 600), **sizes)


def test_a_stretch_longer_than_every_document_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no document has 601 tokens; the longest of 1 has 500"):
        Stretches((np.zeros(500, np.uint16),), 600)


def test_copies_whose_shares_round_to_more_than_all_leave_a_token_that_none_says_its_least_probability() -> None:
    output = small()(random_tokens(200))
    over = replace(output, copied=torch.zeros_like(output.copied), shares=torch.full_like(output.shares, 1.00001))
    over = replace(over, shares=over.shares / output.shares.shape[-1])
    other = torch.ones(output.logits.shape[:2], dtype=torch.long)
    assert (over.shares.sum(-1) > 1).all()
    assert over.of(other).exp().allclose(torch.tensor(1e-9), rtol=1e-3, atol=0)
    assert over.log_probabilities.isfinite().all()
