"""Documents and folders of models for `agentmem bench neural lm`: which are enough, and how others are refused."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from entrants import corpus_of, entrant, model_of, texts
from typer.testing import CliRunner

from agentmem.bench.neural import lm, options, rivals
from agentmem.cli import app
from agentmem.errors import InvalidInputError
from agentmem.neural.corpus import Corpus, keep
from agentmem.neural.measure import quiet
from agentmem.neural.text import Vocabulary

torch.set_num_threads(1)


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["bench", "neural", "lm", *map(str, arguments)])
    assert result.exit_code == 1, result.output
    return result.stderr


@pytest.mark.parametrize(
    ("sizes", "same", "why"),
    [
        ([65_536], True, "0 of 2 documents have 67,073 tokens"),
        ([0], False, "and the model has .*: name the folder that"),
    ],
)
def test_what_could_not_be_measured_is_refused_before_peers_are_trained(
    tmp_path: Path, sizes: list[int], same: bool, why: str
) -> None:
    paths = texts(tmp_path)
    text = model_of(paths)
    read = corpus_of(text, paths)
    keep(tmp_path, read if same else Corpus(Vocabulary.learned(["other words"], 261), read.tokens))
    asked = {"files": paths, "sizes": sizes, "train": tmp_path, "models": tmp_path / "rivals"}
    usual = dict.fromkeys(("peers", "tokens", "seed", "checkpoint"))
    with pytest.raises(InvalidInputError, match=why):
        lm.measure((entrant(text), text), argparse.Namespace(**asked, **usual), quiet)
    assert not (tmp_path / "rivals").exists()


def test_a_model_whose_package_is_not_installed_is_left_out_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = texts(tmp_path)
    text = model_of(paths)
    rival = rivals.Rival("mingru", text.vocabulary.size, 20_000, 16, 2, seed=0, tokens=1)
    rivals.train(rival, corpus_of(text, paths), tmp_path, "command")
    monkeypatch.setitem(sys.modules, "minGRU_pytorch.minLM", None)
    found, missing = rivals.trained(tmp_path, text.vocabulary)
    assert found == []
    assert [line.startswith("mingru-0: ") and "pip install" in line for line in missing] == [True]


def test_documents_that_are_too_short_are_refused_with_what_is_needed(tmp_path: Path) -> None:
    paths = texts(tmp_path, words=50)
    with pytest.raises(
        InvalidInputError, match=r"0 of 2 documents have 67,073 tokens \(.* has .*a memory of N takes N \+ 1,537"
    ):
        lm.long_enough(model_of(paths), paths, max(options.SIZES))


def test_a_single_document_is_measured_on_its_own_text_alone_and_that_is_said(tmp_path: Path) -> None:
    (path,) = texts(tmp_path, number=1)
    text = model_of([path])
    results = lm.losses(entrant(text), text, lm.long_enough(text, [path], 256), None, (0, 256), quiet)
    assert [(row["name"], set(row["own"]), row["shuffled"]) for row in results["rows"]] == [
        ("ours", {0, 256}, {}),
        (lm.BLIND, {0}, {}),
    ]
    said = lm.markdown(results)
    assert "of a single document" in said
    assert "| falls by | bytes |" in said
    assert "| another |" not in said


def test_the_same_losses_are_told_of_a_document_alone_and_of_two_that_are_alike(tmp_path: Path) -> None:
    (path,) = texts(tmp_path, number=1)
    text = model_of([path])
    (alone,) = lm.long_enough(text, [path], 256)
    one, two = (lm.losses(entrant(text), text, [alone] * number, None, (0, 256), quiet) for number in (1, 2))
    assert one["rows"][0]["own"] == pytest.approx(two["rows"][0]["own"])
    assert two["rows"][0]["shuffled"] == {256: pytest.approx(two["rows"][0]["own"][256])}


def test_a_document_that_is_named_twice_is_refused_by_both_of_its_names(tmp_path: Path) -> None:
    first, second = texts(tmp_path)
    assert f"{first} is named twice" in refused(first, second, first)
    (tmp_path / "link.txt").symlink_to(first)
    assert f"{tmp_path}/link.txt is {first}, which is named already" in refused(first, tmp_path / "link.txt")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((50,), "0 of 1 documents have 67,073 tokens (0.txt has .*); give one that has, or smaller"),
        ((50, 80_000), "1 of 2 documents have 67,073 tokens (0.txt has .*); give two that have, that one alone, or"),
    ],
)
def test_what_is_needed_is_told_by_how_many_documents_there_are(
    words: tuple[int, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, each in enumerate(words):
        Path(f"{number}.txt").write_text(" ".join(["sun", "moon"] * (each // 2)))
    text = model_of(["0.txt"])
    with pytest.raises(InvalidInputError, match=said.replace("(", r"\(").replace(")", r"\)")):
        lm.long_enough(text, [f"{number}.txt" for number in range(len(words))], max(options.SIZES))


def test_what_does_not_fit_is_refused_before_a_peer_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, corpora = texts(tmp_path), [tmp_path / "own", tmp_path / "other"]
    text, other = model_of(paths), Vocabulary.learned(["quite other words, zebras and xylophones"], 261)
    text.save(tmp_path / "model.safetensors")
    for folder, vocabulary in zip(corpora, (text.vocabulary, other), strict=True):
        folder.mkdir()
        keep(folder, Corpus(vocabulary, (np.zeros(13_000, np.uint16),)))
    about = (*paths, "--checkpoint", tmp_path / "model.safetensors", "--models", tmp_path / "rivals", "--tokens", 4_000)
    assert "have 67,073 tokens" in refused(*about, "--train", corpora[0])
    small = (*about, "--sizes", "0,400")
    assert f"vocabulary {other.digest}, and the model has {text.vocabulary.digest}" in refused(
        *small, "--train", corpora[1]
    )
    monkeypatch.setitem(sys.modules, "minGRU_pytorch.minLM", None)
    assert "pip install" in refused(*small, "--train", corpora[0], "--peers", "windowed,mingru")
    assert not (tmp_path / "rivals").exists()


def test_results_say_which_model_they_are_of_and_what_made_it(tmp_path: Path) -> None:
    paths, file = texts(tmp_path), tmp_path / "model.safetensors"
    model_of(paths).save(file, "agentmem train neural text own")
    asked = argparse.Namespace(
        files=paths, sizes=[0], models=None, train=None, checkpoint=file, peers=None, tokens=None, seed=None
    )
    told = lm.measure(lm.load(file), asked, quiet)["settings"]
    assert (told["checkpoint"], told["made_by"]) == (str(file), "agentmem train neural text own")


def test_a_model_of_another_vocabulary_is_refused_though_it_has_as_many_pieces(tmp_path: Path) -> None:
    paths = texts(tmp_path)
    text, other = model_of(paths), Vocabulary.learned(["quite other words, zebras and xylophones"], 261)
    assert other.size == text.vocabulary.size
    rival = rivals.Rival("windowed", other.size, 20_000, 16, 2, seed=0, tokens=1)
    rivals.train(rival, Corpus(other, (np.zeros(13_000, np.uint16),)), tmp_path, "command")
    with pytest.raises(
        InvalidInputError, match=f"was trained with vocabulary {other.digest}.*: name with --checkpoint"
    ):
        rivals.trained(tmp_path, text.vocabulary)


def test_a_folder_without_a_training_is_refused_by_its_option(tmp_path: Path) -> None:
    (path,) = texts(tmp_path, number=1)
    for named in (tmp_path / "nope", path):
        said = refused(path, "--train", named, "--models", tmp_path / "rivals")
        assert " ".join(said.split()) == (
            f"error: --train {named} is no folder; name one that `agentmem train neural text` made, by its --out"
        )


def test_a_folder_in_which_no_other_model_was_found_is_named(tmp_path: Path) -> None:
    paths = texts(tmp_path)
    text = model_of(paths)
    text.save(tmp_path / "model.safetensors")
    own, _ = rivals.ours(tmp_path / "model.safetensors")
    tokens = lm.long_enough(text, paths, 0)
    said = f"Ours alone: {tmp_path} has no other model in it"
    assert said in lm.markdown(lm.losses(own, text, tokens, tmp_path, (0,), quiet))
    assert "Ours alone" not in lm.markdown(lm.losses(own, text, tokens, None, (0,), quiet))
