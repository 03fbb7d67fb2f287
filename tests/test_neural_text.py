"""Text: any of it encoded and decoded, documents from files and folders, token numbers kept, one file for a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from agentmem.errors import InvalidInputError, in_brief
from agentmem.neural.corpus import corpus, keep
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.text import Document, Stretches, Vocabulary, documents
from agentmem.neural.text_model import TextModel
from agentmem.neural.tokens import TokenModel, settings_of

TEXTS = ["The crane stood in the reeds. " * 9, "Der Kranich steht im Schilf, täglich. " * 9]
LEARNED = Vocabulary.learned(TEXTS, 300)


def model(vocabulary: int) -> TokenModel:
    torch.manual_seed(0)
    crystal = CrystalSettings(dimension=16, code_bits=64, cue_bits=16)
    return TokenModel(settings_of(vocabulary, d_model=16, n_heads=2, lower=1, upper=1, window=8, crystal=crystal))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
@example("👩🏽‍🚀 🇨🇭 e\u0301 \u202eright to left")
@example("\x00\x01\x1c\x1d\x85\u2028\r\r\n\n\t \x7f")
@example("<s> [PAD] <|endoftext|> Ġ ĊĠ")
def test_any_text_is_encoded_and_decoded_to_itself(text: str) -> None:
    tokens = LEARNED.encode(text)
    assert tokens.dtype == np.uint16
    assert LEARNED.decode(tokens.tolist()) == text


def test_what_was_often_seen_is_said_in_fewer_tokens_than_bytes() -> None:
    assert len(LEARNED.encode("The crane stood in the reeds.")) < 12


def test_the_same_texts_give_the_same_vocabulary() -> None:
    assert Vocabulary.learned(TEXTS, 300).json == LEARNED.json == Vocabulary.of(LEARNED.json).json


def test_half_a_character_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="a lone surrogate"):
        LEARNED.encode("\ud800")


@pytest.mark.parametrize(("text", "came"), [(b"ab", "a bytes"), (None, "a NoneType"), (5, "an int"), (["a"], "a list")])
def test_what_is_no_text_is_not_encoded(text: Any, came: str) -> None:
    whole = TextModel(model(300), LEARNED)
    for encode in (LEARNED.encode, whole.tokens):
        with pytest.raises(InvalidInputError, match=f"text is {came}; a str is needed: decode bytes first"):
            encode(text)


@pytest.mark.parametrize("token", [-1, 300, 99_999, 2**70, pytest.param(10**100, id="long")])
def test_a_number_that_is_no_token_of_a_vocabulary_is_not_decoded(token: int) -> None:
    said = f"token {in_brief(token)}: 0 to 299 are needed; give tokens of the model that"
    with pytest.raises(InvalidInputError, match=said):
        LEARNED.decode([7, token])


@pytest.mark.parametrize("tokens", [[1.5], ["7"], [None], 5, None, [[1, 2]], torch.tensor([[1, 2]])])
def test_what_is_no_row_of_whole_numbers_is_not_decoded(tokens: Any) -> None:
    with pytest.raises(InvalidInputError, match="tokens=.*: a row of whole numbers is needed, such as encode.*one at"):
        LEARNED.decode(tokens)


def test_whole_numbers_of_any_library_are_decoded() -> None:
    tokens = LEARNED.encode("The crane")
    assert LEARNED.decode(tokens) == LEARNED.decode(torch.from_numpy(tokens.astype(np.int64))) == "The crane"


@pytest.mark.parametrize("size", [256, 65_537])
def test_a_vocabulary_of_fewer_pieces_than_bytes_or_more_than_fit_is_refused(size: int) -> None:
    with pytest.raises(InvalidInputError, match=f"a vocabulary of {size:,} pieces; 257 to 65,536 are needed"):
        Vocabulary.learned(TEXTS, size)


def test_json_that_is_no_vocabulary_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="is no vocabulary"):
        Vocabulary.of('{"crane": 1}')


# ---- documents


def test_a_file_is_a_document_and_so_is_a_folder_of_them(tmp_path: Path) -> None:
    book = tmp_path / "book"
    (book / "part" / "odd.md").mkdir(parents=True)
    for name, text in (("part/2.md", "two"), ("1.txt", "one"), ("notes.bin", "\x00")):
        (book / name).write_text(text)
    single = tmp_path / "letter.eml"
    single.write_text("Dear crane", encoding="utf-8")
    assert list(documents([book, single])) == [Document(str(book), "one\n\ntwo"), Document(str(single), "Dear crane")]


def test_what_is_no_text_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin.txt").write_bytes("täglich".encode("latin-1"))
    for name, why in (
        ("empty", "has no .txt or .md file in it"),
        ("gone", "is not there; name a text file"),
        ("latin.txt", "no UTF-8 text"),
    ):
        with pytest.raises(InvalidInputError, match=f"{name}.*{why}"):
            list(documents([tmp_path / name]))


# ---- token numbers


def test_a_corpus_is_made_once_and_read_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(TEXTS[0])
    (tmp_path / "two.txt").write_text(TEXTS[1], encoding="utf-8")
    paths = [str(tmp_path / "one.txt"), str(tmp_path / "two.txt")]
    made = corpus(tmp_path / "kept", paths, 300)
    (tmp_path / "kept").mkdir()
    keep(tmp_path / "kept", made)
    again = corpus(tmp_path / "kept", ["gone.txt"], 999)
    assert again.vocabulary.json == made.vocabulary.json
    assert [each.tolist() for each in again.tokens] == [each.tolist() for each in made.tokens]
    assert [again.vocabulary.decode(each.tolist()) for each in again.tokens] == TEXTS


def test_stretches_are_of_one_document_each_and_the_same_for_the_same_seed() -> None:
    one, other = np.arange(100, dtype=np.uint16), np.arange(1000, 1020, dtype=np.uint16)
    stretches = Stretches((one, other, other[:5]), 10)
    drawn = stretches.draw(50, torch.Generator().manual_seed(1))
    assert drawn.shape == (50, 11)
    assert (drawn.diff(dim=1) == 1).all()
    assert torch.equal(drawn, stretches.draw(50, torch.Generator().manual_seed(1)))
    with pytest.raises(
        InvalidInputError,
        match="no document has 201 tokens; the longest of 2 has 100: give a longer one, or a folder of",
    ):
        Stretches((one, other), 200)


# ---- a model with its vocabulary


def test_a_text_model_is_saved_with_its_vocabulary_in_one_file(tmp_path: Path) -> None:
    TextModel(model(300), LEARNED).save(tmp_path / "text.safetensors", "made so", {"training": {"seed": 1}})
    whole = TextModel.load(tmp_path / "text.safetensors")
    assert whole.vocabulary.json == LEARNED.json
    tokens = whole.tokens("The crane")
    assert torch.equal(whole.model(tokens).logits, TokenModel.load(tmp_path / "text.safetensors")(tokens).logits)


def test_a_model_without_vocabulary_or_with_another_is_refused(tmp_path: Path) -> None:
    model(300).save(tmp_path / "bare.safetensors")
    with pytest.raises(InvalidInputError, match="has no vocabulary in it"):
        TextModel.load(tmp_path / "bare.safetensors")
    with pytest.raises(InvalidInputError, match="a model of 66 tokens with a vocabulary of 300 pieces"):
        TextModel(model(66), LEARNED)
