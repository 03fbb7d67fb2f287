"""What a rollout refuses, and with which words: environments, keywords, policies and memories that do not fit."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from rolls import SHOP, memory_at

import agentmem_envs  # noqa: F401
from agentmem.errors import InvalidInputError, as_installed
from agentmem.rollout import PlanningContexts, RandomPolicy, ScriptedPolicy, load_policy, rollout

MAZE = "agentmem/TMaze-v0"
ONE = ScriptedPolicy(lambda observation, context: 1)


def refused(env: Any, policy: Any = ONE, **settings: Any) -> str:
    """The words of the refusal; nothing is logged."""
    with memory_at() as memory:
        with pytest.raises(InvalidInputError) as caught:
            rollout(env, policy, memory, **settings)
        assert memory.head().position == 0
    return str(caught.value)


@pytest.mark.parametrize(
    ("env", "options", "said"),
    [
        (MAZE, {"split": "train"}, "unexpected keyword argument 'split'; keywords that it takes: length, render_mode"),
        (
            SHOP,
            {"stepz": 40},
            "'stepz'; keywords that it takes: split, steps, days, delay, drift, privileged, render_mode",
        ),
        (SHOP, {"steps": 40.5}, "steps=40.5: give a whole number from 1 to 1,000,000"),
        (SHOP, {"candidates": 5}, "candidates=5: give True or False (on the command line true or false)"),
        (MAZE, {"candidates": True}, "unexpected keyword argument 'candidates'; keywords that it takes: length"),
        (MAZE, {"length": "many"}, "length='many': give a whole number of cells"),
        (MAZE, {"render_mode": 3}, "render_mode=3 is no text"),
        ("CartPole-v1", {"max_episode_steps": "x"}, "with {'max_episode_steps': 'x'}"),
        ("agentmem/Workflow-v0", None, "argument: 'definition'; keywords that it takes: definition, privileged"),
    ],
)
def test_keywords_that_do_not_fit_are_told_with_those_that_do(env: str, options: Any, said: str) -> None:
    words = refused(env, options=options)
    assert said in words
    assert "raised from" not in words
    assert "registered" not in words


@pytest.mark.parametrize("env", ["Nothing-5x5-v0", "no_such_package:Nothing-v0", "no id", ":", "a:b:c"])
def test_an_id_that_is_not_there_is_told_with_how_those_of_a_package_are_named(env: str) -> None:
    words = refused(env, options={"split": "test"})
    assert "with {" not in words
    assert "name one that is registered, such as agentmem/ShiftShop-Short-v0" in words
    assert "install that and name its module before the id, as in minigrid:MiniGrid-Empty-5x5-v0" in words


@pytest.mark.parametrize("package", ["minigrid", "popgym"])
def test_a_package_that_the_extra_brings_is_told_with_the_line_that_installs_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert refused(f"{package}:Nothing-v0").endswith(as_installed("install it: pip install 'agentmem-crystal[envs]'"))


def test_a_package_that_an_environment_needs_is_told_in_its_own_words() -> None:
    gymnasium.register("Needs-v0", entry_point=_needs)
    try:
        assert refused("Needs-v0").endswith("cannot be made: run pip install that")
    finally:
        del gymnasium.registry["Needs-v0"]


def _needs() -> gymnasium.Env[Any, Any]:
    raise gymnasium.error.DependencyNotInstalled("run pip install that")


@pytest.mark.parametrize(
    ("env", "name", "said"),
    [
        (MAZE, "reader", "policy Reader chooses among the candidates of a shift"),
        (MAZE, "rule", "policy Rule chooses among the candidates of a shift"),
        (MAZE, "oracle", "policy Oracle needs the right candidate in info"),
        (SHOP, "oracle", "privileged=True"),
    ],
)
def test_a_policy_of_shifts_says_what_it_needs(env: str, name: str, said: str) -> None:
    assert said in refused(env, load_policy(name, None))
    assert "candidates" in refused(SHOP, load_policy(name, None), options={"candidates": False})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("json:dumps", "cannot be made (dumps() missing 1 required positional argument"),
        ("json:__name__", "cannot be made ('str' object is not callable)"),
        ("json:policy", "is not there (module 'json' has no attribute 'policy')"),
        ("..nowhere:policy", "is not there (the 'package' argument is required"),
    ],
)
def test_what_makes_no_policy_is_refused(name: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(f"policy '{name}' {said}")):
        load_policy(name, None)


def test_a_function_is_told_how_it_becomes_a_policy_and_what_makes_none_what_it_made() -> None:
    with pytest.raises(
        InvalidInputError, match=r"missing .* becomes one by agentmem.rollout.ScriptedPolicy\(function\)"
    ):
        load_policy("test_rollout_refused:chosen", None)
    with pytest.raises(InvalidInputError, match="policy 'os:getcwd' makes '/.*', which has no act"):
        load_policy("os:getcwd", None)


class Awaited:
    async def act(self, observation: Any, context: Any) -> int:
        return 0


def test_a_policy_that_would_have_to_be_awaited_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="Awaited object at .* which has an async act, and nothing awaits it"):
        load_policy("test_rollout_refused:Awaited", None)


def test_a_folder_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=f"policy '{tmp_path}' is a folder; give .* a .safetensors file"):
        load_policy(str(tmp_path), None)


def chosen(observation: Any, context: Any) -> int:
    return 0


def test_what_is_no_memory_and_what_are_no_options_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"memory 'x.mem' is no Memory; open one: Memory.open\(path\)"):
        rollout(MAZE, ONE, "x.mem")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="memory 'x.mem' is no Memory"):
        PlanningContexts(gymnasium.make(MAZE), "x.mem")  # type: ignore[arg-type]
    assert refused(MAZE, options=["length"]).startswith("options ['length'] are no keywords; give a dict")
    assert "options 'length' are no keywords" in refused(
        lambda: gymnasium.make(MAZE), RandomPolicy(None), options="length"
    )
