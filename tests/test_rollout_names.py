"""By what a rollout is known again: the names of policy and environment, and the note of who logged its episodes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from gymnasium import spaces
from rolls import Counting, memory_at
from workflows import LOAN

from agentmem.errors import SettingsError
from agentmem.rollout import RandomPolicy, ScriptedPolicy, load_policy, rollout
from agentmem.rollout.notes import NOTE, files_of
from agentmem_envs.shift.policies import Rule
from agentmem_envs.workflow.env import WorkflowEnv

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


def played(memory: Any, file: Path, made: str, episodes: int) -> int:
    """The steps of a rollout of the workflow that a file defines."""
    by_id: dict[str, Any] = {"env": "agentmem/Workflow-v0", "options": {"definition": str(file)}}
    env: dict[str, Any] = by_id if made == "by id" else {"env": partial(WorkflowEnv, file)}
    said = ScriptedPolicy(lambda seen, told: "nothing")
    return rollout(policy=said, memory=memory, kind="none", name="nothing", episodes=episodes, **env).steps


@pytest.mark.parametrize("made", ["by id", "by a function"])
@pytest.mark.parametrize("episodes", [1, 2])
def test_a_rollout_goes_on_with_the_definition_that_it_began_with_and_no_other(
    made: str, episodes: int, tmp_path: Path
) -> None:
    file, text = tmp_path / "loan.yaml", LOAN.read_text().replace("steps: 600", "steps: 300")
    file.write_text(text)
    with memory_at() as memory:
        assert played(memory, file, made, 1) == 300
        head = memory.head()
        file.write_text(text.replace("steps: 300", "steps: 310"))
        what = f"another content of {'definition' if made == 'by id' else 0} '{file}': give the file as it was"
        with pytest.raises(SettingsError, match=f"holds a rollout with {what} to go on with it, or another memory"):
            played(memory, file, made, episodes)
        assert memory.head() == head
        assert played(memory.scoped("another"), file, made, 1) == 310
        file.write_text(text)
        assert played(memory, file, made, episodes) == 300 * episodes


def test_a_plain_word_is_no_path_though_a_file_of_the_current_folder_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("test", "loan.yaml"):
        (tmp_path / name).write_text("a")
    given = {"split": "test", "definition": "loan.yaml", "other": "./test", "path": Path("test"), "none": "no.yaml"}
    assert list(files_of(given)) == ["definition", "other", "path"]


def test_a_memory_that_noted_no_content_of_a_definition_is_gone_on_with_as_ever(tmp_path: Path) -> None:
    file, text = tmp_path / "loan.yaml", LOAN.read_text().replace("steps: 600", "steps: 300")
    file.write_text(text)
    with memory_at() as memory:
        played(memory, file, "by id", 1)
        place = memory.scoped("agentmem/Workflow-v0")
        note = json.loads(place.attachment(NOTE))
        del note["files"]
        place.attach(NOTE, json.dumps(note).encode())
        file.write_text(text + "# nobody knows whether this stood there\n")
        assert played(memory, file, "by id", 2) == 600
