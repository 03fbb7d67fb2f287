"""InfiniteMemoryTransformer and TokenModel: shapes, causality, streaming, memory used, saving."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agentmem.bench.neural.peers.peer import tensors
from agentmem.errors import InvalidInputError
from agentmem.neural.files import load
from agentmem.neural.settings import ATOM, CrystalSettings
from agentmem.neural.states import from_bytes, to_bytes
from agentmem.neural.tokens import TokenModel, settings_of
from agentmem.neural.transformer import InfiniteMemoryTransformer, State, positions

torch.set_num_threads(1)
D = 24
INT8_STEP = 3e-3  # sums in another order put a number of a unit on the other side of a rounding, once in thousands


@pytest.fixture
def model() -> InfiniteMemoryTransformer:
    torch.manual_seed(0)
    return InfiniteMemoryTransformer(D, 2, CrystalSettings(dimension=D), lower=1, upper=2, window=16)


@pytest.fixture
def words() -> TokenModel:
    return token_model()


def token_model() -> TokenModel:
    torch.manual_seed(0)
    sizes = {"d_model": D, "n_heads": 2, "lower": 1, "upper": 1, "window": 16}
    return TokenModel(settings_of(66, crystal=CrystalSettings(dimension=D), **sizes))


def some(tokens: int, streams: int = 1) -> Tensor:
    return torch.randint(66, (streams, tokens), generator=torch.Generator().manual_seed(1))


def vectors(tokens: int, streams: int = 2) -> Tensor:
    return torch.randn(streams, tokens, D, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("tokens", [1, 15, 16, 17, 150])
@pytest.mark.parametrize("memory", [True, False])
def test_vectors_go_in_and_the_same_shape_comes_out(
    model: InfiniteMemoryTransformer, tokens: int, memory: bool
) -> None:
    assert model(vectors(tokens), use_infinite_memory=memory).shape == (2, tokens, D)


@pytest.mark.parametrize("chunks", [[*[1] * 60, 170], [100, 130], [7, 50, 3, 99, 71]])
@torch.no_grad()
def test_a_stream_in_chunks_is_the_whole_at_once(model: InfiniteMemoryTransformer, chunks: list[int]) -> None:
    x, state, out = vectors(230), model.start(2), []
    for chunk in x.split(chunks, 1):
        y, state = model.step(chunk, state)
        out.append(y)
    torch.testing.assert_close(torch.cat(out, 1), model(x), atol=INT8_STEP, rtol=0)


@torch.no_grad()
def test_no_token_sees_a_later_one(model: InfiniteMemoryTransformer) -> None:
    x = vectors(230)
    changed = x.clone()
    changed[:, 200:] += 1
    torch.testing.assert_close(model(changed)[:, :200], model(x)[:, :200])


@torch.no_grad()
def test_without_memory_what_left_the_windows_is_gone_and_with_it_not(model: InfiniteMemoryTransformer) -> None:
    x = vectors(230)
    changed = x.clone()
    changed[:, :20] += torch.randn(20, D)
    for memory in (False, True):
        same = torch.equal(model(changed, memory)[:, -5:], model(x, memory)[:, -5:])
        assert same is not memory


@torch.no_grad()
def test_a_gate_lets_nothing_to_all_of_a_reading_through(model: InfiniteMemoryTransformer) -> None:
    x, said = vectors(230), []
    for gate in (0.0, 0.5, 20.0, 40.0):
        model.gates.fill_(gate)
        said.append(model(x))
    assert torch.equal(said[0], model(x, use_infinite_memory=False))
    assert torch.equal(said[2], said[3])
    assert not torch.allclose(said[1], said[2])


@torch.no_grad()
def test_atoms_grow_by_the_greatest_share_of_a_reading_that_each_had(model: InfiniteMemoryTransformer) -> None:
    for reader in model.readers:
        reader.null.fill_(-4.0)
    state = model.step(vectors(723), model.start(2))[1]
    x = vectors(760)[:, 723:]
    hidden, written, after = model.write(x, state)
    readings = model.read(hidden, state.memory.view(written), positions(state, x), state.upper)[1]
    wanted = after.memory.atoms[..., -1].tolist()
    for reading in readings:
        for row, (chosen, weights) in enumerate(zip(reading.chosen, reading.weights, strict=True)):
            shares = [0.0] * len(wanted[row])
            for slot, weight in zip(chosen.flatten().tolist(), weights.flatten().tolist(), strict=True):
                if reading.view.layer[slot] == ATOM:
                    born = int(reading.view.start[row, slot]) // 100
                    shares[born] = max(shares[born], weight)
            grown = [
                now + (math.ceil((255 - now) * (1 - math.exp(-share))) if share > 0.01 else 0)
                for now, share in zip(wanted[row], shares, strict=True)
            ]
            wanted[row] = grown
    found = model.step(x, state)[1].memory.atoms[..., -1]
    assert (found - torch.tensor(wanted)).abs().max() <= 1  # a sum of floats may fall short of a whole number
    assert (found - after.memory.atoms[..., -1].long()).max() > 5


@torch.no_grad()
def test_what_is_not_finite_is_refused_whether_of_input_or_of_weights(model: InfiniteMemoryTransformer) -> None:
    x = vectors(30)
    x[1, 20, 7] = torch.nan
    with pytest.raises(InvalidInputError, match=r"x \[1, 20, 7\] is nan; finite numbers are needed"):
        model(x)
    model.convolution.convolution.bias[3] = torch.inf
    with pytest.raises(InvalidInputError, match=r"hidden state \[0, 0, 0\] is nan; finite numbers are needed"):
        model(vectors(30))


@torch.no_grad()
def test_what_a_stream_carries_stops_growing_but_for_its_atoms(model: InfiniteMemoryTransformer) -> None:
    state, sizes = model.start(1), []
    for _ in range(3):
        _, state = model.step(vectors(5_000, streams=1), state, use_infinite_memory=False)
        sizes.append((state.memory.resident_bytes - state.memory.atom_bytes, state.memory.atom_bytes))
    assert sizes[1][0] == sizes[2][0]
    assert sizes[2][1] - sizes[1][1] == 5_000


def test_a_wrong_width_is_named_beside_the_right_one(model: InfiniteMemoryTransformer) -> None:
    with pytest.raises(InvalidInputError, match=r"x is torch.float64 \[2, 3, 24\]; .*16 \[B, T, 24\] is needed$"):
        model(vectors(3).double())
    with pytest.raises(InvalidInputError, match=r"x is .*32 \[2, 3, 7\]; .*16 \[B, T, 24\] is needed"):
        model(torch.zeros(2, 3, 7))
    with pytest.raises(
        InvalidInputError, match=r"x is .*32 \[3, 1, 24\]; .*16 \[2, T, 24\] is needed: the .* start\(B\) begins"
    ):
        model.step(vectors(1, streams=3), model.start(2))
    with pytest.raises(InvalidInputError, match=r"x is .*32 \[2, 0, 24\]; .*16 \[2, T, 24\], without a size of 0"):
        model.step(vectors(0), model.start(2))


@pytest.mark.parametrize("type", [torch.float64, torch.int64])
def test_a_wrong_type_is_named_beside_the_right_ones(model: InfiniteMemoryTransformer, type: torch.dtype) -> None:
    for refused in (model, lambda x: model.step(x, model.start(2))):
        with pytest.raises(InvalidInputError, match=rf"x is {type} \[2, 5, 24\]; torch.float32 or .*16 \["):
            refused(vectors(5).to(type))


@torch.no_grad()
def test_vectors_of_a_narrow_type_are_taken_as_they_are(model: InfiniteMemoryTransformer) -> None:
    narrow = vectors(150).bfloat16()
    assert torch.equal(model(narrow), model(narrow.float()))


def test_what_is_no_tensor_is_refused_by_its_type(model: InfiniteMemoryTransformer, words: TokenModel) -> None:
    with pytest.raises(
        InvalidInputError, match=r"x is a ndarray; a torch.Tensor \[B, T, 24\] of torch.float32 or .*16 is needed"
    ):
        model(vectors(3).numpy())
    with pytest.raises(InvalidInputError, match=r"tokens is a list; a torch.Tensor \[1, T\] of torch.int64 is needed"):
        words.step([[1, 2]], words.transformer.start(1))


def test_a_state_of_another_models_sizes_is_refused(model: InfiniteMemoryTransformer, words: TokenModel) -> None:
    other = InfiniteMemoryTransformer(16, 2, lower=2, upper=2).start(2)
    said = "the state is of a model with d_model=16, lower=2, and this one has d_model=24, lower=1; give its own"
    for call in (lambda: model.step(vectors(3), other), lambda: to_bytes(model, other)):
        with pytest.raises(InvalidInputError, match=said):
            call()
    with pytest.raises(InvalidInputError, match="a TokenModel has no NoneType; give the State of a stream"):
        to_bytes(words, None)


@pytest.mark.parametrize(
    ("sizes", "crystal", "said"),
    [
        ({"n_heads": 6}, {}, "n_heads=6, and this one has n_heads=2; give its own"),
        ({"conv": 4}, {}, "conv=4, and this one has conv=6; give its own"),
        (
            {},
            {"code_bits": 384, "cue_bits": 64},
            "code_bits=384, cue_bits=64, and this one has code_bits=768, cue_bits=12",
        ),
        ({}, {"cue_bits": 64}, "cue_bits=64, and this one has cue_bits=128; give its own"),
        ({}, {"ratios": (5, 5, 4)}, r"ratios=\(5, 5, 4\), and this one has ratios=\(10, 5, 2\); give its own"),
    ],
)
@torch.no_grad()
def test_a_state_whose_parts_have_other_sizes_is_refused_by_what_differs(
    model: InfiniteMemoryTransformer, sizes: dict[str, int], crystal: dict[str, Any], said: str
) -> None:
    settings = CrystalSettings(dimension=D, **crystal)
    other = InfiniteMemoryTransformer(D, **{"n_heads": 2, "lower": 1, "upper": 2, "crystal": settings, **sizes})
    state = other.step(vectors(250), other.start(2))[1]
    for call in (lambda: model.step(vectors(3), state), lambda: to_bytes(model, state)):
        with pytest.raises(InvalidInputError, match=f"the state is of a model with {said}"):
            call()


@torch.no_grad()
def test_a_stream_goes_on_in_a_model_of_another_window_or_budget(model: InfiniteMemoryTransformer) -> None:
    settings = CrystalSettings(dimension=D, budget=500, recent=(60, 150))
    other = InfiniteMemoryTransformer(D, 2, settings, lower=1, upper=2, window=32)
    state = other.step(vectors(250), other.start(2))[1]
    assert model.step(vectors(30), state)[1].position == 280


@torch.no_grad()
def test_it_is_saved_and_loaded_with_its_sizes_and_its_stream_goes_on(
    model: InfiniteMemoryTransformer, tmp_path: Path
) -> None:
    x = vectors(230)
    _, state = model.step(x[:, :180], model.start(2))
    model.save(tmp_path / "model", "made so")
    again = InfiniteMemoryTransformer.load(tmp_path / "model")
    assert (again.settings, load(tmp_path / "model", "InfiniteMemoryTransformer").command) == (
        model.settings,
        "made so",
    )
    expected, _ = model.step(x[:, 180:], state)
    assert torch.equal(again.step(x[:, 180:], from_bytes(again, to_bytes(model, state)))[0], expected)
    with pytest.raises(InvalidInputError, match="holds InfiniteMemoryTransformer; a TokenModel is needed"):
        TokenModel.load(tmp_path / "model")


def test_an_unknown_precision_is_refused(words: TokenModel) -> None:
    with pytest.raises(InvalidInputError, match="precision 'int4': give one of sign, int8, float"):
        words(some(30), precision="int4")


def test_a_token_model_gives_probabilities(words: TokenModel) -> None:
    out = words(torch.randint(66, (2, 120)))
    torch.testing.assert_close(out.log_probabilities.exp().sum(-1), torch.ones(2, 120), atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_the_probability_of_one_token_is_that_among_all_with_what_slots_say_of_it(words: TokenModel) -> None:
    words.copy_gate.bias.fill_(1.0)
    words.transformer.crystal.reader.null.fill_(-4.0)
    tokens = some(230, streams=2)
    output, following = words(tokens), tokens.roll(-1, 1)
    among = output.log_probabilities.gather(-1, following.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(output.of(following), among, atol=1e-4, rtol=0)
    copied = (output.shares * (output.copied == following.unsqueeze(-1))).sum(-1)
    assert (copied > 0.1).any()
    assert (output.of(following).exp() >= copied * 0.999).all()


@torch.no_grad()
def test_what_is_read_at_a_token_is_of_all_readers_and_of_the_null_slot_alone_in_a_fresh_memory() -> None:
    torch.manual_seed(0)
    sizes = {"d_model": D, "n_heads": 2, "lower": 1, "upper": 2, "window": 16}
    model = TokenModel(settings_of(66, crystal=CrystalSettings(dimension=D), **sizes))
    model.transformer.readers[0].null.fill_(-100.0)
    nothing = torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert torch.equal(model(some(12)).read, nothing.expand(1, 12, -1))
    output = model(some(230, streams=2))
    assert torch.equal(output.read[:, :20], nothing.expand(2, 20, -1))  # the first unit waits for three tokens
    torch.testing.assert_close(output.read.sum(-1), torch.ones(2, 230))
    assert ((output.read >= 0) & (output.read <= 1)).all()
    assert output.readings[0].shares[:, :, 20:, 0].max() < 1e-6
    second = output.readings[1].shares[:, :, 20:, 0].mean(1)
    torch.testing.assert_close(output.read[:, 20:, 0], second / 2)


@torch.no_grad()
def test_a_token_model_streams_as_it_reads_at_once(words: TokenModel) -> None:
    tokens, state, out = torch.randint(66, (2, 230)), words.transformer.start(2), []
    for chunk in tokens.split(23, 1):
        y, state = words.step(chunk, state)
        out.append(y)
    differs = (torch.cat(out, 1) - words(tokens).log_probabilities).abs()
    assert (differs > INT8_STEP).float().mean() < 1e-3  # a rounding can decide which of two slots is read
    assert differs.max() < 0.1


@torch.no_grad()
def test_asking_leaves_the_stream_where_it_was(words: TokenModel) -> None:
    tokens = torch.randint(66, (2, 230))
    state = words.remember(tokens, words.transformer.start(2))
    assert torch.equal(words.ask(tokens[:, :20], state), words.ask(tokens[:, :20], state))


@torch.no_grad()
def test_a_question_is_answered_as_the_next_tokens_of_the_stream_would_be(words: TokenModel) -> None:
    tokens = some(235, streams=2)
    state = words.step(tokens[:, :230], words.transformer.start(2))[1]
    torch.testing.assert_close(words.ask(tokens[:, 230:], state), words.step(tokens[:, 230:], state)[0])


@torch.no_grad()
def test_the_last_tokens_of_a_batch_are_read_as_questions_after_the_rest(words: TokenModel) -> None:
    """So what tasks train is what long streams are measured by."""
    tokens = some(330, streams=2)
    state = words.remember(tokens[:, :240], words.transformer.start(2))
    asked = words.ask(tokens[:, 240:], state)
    torch.testing.assert_close(asked, words(tokens, tail=90).log_probabilities, atol=INT8_STEP, rtol=0)


@torch.no_grad()
def test_tokens_that_were_read_before_some_that_were_not_are_not_taken_for_the_last(words: TokenModel) -> None:
    tokens, start = some(100), words.transformer.start(1)
    broken = words.remember(tokens[:, 60:90], words.step(tokens[:, :60], start)[1])
    whole = words.remember(tokens[:, :90], start)
    said = [words.step(tokens[:, 90:], state)[0] for state in (broken, whole)]
    torch.testing.assert_close(*said, atol=INT8_STEP, rtol=0)


@settings(max_examples=15)
@given(st.sets(st.integers(1, 229), max_size=10))
@torch.no_grad()
def test_what_is_remembered_in_any_chunks_is_what_the_whole_leaves(inner: set[int]) -> None:
    words, tokens, at = token_model(), some(230), [*sorted(inner), 230]
    whole, state = words.remember(tokens, words.transformer.start(1)), words.transformer.start(1)
    for start, end in zip([0, *at], at, strict=False):
        state = words.remember(tokens[:, start:end], state)
        assert state.position == state.memory.position == end
    assert state.memory.made == whole.memory.made
    assert torch.equal(state.memory.births(), whole.memory.births())
    # a choice between two that are all but equal may fall the other way: of 44 slots one, of 4 in atoms one
    assert (state.memory.recent[0] - whole.memory.recent[0]).abs().le(1).float().mean() > 0.95
    assert (state.memory.atoms == whole.memory.atoms).float().mean() > 0.7


def test_tokens_of_another_type_or_shape_are_refused(words: TokenModel) -> None:
    for wrong, came in ((torch.zeros(2, 3), r"float32 \[2, 3\]"), (some(5)[0], r"int64 \[5\]")):
        with pytest.raises(InvalidInputError, match=rf"{came}; torch.int64 \[B, T\] is needed"):
            words(wrong)
    with pytest.raises(InvalidInputError, match=r"int64 \[1, 0\]; torch.int64 \[B, T\], without a size of 0"):
        words(some(0))


@pytest.mark.parametrize("token", [66, -1])
def test_a_token_that_no_vocabulary_has_is_refused(words: TokenModel, token: int) -> None:
    tokens = some(30)
    tokens[0, 20] = token
    with pytest.raises(InvalidInputError, match=f"token {token}: 0 to 65 are known"):
        words(tokens)


@pytest.mark.parametrize("tail", [-3, 5, 10])
def test_a_tail_that_leaves_nothing_to_write_is_refused(words: TokenModel, tail: int) -> None:
    with pytest.raises(InvalidInputError, match=f"tail={tail} of 5 tokens: 0 to 4 is needed"):
        words(some(5), tail=tail)


@pytest.mark.parametrize("verb", ["step", "through", "remember", "ask"])
def test_tokens_of_more_or_fewer_streams_than_the_state_are_refused(words: TokenModel, verb: str) -> None:
    refused: Callable[[Tensor, State], object] = getattr(words, verb)
    for own, others in ((1, 2), (2, 1)):
        said = rf"tokens is torch.int64 \[{others}, 5\]; torch.int64 \[{own}, T\] is needed: .* start\(B\)"
        with pytest.raises(InvalidInputError, match=said):
            refused(some(5, others), words.transformer.start(own))
    with pytest.raises(InvalidInputError, match=r"int64 \[1, 0\]; torch.int64 \[1, T\], without a size of 0"):
        refused(some(0), words.transformer.start(1))


def test_times_of_more_or_fewer_tokens_than_are_asked_are_refused(words: TokenModel) -> None:
    with pytest.raises(InvalidInputError, match=r"as_of is \[3\]; \[5\] is needed"):
        words.ask(some(5), words.remember(some(150), words.transformer.start(1)), as_of=torch.zeros(3).long())


@torch.no_grad()
def test_a_saved_token_model_says_the_same(words: TokenModel, tmp_path: Path) -> None:
    words.save(tmp_path / "model.safetensors", command="agentmem train neural")
    loaded = TokenModel.load(tmp_path / "model.safetensors")
    tokens = torch.randint(66, (1, 130))
    assert loaded.settings == words.settings
    assert torch.equal(loaded(tokens).log_probabilities, words(tokens).log_probabilities)


@torch.no_grad()
def test_a_state_holds_no_more_bytes_than_its_tensors_have(words: TokenModel) -> None:
    state = words.step(torch.randint(66, (2, 2_000)), words.transformer.start(2))[1]
    held = [(each.untyped_storage().nbytes(), each.nbytes) for each in tensors(state)]
    assert len(held) > 10
    assert [storage for storage, size in held if storage != size] == []
