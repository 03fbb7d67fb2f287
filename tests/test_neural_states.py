"""States and memories as bytes: the same again, whole, and refused where they would say nothing.

And kept in the file of a memory of text: after a kill, both go on where they were.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from strategies import opened
from torch import Tensor

from agentmem import Memory
from agentmem.errors import DamagedError, InvalidInputError
from agentmem.neural.crystal import MemoryCrystal
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.states import Model, from_bytes, to_bytes
from agentmem.neural.tokens import TokenModel, settings_of
from agentmem.neural.transformer import InfiniteMemoryTransformer

torch.set_num_threads(1)
D = 24
BYTES = 256  # every byte of UTF-8 is a token
STEP = 50  # tokens that are streamed at once


def vector_model() -> InfiniteMemoryTransformer:
    torch.manual_seed(0)
    return InfiniteMemoryTransformer(D, 2, CrystalSettings(dimension=D), lower=1, upper=2, window=16)


def token_model(seed: int = 0, window: int = 16, budget: int = 1_000_000) -> TokenModel:
    torch.manual_seed(seed)
    crystal = CrystalSettings(dimension=D, budget=budget)
    return TokenModel(settings_of(BYTES, crystal=crystal, d_model=D, n_heads=2, lower=2, upper=1, window=window))


def vectors(tokens: int, streams: int = 2) -> Tensor:
    return torch.randn(streams, tokens, D, generator=torch.Generator().manual_seed(1))


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in every field, however deep."""
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one)
        )
    return bool(one == other)


@pytest.mark.parametrize("tokens", [0, 1, 9, 60, 137, 430])
@torch.no_grad()
def test_a_state_comes_back_in_every_field_and_the_stream_goes_on_the_same(tokens: int) -> None:
    model, x = vector_model(), vectors(tokens + 150)
    state = model.start(2)
    for chunk in x[:, :tokens].split(50, 1) if tokens else ():
        _, state = model.step(chunk, state)
    again = from_bytes(model, to_bytes(model, state))
    assert same(again, state)
    for chunk in x[:, tokens:].split(30, 1):
        out, state = model.step(chunk, state)
        out_again, again = model.step(chunk, again)
        assert torch.equal(out_again, out)
    assert same(again, state)


@torch.no_grad()
def test_a_state_of_evicted_and_reinforced_atoms_comes_back() -> None:
    model = token_model(budget=900)
    stream = torch.randint(BYTES, (2, 2_000), generator=torch.Generator().manual_seed(2))
    state = model.transformer.start(2)
    for chunk in stream.split(100, 1):
        state = model.step(chunk, state)[1]
    assert state.memory.atoms.shape[1] == 9
    assert same(from_bytes(model, to_bytes(model, state)), state)


def test_the_memory_of_a_crystal_comes_back() -> None:
    torch.manual_seed(0)
    crystal = MemoryCrystal(D)
    for tokens in (0, 7, 400):
        memory = crystal.start(2)
        if tokens:
            crystal.forget()
            crystal.crystallize(vectors(tokens))
            assert crystal.memory is not None
            memory = crystal.memory
        assert same(from_bytes(crystal, to_bytes(crystal, memory)), memory)


@torch.no_grad()
def test_the_same_state_gives_the_same_bytes() -> None:
    one, other = vector_model(), vector_model()
    made = [to_bytes(model, model.step(vectors(137), model.start(2))[1]) for model in (one, other)]
    assert made[0] == made[1]
    assert to_bytes(one, from_bytes(one, made[0])) == made[0]


@torch.no_grad()
def test_a_state_of_another_model_is_refused_with_both_sides_named() -> None:
    model = token_model()
    content = to_bytes(model, model.remember(torch.zeros(1, 150, dtype=torch.int64), model.transformer.start(1)))
    others: list[tuple[Model, str]] = [
        (token_model(window=32), "made with transformer.window=16 and the model has transformer.window=32"),
        (token_model(seed=1), "made with weights [0-9a-f]{16} and the model has weights [0-9a-f]{16}"),
        (model.transformer, "a state of TokenModel, not of InfiniteMemoryTransformer"),
        (model.transformer.crystal, "a state of TokenModel, not of MemoryCrystal"),
    ]
    for other, said in others:
        with pytest.raises(InvalidInputError, match=said):
            from_bytes(other, content)
    with pytest.raises(InvalidInputError, match="a MemoryCrystal has no State; give its Memory"):
        to_bytes(model.transformer.crystal, model.transformer.start(1))
    with pytest.raises(InvalidInputError, match="a TokenModel has no Memory; give the State"):
        to_bytes(model, model.transformer.start(1).memory)


