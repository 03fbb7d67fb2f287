"""Rollouts as Minari datasets and back: the values are those that were seen and done."""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from rolls import SHOP, SHORT, Closing, Counting, logged, memory_at, shop

from agentmem.errors import InvalidInputError, MissingExtraError, NotFoundError, SettingsError
from agentmem.rollout import PlanningContexts, ScriptedPolicy, export_minari, import_minari, rollout


@pytest.fixture(autouse=True)
def _datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


def test_a_dataset_has_what_was_seen_and_done_and_its_environment(tmp_path: Path) -> None:
    with memory_at() as memory:
        report = shop(memory, kind="none")
        dataset = export_minari(memory, SHOP, "shop-v0", SHORT)
        assert (dataset.total_episodes, dataset.total_steps) == (2, 80)
        for episode, each in zip(dataset.iterate_episodes(), report.episodes, strict=True):
            assert sum(episode.rewards) == each.reward
            assert episode.truncations.tolist() == [False] * 39 + [True]
            env = dataset.recover_environment()
            seen, info = env.reset(seed=each.seed)
            for turn, action in enumerate(episode.actions):
                assert episode.observations["text"][turn] == seen["text"]
                assert episode.observations["candidates"][turn] == seen["candidates"]
                assert episode.observations["action_mask"][turn].tolist() == seen["action_mask"].tolist()
                assert int(action) == info["gold_index"]
                seen, _, _, _, info = env.step(action)


def test_what_is_imported_is_logged_as_it_was_and_once(tmp_path: Path) -> None:
    with memory_at() as memory, memory_at() as other:
        shop(memory, kind="none")
        export_minari(memory, SHOP, "shop-v0", SHORT)
        assert import_minari(other, "shop-v0") == 2
        for number in ("0", "1"):
            assert logged(other, SHOP, number) == logged(memory, SHOP, number)
        assert import_minari(other, "shop-v0") == 0
        again = export_minari(other, SHOP, "again-v0", SHORT)
        assert again.total_steps == 80


def test_an_import_that_died_before_its_last_note_doubles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with memory_at() as memory, memory_at() as other:
        rollout(Counting, ScriptedPolicy(lambda seen, context: 3), memory, kind="none", episodes=2)
        dataset = export_minari(memory, Counting, "counting-v0")
        with monkeypatch.context() as patched:
            patched.setattr("agentmem.rollout.minari.episode_report", die)
            with pytest.raises(KeyboardInterrupt):
                import_minari(other, dataset, name="Counting")
        assert import_minari(other, dataset, name="Counting") == 2
        for number in "01":
            assert logged(other, "Counting", number) == logged(memory, "Counting", number)


def test_what_is_imported_is_not_mixed_with_a_rollout_or_another_dataset(tmp_path: Path) -> None:
    three = ScriptedPolicy(lambda seen, context: 3)
    with memory_at() as memory, memory_at() as other:
        rollout(Counting, three, memory, kind="none", episodes=2)
        dataset = export_minari(memory, Counting, "counting-v0")
        again = export_minari(memory, Counting, "again-v0")
        with pytest.raises(SettingsError, match=r"rollout\(\) logged of 'Counting'; import_minari\(\) would mix"):
            import_minari(memory, dataset, name="Counting")
        assert import_minari(other, dataset, name="Counting") == 2
        assert import_minari(other, dataset, name="Counting") == 0
        with pytest.raises(SettingsError, match="with dataset 'counting-v0', not 'again-v0': give .* another memory"):
            import_minari(other, again, name="Counting")
        assert import_minari(other, again, name="again") == 2
        with pytest.raises(SettingsError, match=r"import_minari\(\) logged of 'Counting'; rollout\(\) would mix"):
            rollout(Counting, three, other, kind="none")


def test_plain_arrays_come_back_exactly(tmp_path: Path) -> None:
    with memory_at() as memory, memory_at() as other:
        rollout(Counting, ScriptedPolicy(lambda seen, context: 3), memory, kind="none", episodes=2)
        dataset = export_minari(memory, Counting, "counting-v0")
        first = next(iter(dataset.iterate_episodes()))
        assert first.observations.dtype == np.float32
        assert first.observations.tolist() == [[0, 0], [0, 1], [0, 2]]
        assert import_minari(other, dataset, name="Counting") == 2
        assert logged(other, "Counting", "1") == logged(memory, "Counting", "1")


def test_what_cannot_be_exported_or_imported_is_said(tmp_path: Path) -> None:
    with memory_at() as memory:
        with pytest.raises(NotFoundError, match="no whole episode of 'Counting'; play some"):
            export_minari(memory, Counting, "counting-v0")
        with pytest.raises(NotFoundError, match="no dataset 'nothing-v0' here"):
            import_minari(memory, "nothing-v0")
        policy: Any = ScriptedPolicy(lambda seen, context: "no")
        rollout(SHOP, policy, memory, kind="none", options={"steps": 8, "delay": 2})
        with pytest.raises(InvalidInputError, match="'shop 1-v0' cannot be called so .*; name it as name-v0"):
            export_minari(memory, SHOP, "shop 1-v0", {"steps": 8, "delay": 2})
        with pytest.raises(InvalidInputError, match="'shop' cannot be called so .*; name it as name-v0"):
            export_minari(memory, SHOP, "shop", {"steps": 8, "delay": 2})
        rollout(Counting, ScriptedPolicy(lambda seen, context: 3), memory, kind="none")
        export_minari(memory, Counting, "counting-v0")
        with pytest.raises(InvalidInputError, match="'counting-v0' cannot be made: .* already exists .* or version.$"):
            export_minari(memory, Counting, "counting-v0")
        with pytest.raises(InvalidInputError, match="action 'no' of episode 0, turn 0, is none of Discrete"):
            export_minari(memory, SHOP, "shop-v0", {"steps": 8, "delay": 2})


