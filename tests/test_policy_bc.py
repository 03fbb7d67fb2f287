"""Imitation of an oracle among offered calls: what is shown, how it is drawn, and rounds in which the pupil plays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agentmem.errors import InvalidInputError
from agentmem.neural.runs import Command, Run
from agentmem.neural.train import Trainer, TrainSettings
from agentmem.policy import ChoicePolicy
from agentmem.policy.bc import HIDDEN, WITHOUT, ChoiceImitation, StepImitation, imitate, rounds_of
from agentmem.policy.choice import ChoiceNetwork, ChoiceSettings
from agentmem.policy.demonstrations import Choices, Shift, kept, read, shown
from agentmem.policy.words import CHOICES, HEAD, LINE, LINES, OWN, PRESENT
from agentmem.types import PlanningContext

torch.set_num_threads(1)
SHOP = "agentmem/ShiftShop-Short-v0"
TINY = {"split": "train", "steps": 60, "delay": 20}


@pytest.fixture(scope="module")
def decisions() -> Choices:
    return shown(Shift(SHOP, TINY, 3, 300))


def test_an_oracle_shows_every_decision_of_a_shift(decisions: Choices) -> None:
    assert len(decisions) == 60
    assert decisions.hidden.any()
    assert not decisions.hidden.all()
    own = decisions.own[np.arange(60), decisions.right, 1:]
    assert (own > 0).any(-1).all()


def test_what_a_fact_was_is_in_what_is_shown_of_a_decision_that_needs_it(decisions: Choices) -> None:
    found = [
        bool(np.isin(words[words > 0], decisions.table[lines][:, HEAD:]).any())
        for words, lines in zip(decisions.own[np.arange(60), decisions.right, 1:], decisions.lines, strict=True)
    ]
    assert np.mean(np.array(found)[decisions.hidden]) > 0.9


def test_joined_decisions_keep_their_own_lines(decisions: Choices) -> None:
    both = Choices.joined((decisions, decisions))
    at = torch.tensor([7, 67])
    for part in both.batch(at, torch.zeros(2, dtype=torch.bool)):
        assert part[0].equal(part[1])
    assert not both.batch(at, torch.ones(2, dtype=torch.bool))[1].any()


def test_an_episode_is_played_once_and_then_read(tmp_path: Path, decisions: Choices) -> None:
    told: list[float] = []
    shift = Shift(SHOP, TINY, 3, 300)
    first = kept(shift, tmp_path, tell=told.append)
    assert told[-1] == 1
    assert len(told) == 60
    again = kept(shift, tmp_path, tell=lambda done: pytest.fail("played again"))
    for name, value in vars(decisions).items():
        assert np.array_equal(getattr(first, name), value)
        assert np.array_equal(getattr(again, name), value)


def test_what_another_version_kept_is_refused_with_the_remedy(tmp_path: Path, decisions: Choices) -> None:
    shift = Shift(SHOP, TINY, 3, 300)
    np.savez(tmp_path / f"{shift.name}.npz", **vars(replace(decisions, own=decisions.own[..., 1:])))
    with pytest.raises(InvalidInputError, match=rf"own \(8, {OWN - 1}\), and this needs \(8, {OWN}\)\): remove "):
        kept(shift, tmp_path)
    (tmp_path / f"{shift.name}.npz").write_bytes(b"junk")
    with pytest.raises(InvalidInputError, match=r"3-300-0\.npz holds no demonstrations .*: remove it"):
        kept(shift, tmp_path)


def test_a_file_of_which_a_byte_was_changed_is_read_whole_or_refused(tmp_path: Path, decisions: Choices) -> None:
    file, refused = tmp_path / "shift.npz", 0
    np.savez_compressed(file, **vars(decisions))
    whole = file.read_bytes()
    for at in range(0, len(whole), 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            assert all(np.array_equal(each, vars(decisions)[name]) for name, each in vars(read(file)).items())
        except InvalidInputError:
            refused += 1
    assert refused > 10
    file.write_bytes(b"")
    with pytest.raises(InvalidInputError, match="holds no demonstrations .*: remove it"):
        read(file)


class Pupil:
    """Chooses the first call, and notes at which steps it was asked, and whether it was shown something."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []

    def act(self, observation: Any, context: PlanningContext) -> int:
        self.asked.append((int(observation["step"][0]), bool(context.text)))
        return 0


def test_a_pupil_makes_its_share_of_the_decisions_and_the_oracle_says_what_was_right(decisions: Choices) -> None:
    pupil = Pupil()
    made = shown(Shift(SHOP, TINY, 3, 300, acting=0.5), pupil)
    steps = [step for step, _ in pupil.asked]
    assert 15 < len(steps) < 45
    assert all(told for step, told in pupil.asked if step >= 10)
    assert np.array_equal(made.right, decisions.right)
    assert made.right[steps].any()
    draws = np.random.default_rng(3).random(60)  # the environment's own stream
    assert steps != np.flatnonzero(draws < 0.5).tolist()