@torch.no_grad()
def test_a_state_in_memory_is_told_by_its_sizes_and_as_bytes_by_weights_and_settings_too() -> None:
    model, other, wider = token_model(), token_model(seed=1), token_model(window=32)
    tokens = torch.zeros(1, 60, dtype=torch.int64)
    state = model.step(tokens, model.transformer.start(1))[1]
    for each in (other, wider):
        assert each.step(tokens, state)[1].position == 120
        with pytest.raises(InvalidInputError, match="the state was made with"):
            from_bytes(each, to_bytes(model, state))


def test_a_memory_of_another_crystal_is_refused_before_it_is_bytes_that_nobody_takes() -> None:
    crystal, other = MemoryCrystal(D), MemoryCrystal(D, code_bits=384, cue_bits=64)
    other.crystallize(vectors(250))
    said = "the memory is of a model with code_bits=384, cue_bits=64, and this one has code_bits=768, cue_bits=128"
    for call in (to_bytes, lambda crystal, memory: crystal.write(vectors(5), memory)):
        with pytest.raises(InvalidInputError, match=said):
            call(crystal, other.memory)


@pytest.mark.parametrize("content", [b"", b"pickle", b"\x02\x00\x00\x00\x00\x00\x00\x00{}", bytes(100)])
def test_bytes_of_something_else_are_refused(content: bytes) -> None:
    with pytest.raises(InvalidInputError, match=f"{len(content)} bytes that are no state"):
        from_bytes(vector_model(), content)


@torch.no_grad()
def test_what_is_written_read_and_carried_is_shown_with_shapes_and_not_with_all_its_numbers() -> None:
    model, crystal = token_model(), MemoryCrystal(D)
    written = crystal.crystallize(vectors(220))
    output, state = model.through(torch.zeros(1, 220, dtype=torch.int64), model.transformer.start(1))
    view = state.memory.view()
    assert "slots=float32[2, 21, 2, 384]" in repr(written)
    assert "atoms=uint8[1, 2, 100]" in repr(state)
    for each in (written, crystal.memory, output, output.readings[0], state, view):
        assert "tensor(" not in repr(each)
        assert "\n" not in repr(each)


def test_what_is_no_state_no_model_and_no_bytes_is_refused_by_its_type() -> None:
    tokens, model, crystal = token_model(), vector_model(), MemoryCrystal(D)
    wrong: Any = None
    refused: list[tuple[Any, str]] = [
        (lambda: model.step(vectors(5), wrong), "state is a NoneType; a State is needed: start gives the first"),
        (lambda: model.step(vectors(5), crystal.start(2)), "state is a Memory; a State is needed"),  # type: ignore[arg-type]
        (lambda: tokens.step(torch.zeros(1, 5).long(), wrong), "state is a NoneType; a State is needed"),
        (lambda: crystal.write(vectors(5), wrong), "memory is a NoneType; a Memory is needed: start gives the first"),
        (lambda: crystal.recall(vectors(5), written=vectors(5)), "written is a Tensor; a Written is needed"),  # type: ignore[arg-type]
        (lambda: from_bytes(model, wrong), "content is a NoneType; give the bytes that to_bytes made"),
        (lambda: from_bytes(wrong, b""), "model is a NoneType; one of MemoryCrystal, .*TokenModel is needed"),
        (lambda: to_bytes(wrong, model.start(1)), "model is a NoneType; one of MemoryCrystal"),
    ]
    for call, said in refused:
        with pytest.raises(InvalidInputError, match=said):
            call()


def header_of(content: bytes) -> str:
    whole: dict[str, Any] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return str(whole["__metadata__"]["agentmem"])


def undigested(header: str) -> str:
    """As earlier versions wrote it."""
    return json.dumps({name: each for name, each in json.loads(header).items() if name != "sha256"}, sort_keys=True)


