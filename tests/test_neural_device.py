"""Training and measuring where the processor's tensors do not go: every tensor is made on the model's device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from elsewhere import THERE, Elsewhere, a_device

from agentmem.errors import InvalidInputError
from agentmem.neural.answered import answered
from agentmem.neural.curriculum import recall_stage
from agentmem.neural.recalled import recalled
from agentmem.neural.reference import seeded
from agentmem.neural.settings import ATOM, CLUSTER, UNIT, CrystalSettings
from agentmem.neural.states import from_bytes, to_bytes
from agentmem.neural.task_training import TaskTraining
from agentmem.neural.tasks import Chains, Counting, RecallTask
from agentmem.neural.text import Stretches
from agentmem.neural.text_training import TextTraining
from agentmem.neural.tokens import TokenModel, settings_of
from agentmem.neural.train import Objective, Trainer, TrainSettings

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")  # here it is no no-op
SIZES = settings_of(73, d_model=16, n_heads=2, lower=1, upper=2, window=16, crystal=CrystalSettings(dimension=16))
WORDS = np.random.default_rng(0).integers(0, 8, 2_000).astype(np.uint16)


@pytest.fixture(autouse=True)
def _a_device() -> Iterator[None]:
    with a_device():
        yield


def there() -> TokenModel:
    model = seeded(SIZES, 0).to(THERE)
    assert all(isinstance(each.data, Elsewhere) for each in model.parameters())
    return model


def recall() -> Objective:
    return TaskTraining((recall_stage(403, (UNIT, CLUSTER, ATOM), near=0.5, overwritten=0.3),), tokens=100)


def text() -> Objective:
    return TextTraining(Stretches((WORDS,), 600), streams=2, chunk=250)


def test_what_is_on_the_device_does_not_mix_with_what_is_not() -> None:
    one = torch.ones(3, device=THERE)
    assert float((one + 1).sum()) == 6
    with pytest.raises(RuntimeError, match="of the processor with one elsewhere"):
        one + torch.ones(3)
    with pytest.raises(RuntimeError, match="a generator of the processor"):
        torch.rand(3, device=THERE, generator=torch.Generator())


@pytest.mark.parametrize("objective", [recall, pytest.param(text, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_training_elsewhere_is_the_same_training(objective: Callable[[], Objective], tmp_path: Path) -> None:
    settings = TrainSettings(tokens=10**9, warmup=1)
    here, far = Trainer(seeded(SIZES, 0), objective(), settings), Trainer(there(), objective(), settings)
    for each in (here, far):
        each.train(steps=1)
    far.save(tmp_path / "training")
    again = Trainer(there(), objective(), settings)
    again.load(tmp_path / "training")
    assert again.train(steps=1).step == 2
    trained = far.model.state_dict()
    for name, each in here.model.state_dict().items():
        torch.testing.assert_close(each, trained[name].cpu(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("task", [RecallTask(1_003, 10, overwritten=0.3), Chains(1_003, 5), Counting(1_003, 5)])
@pytest.mark.slow
def test_any_task_is_answered_elsewhere_as_here(task: RecallTask | Chains | Counting) -> None:
    assert answered(there(), task, ask=5) == answered(seeded(SIZES, 0), task, ask=5)


@pytest.mark.slow
def test_recall_is_measured_elsewhere_as_here() -> None:
    here, far = (recalled(model, RecallTask(1_003, 10), ask=10) for model in (seeded(SIZES, 0), there()))
    assert replace(far, write_us_per_token=0, read_us_per_token=0) == replace(
        here, write_us_per_token=0, read_us_per_token=0
    )


def test_a_stream_goes_on_elsewhere_from_its_bytes() -> None:
    model, tokens = there(), torch.randint(73, (1, 400), device="cpu").to(THERE)
    _, state = model.step(tokens[:, :300], model.transformer.start(1))
    expected, _ = model.step(tokens[:, 300:], state)
    given, _ = model.step(tokens[:, 300:], from_bytes(model, to_bytes(model, state)))
    assert torch.equal(given, expected)


@torch.no_grad()
def test_a_stream_goes_on_elsewhere_from_the_bytes_of_a_state_that_stayed_here() -> None:
    model, tokens = seeded(SIZES, 0), torch.randint(73, (1, 400), device="cpu")
    _, state = model.step(tokens[:, :300], model.transformer.start(1))
    expected, _ = model.step(tokens[:, 300:], state)
    far = tokens[:, 300:].to(THERE)
    model.to(THERE)
    with pytest.raises(
        InvalidInputError, match="state is on cpu and the .* on meta; states.to_bytes and from_bytes bring"
    ):
        model.step(far, state)
    given, _ = model.step(far, from_bytes(model, to_bytes(model, state)))
    torch.testing.assert_close(given.cpu(), expected)


@torch.no_grad()
def test_what_was_written_here_is_not_read_elsewhere() -> None:
    model, tokens = seeded(SIZES, 0), torch.randint(73, (1, 300), device="cpu")
    written = model(tokens).written
    view = model.transformer.start(1).memory.view(written)
    model.to(THERE)
    with pytest.raises(
        InvalidInputError, match="slots that were written is on cpu and the .* on meta; write their hidden"
    ):
        model.transformer.crystal.recall(torch.zeros(1, 1, 16, device=THERE), written=written)
    with pytest.raises(
        InvalidInputError, match="view is on cpu and the .* on meta; take it again, of a memory that is"
    ):
        model.ask(tokens.to(THERE), model.transformer.start(1), view)
