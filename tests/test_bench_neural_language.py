"""Language modelling beside peers: pairs counted by hand, documents long enough, rows, and peers kept in files."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentmem.bench.neural import lm, rivals
from agentmem.bench.neural.pairs import Pairs, Weights, fitted, mixed
from agentmem.errors import InvalidInputError, SettingsError
from agentmem.neural.files import held
from agentmem.neural.measure import quiet
from agentmem.neural.runs import EVERY
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.text import Vocabulary
from agentmem.neural.text_model import TextModel
from agentmem.neural.tokens import TokenModel, settings_of

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


def texts(folder: Path, number: int = 2, words: int = 3_000) -> list[str]:
    generator = np.random.default_rng(0)
    for i in range(number):
        (folder / f"{i}.txt").write_text(" ".join(generator.choice(["sun", "moon", "rain", "wind"], words)))
    return [str(folder / f"{i}.txt") for i in range(number)]


def model_of(paths: list[str]) -> TextModel:
    vocabulary = Vocabulary.learned([Path(each).read_text() for each in paths], 261)
    torch.manual_seed(0)
    crystal = CrystalSettings(dimension=16, code_bits=192, cue_bits=64, heads=1, offsets=2)
    sizes = settings_of(vocabulary.size, crystal, bound=1, d_model=16, n_heads=2, lower=1, upper=1, window=16)
    return TextModel(TokenModel(sizes), vocabulary)


def test_a_row_for_each_model_alone_and_beside_the_cache(tmp_path: Path) -> None:
    paths = texts(tmp_path)
    text = model_of(paths)
    rival = rivals.Rival("windowed", text.vocabulary.size, 20_000, 16, 2, seed=3, tokens=4_000)
    corpus = tuple(np.tile(text.vocabulary.encode(Path(each).read_text()), 4) for each in paths)
    folder = tmp_path / "rivals"
    folder.mkdir()
    rivals.train(rival, corpus, folder, "command")
    results = lm.losses(text, paths, folder, (0, 1_024), quiet)
    rows = {row["name"]: row for row in results["rows"]}
    assert list(rows) == ["ours", "ours + pairs", "windowed-3", "windowed-3 + pairs"]
    assert all(
        3 < row["own"][0] < 8 and set(row["shuffled"]) == {1_024} for row in rows.values() if "pairs" not in row["name"]
    )
    assert rows["windowed-3"]["own"][0] == pytest.approx(rows["windowed-3"]["own"][1_024], abs=1e-4)
    assert rows["ours + pairs"]["own"][1_024] < rows["ours"]["own"][1_024]
    assert rows["ours + pairs"]["bytes"] > rows["ours"]["bytes"]
    assert lm.markdown(results).count("\n") == 2 + 2 * len(rows)


def test_documents_that_are_too_short_are_refused_with_what_is_needed(tmp_path: Path) -> None:
    paths = texts(tmp_path, words=50)
    with pytest.raises(InvalidInputError, match=r"0 of 2 documents have 67,073 tokens \(the longest has "):
        lm.losses(model_of(paths), paths, None, lm.SIZES, quiet)


def test_a_peer_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    text = model_of(texts(tmp_path))
    rival = rivals.Rival("windowed", 300, 20_000, 16, 2, seed=0, tokens=1)
    rivals.train(rival, (np.zeros(13_000, np.uint16),), tmp_path, "command")
    with pytest.raises(InvalidInputError, match="was trained with 300 tokens"):
        rivals.trained(tmp_path, text.vocabulary)


def test_a_peer_is_trained_once_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    corpus = (np.random.default_rng(0).integers(300, size=13_000).astype(np.uint16),)
    rival = rivals.Rival("windowed", 300, 20_000, 16, 2, seed=0, tokens=4_000 * (EVERY + 2))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    rivals.train(rival, corpus, whole, "command")

    def stop(line: dict[str, Any]) -> None:
        if line["step"] > EVERY:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rivals.train(rival, corpus, parts, "command", stop)
    assert {each.suffix for each in parts.iterdir()} == {".training", ".lock"}
    with held(parts / "windowed-0.lock"), pytest.raises(SettingsError, match="is in use by another training"):
        rivals.train(rival, corpus, parts, "command")
    steps: list[int] = []
    rivals.train(rival, corpus, parts, "command", lambda line: steps.append(line["step"]))
    assert steps == [EVERY + 2]
    assert {each.name for each in parts.iterdir()} == {"windowed-0.safetensors", "windowed-0.lock"}
    rivals.train(rival, corpus, parts, "command", stop)  # nothing to do
    with pytest.raises(InvalidInputError, match="tokens 208000, not 1"):
        rivals.train(replace(rival, tokens=1), corpus, parts, "command")
