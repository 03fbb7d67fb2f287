"""Losses and the trainer: what each loss rewards, one batch learned by heart, memory used, runs resumed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from agentmem.errors import InvalidInputError
from agentmem.neural import checkpoints, losses
from agentmem.neural.curriculum import growing, recall_stage
from agentmem.neural.files import save
from agentmem.neural.recalled import recalled
from agentmem.neural.settings import ATOM, UNIT, CrystalSettings
from agentmem.neural.task_training import TaskTraining, answering, batch
from agentmem.neural.tasks.key_value import RecallTask
from agentmem.neural.tasks.named import named
from agentmem.neural.tokens import TokenModel, settings_of
from agentmem.neural.train import Progress, Step, Trainer, TrainSettings, to_jsonl

torch.set_num_threads(1)
EASY = (recall_stage(200, (UNIT, ATOM)),)


def small(seed: int = 0) -> TokenModel:
    torch.manual_seed(seed)
    crystal = CrystalSettings(dimension=32)
    return TokenModel(settings_of(66, d_model=32, n_heads=2, lower=1, upper=1, window=32, crystal=crystal))


def trainer(model: TokenModel, **keywords: int) -> Trainer:
    return Trainer(model, TaskTraining(EASY, tokens=600), TrainSettings(seconds=1e9, warmup=1, **keywords))


def test_the_write_read_loss_is_low_where_the_right_slot_matches_best() -> None:
    match = torch.zeros(1, 2, 5, 4)
    right = torch.tensor([[[False, True, False, False]]])
    at = torch.tensor([[3]])
    assert losses.write_read(match, at, right).item() == pytest.approx(math.log(4))
    match[0, :, 3, 1] = 20
    assert losses.write_read(match, at, right).item() == pytest.approx(0, abs=1e-6)


def test_a_question_whose_fact_is_in_no_crystal_does_not_count() -> None:
    match = torch.randn(1, 1, 5, 4, requires_grad=True)
    none = torch.zeros(1, 2, 4, dtype=torch.bool)
    assert losses.write_read(match, torch.tensor([[1, 2]]), none).item() == 0


def test_one_batch_is_learned_by_heart() -> None:
    model = small()
    told = batch(RecallTask(103, 4), 4, 4, torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss = answering(model(told.tokens, tail=told.tail, precision="sign").log_probabilities, told.asked)
        loss.backward()
        optimizer.step()
    assert loss < 0.3


def test_without_its_memory_a_trained_model_knows_nothing_of_what_was_told() -> None:
    model = TokenModel.load(checkpoints.path("recall")).eval()
    told = batch(RecallTask(503, 5), 8, 5, torch.Generator().manual_seed(2))
    with torch.no_grad():
        with_memory, without = (
            answering(model(told.tokens, tail=told.tail, layers=layers).log_probabilities, told.asked)
            for layers in (None, ())
        )
    assert with_memory < 0.1
    assert without > 4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"warmup": 0}, "warmup=0 steps: 1 or more are needed"),
        ({"report_every": 0}, "report_every=0 steps: 1 or more are needed"),
        ({"learning_rate": math.nan}, "learning_rate=nan: a number above 0 is needed"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: a number above 0 is needed"),
        ({"learning_rate": math.inf}, "learning_rate=inf: a number above 0 is needed"),
        ({"tokens": math.nan}, "tokens=nan: one of them must be an end, above 0"),
        ({"seconds": math.inf}, "seconds=inf and tokens=inf: one of them must be an end, above 0"),
    ],
)
def test_settings_that_cannot_train_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        TrainSettings(**{"seconds": 1.0, **wrong})


def test_every_parameter_learns() -> None:
    model = small()
    torch.nn.init.normal_(model.transformer.crystal.reader.correction.weight, std=0.1)
    runs = trainer(model)
    runs.train(steps=3)
    still = [name for name, each in model.named_parameters() if not runs.optimizer.state[each]["exp_avg"].any()]
    assert still == []


def test_the_same_seed_trains_the_same_model() -> None:
    one, other = small(), small()
    for model in (one, other):
        trainer(model, seed=5).train(steps=2)
    assert all(torch.equal(*pair) for pair in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_run_that_was_cut_off_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, first, second = trainer(small()), trainer(small()), trainer(small(seed=9))
    whole.train(steps=4)
    first.train(steps=2)
    first.save(tmp_path / "training.safetensors")
    second.load(tmp_path / "training.safetensors")
    second.train(steps=2)
    assert second.progress.step == 4
    for one, other in zip(whole.model.state_dict().values(), second.model.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)  # the learning rate follows the clock


def test_what_was_saved_of_another_model_or_is_not_whole_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "part", "Training", Progress(), {f"model.{a}": b for a, b in small().state_dict().items()}, None)
    save(tmp_path / "other", "Training", Progress(), {"model.bias": torch.zeros(3)}, None)
    for name, said in (("part", "'generator'"), ("other", "Error.s. in loading state_dict for TokenModel")):
        with pytest.raises(InvalidInputError, match=f"is not whole, or of another model .{said}"):
            trainer(small()).load(tmp_path / name)


def test_metrics_are_lines_of_json_that_say_what_is_left(tmp_path: Path) -> None:
    run = trainer(small(), report_every=1)
    run.report = to_jsonl(tmp_path / "metrics.jsonl")
    run.train(steps=2)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert {"left", "exact", "next_token", "write_read", "reconstruction", "importance"} <= set(lines[0])


class Told:
    """An objective that says how much was right, and when to go on; a step is of 10 tokens."""

    def __init__(self, right: list[float], last: int) -> None:
        self.right, self.last = right, last

    def step(self, model: torch.nn.Linear, stage: int, generator: torch.Generator) -> Step:
        return Step({"size": model.weight.square().sum()}, self.right.pop(0), 10)

    def next_stage(self, stage: int, right: float, done: float) -> bool:
        return stage == 0 and len(self.right) < self.last


def test_the_learning_rate_rises_in_the_warmup_and_falls_to_a_twentieth_with_the_budget() -> None:
    rates = []
    run = Trainer(torch.nn.Linear(1, 1), Told([0.0] * 40, 0), TrainSettings(tokens=400, learning_rate=0.1, warmup=4))
    for _ in range(40):
        run.train(steps=1)
        rates.append(run.optimizer.param_groups[0]["lr"])
    risen = [0.25, 0.5, 0.75, *[1.0] * 37]
    assert rates == pytest.approx([0.1 * warm * max(0.05, 1 - step / 40) for step, warm in enumerate(risen)])


def test_the_running_share_of_right_answers_moves_by_a_twentieth_and_is_halved_at_a_new_stage() -> None:
    run = Trainer(torch.nn.Linear(1, 1), Told([1.0, 0.5, 1.0, 0.0], 2), TrainSettings(tokens=400))
    told = []
    for _ in range(4):
        now = run.train(steps=1)
        told.append((now.stage, now.exact))
    first = 0.05
    second = 0.95 * first + 0.05 * 0.5
    third = (0.95 * second + 0.05) / 2
    assert [stage for stage, _ in told] == [0, 0, 1, 1]
    assert [exact for _, exact in told] == pytest.approx([first, second, third, 0.95 * third])


def test_a_stage_is_left_when_enough_is_right() -> None:
    stages = TaskTraining((recall_stage(200, (UNIT,), until=0.5), recall_stage(200, (ATOM,))))
    assert [stages.next_stage(0, right, 0.9) for right in (0.4, 0.6)] == [False, True]
    assert not stages.next_stage(1, 1.0, 0.9)


def test_a_stage_of_another_task_is_left_when_its_share_of_the_budget_is_over() -> None:
    stages = TaskTraining(growing(named("chains").sized))
    assert [stages.next_stage(0, 0.0, done) for done in (0.2, 0.3)] == [False, True]
    assert [stages.next_stage(1, 0.0, done) for done in (0.4, 0.6)] == [False, True]
    assert not stages.next_stage(2, 1.0, 1.0)
    horizons = [stage.task(layer).horizon for stage in stages.curriculum for layer in stage.layers]
    assert horizons == [203, 403, 403, 903, 903, 903]


def test_recall_is_measured_with_its_bytes_and_costs() -> None:
    measured = recalled(small(), RecallTask(1_003, 10), ask=20, seed=1)
    assert (measured.tokens, measured.facts, measured.asked, measured.atom_bytes) == (1_003, 10, 10, 1_000)
    assert measured.exact < 0.2
    assert measured.resident_bytes > measured.atom_bytes
    assert min(measured.write_us_per_token, measured.read_us_per_token) > 0
