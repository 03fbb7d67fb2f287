"""Policies: the contract, and chat models that answer well, badly, and not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import pytest
from gymnasium.spaces import Discrete
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage
from rolls import SHOP, memory_at

import agentmem_envs  # noqa: F401
from agentmem.errors import InvalidInputError
from agentmem.langchain import ChatModelPolicy, chat_model
from agentmem.langchain.policy import _answered
from agentmem.rollout import RandomPolicy, ScriptedPolicy, rollout
from agentmem.testing import PolicyContract
from agentmem_envs.shift.policies import Reader, Rule
from agentmem_envs.shift.wrapper import Candidates


class OfShift(PolicyContract):
    def observations(self) -> Sequence[Any]:
        env = Candidates(gymnasium.make(SHOP))
        seen = [env.reset(seed=0)[0]]
        return [*seen, *(env.step(0)[0] for _ in range(5))]


class TestScripted(OfShift):
    def make_policy(self) -> Any:
        return ScriptedPolicy(lambda observation, context: len(observation["text"]) % 8)


class TestRandom(OfShift):
    def make_policy(self) -> Any:
        return RandomPolicy(Discrete(8))


class Hiding(gymnasium.Env[Any, Any]):
    """Hides a number, and rewards an action that is it."""

    observation_space, action_space = Discrete(1), Discrete(8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.hidden = int(self.np_random.integers(8))
        return 0, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return 0, float(action == self.hidden), True, False, {}


def test_a_random_policy_guesses_what_an_environment_draws_from_the_same_seed_no_better_than_chance() -> None:
    with memory_at() as memory:
        report = rollout(Hiding, RandomPolicy(Discrete(8)), memory, kind="none", episodes=200)
    assert 0.05 < report.return_mean < 0.2


class TestRule(OfShift):
    def make_policy(self) -> Any:
        return Rule(3)


class TestReader(OfShift):
    def make_policy(self) -> Any:
        return Reader()


class TestChat(OfShift):
    def make_policy(self) -> Any:
        return ChatModelPolicy(FakeListChatModel(responses=["2"]), goal="serve")


CANDIDATES = {"text": "Hello", "candidates": '{"tool": "a", "args": {}}\n{"tool": "b", "args": {}}'}


def test_the_prompt_has_goal_memory_observation_and_candidates_or_tools() -> None:
    policy = ChatModelPolicy(FakeListChatModel(responses=["1"]), goal="Serve all.", tools='{"a": {}}')
    with memory_at() as memory, memory.episode(id="run") as episode:
        episode.observe("The key hangs in the kitchen.")
        context = memory.recall("Where is the key?")
    system, human = policy.messages(CANDIDATES, context)
    assert system.text == "Goal: Serve all.\n\nAnswer with the number of one of the candidates and nothing else."
    assert human.text.startswith(
        "Memory:\n[run]\nobservation: The key hangs in the kitchen.\n\nObservation:\nHello\n\n"
    )
    assert human.text.endswith('Candidates:\n0: {"tool": "a", "args": {}}\n1: {"tool": "b", "args": {}}')
    system, human = policy.messages("Hello", None)
    assert 'Tools: {"a": {}}' in system.text
    assert human.text == "Observation:\nHello"
    assert "Tools" not in ChatModelPolicy(FakeListChatModel(responses=["1"])).messages([0.5], None)[0].text


@pytest.mark.parametrize(
    ("answer", "action"),
    [
        ("1", 1),
        (" 0\n", 0),
        ("2", "2"),
        ("the first one", "the first one"),
        ("", ""),
        ('{"tool": "b", "args": {}}', '{"tool": "b", "args": {}}'),
    ],
)
def test_an_answer_that_is_no_number_of_a_candidate_is_passed_on_as_it_is(answer: str, action: Any) -> None:
    assert ChatModelPolicy(FakeListChatModel(responses=[answer])).act(CANDIDATES, None) == action


def test_a_tool_call_of_the_model_is_a_call() -> None:
    call = AIMessage("", tool_calls=[{"name": "close", "args": {"code": "A"}, "id": "1"}])
    assert _answered(call, "Hello") == '{"tool": "close", "args": {"code": "A"}}'


def test_a_rollout_of_a_model_that_talks_nonsense_is_graded_and_ends_properly() -> None:
    policy = ChatModelPolicy(FakeListChatModel(responses=["Well, ", "7", "{", '{"tool": "x"}', "99"]))
    for candidates in (True, False):
        with memory_at() as memory:
            options = {"steps": 15, "delay": 5, "candidates": candidates}
            report = rollout(SHOP, policy, memory, budget=100, episodes=2, workers=2, apart=False, options=options)
            assert report.steps == 30
            assert report.solved == 0.0


def test_what_is_no_chat_model_is_refused_with_a_remedy() -> None:
    with pytest.raises(InvalidInputError, match="'gpt' is no chat model of LangChain; give one"):
        ChatModelPolicy("gpt")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="^model 'nobody:nothing' cannot be had .*; name it as provider:model$"):
        chat_model("nobody:nothing")