def test_an_environment_that_does_not_tell_what_is_right_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="right candidate"):
        shown(Shift("agentmem/Workflow-v0", {"definition": "examples/loan_application.yaml"}, 0, 100))


def test_rounds_show_no_seed_twice_and_the_pupil_plays_from_the_second_on() -> None:
    rounds = rounds_of(("a", "b"), {}, 2, 3, (100, 200), 5)
    seeds = [(shift.env, shift.seed) for shifts in rounds for shift in shifts]
    assert len(set(seeds)) == len(seeds) == 12
    assert [{shift.acting for shift in shifts} for shifts in rounds] == [{0}, {0.5}, {0.5}]
    assert {shift.budget for shift in rounds[0]} == {100, 200}


def test_fewer_decisions_than_a_batch_has_are_refused(decisions: Choices) -> None:
    few = replace(
        decisions, **{name: getattr(decisions, name)[:31] for name in ("present", "lines", "own", "right", "hidden")}
    )
    objective = ChoiceImitation()
    with pytest.raises(InvalidInputError, match="31 decisions were shown, and a batch has 32: show longer shifts"):
        objective.add([few])
    objective.add([few, few])
    assert len(objective.known or ()) == 62


def test_decisions_that_need_memory_are_drawn_more_often_and_some_are_learned_without_a_context() -> None:
    many = 1_000
    present, own = np.zeros((many, PRESENT), np.int32), np.zeros((many, CHOICES, OWN), np.int32)
    present[: many // 2, 0] = 1
    lines, table = np.ones((many, LINES), np.int32), np.repeat(np.arange(2, dtype=np.int32)[:, None], HEAD + LINE, 1)
    hidden, right = np.arange(many) < many // 2, np.zeros(many, np.int64)
    objective, drawn = ChoiceImitation(Choices(present, lines, own, right, hidden, table)), []

    def model(present: torch.Tensor, lines: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        drawn.append(torch.stack([present[:, 0], lines.any(-1).any(-1)], -1).float())
        return torch.zeros(own.shape[:2])

    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        objective.step(model, 0, generator)  # type: ignore[arg-type]
    needing, told = torch.cat(drawn).mean(0).tolist()
    assert needing == pytest.approx(HIDDEN / (HIDDEN + 1), abs=0.03)
    assert told == pytest.approx(1 - WITHOUT, abs=0.03)


def imitated(folder: Path, stop: Callable[[int], bool], tell: Callable[[float], None] = lambda done: None) -> Any:
    """A training of two rounds of one shift. stop: told the training's step. Gives (finished, step, decisions)."""
    objective, rounds = ChoiceImitation(), rounds_of((SHOP,), TINY, 1, 2, (300,), 0)
    torch.manual_seed(0)
    model = ChoiceNetwork(ChoiceSettings(words=512, width=32, heads=2))
    trainer = Trainer(model, objective, TrainSettings(0, tokens=32 * 8))
    keep = lambda path: ChoicePolicy(trainer.model).save(path)  # noqa: E731
    with Run(folder, Command("train", {"what": "policy"}), trainer, keep) as run:
        stopped = lambda: stop(trainer.progress.step)  # noqa: E731
        finished = imitate(run, trainer, objective, rounds, stop=stopped, tell=lambda done, total: tell(done))
    return finished, trainer.progress.step, len(objective.known or ())


def test_a_training_goes_through_its_rounds_with_the_pupil_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, act = [], ChoicePolicy.act

    def counted(self: ChoicePolicy, observation: Any, context: PlanningContext | None) -> int:
        asked.append(context)
        return act(self, observation, context)

    monkeypatch.setattr(ChoicePolicy, "act", counted)
    assert imitated(tmp_path, lambda step: step == 2) == (False, 2, 60)
    assert not asked
    assert imitated(tmp_path, lambda step: False) == (True, 8, 120)
    assert 15 < len(asked) < 45
    assert len(list((tmp_path / "demonstrations").iterdir())) == 2


@pytest.mark.slow
def test_a_training_is_stopped_while_it_is_shown_a_shift_and_keeps_those_shown_whole(tmp_path: Path) -> None:
    told: list[float] = []
    assert imitated(tmp_path, lambda step: step == 4 and len(told) > 80, told.append) == (False, 4, 60)
    assert len(told) < 100
    assert len(list((tmp_path / "demonstrations").iterdir())) == 1
    assert imitated(tmp_path, lambda step: False) == (True, 8, 120)


@pytest.mark.parametrize("name", ["luck", "acting"])
@pytest.mark.parametrize("share", [float("nan"), -0.1, 1.5, float("inf")])
def test_a_share_of_drawn_actions_or_of_batches_that_the_pupil_plays_is_one(name: str, share: float) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} {share:g}: give a share, from 0 to 1"):
        StepImitation(lambda generator: gymnasium.make("agentmem/TMaze-v0"), **{name: share})
