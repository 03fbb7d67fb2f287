"""What weights and tensors are made of: the type that is computed in, and what has no numbers where they are needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentmem.errors import InvalidInputError
from agentmem.neural.crystal import MemoryCrystal
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.states import from_bytes, to_bytes
from agentmem.neural.tokens import TokenModel, settings_of
from agentmem.neural.transformer import InfiniteMemoryTransformer

torch.set_num_threads(1)
D = 24
X = torch.randn(2, 230, D, generator=torch.Generator().manual_seed(1))
CAST = [torch.bfloat16, torch.float16, torch.float64]


def written() -> MemoryCrystal:
    torch.manual_seed(0)
    crystal = MemoryCrystal(D)
    crystal.crystallize(X)
    return crystal


def transformer() -> InfiniteMemoryTransformer:
    return InfiniteMemoryTransformer(D, 2, CrystalSettings(dimension=D), lower=1, upper=1, window=16)


def token_model() -> TokenModel:
    crystal = CrystalSettings(dimension=D)
    return TokenModel(settings_of(40, crystal=crystal, d_model=D, n_heads=2, lower=1, upper=1, window=16)).eval()


CALLS: list[tuple[Callable[[], nn.Module], Callable[[nn.Module, Tensor], object]]] = [
    (written, lambda crystal, x: crystal.crystallize(x)),
    (written, lambda crystal, x: crystal.recall(x)),
    (written, lambda crystal, x: crystal.write(x, crystal.start(2))),
    (transformer, lambda model, x: model(x)),
    (transformer, lambda model, x: model.step(x, model.start(2))),
]


@pytest.mark.parametrize("type", CAST)
@pytest.mark.parametrize(("make", "call"), CALLS)
def test_a_module_that_was_cast_says_at_its_first_call_what_it_computes_in(
    make: Callable[[], nn.Module], call: Callable[[nn.Module, Tensor], object], type: torch.dtype
) -> None:
    model = make().to(type)
    said = f"the weights of this {model.__class__.__name__} are {type}; torch.float32 is needed: call .float"
    for x in (X, X.to(type)):
        with pytest.raises(InvalidInputError, match=said):
            call(model, x)
    call(model.float(), X)


MADE: list[tuple[Callable[[Tensor], Tensor], str]] = [
    (lambda x: x.to("meta"), " is on the device meta, where tensors have no numbers; give one that has"),
    (lambda x: x.to_sparse(), r" is torch.sparse_coo; a dense tensor is needed, such as \.to_dense makes"),
    (lambda x: torch.nested.nested_tensor(list(x)), r" is nested; a dense tensor is needed, such as .to_padded"),
]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize(("made", "said"), MADE)
def test_a_tensor_without_all_its_numbers_is_refused_by_what_it_is(made: Callable[[Tensor], Tensor], said: str) -> None:
    for make, call in CALLS:
        with pytest.raises(InvalidInputError, match=said):
            call(make(), made(X))
    model, tokens = token_model(), torch.zeros(2, 20, dtype=torch.int64)
    state, output = model.transformer.start(2), model(tokens)
    calls: list[Callable[[Tensor], object]] = [
        model,
        output.of,
        lambda tokens: model.step(tokens, state),
        lambda tokens: model.remember(tokens, state),
        lambda wrong: model.ask(tokens, state, as_of=wrong),
    ]
    for each in calls:
        with pytest.raises(InvalidInputError, match=said):
            each(made(tokens))


@pytest.mark.parametrize("type", CAST)
def test_a_token_model_that_was_cast_says_so_too(type: torch.dtype) -> None:
    with pytest.raises(InvalidInputError, match=f"the weights of this InfiniteMemoryTransformer are {type}"):
        token_model().to(type)(torch.zeros(1, 50, dtype=torch.int64))


@pytest.mark.parametrize("type", CAST)
def test_what_a_crystal_remembers_keeps_its_types_whatever_its_weights_are_cast_to(
    type: torch.dtype, tmp_path: Path
) -> None:
    whole, cast = written(), written().to(type)
    memory = from_bytes(cast, to_bytes(cast, cast.memory))  # type: ignore[arg-type]
    cast.save(tmp_path / "crystal")
    loaded = MemoryCrystal.load(tmp_path / "crystal")
    for each in (cast.memory, memory, loaded.memory):
        assert whole.memory is not None
        assert each is not None
        assert torch.equal(each.hidden, whole.memory.hidden)
        assert torch.equal(each.open[0].slots, whole.memory.open[0].slots)
    loaded.crystallize(X)
    there, here = (each.writer.cue_projection.weight for each in (loaded, whole))
    torch.testing.assert_close(there, here, atol=1e-2, rtol=0)


@pytest.mark.parametrize("type", [torch.bfloat16, torch.float16])
def test_recall_gives_float32_within_autocast_and_of_a_query_of_fewer_bits(type: torch.dtype) -> None:
    crystal = written()
    expected = crystal.recall(X[:, :3])
    with torch.autocast("cpu", torch.bfloat16):
        found = crystal.recall(X[:, :3])
    for each in (expected, found, crystal.recall(X[:, :3].to(type)), MemoryCrystal(D).recall(X[:, :3].to(type))):
        assert each.dtype == torch.float32
    assert found.shape == expected.shape


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        (torch.zeros(2, 5, 383), r"slots is torch.float32 \[2, 5, 383\]; .* \[2, 5, 384\] is needed"),
        (torch.zeros(()), r"slots is torch.float32 \[\]; .* \[384\] is needed"),
        (torch.zeros(2, 384, dtype=torch.int64), "slots is torch.int64"),
        ([0.0] * 384, "slots is a list; a torch.Tensor"),
    ],
)
def test_slots_of_another_size_say_nothing(slots: Any, said: str) -> None:
    model = token_model()
    with pytest.raises(InvalidInputError, match=said):
        model.says_log_probabilities(slots)
    assert model.says_log_probabilities(torch.zeros(2, 5, 384)).shape == (2, 5, 2, 40)


@pytest.mark.parametrize(("make", "call"), CALLS)
def test_what_is_on_another_device_than_the_weights_is_refused_by_both(
    make: Callable[[], nn.Module], call: Callable[[nn.Module, Tensor], object]
) -> None:
    with pytest.raises(InvalidInputError, match=r"is on cpu and the model's weights on meta; .*\.to\(\"meta\"\), or"):
        call(make().to("meta"), X)


def test_a_state_or_memory_that_stayed_on_another_device_is_refused_by_both() -> None:
    crystal, model, words = MemoryCrystal(D), transformer(), token_model()
    memory, state, words_state = crystal.start(2), model.start(2), words.transformer.start(2)
    for each in (crystal, model, words):
        each.to("meta")
    calls: list[tuple[str, Callable[[], object]]] = [
        ("memory", lambda: setattr(crystal, "memory", memory)),
        ("memory", lambda: crystal.write(X, memory)),
        ("state", lambda: model.step(X, state)),
        ("state", lambda: words.step(torch.zeros(2, 5, dtype=torch.int64), words_state)),
        ("tokens", lambda: words(torch.zeros(2, 5, dtype=torch.int64))),
    ]
    for name, call in calls:
        with pytest.raises(InvalidInputError, match=f"{name} is on cpu and the model's weights on meta; "):
            call()
