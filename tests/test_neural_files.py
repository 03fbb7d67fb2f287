"""Files of weights: the same bytes for the same model, whole or refused, and where the shipped ones are."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import agentmem
from agentmem.errors import AgentMemError, FullError, InvalidInputError, NotFoundError, PathError
from agentmem.neural import checkpoints
from agentmem.neural.corpus import kept
from agentmem.neural.crystal import MemoryCrystal
from agentmem.neural.files import kind_of, load, write
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.text_model import TextModel
from agentmem.neural.tokens import TokenModel, settings_of
from agentmem.neural.transformer import InfiniteMemoryTransformer

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


def test_safetensors_of_others_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "other")
    with pytest.raises(InvalidInputError, match="holds weights of unknown kind; a TokenModel is needed"):
        TokenModel.load(tmp_path / "other")


def test_kinds_of_files_are_named_as_english_has_them(tmp_path: Path) -> None:
    small().save(tmp_path / "model")
    with pytest.raises(InvalidInputError, match="holds TokenModel; an InfiniteMemoryTransformer is needed"):
        InfiniteMemoryTransformer.load(tmp_path / "model")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.999])
def test_a_changed_byte_in_the_settings_or_the_weights_is_told(tmp_path: Path, share: float) -> None:
    small().save(tmp_path / "model", notes={"made": "0" * 2_000})
    content = bytearray((tmp_path / "model").read_bytes())
    at = int(share * len(content))
    content[at] ^= 1
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(InvalidInputError, match="model was changed after it was saved .*: load another copy, or train"):
        TokenModel.load(tmp_path / "model")


def test_a_file_of_an_earlier_version_which_has_no_digest_is_loaded(tmp_path: Path) -> None:
    save_file(small().state_dict(), tmp_path / "older", {"agentmem": json.dumps(changed())})
    assert TokenModel.load(tmp_path / "older").settings == small().settings


def test_no_bit_of_what_is_said_of_a_model_changes_unseen_be_it_in_the_name_of_the_digest(tmp_path: Path) -> None:
    small().save(tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    start = content.index(b"agentmem")
    for at in range(start, content.index(b"}", content.index(b"sha256"))):
        (tmp_path / "model").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(InvalidInputError):
            TokenModel.load(tmp_path / "model")


SHIPPED = sorted(Path(agentmem.__file__).parent.rglob("*.safetensors"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda each: each.stem)
def test_a_changed_copy_of_a_checkpoint_that_is_shipped_is_refused(file: Path, tmp_path: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5_000] ^= 1
    (tmp_path / file.name).write_bytes(content)
    load(file, kind_of(file))
    with pytest.raises(InvalidInputError, match="was changed after it was saved"):
        load(tmp_path / file.name, kind_of(file))


def test_notes_with_numbers_as_names_are_whole_when_they_are_loaded(tmp_path: Path) -> None:
    small().save(tmp_path / "model", notes={"at": {2: "b", 10: "a", 1: 0.1}})  # type: ignore[dict-item]
    assert load(tmp_path / "model", "TokenModel").notes["at"] == {"1": 0.1, "2": "b", "10": "a"}


def changed(**entries: Any) -> dict[str, Any]:
    model = asdict(small().settings)
    return {"kind": "TokenModel", "settings": model, "command": "", "notes": {}, **entries}


def without_bias(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: each for name, each in weights.items() if name != "bias"}


@pytest.mark.parametrize(
    ("header", "weights", "said"),
    [
        ("no JSON", dict, "is no safetensors file of a TokenModel that can be read"),
        ("[]", dict, "is no safetensors file of a TokenModel that can be read"),
        ('{"kind": "TokenModel"}', dict, "KeyError"),
        (changed(settings=[]), dict, "is no safetensors file of a TokenModel that can be read"),
        (changed(settings={"vocabulary": 66}), dict, "is not whole .*'bound'"),
        (changed(settings={**changed()["settings"], "transformer": {}}), dict, "is not whole .*'crystal'"),
        (changed(settings={**changed()["settings"], "bound": 9}), dict, "is not whole .bound=9"),
        (changed(), without_bias, '(?s)is not whole .*"bias"'),
    ],
)
def test_a_file_that_is_not_whole_is_refused(
    header: Any, weights: Callable[[Any], dict[str, torch.Tensor]], said: str, tmp_path: Path
) -> None:
    text = header if isinstance(header, str) else json.dumps(header)
    save_file(weights(small().state_dict()), tmp_path / "broken", {"agentmem": text})
    with pytest.raises(InvalidInputError, match=said):
        TokenModel.load(tmp_path / "broken")


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_weights_that_are_no_finite_numbers_are_refused(tmp_path: Path, wrong: float) -> None:
    model = small()
    with torch.no_grad():
        model.bias[3] = wrong
    model.save(tmp_path / "model")
    with pytest.raises(InvalidInputError, match="has weights that are no finite numbers, in bias: load another"):
        TokenModel.load(tmp_path / "model")


@pytest.mark.parametrize(
    "read", [MemoryCrystal.load, TokenModel.load, TextModel.load, InfiniteMemoryTransformer.load, kind_of]
)
def test_what_is_no_file_to_read_is_refused_with_what_to_do(read: Callable[[Any], object], tmp_path: Path) -> None:
    refused: list[tuple[Any, type[Exception], str]] = [
        (tmp_path / "nothing", FileNotFoundError, "there is no file .*nothing; check the path"),
        (tmp_path, PathError, f"{tmp_path} is a folder; give the path of a file in it"),
        (None, InvalidInputError, "the file None is no path of a file"),
        ("a\0b", InvalidInputError, "is no path of a file"),
    ]
    for path, error, said in refused:
        with pytest.raises(AgentMemError, match=said) as caught:
            read(path)
        assert isinstance(caught.value, error)


def test_what_cannot_be_written_is_refused_with_what_to_do_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    refused: list[tuple[Any, type[Exception], str]] = [
        (tmp_path / "folder", OSError, "folder is a folder; give the path of a file in it"),
        (tmp_path / "no" / "such" / "x", OSError, "the folder of .*x does not exist; create it first"),
        (tmp_path / "file" / "x", OSError, "x cannot be written .Not a directory.; give another path"),
        (tmp_path / "pipe", OSError, "pipe is a device or a pipe, which this would replace; give the path of a file"),
        (None, InvalidInputError, "the file None is no path of a file"),
    ]
    for path, error, said in refused:
        with pytest.raises(AgentMemError, match=said) as caught:
            small().save(path)
        assert isinstance(caught.value, error)
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["file", "folder", "pipe"]


def test_where_nothing_may_be_looked_at_nothing_is_written_and_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0)
    os.seteuid(os.geteuid() or 65_534)  # root may look everywhere
    try:
        for path in (tmp_path / "shut" / "x", tmp_path / "shut" / "in" / "x"):
            with pytest.raises(PathError, match=r"x cannot be written .Permission denied.; give another path"):
                write(path, b"")
    finally:
        os.seteuid(os.getuid())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"counts": None}, "'counts'"),
        ({"counts": torch.zeros(4).long()}, "not enough values"),
        ({"atoms": torch.zeros(2, 2, 7).byte()}, r"atoms is .*uint8 \[2, 2, 7\]; .*uint8 \[2, 2, 12\] is needed"),
        ({"recent.1": torch.zeros(2, 5, 2, 16).char()}, r"recent.1 is .*int8 \[2, 5, 2, 16\]; .* \[2, 5, 2, 32\] is"),
        ({"recent.0": torch.zeros(2, 25, 2, 32)}, "recent.0 is torch.float32 .*; torch.int8 "),
        ({"open.0.at": torch.zeros(1, 4, 2).long()}, r"open.0.at is .*int64 \[1, 4, 2\]; .*int64 \[2, 4, 2\] is"),
        ({"hidden": torch.full((2, 10, 16), torch.nan)}, r"hidden \[0, 0, 0\] is nan"),
    ],
)
def test_a_memory_that_is_not_whole_is_refused(
    changes: dict[str, torch.Tensor | None], said: str, tmp_path: Path
) -> None:
    crystal = MemoryCrystal(16, code_bits=64, cue_bits=16)
    crystal.crystallize(torch.randn(2, 250, 16))
    crystal.save(tmp_path / "whole")
    saved = load(tmp_path / "whole", "MemoryCrystal")
    changed = {f"memory.{name}": each for name, each in changes.items()}
    header = json.dumps({"kind": "MemoryCrystal", "settings": saved.settings, "command": "", "notes": {}})
    kept = {name: each for name, each in {**saved.tensors, **changed}.items() if each is not None}
    save_file(kept, tmp_path / "broken", {"agentmem": header})
    with pytest.raises(InvalidInputError, match=rf"broken has a memory that is not whole \(.?{said}.*: load another"):
        MemoryCrystal.load(tmp_path / "broken")


@pytest.mark.parametrize("content", [b"PKxx", b"PK\x03\x04xx", b""])
def test_tokens_that_are_not_whole_are_refused_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "vocabulary.json").write_text("{}")
    (tmp_path / "tokens.npz").write_bytes(content)
    with pytest.raises(InvalidInputError, match="is not whole: remove both, and the same training makes them again"):
        kept(tmp_path)


def test_a_vocabulary_that_is_not_whole_is_refused_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.json").write_text("")
    np.savez(tmp_path / "tokens.npz", np.zeros(3, np.uint16))
    with pytest.raises(InvalidInputError, match="is not whole: remove both, and the same training makes them again"):
        kept(tmp_path)


def test_a_write_that_fails_leaves_the_file_that_was_there_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "file", b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, limits[1]))
    try:
        with pytest.raises(FullError, match=f"no space left for {tmp_path}/file .File too large.; free some"):
            write(tmp_path / "file", bytes(1_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"before")]


def test_two_may_write_a_file_at_once(tmp_path: Path) -> None:
    failed: list[Exception] = []

    def again_and_again(content: bytes) -> None:
        try:
            for _ in range(50):
                write(tmp_path / "file", content)
        except OSError as error:
            failed.append(error)

    threads = [Thread(target=again_and_again, args=(letter * 1_000_000,)) for letter in (b"a", b"b")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert len(set((tmp_path / "file").read_bytes())) == 1


def test_a_checkpoint_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(
        NotFoundError, match="no checkpoint 'nosuch' at .*nosuch.safetensors; there: .*agentmem train neural recall"
    ):
        checkpoints.path("nosuch")
