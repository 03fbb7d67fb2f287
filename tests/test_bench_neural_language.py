"""Language modelling beside peers: pairs counted by hand, rows, and peers kept in files."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
import torch
from entrants import corpus_of, entrant, model_of, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from agentmem.bench.neural import lm, options, rivals
from agentmem.bench.neural.pairs import Pairs, Weights, fitted, mixed
from agentmem.bench.neural.peer_text import TextLoss, text_loss
from agentmem.bench.neural.peers import Crystal
from agentmem.errors import InvalidInputError, SettingsError
from agentmem.neural.corpus import Corpus
from agentmem.neural.files import held
from agentmem.neural.measure import quiet
from agentmem.neural.settings import ATOM, CLUSTER, UNIT
from agentmem.neural.text import Vocabulary

torch.set_num_threads(1)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(1, 59))
@settings(deadline=None)
def test_pairs_are_counted_as_by_hand_however_they_come(tokens: list[int], cut: int) -> None:
    pairs = Pairs(5, bytes_per_token=10)
    for part in (tokens[:cut], tokens[cut:]):
        if part:
            pairs.remember(torch.tensor(part))
    chance, counts = pairs.chances(torch.tensor([0, 3]), torch.tensor([1, 3]))
    both = list(pairwise(tokens))
    begun = [sum(first == before for first, _ in both) for before in (0, 3)]
    assert counts.tolist() == begun
    same = [both.count(pair) / max(1, number) for pair, number in zip(((0, 1), (3, 3)), begun, strict=True)]
    assert chance.tolist() == pytest.approx(same)


def test_a_cache_keeps_as_many_bytes_as_it_may() -> None:
    pairs = Pairs(2_048, bytes_per_token=1.0)
    pairs.remember(torch.randint(2_048, (50_000,), generator=torch.Generator().manual_seed(0)))
    assert pairs.bytes == pytest.approx(50_000, rel=0.02)


def test_weights_are_fitted_to_how_far_a_cache_can_be_trusted() -> None:
    nats, counts = torch.full((50,), 3.0), torch.full((50,), 5)
    right, wrong = torch.ones(50), torch.zeros(50)
    assert fitted(nats, wrong, counts).share == 0
    best = fitted(nats, right, counts)
    assert best.share == 0.5
    assert mixed(nats, right, counts, best).mean() < 1
    assert torch.allclose(mixed(nats, right, torch.zeros(50), Weights(0.5, 1.0)), nats, atol=1e-4)


@pytest.mark.parametrize("size", [0, 300])
def test_a_cache_knows_the_pairs_of_its_memory_and_takes_up_the_stretch_as_it_is_read(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    own, other = (torch.randint(16, (number,), generator=generator) for number in (2_000, 2_500))
    chance, counts = lm._chances(own, other, size, 16)  # of 16 tokens a pair is a byte, so all are kept
    known = [*other.tolist()[2_500 - 1_537 - size : 2_500 - 1_537], *own.tolist()[-1_537:]]
    for place in range(0, 1_024, 97):
        pairs = list(pairwise(known[: size + 513 + place // lm.STEP * lm.STEP]))
        before, following = known[size + 512 + place : size + 514 + place]
        begun = sum(first == before for first, _ in pairs)
        assert counts[place].item() == begun
        assert chance[place].item() == pytest.approx(pairs.count((before, following)) / max(1, begun))


def test_the_weights_of_a_cache_for_a_document_are_fitted_on_the_others_alone() -> None:
    sure = torch.arange(2_000) % 16
    unsure = torch.randint(16, (2_000,), generator=torch.Generator().manual_seed(0))
    nats = TextLoss(torch.full((2, 1_024), 2.0), 0)
    cost = lm._cached(nats, [sure, unsure], [sure, unsure], 300, 16)
    chances = [lm._chances(each, each, 300, 16) for each in (sure, unsure)]
    crossed = [
        mixed(nats.each[0], *mine, fitted(nats.each[0], *others)).mean()
        for mine, others in zip(chances, chances[::-1], strict=True)
    ]
    assert cost == pytest.approx(float(sum(crossed) / 2))
    assert crossed[0] == pytest.approx(2.0, abs=1e-4)  # the other has no use for a cache
    assert crossed[1] > 2.1


@pytest.mark.slow
def test_a_row_for_each_model_alone_and_beside_the_cache_and_means_over_seeds(tmp_path: Path) -> None:
    paths = texts(tmp_path)
    text = model_of(paths)
    folder = tmp_path / "rivals"
    folder.mkdir()
    for seed in (3, 4):
        rival = rivals.Rival("windowed", text.vocabulary.size, 20_000, 16, 2, seed=seed, tokens=4_000)
        rivals.train(rival, corpus_of(text, paths), folder, "command")
    text.save(folder / "more.safetensors", notes={"training": {"asked": {"tokens": 5, "seed": 1}}})
    tokens = lm.long_enough(text, paths, 1_024)
    results = lm.losses(entrant(text), text, tokens, folder, (0, 1_024), quiet)
    rows = {(row["name"], row["trained_on"], row["seed"]): row for row in results["rows"]}
    names = ("ours", 0, 0), ("ours", 5, 1), ("windowed", 4_000, 3), ("windowed", 4_000, 4)
    paired_too = [(f"{name}{pairs}", *rest) for name, *rest in names for pairs in ("", " + pairs")]
    assert list(rows) == [*paired_too, (lm.BLIND, 0, 0), (lm.BLIND, 5, 1)]
    assert set(rows[lm.BLIND, 0, 0]["own"]) == {0}
    assert rows[lm.BLIND, 0, 0]["own"][0] != rows["ours", 0, 0]["own"][0]
    own, paired = rows["ours", 0, 0], rows["ours + pairs", 0, 0]
    windowed = rows["windowed", 4_000, 3]
    assert 3 < own["own"][0] < 8
    assert set(own["shuffled"]) == {1_024}
    assert own["own"] == rows["ours", 5, 1]["own"]
    assert windowed["own"][0] == pytest.approx(windowed["own"][1_024], abs=1e-4)
    assert paired["own"][1_024] < own["own"][1_024]
    assert paired["bytes"] > own["bytes"]
    both = next(each for each in results["means"] if each["name"] == "windowed")
    two = [rows["windowed", 4_000, seed]["own"][0] for seed in (3, 4)]
    assert (both["seeds"], both["own"][0]) == (2, (pytest.approx(mean(two)), pytest.approx(stdev(two))))
    falls = [rows["windowed", 4_000, seed]["own"][0] - rows["windowed", 4_000, seed]["own"][1_024] for seed in (3, 4)]
    assert both["gains"]["falls"] == (pytest.approx(mean(falls)), pytest.approx(stdev(falls)))
    losses, heading, read = lm.markdown(results).partition("## What a reading is of, after 1K tokens of memory")
    said = losses.splitlines()
    assert heading
    assert [line.replace("|", " ").split()[:2] for line in read.splitlines() if "| ours" in line] == [
        ["ours", "-"],
        ["ours", "5"],
    ]
    assert said[0].startswith("# ")
    assert "last 1,024 tokens of 2 documents" in said[2]
    means = results["means"]
    table = [line for line in said if line.startswith("|")]
    assert table[0].endswith("| falls by | own over another's | bytes |")
    assert len(table) == 2 + sum(1 + bool(row["shuffled"]) for row in means)
    gains = [f"{own['own'][0] - own['own'][1_024]:z.3f}", f"{own['shuffled'][1_024] - own['own'][1_024]:z.3f}"]
    assert table[2].split(" | ")[-3:-1] == gains


def test_losses_without_any_memory_are_measured_too(tmp_path: Path) -> None:
    paths = texts(tmp_path)
    text = model_of(paths)
    told: list[tuple[str, float]] = []
    results = lm.losses(
        entrant(text), text, lm.long_enough(text, paths, 0), None, (0,), lambda *done: told.append(done)
    )
    assert [row["name"] for row in results["rows"]] == ["ours", "ours + pairs", lm.BLIND]
    assert told == [("ours, 0 tokens, seed 0", 0.0), ("ours, 0 tokens, seed 0", 1.0)]


def test_what_is_told_of_no_memory_is_left_out_where_that_is_not_asked_for(tmp_path: Path) -> None:
    paths = texts(tmp_path)
    text = model_of(paths)
    results = lm.losses(entrant(text), text, lm.long_enough(text, paths, 256), None, (128, 256), quiet)
    assert [row["name"] for row in results["rows"]] == ["ours", "ours + pairs"]
    assert all(set(row["own"]) == {128, 256} for row in results["means"])


@pytest.mark.parametrize("layer", [UNIT, CLUSTER, ATOM])
def test_what_ours_read_for_judged_tokens_is_told_by_layer(tmp_path: Path, layer: int) -> None:
    paths = texts(tmp_path)
    text = model_of(paths)
    reader = text.model.transformer.crystal.reader
    with torch.no_grad():
        reader.null.fill_(-1e4)  # nothing is read of it, once something else may be: after the first of the 512 tokens
        reader.layer_bias[:, layer] = 100.0
    results = lm.losses(entrant(text), text, lm.long_enough(text, paths, 0), None, (0,), quiet)
    only = dict.fromkeys(lm.SLOTS, 0.0) | {lm.SLOTS[1 + layer]: 1.0}
    assert [row["read"] for row in results["rows"]] == [pytest.approx(only, abs=1e-6), {}, {}]
    said = lm.markdown(results).partition("## What a reading is of, after 0 tokens of memory")[2].splitlines()
    (line,) = [each for each in said if "| ours" in each]
    assert line.replace("|", " ").split() == ["ours", "-", *(f"{share:.3f}" for share in only.values())]


def test_what_is_read_is_that_of_the_longest_memory_of_its_own_text(tmp_path: Path) -> None:
    paths = texts(tmp_path)
    text, seen = model_of(paths), list[torch.Tensor]()
    tokens = lm.long_enough(text, paths, 256)
    lm._told(entrant(text), tokens, (0, 256), seen, quiet)
    assert [each.shape for each in seen] == [(2, 512, 4)] * 3
    again: list[torch.Tensor] = []
    text_loss(Crystal(text.model, watch=lambda output: again.append(output.read)), tokens, 256)
    assert all(map(torch.equal, seen, again))
    shares = lm._shares(seen)
    assert sum(shares.values()) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in shares.values())
    assert shares["null"] == pytest.approx(float(torch.cat(seen[1:], 1)[..., 0].mean()))


def test_a_model_that_is_in_the_folder_of_others_too_is_measured_once(tmp_path: Path) -> None:
    paths = texts(tmp_path)
    text = model_of(paths)
    for name in ("one", "other"):
        text.save(tmp_path / f"{name}.safetensors")
    own, again = rivals.ours(tmp_path / "one.safetensors")
    results = lm.losses(own, again, lm.long_enough(text, paths, 0), tmp_path, (0,), quiet)
    assert [row["seeds"] for row in results["means"]] == [2, 2, 2]


def test_a_model_is_told_by_the_tokens_that_it_read_and_one_of_before_by_those_it_was_asked_to(tmp_path: Path) -> None:
    text, asked = model_of(texts(tmp_path)), {"asked": {"tokens": 3_000_000, "seed": 0}}
    for name, training in {
        "part": {**asked, "tokens": 36_000},
        "timed": {"asked": {"seed": 0}, "tokens": 64_000},
    }.items():
        text.save(tmp_path / f"{name}.safetensors", notes={"training": training})
    text.save(tmp_path / "whole.safetensors", notes={"training": asked})
    found, _ = rivals.trained(tmp_path, text.vocabulary)
    assert [each.tokens for each in found] == [36_000, 64_000, 3_000_000]
    tokens = lm.long_enough(text, texts(tmp_path), 0)
    results = lm.losses(found[0], text, tokens, tmp_path, (0,), quiet)
    assert {(row["trained_on"], row["seeds"]) for row in results["means"]} == {(36_000, 1), (64_000, 1), (3_000_000, 1)}
    assert [f"| ours | {told} |" in lm.markdown(results) for told in ("36k", "64k", "3M")] == [True] * 3


def test_progress_moves_on_with_every_size_of_a_model(tmp_path: Path) -> None:
    paths = texts(tmp_path)
    text = model_of(paths)
    told: list[float] = []
    lm.losses(entrant(text), text, lm.long_enough(text, paths, 256), None, (0, 256), lambda _, done: told.append(done))
    assert told == [0.0, 1 / 3, 2 / 3, 1.0]


def test_sizes_are_told_in_order_each_once() -> None:
    assert options.sizes_of("4k,0,1k,4k") == [0, 1_000, 4_000]


def test_a_peer_is_trained_once_and_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rivals, "EVERY", 4)
    tokens = (np.random.default_rng(0).integers(300, size=13_000).astype(np.uint16),)
    corpus = Corpus(Vocabulary.learned(["any words"], 260), tokens)
    rival = rivals.Rival("windowed", 300, 20_000, 16, 2, seed=0, tokens=4_000 * 6)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    rivals.train(rival, corpus, whole, "command")

    def stop(line: dict[str, Any]) -> None:
        if line["step"] > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rivals.train(rival, corpus, parts, "command", stop)
    assert {each.suffix for each in parts.iterdir()} == {".training", ".lock"}
    assert rival.unfinished(parts, corpus).is_file()
    assert not rival.unfinished(parts, Corpus(Vocabulary.learned(["words of others"], 260), tokens)).is_file()
    with held(parts / "windowed-0.lock"), pytest.raises(SettingsError, match="is in use by another training"):
        rivals.train(rival, corpus, parts, "command")
    steps: list[int] = []
    rivals.train(rival, corpus, parts, "command", lambda line: steps.append(line["step"]))
    assert steps == [6]
    assert {each.name for each in parts.iterdir()} == {"windowed-0.safetensors", "windowed-0.lock"}
    rivals.train(rival, corpus, parts, "command", stop)  # nothing to do
    with pytest.raises(InvalidInputError, match="tokens 24000, not 1"):
        rivals.train(replace(rival, tokens=1), corpus, parts, "command")
