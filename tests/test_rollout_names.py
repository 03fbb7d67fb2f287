"""By what a rollout is known again: the names of policy and environment, and the note of who logged its episodes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from gymnasium import spaces
from rolls import Counting, memory_at

from agentmem.errors import SettingsError
from agentmem.rollout import RandomPolicy, ScriptedPolicy, load_policy, rollout
from agentmem.rollout.notes import NOTE
from agentmem_envs.shift.policies import Rule

TWO = ScriptedPolicy(lambda observation, context: 2)


class Same:
    """Does the same always."""

    def __init__(self, action: int) -> None:
        self.action = action

    def act(self, observation: Any, context: Any) -> int:
        return self.action


def one(observation: Any, context: Any) -> int:
    return 1


def four(observation: Any, context: Any) -> int:
    return 4


@pytest.mark.parametrize(
    "policies",
    [(Same(1), Same(4)), (ScriptedPolicy(lambda seen, told: 1), ScriptedPolicy(lambda seen, told: 4))],
    ids=["of a class", "of a lambda"],
)
def test_what_a_policy_without_a_name_did_is_passed_off_as_no_others(policies: tuple[Any, Any]) -> None:
    called = type(policies[0]).__name__
    with memory_at() as memory:
        report = rollout(Counting, policies[0], memory, kind="none")
        for policy in policies:
            with pytest.raises(SettingsError, match=f"no name that tells .* give name='{called}' if it is, or another"):
                rollout(Counting, policy, memory, kind="none")
        with pytest.raises(SettingsError, match=f"with policy '{called}', not 'four'"):
            rollout(Counting, policies[1], memory, kind="none", name="four")
        again = rollout(Counting, policies[0], memory, kind="none", name=called)
        assert again.episodes == report.episodes


def test_functions_of_a_module_and_policies_that_say_so_are_known_by_their_names() -> None:
    with memory_at() as memory:
        report = rollout(Counting, ScriptedPolicy(one), memory, kind="none")
        assert report.policy == "test_rollout_names.one"
        assert rollout(Counting, ScriptedPolicy(one), memory, kind="none").episodes == report.episodes
        with pytest.raises(SettingsError, match=r"with policy 'test_rollout_names.one', not 'test_rollout_names.four'"):
            rollout(Counting, ScriptedPolicy(four), memory, kind="none")
    assert ScriptedPolicy(Same(1).act).name is None
    assert load_policy("rule", None).name != Rule(3).name  # type: ignore[attr-defined]
    assert RandomPolicy(spaces.Discrete(2)).name == "random"


def test_a_partial_function_is_called_as_what_it_makes_and_noted_with_what_it_holds() -> None:
    with memory_at() as memory:
        report = rollout(partial(Counting, words=True), TWO, memory, kind="none", name="two")
        assert report.environment == "Counting"
        again = rollout(partial(partial(Counting), words=True), TWO, memory, kind="none", name="two")
        assert again.episodes == report.episodes
        for other in (partial(Counting, words=False), partial(Counting, True), Counting):
            with pytest.raises(SettingsError, match="with options {'words': True}, not {"):
                rollout(other, TWO, memory, kind="none", name="two")


def test_episodes_that_do_not_say_who_logged_them_are_taken_for_no_rollouts_own() -> None:
    with memory_at() as memory:
        rollout(Counting, TWO, memory, kind="none", name="two")
        memory.scoped("Counting").detach(NOTE)
        with pytest.raises(SettingsError, match="such as 0, that do not say who logged them .* give another memory"):
            rollout(Counting, TWO, memory, kind="none", name="two")
