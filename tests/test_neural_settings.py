"""Sizes of the neural memory: those that could not work are refused by name, before any tensor is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentmem.errors import InvalidInputError
from agentmem.neural.crystal import MemoryCrystal
from agentmem.neural.settings import CrystalSettings, TransformerSettings
from agentmem.neural.tokens import TokenSettings


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"dimension": -1}, "dimension=-1: at least 1 is needed"),
        ({"dimension": 10**9}, "dimension=1000000000: 65,536 is the most"),
        ({"code_bits": 10**30}, "code_bits=1000000.*: 65,536 is the most"),
        ({"slots": 0}, "slots=0: at least 1 is needed"),
        ({"ratios": (0, 5, 2)}, r"ratios\[0\]=0: at least 1 is needed"),
        ({"ratios": (10, 5, -2)}, r"ratios\[2\]=-2: at least 1 is needed"),
        ({"ratios": (10, 5)}, r"ratios=\(10, 5\): 3 numbers are needed"),
        ({"recent": (1_000,)}, r"recent=\(1000,\): 2 numbers are needed"),
        ({"recent": (-10, 5_000)}, r"recent\[0\]=-10: at least 10 is needed"),
        ({"recent": (9, 5_000)}, r"recent\[0\]=9: at least 10 is needed"),
        ({"recent": (1_000, 49)}, r"recent\[1\]=49: at least 50 is needed"),
        ({"recent": (7, 20), "ratios": (8, 2, 2)}, r"recent\[0\]=7: at least 8 is needed"),
        ({"offsets": 0}, "offsets=0: at least 1 is needed"),
        ({"heads": 0}, "heads=0: at least 1 is needed"),
        ({"read": 0}, "read=0: at least 1 is needed"),
        ({"dimension": 1.5}, "dimension=1.5: a whole number is needed, at least 1"),
        ({"dimension": "96"}, "dimension='96': a whole number is needed"),
        ({"slots": True}, "slots=True: a whole number is needed"),
        ({"ratios": 10}, "ratios=10: 3 numbers are needed"),
        ({"ratios": (10.0, 5, 2)}, r"ratios\[0\]=10.0: a whole number is needed"),
        ({"recent": (1e3, 5_000)}, r"recent\[0\]=1000.0: a whole number is needed"),
        ({"code_bits": 768.0}, "code_bits=768.0: a whole number is needed"),
        ({"budget": 1e6}, "budget=1000000.0: a whole number is needed"),
        ({"budget": float("inf")}, "budget=inf: a whole number is needed"),
        ({"tau": 0.0}, r"tau=0.0: a number from 1 to 1e\+12 is needed"),
        ({"tau": float("nan")}, r"tau=nan: a number from 1 to 1e\+12 is needed"),
        ({"tau": float("inf")}, r"tau=inf: a number from 1 to 1e\+12 is needed"),
        ({"sharpest": "much"}, "sharpest='much': a number from 1"),
        ({"chance": 2}, "chance=2: a number from 0 to 1 is needed"),
        ({"exponent": -1.0}, r"exponent=-1.0: a number from 0 to 1e\+12 is needed"),
        ({"exponent": float("nan")}, r"exponent=nan: a number from 0 to 1e\+12 is needed"),
        ({"slots": 101}, "slots=101 in an atom of 100 tokens: one token each"),
        ({"cue_bits": 100}, "cue_bits=100 of them: whole bytes"),
        ({"cue_bits": 0}, "cue_bits=0 of them"),
        ({"cue_bits": 384}, "384 bits each, cue_bits=384 of them: .* room for a consequence"),
        ({"code_bits": 100}, "code_bits=100 in 2 slots"),
        ({"budget": 99}, "a budget of 99 bytes holds no atom of 100"),
        ({"budget": float("nan")}, "budget=nan: a whole number is needed"),
    ],
)
def test_crystals_of_sizes_that_could_not_work_are_refused(sizes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        CrystalSettings(**sizes)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"d_model": 0}, "d_model=0: at least 1 is needed"),
        ({"n_heads": 0}, "n_heads=0: at least 1 is needed"),
        ({"d_model": 10**9}, "d_model=1000000000: 65,536 is the most"),
        ({"lower": -1}, "lower=-1: at least 0 is needed"),
        ({"upper": 0}, "upper=0: at least 1 is needed"),
        ({"window": 0}, "window=0: at least 1 is needed"),
        ({"conv": 0}, "conv=0: at least 1 is needed"),
        ({"n_heads": 7}, "d_model=768 over n_heads=7: an even width each is needed"),
        ({"d_model": 96}, "crystals of dimension 768 in a transformer of d_model=96"),
        ({"window": 1.5}, "window=1.5: a whole number is needed, at least 1"),
        ({"crystal": {"dimension": 768}}, r"give CrystalSettings\(dimension=768\)"),
    ],
)
def test_transformers_of_sizes_that_could_not_work_are_refused(sizes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        TransformerSettings(**sizes)


@pytest.mark.parametrize(
    ("vocabulary", "bound", "said"),
    [
        (0, 2, "vocabulary=0: at least 1 is needed"),
        (10**9, 2, "vocabulary=1000000000: 1,048,576 is the most"),
        (-1, 2, "vocabulary=-1: at least 1 is needed"),
        (6.6, 2, "vocabulary=6.6: a whole number is needed"),
        (66, 4, "bound=4 tokens in crystals that look 3 tokens ahead"),
        (66, 0, "bound=0: at least 1 is needed"),
        (66, 1.5, "bound=1.5: a whole number is needed"),
    ],
)
def test_a_vocabulary_of_nothing_and_slots_that_say_too_much_are_refused(
    vocabulary: Any, bound: Any, said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        TokenSettings(vocabulary, TransformerSettings(), bound)


def test_a_token_model_of_no_transformer_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"transformer={'d_model': 96}: give TransformerSettings"):
        TokenSettings(66, {"d_model": 96})  # type: ignore[arg-type]


def test_numbers_of_numpy_and_lists_are_taken_as_pythons_own_and_so_are_saved(tmp_path: Path) -> None:
    crystal = MemoryCrystal(np.int64(24), ratios=[10, np.int32(5), 2], chance=np.float32(0.5))  # type: ignore[arg-type]
    assert crystal.settings == CrystalSettings(24, chance=0.5)
    crystal.save(tmp_path / "crystal")
    assert MemoryCrystal.load(tmp_path / "crystal").settings == crystal.settings
    whole = TransformerSettings(np.int64(24), np.int64(2), crystal=crystal.settings)  # type: ignore[arg-type]
    told = TokenSettings(np.int64(66), whole, np.int64(2))  # type: ignore[arg-type]
    assert [type(each) for each in (whole.d_model, whole.n_heads, told.vocabulary, told.bound)] == [int] * 4


def test_the_least_sizes_of_all_are_taken() -> None:
    least = CrystalSettings(
        dimension=2, code_bits=16, slots=1, cue_bits=8, ratios=(1, 1, 1), offsets=1, recent=(1, 1), budget=6, heads=1,
        read=1, tau=1, exponent=0,
    )  # fmt: skip
    assert least.spans == (1, 1, 1)
    TransformerSettings(2, 1, lower=0, upper=1, window=1, conv=1, crystal=least)