@torch.no_grad()
def test_a_state_of_which_any_byte_was_changed_is_refused_and_one_without_a_digest_still_opens() -> None:
    model, crystal = token_model(), MemoryCrystal(D)
    state = model.step(torch.zeros(1, 220, dtype=torch.int64), model.transformer.start(1))[1]
    crystal.crystallize(vectors(220))
    assert crystal.memory is not None
    for made, kept in ((model, state), (crystal, crystal.memory)):
        content = to_bytes(made, kept)
        begins = 8 + int.from_bytes(content[:8], "little")
        for at in range(begins, len(content), 997):
            flipped = content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :]
            said = f"^{len(content)} bytes of a state that was changed .its digest is another.; give another"
            with pytest.raises(InvalidInputError, match=said):
                from_bytes(made, flipped)
        assert same(from_bytes(made, save(load(content), {"agentmem": undigested(header_of(content))})), kept)


def test_states_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    model = token_model()
    whole = load(to_bytes(model, model.transformer.start(1)))
    content = to_bytes(model, model.transformer.start(1))
    header = header_of(content)
    model.save(tmp_path / "model")
    broken = [
        (tmp_path / "model").read_bytes(),
        save(whole, {"agentmem": "no JSON"}),
        save(whole, {"agentmem": "[]"}),
        save(whole, {"agentmem": header.replace('"settings": {', '"settings": [], "rest": {')}),
        save({"memory.counts": whole["memory.counts"]}, {"agentmem": undigested(header)}),
        save({name: each for name, each in whole.items() if name != "memory.counts"}, {"agentmem": undigested(header)}),
    ]
    for each in broken:
        with pytest.raises(InvalidInputError, match=f"{len(each)} bytes that are no state of a neural memory"):
            from_bytes(model, each)


# ---- in the file of a memory of text


def lines(number: int) -> list[str]:
    return [
        f"Door {n} of the house is {('red', 'green', 'blue')[n % 3]} and opens with key {7 * n}." for n in range(number)
    ]


def read_on(memory: Memory, model: TokenModel, stop: int | None = None) -> Tensor:
    """Stream what is logged and was not read yet, keeping the state after every STEP tokens; the last thing said.

    The log may be ahead of the state: the state's own position says how far it has read. stop: tokens at most.
    """
    said = torch.empty(0)
    state = from_bytes(model, memory.attachment("state")) if memory.attachments() else model.transformer.start(1)
    tokens = torch.tensor([list("\n".join(step.text for step in memory.steps()).encode())])[:, :stop]
    while state.position + STEP <= tokens.shape[1]:
        said, state = model.step(tokens[:, state.position : state.position + STEP], state)
        memory.attach("state", to_bytes(model, state))
    return said


def log_and_stream(file: Path, pipe: Any) -> None:
    """What a child does until it is killed: it logs a line and reads on, again and again."""
    torch.set_num_threads(1)
    with torch.no_grad(), opened(file) as memory:
        episode, model = memory.episode(id="house"), token_model()
        for number, line in enumerate(lines(1_000)):
            episode.log(line)
            pipe.send(number + 1)
            read_on(memory, model)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("told", [1, 8])
@torch.no_grad()
@pytest.mark.slow
def test_text_and_state_go_on_after_a_kill_as_if_nothing_had_been(file: Path, tmp_path: Path, told: int) -> None:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=log_and_stream, args=(file, there))
    child.start()
    while here.recv() < told:
        pass
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with opened(file) as memory, opened(tmp_path / "whole.mem") as whole:
        logged = len(list(memory.steps()))
        assert logged >= told
        memory.episode(id="house").log_many(lines(24)[logged:])
        whole.episode(id="house").log_many(lines(24))
        model = token_model()
        assert torch.equal(read_on(memory, model), read_on(whole, model))
        assert memory.attachment("state") == whole.attachment("state")
        for one in (memory, whole):
            one.crystallize()
        assert memory.recall("Which door is blue?", 200).text == whole.recall("Which door is blue?", 200).text
        assert memory.verify().ok


@torch.no_grad()
def test_a_state_with_a_changed_byte_is_told_and_never_given_to_a_model(file: Path) -> None:
    model = token_model()
    with opened(file) as memory:
        memory.episode(id="house").log_many(lines(5))
        read_on(memory, model)
        content = memory.attachment("state")
    at = file.read_bytes().find(content[-200:])
    assert at > 0
    with file.open("r+b") as raw:
        raw.seek(at + 100)
        raw.write(bytes([content[-100] ^ 1]))
    with opened(file) as memory:
        with pytest.raises(DamagedError, match="attachment 'state' was changed"):
            memory.attachment("state")
        assert not memory.verify().ok
