"""bfloat16 is chosen where a device has instructions for it."""

import pytest
import torch

from agentmem.neural.mixed import is_quick

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("has", "quick"),
    [
        ({"avx2": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({}, False),
    ],
)
def test_a_processor_is_quick_at_it_that_has_instructions_for_it(
    has: dict[str, bool], quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert is_quick(CPU) is quick


def test_torch_that_tells_nothing_of_the_processor_multiplies_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not is_quick(CPU)


def test_other_devices_are_not() -> None:
    assert not is_quick(torch.device("meta"))
