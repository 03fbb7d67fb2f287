"""Files of weights: the same bytes for the same model, older files read, and where the shipped ones are."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.neural import checkpoints
from agentmem.neural.crystal import MemoryCrystal
from agentmem.neural.files import load, write
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.tokens import TokenModel, settings_of

torch.set_num_threads(1)


def small() -> TokenModel:
    torch.manual_seed(0)
    crystal = CrystalSettings(dimension=16, code_bits=64, cue_bits=16)
    return TokenModel(settings_of(66, d_model=16, n_heads=2, lower=1, upper=1, window=8, crystal=crystal))


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    notes = {"training": {"seed": 1, "asked": {"b": 1, "a": 2}}, "vocabulary": "{}"}
    for name in "abcdefgh":  # safetensors alone would put metadata in another order about every other time
        small().save(tmp_path / name, "made so", notes)
    assert len({(tmp_path / name).read_bytes() for name in "abcdefgh"}) == 1


def test_a_memory_gives_the_same_bytes_too(tmp_path: Path) -> None:
    for name in "abcd":
        torch.manual_seed(0)
        crystal = MemoryCrystal(16, code_bits=64, cue_bits=16)
        crystal.crystallize(torch.randn(1, 250, 16))
        crystal.save(tmp_path / name)
    assert len({(tmp_path / name).read_bytes() for name in "abcd"}) == 1


def test_command_and_notes_come_back(tmp_path: Path) -> None:
    small().save(tmp_path / "model", "made so", {"training": {"seed": 1}})
    saved = load(tmp_path / "model", "TokenModel")
    assert (saved.command, saved.notes) == ("made so", {"training": {"seed": 1}})


def test_a_file_of_the_first_form_is_still_read(tmp_path: Path) -> None:
    model = small()
    metadata = {"kind": "TokenModel", "settings": json.dumps(asdict(model.settings)), "command": "python train.py"}
    save_file(dict(model.state_dict()), tmp_path / "old", metadata)
    again = TokenModel.load(tmp_path / "old")
    assert again.settings == model.settings
    assert all(torch.equal(each, again.state_dict()[name]) for name, each in model.state_dict().items())
    assert load(tmp_path / "old", "TokenModel").command == "python train.py"


def test_safetensors_of_others_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "other")
    with pytest.raises(InvalidInputError, match="holds weights of unknown kind; a TokenModel is needed"):
        TokenModel.load(tmp_path / "other")


def test_a_write_that_fails_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    write(tmp_path / "file", b"before")
    (tmp_path / "file.part").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_bytes() == b"before"


def test_a_checkpoint_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(
        NotFoundError, match="no checkpoint 'nosuch' at .*nosuch.safetensors; there: .*agentmem train neural nosuch"
    ):
        checkpoints.path("nosuch")
