"""Reinforcement of a PolicyLM over whole episodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import agentmem_envs  # noqa: F401
from agentmem.errors import InvalidInputError, PlayError
from agentmem.neural.settings import CrystalSettings, TransformerSettings
from agentmem.neural.train import Trainer, TrainSettings
from agentmem.policy.bc import StepImitation
from agentmem.policy.played import Played, play
from agentmem.policy.policy_lm import PolicyLM, PolicySettings
from agentmem.policy.ppo import ReinforcedTraining, advantages, scale_of
from agentmem.policy.spaces import Features
from agentmem.policy.step_network import StepNetwork, Steps

torch.set_num_threads(1)
CRYSTAL = CrystalSettings(dimension=32, code_bits=192, cue_bits=64, heads=1, recent=(50, 100), budget=2_800)
SIZES = TransformerSettings(32, 2, lower=1, upper=1, window=8, conv=3, crystal=CRYSTAL)

FEW = TrainSettings(tokens=100)


def maze(length: int) -> gymnasium.Env:  # type: ignore[type-arg]
    return gymnasium.make("agentmem/TMaze-v0", length=length)


def policy(seed: int = 0) -> PolicyLM:
    torch.manual_seed(seed)
    return PolicyLM(PolicySettings(Features.of(maze(2).observation_space), 4, SIZES))


def played(
    rewards: torch.Tensor, values: torch.Tensor, lengths: list[int], after: torch.Tensor | None = None
) -> Played:
    real = torch.arange(rewards.shape[1]) < torch.tensor(lengths)[:, None]
    empty = torch.zeros(rewards.shape, dtype=torch.int64)
    after = torch.zeros(len(rewards)) if after is None else after
    return Played(Steps(empty, empty, empty), empty, rewards * real, values * real, rewards * 0, real, after)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_an_advantage_is_the_discounted_sum_of_what_came_unexpected(seed: int, discount: float, trace: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    rewards, values = torch.randn(2, 5, generator=generator), torch.randn(2, 5, generator=generator)
    lengths, after = [5, 3], torch.randn(2, generator=generator)
    game = played(rewards, values, lengths, after)
    gains = advantages(game, discount, trace)
    for lane, length in enumerate(lengths):
        worth = [*game.values[lane, :length].tolist(), float(after[lane])]
        surprises = [float(game.rewards[lane, t]) + discount * worth[t + 1] - worth[t] for t in range(length)]
        wanted = [sum((discount * trace) ** (k - t) * surprises[k] for k in range(t, length)) for t in range(length)]
        assert gains[lane, :length].tolist() == pytest.approx(wanted, abs=1e-4)
        assert not gains[lane, length:].any()


def test_an_episode_that_is_cut_gains_nothing_by_it_where_values_are_right() -> None:
    ones = torch.ones(1, 64)
    assert advantages(played(ones, ones * 100, [64], torch.tensor([100.0])), 0.99, 0.95).allclose(ones * 0, atol=1e-3)
    assert float(advantages(played(ones, ones * 100, [64]), 0.99, 0.95)[0, -1]) == pytest.approx(-99)  # it was over


@pytest.mark.parametrize("most", [6, None])
def test_what_follows_an_episode_has_a_value_where_it_is_cut_and_none_where_it_is_over(most: int | None) -> None:
    made = policy().eval()
    limited = gymnasium.wrappers.TimeLimit(maze(9), 3)
    game = play(made, [maze(9), maze(2), limited], (1, 2, 3), torch.Generator().manual_seed(1), most=most)
    assert game.real.sum(1).tolist() == [most or 10, 3, 3]
    longer = play(made, [maze(9) for _ in range(3)], (1, 2, 3), torch.Generator().manual_seed(1))
    assert game.after[1] == 0
    assert float(game.after[2]) != 0
    assert float(game.after[0]) == pytest.approx(float(longer.values[0, 6]) if most else 0, abs=1e-5)


def test_what_was_played_is_what_the_policy_would_say_of_it() -> None:
    made = policy().eval()
    game = play(made, [maze(length) for length in (4, 9)], (1, 2), torch.Generator().manual_seed(1))
    assert game.real.sum(1).tolist() == [5, 10]
    with torch.no_grad():
        decided, _ = made(game.steps)
    chances = decided.logits.log_softmax(-1).gather(-1, game.actions.unsqueeze(-1)).squeeze(-1)
    assert chances[game.real].allclose(game.chances[game.real], atol=1e-4)
    assert decided.values[game.real].allclose(game.values[game.real], atol=1e-4)


def test_the_same_seed_plays_and_learns_the_same() -> None:
    def weights() -> torch.Tensor:
        made = policy()
        trainer = Trainer(made, ReinforcedTraining(lambda generator: maze(4), episodes=4), TrainSettings(0, tokens=40))
        trainer.train()
        return made.action.weight.detach()

    assert weights().equal(weights())


@pytest.mark.slow
def test_a_short_maze_is_learned_from_rewards_alone() -> None:
    made = policy()
    objective = ReinforcedTraining(lambda generator: maze(3), episodes=64)
    Trainer(made, objective, TrainSettings(0, tokens=60_000, learning_rate=1e-3, warmup=5)).train()
    game = play(made.eval(), [maze(3) for _ in range(64)], range(64), torch.Generator().manual_seed(9))
    assert float(game.rewards.sum(1).mean()) > 0.9


def test_a_resumed_training_takes_the_same_steps(tmp_path: Path) -> None:
    def trainer() -> Trainer[StepNetwork]:
        objective = ReinforcedTraining(lambda generator: maze(6), episodes=4, passes=2, parts=2)
        return Trainer(policy(), objective, TrainSettings(0, tokens=10_000))

    whole, begun, resumed = trainer(), trainer(), trainer()
    whole.train(steps=6)
    begun.train(steps=3)
    begun.save(tmp_path / "training")
    resumed.load(tmp_path / "training")
    resumed.train(steps=3)
    assert resumed.progress.tokens == whole.progress.tokens
    assert resumed.model.action.weight.equal(whole.model.action.weight)


@pytest.mark.slow
def test_episodes_are_played_further_as_the_budget_is_used_up() -> None:
    lengths: list[int] = []
    objective = ReinforcedTraining(lambda generator: maze(100), episodes=2, passes=1, parts=1)
    settings = TrainSettings(0, tokens=500, report_every=1)
    Trainer(policy(), objective, settings, lambda line: lengths.append(line["tokens"])).train()
    played = [later - before for before, later in zip([0, *lengths], lengths, strict=False)]
    assert played[0] == 2 * 64
    assert max(played) == 2 * 101  # whole
    assert played == sorted(played)


@given(st.floats(1e-4, 1e4))
def test_rewards_of_any_size_are_scaled_alike(size: float) -> None:
    rewards, values = torch.randn(3, 7, generator=torch.Generator().manual_seed(0)), torch.zeros(3, 7)
    one, other = played(rewards, values, [7, 7, 4]), played(rewards * size, values, [7, 7, 4])
    scaled = [advantages(each, 0.9, 0.95, scale_of(each, 0.9)) for each in (one, other)]
    assert scaled[0].allclose(scaled[1], rtol=1e-3, atol=1e-4)


def test_rewards_that_are_all_alike_keep_their_size() -> None:
    assert scale_of(played(torch.zeros(2, 5), torch.zeros(2, 5), [5, 3]), 0.99) == 1


class Counted(gymnasium.Wrapper):  # type: ignore[type-arg]
    """Counts those that are open."""

    open = 0

    def __init__(self) -> None:
        super().__init__(maze(2))
        Counted.open += 1

    def close(self) -> None:
        super().close()
        Counted.open -= 1


@pytest.mark.parametrize("training", [ReinforcedTraining, StepImitation])
def test_every_environment_that_was_trained_in_is_closed(training: Callable[..., Any]) -> None:
    objective = training(lambda generator: Counted(), episodes=8)
    Trainer(policy(), objective, TrainSettings(tokens=1_000)).train(2)
    assert Counted.open == 0


def test_episodes_that_leave_unequal_parts_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="episodes=6 in parts=4"):
        ReinforcedTraining(lambda generator: maze(3), episodes=6)


class Spoilt(gymnasium.Wrapper):  # type: ignore[type-arg]
    """A maze whose third step gives another observation or reward."""

    def __init__(self, seen: list[float] | None = None, reward: float | None = None) -> None:
        super().__init__(maze(9))
        self.seen, self.reward, self.steps = seen, reward, 0

    def reset(self, **keywords: Any) -> Any:
        self.steps = 0
        return super().reset(**keywords)

    def step(self, action: Any) -> Any:
        self.steps += 1
        observation, reward, *rest = super().step(action)
        if self.steps != 3:
            return observation, reward, *rest
        seen = observation if self.seen is None else np.array(self.seen, np.float32)
        return seen, reward if self.reward is None else self.reward, *rest


@pytest.mark.parametrize("training", [ReinforcedTraining, StepImitation])
@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_an_observation_that_is_not_finite_is_told_with_the_environment_and_the_step_that_gave_it(
    training: Callable[..., Any], number: str
) -> None:
    trainer = Trainer(policy(), training(lambda generator: Spoilt([0, float(number)]), episodes=4), FEW)
    where = "environment agentmem/TMaze-v0, in step 3 of the episode with seed [0-9]+"
    said = rf"{where}: observation is {number} at \[1\]; finite numbers are needed: mend it by a wrapper"
    with pytest.raises(PlayError, match=said):
        trainer.train()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("nan", "gave the reward nan, which is no finite number"),
        ("inf", "gave the reward inf, which is no finite number"),
        ("-1e+38", r"gave the reward -1e\+38; numbers up to 1e\+15 are needed: mend it by a wrapper"),
    ],
)
def test_a_reward_that_nothing_can_be_learned_from_is_told_with_the_environment_and_not_blamed_on_the_learning_rate(
    number: str, said: str
) -> None:
    trainer = Trainer(policy(), ReinforcedTraining(lambda generator: Spoilt(reward=float(number)), episodes=4), FEW)
    where = "environment agentmem/TMaze-v0, in step 3 of the episode with seed [0-9]+, "
    with pytest.raises(PlayError, match=where + said):
        trainer.train()


class Failing(Spoilt):
    def step(self, action: Any) -> Any:
        if self.steps == 2:
            raise KeyError("a gear is lost")
        return super().step(action)

    def close(self) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("training", [ReinforcedTraining, StepImitation])
def test_what_an_environment_raises_in_a_training_is_told_with_its_place_rather_than_what_closing_it_then_raises(
    training: Callable[..., Any],
) -> None:
    trainer = Trainer(policy(), training(lambda generator: Failing(), episodes=4), FEW)
    said = r"environment agentmem/TMaze-v0, in step 3 of the episode with seed \d+, raised KeyError at .*: 'a gear"
    with pytest.raises(PlayError, match=said):
        trainer.train()
