"""PolicyLM: any space as numbers, a transformer over the steps of an episode, and imitation of oracles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import agentmem_envs  # noqa: F401
from agentmem.errors import InvalidInputError
from agentmem.neural.settings import CrystalSettings, TransformerSettings
from agentmem.neural.train import Trainer, TrainSettings
from agentmem.policy import load_trained
from agentmem.policy.bc import StepImitation
from agentmem.policy.files import begin_with
from agentmem.policy.horizon import horizon
from agentmem.policy.policy_lm import PolicyLM, PolicySettings
from agentmem.policy.shown import Showing, acted, batch_of, episode
from agentmem.policy.spaces import LEVELS, Features, Leaf
from agentmem.testing import PolicyContract

torch.set_num_threads(1)
CRYSTAL = CrystalSettings(dimension=32, code_bits=192, cue_bits=64, heads=1, recent=(50, 100), budget=2_800)
SIZES = TransformerSettings(32, 2, lower=1, upper=1, window=8, conv=3, crystal=CRYSTAL)
WHOLE: list[Any] = [
    spaces.MultiDiscrete([2, 5]),
    spaces.MultiDiscrete([3, 4], start=[10, -3]),
    spaces.Box(-3, 4, (2,), np.int8),
    spaces.Box(0, 100, (2,), np.int64),
    spaces.Box(-(10**6), 10**6, (2,), np.int64),
]
WIDE = spaces.Box(-(10**6), 10**6, (2, 3), np.int64)
SPACES: list[spaces.Space[Any]] = [
    *WHOLE,
    spaces.Discrete(5),
    spaces.Discrete(3, start=-1),
    spaces.MultiBinary(4),
    spaces.Box(-1, 1, (2, 3), np.float32),
    spaces.Box(0, 255, (3, 3), np.uint8),
    spaces.Box(-(2**62), 2**62, (2,), np.int64),
    spaces.Text(40),
    spaces.Dict({"place": spaces.Discrete(4), "view": spaces.Tuple((spaces.Box(0, 1, (2,)), spaces.Discrete(2)))}),
]


def maze(length: int = 12) -> gymnasium.Env[Any, Any]:
    return gymnasium.make("agentmem/TMaze-v0", length=length)


def policy(seed: int = 0, **keywords: Any) -> PolicyLM:
    torch.manual_seed(seed)
    return PolicyLM(PolicySettings(Features.of(maze().observation_space), 4, SIZES, **keywords)).eval()


# ---- spaces


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_every_value_of_a_space_becomes_rows_of_the_table_and_finite_numbers(space: spaces.Space[Any]) -> None:
    features = Features.of(space)
    space.seed(1)
    for _ in range(20):
        ids, floats = features(space.sample())
        assert ids.dtype == np.int64
        assert ((ids >= 0) & (ids < features.rows)).all()
        assert floats.shape == (features.floats,)
        assert np.isfinite(floats).all()


@given(st.lists(st.integers(0, 3), min_size=2, max_size=2), st.lists(st.integers(0, 3), min_size=2, max_size=2))
def test_different_values_become_different_rows(one: list[int], other: list[int]) -> None:
    features = Features.of(spaces.MultiDiscrete([4, 4]))
    assert np.array_equal(features(np.array(one))[0], features(np.array(other))[0]) == (one == other)


@pytest.mark.parametrize("space", WHOLE, ids=str)
def test_whole_numbers_that_differ_stay_apart(space: Any) -> None:
    features, of = Features.of(space), {}
    least, most = (
        (space.low, space.high) if isinstance(space, spaces.Box) else (space.start, space.start + space.nvec - 1)
    )
    for first in {int(each) for each in np.linspace(least[0], most[0], 200)}:
        ids, floats = features(np.array([first, least[1]]))
        assert ((floats >= 0) & (floats <= 1)).all()
        of[first] = ids.tobytes() + floats.tobytes()
    assert len(set(of.values())) == len(of) > 1


def test_what_checkpoints_were_trained_with_stays_as_it_was() -> None:
    told = [
        Leaf((), "ids", 1, 5), Leaf((), "ids", 2, 5), Leaf((), "floats", 6), Leaf((), "ids", 147, LEVELS),
    ]  # fmt: skip
    of = (
        spaces.Discrete(5), spaces.MultiDiscrete([2, 5]), spaces.Box(-1, 1, (2, 3), np.float32),
        spaces.Box(0, 255, (7, 7, 3), np.uint8),
    )  # fmt: skip
    assert [Features.of(each).leaves for each in of] == [(leaf,) for leaf in told]


def test_a_table_of_too_many_rows_is_refused_with_a_remedy() -> None:
    with pytest.raises(InvalidInputError, match="take 10,000,001 rows of a table: 100,000 at most .* wrapper"):
        Features.of(spaces.Discrete(10_000_000))


@pytest.mark.parametrize("space", [spaces.Box(-1, 1, (2, 3)), spaces.Box(0, 9, (2, 3), np.int64), WIDE], ids=str)
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_told_by_its_place(space: spaces.Box, number: float) -> None:
    values = np.zeros((2, 3))
    values[1, 2] = number
    parts = spaces.Dict({"near": spaces.Discrete(2), "far": spaces.Tuple((space,))})
    with pytest.raises(InvalidInputError, match=rf"^observation\['far'\]\[0\] is {number} at \[1, 2\]; finite numbers"):
        Features.of(parts)({"near": 1, "far": (values,)})
    made = PolicyLM(PolicySettings(Features.of(space), 4, SIZES)).eval()
    with pytest.raises(InvalidInputError, match=rf"^observation is {number} at \[1, 2\]"):
        made.begin(0).act(values, None)


def test_each_part_of_an_observation_has_rows_of_its_own() -> None:
    parts = {"a": spaces.Discrete(3), "b": spaces.MultiDiscrete([2, 4]), "c": spaces.Text(40), "d": spaces.Discrete(5)}
    space = spaces.Dict(parts, seed=1)  # type: ignore[arg-type]
    seen = Features.of(space)
    rows = np.stack([seen(space.sample())[0] for _ in range(200)])
    of = [set(map(int, part.flat)) - {0} for part in np.split(rows, [1, 2, 3, 35], 1)]
    assert [len(each) for each in of if each is not of[3]] == [3, 2, 4, 5]
    assert len(set().union(*of)) == sum(map(len, of))


def test_what_is_below_or_above_a_space_counts_as_its_least_or_greatest() -> None:
    features = Features.of(spaces.Discrete(3, start=-1))
    assert [features(each)[0].tolist() for each in (-9, -1, 1, 9)] == [[1], [1], [3], [3]]


def test_great_levels_of_a_picture_count_as_the_greatest() -> None:
    features = Features.of(spaces.Box(0, 255, (2,), np.uint8))
    assert features(np.array([200, LEVELS - 1], np.uint8))[0].tolist() == [LEVELS, 2 * LEVELS]


@pytest.mark.parametrize("space", [spaces.Box(0, 255, (210, 160, 3), np.uint8), spaces.Sequence(spaces.Discrete(2))])
def test_pictures_and_unknown_spaces_are_refused_with_a_remedy(space: spaces.Space[Any]) -> None:
    with pytest.raises(InvalidInputError, match="wrapper"):
        Features.of(space)


# ---- the policy


class TestPolicyLM(PolicyContract):
    def make_policy(self) -> PolicyLM:
        return policy()

    def observations(self) -> Sequence[Any]:
        return [np.array(each, np.float32) for each in ((0, 1), (0, 0), (0, 0), (1, 0))]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_steps_one_after_another_decide_as_all_at_once(parts: list[int]) -> None:
    made, total = policy(clock=4), sum(parts)
    batch = batch_of([episode(maze(total), made.features, seed, 0.3) for seed in (1, 2)])
    steps, state, logits = batch.steps.part(0, total), None, []
    with torch.no_grad():
        whole = made(steps)[0].logits
        for start, part in zip(np.cumsum([0, *parts]), parts, strict=False):
            decided, state = made(steps.part(int(start), int(start) + part), state)
            logits.append(decided.logits)
    assert torch.cat(logits, 1).allclose(whole, atol=1e-4)


def test_a_playing_policy_decides_as_in_training() -> None:
    made, env = policy(), maze()
    playing, (seen, _) = made.begin(0), env.reset(seed=1)
    rows, acted = [], []
    for _ in range(10):
        rows.append(made.features(seen))
        acted.append(playing.act(seen, None))
        seen, *_ = env.step(acted[-1])
    ids, floats = (torch.from_numpy(np.stack(part))[None] for part in zip(*rows, strict=True))
    before = torch.tensor([[0, *(action + 1 for action in acted[:-1])]])
    steps = type(batch_of([episode(maze(), made.features, 0, 0)]).steps)(ids, floats, before)
    with torch.no_grad():
        assert made(steps)[0].logits[0].argmax(-1).tolist() == acted


def test_what_was_saved_decides_the_same(tmp_path: Path) -> None:
    made = policy(3, clock=2)
    made.save(tmp_path / "maze.safetensors", "made by hand")
    again = load_trained(str(tmp_path / "maze.safetensors"))
    steps = batch_of([episode(maze(), made.features, 0, 0.0)]).steps
    with torch.no_grad():
        assert again(steps)[0].logits.equal(made(steps)[0].logits)  # type: ignore[operator]


def same(one: Any, other: Any) -> bool:
    return all(torch.equal(each, other.state_dict()[name]) for name, each in one.state_dict().items())


def test_what_begins_with_a_policy_knows_all_of_it() -> None:
    made, other = policy(0), policy(1)
    assert not same(made, other)
    begin_with(made, other)
    assert same(made, other)


def test_of_a_policy_of_other_observations_what_begins_with_it_knows_how_it_remembers() -> None:
    env = gymnasium.make("popgym:popgym-RepeatFirstEasy-v0")
    made, before = (PolicyLM(PolicySettings(Features.of(env.observation_space), 4, SIZES)) for _ in range(2))
    before.load_state_dict(made.state_dict())
    begin_with(made, policy(1))
    assert same(made.transformer, policy(1).transformer)
    made.transformer.load_state_dict(before.transformer.state_dict())
    assert same(made, before)


def test_a_policy_that_remembers_by_other_sizes_is_nothing_to_begin_with() -> None:
    with pytest.raises(InvalidInputError, match=r"policy tmaze \w+ remembers by other sizes"):
        begin_with(policy(), load_trained("tmaze"))


def test_an_observation_of_another_space_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="trained on observations of another form than {'text': 'x'}: play the"):
        policy().begin(0).act({"text": "x"}, None)


# ---- imitation


def test_the_oracle_of_the_maze_reaches_the_goal_and_its_needs_are_told() -> None:
    env = maze(30)
    features = Features.of(env.observation_space)
    for seed in range(6):
        shown = episode(env, features, seed, 0.0)
        assert shown.needs == ((30, 0),)
        assert shown.acted.tolist() == shown.right.tolist()
        assert env.unwrapped._y == env.unwrapped._goal  # type: ignore[attr-defined]


def test_luck_draws_actions_and_leaves_what_is_right() -> None:
    shown = episode(maze(200), Features.of(maze().observation_space), 0, 0.5)
    assert 0.2 < (shown.acted != shown.right).mean() < 0.6
    assert set(shown.right[:100].tolist()) == {0}


def test_an_action_that_is_drawn_gives_nothing_hidden_away() -> None:
    env, goals = maze(3), []
    features = Features.of(env.observation_space)
    for seed in range(400):
        first = episode(env, features, seed, 0.5)
        if first.acted[0] != first.right[0]:
            goals.append(env.unwrapped._goal)  # type: ignore[attr-defined]
    assert len(goals) > 100
    assert abs(np.mean(goals)) < 0.2


def test_where_a_pupil_acts_its_actions_are_made_and_the_oracle_says_what_was_right() -> None:
    made = policy()
    played = acted(made, [Showing(maze(length), made.features, 3, 9) for length in (4, 6, 40)])
    assert [(len(each.acted), each.over) for each in played] == [(5, True), (7, True), (9, False)]
    with torch.no_grad():
        decided = made.eval()(batch_of(played).steps)[0].logits.argmax(-1)
    for each, likeliest in zip(played, decided, strict=True):
        assert each.acted.tolist() == likeliest[: len(each.acted)].tolist() != each.right.tolist()
        assert set(each.right.tolist()) == {0}  # it has not come to the junction


def test_the_pupil_acts_once_it_has_learned_the_first_steps() -> None:
    made, actions = policy(), []

    class Noted(gymnasium.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            actions.append(action)
            return self.env.step(action)

    torch.nn.init.zeros_(made.action.weight)
    made.action.bias.data = torch.tensor([0.0, 0.0, 1.0, 0.0])
    objective = StepImitation(lambda generator: Noted(maze(5)), luck=0.0, acting=1.0, tokens=300)
    for stage, always in ((0, 0), (1, 2)):
        objective.step(made, stage, torch.Generator().manual_seed(0))
        assert set(actions[:5]) == {always}
        actions.clear()


def test_episodes_of_different_lengths_stand_side_by_side() -> None:
    features = Features.of(maze().observation_space)
    batch = batch_of([episode(maze(length), features, 0, 0.0) for length in (5, 9)])
    assert batch.right.shape == (2, 10)
    assert batch.right[0, 6:].tolist() == [-1] * 4
    assert batch.at.tolist() == [[5], [9]]
    assert batch.shown.tolist() == [[0], [0]]


def test_every_weight_of_a_policy_learns() -> None:
    made = policy(clock=2)
    torch.nn.init.normal_(made.transformer.crystal.reader.correction.weight, std=0.1)
    objective = StepImitation(lambda generator: maze(220), episodes=3)
    trainer = Trainer(made, objective, TrainSettings(0, tokens=1_000, warmup=1))
    trainer.train()
    moved = trainer.optimizer.state
    still = [name for name, each in made.named_parameters() if each not in moved or not moved[each]["exp_avg"].any()]
    assert still == ["table.weight", "value.weight", "value.bias"]  # nothing is an id, and no reward is told


@pytest.mark.slow
def test_a_maze_longer_than_the_window_is_learned() -> None:
    made = policy()
    objective = StepImitation(lambda generator: maze(30), luck=0.0, episodes=16)
    Trainer(made, objective, TrainSettings(0, tokens=200_000, learning_rate=3e-3, warmup=10)).train()
    batch = batch_of([episode(maze(30), made.features, 1_000 + seed, 0.0) for seed in range(32)])
    with torch.no_grad():
        decided = made.eval()(batch.steps)[0].logits.argmax(-1)
    assert ((decided == batch.right) | (batch.right < 0)).all(1).float().mean() > 0.95


def test_demonstrations_are_shown_again_and_of_each_environment_apart() -> None:
    made, plays = policy(), []

    def drawn(generator: torch.Generator) -> gymnasium.Env[Any, Any]:
        plays.append(int(torch.randint(5, 7, (), generator=generator)))
        return maze(plays[-1])

    objective = StepImitation(drawn, luck=0.0, episodes=8, demonstrations=2)
    generator = torch.Generator().manual_seed(0)
    shown = [each for _ in range(6) for each in objective._episodes(made, 64, generator)]
    assert {len(each.right) for each in shown} == {length + 1 for length in set(plays)} == {6, 7}
    assert len({id(each) for each in shown}) == 2 * 2
    fresh = StepImitation(drawn, luck=0.0, episodes=8)
    assert len({id(each) for each in [*fresh._episodes(made, 64, generator)]}) == 8


def test_of_a_long_episode_its_beginning_is_shown_first_and_more_of_it_at_each_stage() -> None:
    made, generator = policy(), torch.Generator().manual_seed(0)
    objective = StepImitation(lambda generator: maze(150), luck=0.0, episodes=8, demonstrations=2)
    stages = [list(objective._episodes(made, horizon(stage), generator)) for stage in range(5)]
    assert [{len(each.right) for each in shown} for shown in stages] == [{64}, {128}, {151}, {151}, {151}]
    assert [{each.over for each in shown} for shown in stages] == [{False}, {False}, {True}, {True}, {True}]
    assert [each.needs for each in stages[1]] == [()] * 8
    assert {id(each) for each in stages[2]} == {id(each) for each in stages[4]}  # whole, so not played again
    lengths: list[int] = []
    settings = TrainSettings(0, tokens=4_000, report_every=1)
    objective = StepImitation(lambda generator: maze(150), luck=0.0, episodes=2)
    Trainer(made, objective, settings, lambda line: lengths.append(line["tokens"])).train()
    shown = [later - before for before, later in zip([0, *lengths], lengths, strict=False)]
    assert sorted(set(shown)) == [2 * 64, 2 * 128, 2 * 151]
    assert shown == sorted(shown)