MAZE = "agentmem/TMaze-v0"


def maze(memory: Any, **options: Any) -> None:
    rollout(MAZE, ScriptedPolicy(lambda seen, context: 0), memory, kind="none", name="zero", options=options)


def test_the_options_are_those_that_the_rollout_noted_and_no_others() -> None:
    with memory_at() as memory:
        maze(memory, length=5)
        with pytest.raises(SettingsError, match=r"options \{'length': 5\}, not \{'length': 9\}: give the same"):
            export_minari(memory, MAZE, "maze-v0", {"length": 9})
        with pytest.raises(SettingsError, match=r"options \{'length': 5\}, not \{\}"):
            export_minari(memory, MAZE, "maze-v0", {})
        for dataset in (export_minari(memory, MAZE, "maze-v0"), export_minari(memory, MAZE, "maze-v1", {"length": 5})):
            assert dataset.spec.env_spec.kwargs == {"length": 5}
        make = partial(Counting, words=True)
        rollout(make, ScriptedPolicy(lambda seen, context: 3), memory, kind="none")
        with pytest.raises(SettingsError, match=r"options \{'words': True\}, not \{\}"):
            export_minari(memory, Counting, "counting-v0")
        assert export_minari(memory, make, "counting-v0").total_steps == 2


class Aimed(gymnasium.Env[int, int]):
    """One step, whatever its goal."""

    observation_space, action_space = gymnasium.spaces.Discrete(1), gymnasium.spaces.Discrete(1)

    def __init__(self, goal: Any) -> None:
        self.goal = goal

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return 0, 0.0, True, False, {}


@pytest.mark.parametrize("goal", [(1, 2), np.zeros(2000)])
def test_options_that_are_noted_in_part_are_to_be_given(goal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name, zero = "agentmem-test/Aimed-v0", ScriptedPolicy(lambda seen, context: 0)
    spec = gymnasium.envs.registration.EnvSpec(name, entry_point=Aimed)
    monkeypatch.setitem(gymnasium.registry, name, spec)
    with memory_at() as memory:
        rollout(name, zero, memory, kind="none", name="zero", options={"goal": goal})
        with pytest.raises(
            InvalidInputError, match="option goal is noted as .*: give options= as the rollout had them"
        ):
            export_minari(memory, name, "aimed-v0")


def test_of_what_the_wrapper_or_an_import_logged_the_options_are_those_that_are_given() -> None:
    with memory_at() as memory, memory_at() as other:
        env = PlanningContexts(gymnasium.make(MAZE, length=5), memory, kind="none")
        env.reset(seed=0)
        for _ in range(6):
            env.step(0)
        dataset = export_minari(memory, MAZE, "maze-v0", {"length": 5})
        assert dataset.spec.env_spec.kwargs == {"length": 5}
        assert import_minari(other, dataset) == 1
        assert export_minari(other, MAZE, "maze-v1", {"length": 5}).spec.env_spec.kwargs == {"length": 5}


def test_a_dataset_names_the_policy_and_minari_warns_of_nothing_that_need_not_be_given() -> None:
    with memory_at() as memory, warnings.catch_warnings():
        warnings.simplefilter("error")
        maze(memory, length=5)
        assert export_minari(memory, MAZE, "maze-v0").storage.metadata["algorithm_name"] == "zero"
        about = {"author": "Ann", "algorithm_name": "mine"}
        named = export_minari(memory, MAZE, "maze-v1", **about).storage.metadata
        assert (named["algorithm_name"], set(named["author"])) == ("mine", {"Ann"})


@pytest.mark.parametrize("called", ["shop", "space/shop", "shop-v", "s/shop-v0", "shop 1-v0", "", 5, None])
def test_a_name_that_is_none_is_refused_with_its_form_before_anything_is_written(tmp_path: Path, called: Any) -> None:
    with memory_at() as memory:
        maze(memory, length=5)
        with pytest.raises(InvalidInputError, match="cannot be called so .*; name it as name-v0, or as") as met:
            export_minari(memory, MAZE, called)
    assert "int()" not in str(met.value)
    assert list(tmp_path.iterdir()) == []


def test_whatever_keeps_a_dataset_from_being_made_the_environment_is_closed() -> None:
    settings: dict[str, Any] = {"kind": "none", "episodes": 1}
    with memory_at() as memory:
        with pytest.raises(NotFoundError, match="no whole episode of 'Closing'"):
            export_minari(memory, Closing, "closing-v0")
        rollout(Closing, ScriptedPolicy(lambda seen, context: 9), memory, **settings)
        with pytest.raises(InvalidInputError, match=r"action np.int64\(9\) of episode 0, turn 0, is none of Discrete"):
            export_minari(memory, Closing, "closing-v0")
    assert Closing.opened == 0


def test_without_minari_the_line_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minari", None)
    with memory_at() as memory:
        with pytest.raises(MissingExtraError, match=r"pip install .*\[envs\]'$"):
            export_minari(memory, Counting, "counting-v0")
        with pytest.raises(MissingExtraError, match="pip install"):
            import_minari(memory, "counting-v0")
