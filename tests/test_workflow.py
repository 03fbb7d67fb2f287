"""A workflow as an environment, on the loan application of examples/: it needs memory, and grades any answer."""

import json
import time
from typing import Any

import gymnasium
import pytest
import yaml
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from workflows import LOAN, follower, play, scores

import agentmem_envs
from agentmem import Memory
from agentmem.errors import InvalidInputError
from agentmem.rollout import ScriptedPolicy, rollout
from agentmem_envs.calls import Call, Refused
from agentmem_envs.workflow.definition import Argument, load
from agentmem_envs.workflow.env import WorkflowEnv
from agentmem_envs.workflow.tools import accept

DEFINITION = load(LOAN)
SEEDS = range(20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def env() -> WorkflowEnv:
    return WorkflowEnv(LOAN)


def test_the_oracle_solves_every_case_and_none_of_its_calls_is_refused(env: WorkflowEnv) -> None:
    for seed in SEEDS:
        steps = list(play(env, seed, lambda _: env.right_call()))
        results = steps[-1][1]["results"]
        assert all(after["right"] for _, after, _ in steps)
        assert len(results) > 60
        assert sum(reward for *_, reward in steps) == len(results) == sum(each["solved"] for each in results)
        assert {each["kind"] for each in results} == set(env.definition.grader)
        assert all(each["failed"] == {} for each in results)


def test_who_ends_an_episode_sooner_has_what_ended_by_then_and_so_has_a_rollout() -> None:
    made = gymnasium.make("agentmem/Workflow-v0", definition=LOAN, privileged=True, max_episode_steps=400)
    _, info = made.reset(seed=0)
    for _ in range(400):
        *_, truncated, info = made.step(info["gold"])
    results = made.get_wrapper_attr("results")
    assert (truncated, info["results"]) == (True, [])
    assert len(results) > 10
    with Memory.open(":memory:", encoder=None, durability="process") as memory:
        report = rollout(lambda: made, ScriptedPolicy(lambda *_: "no call"), memory, kind="none")
    assert report.episodes[0].tickets == (0, len(results))


def test_who_follows_the_definition_on_all_that_was_shown_scores_one(env: WorkflowEnv) -> None:
    found = scores(env, range(2), follower(env.definition, None))
    assert set(found.values()) == {1.0}
    assert set(found) == {"solved", "visible", "term", "offer", "offer+income", "account"}


@pytest.mark.slow
def test_the_newest_observations_short_of_the_delay_leave_every_hidden_fact_to_chance(env: WorkflowEnv) -> None:
    delay = env.definition.delay[0]
    found = scores(env, SEEDS, follower(env.definition, delay - 1))
    blind = scores(env, SEEDS, follower(env.definition, 1, seed=1))
    assert found["visible"] == 1.0
    assert abs(found["term"] - 1 / 8) < 0.05  # of eight terms
    assert found["account"] < 0.05  # of 1,429 accounts
    assert abs(found["offer"] - 1 / 2) < 0.05  # in time or not
    assert abs(found["offer+income"] - 1 / 4) < 0.05  # in time, and enough or not
    assert all(abs(found[kind] - blind[kind]) < 0.05 for kind in found)


def test_a_need_names_the_observation_that_last_showed_it_a_delay_ago_or_more(env: WorkflowEnv) -> None:
    observation, info = env.reset(seed=3)
    texts = [observation["text"]]
    for at in range(env.definition.steps):
        wanted = json.loads(env.right_call())["args"]
        for need in info["needs"]:
            case = need["id"].split(".")[0]
            assert f"[{case} " in observation["text"]
            assert at - need["shown"] >= env.definition.delay[0]
            assert need["value"] in texts[need["shown"]]
            if need["kind"] in wanted:
                assert str(wanted[need["kind"]]) in texts[need["shown"]]
                lately = [text.split("] ", 1)[1] for text in texts[-99:] if f"[{case} " in text]
                assert not any(str(wanted[need["kind"]]) in text for text in lately)
        observation, _, _, _, info = env.step(env.right_call())
        texts.append(observation["text"])


def test_which_case_is_next_does_not_depend_on_what_the_agent_does(env: WorkflowEnv) -> None:
    def heads(act: Any) -> list[str]:
        env.reset(seed=1)
        return [env.step(act())[0]["text"].split("[case-")[1] for _ in range(300)]

    assert heads(env.right_call) == heads(lambda: "no call at all")


def test_a_refused_call_changes_nothing_and_costs_the_case_in_hand(env: WorkflowEnv) -> None:
    env.reset(seed=0)
    case = json.loads(env.right_call())["args"]["case"]
    observation, reward, *_ = env.step("Please decline it.")
    assert observation["text"].startswith('Refused: an action is JSON: {"tool": NAME, "args": {...}}\n[case-')
    assert reward == 0
    for _ in range(env.definition.steps - 1):
        results = env.step(env.right_call())[4]["results"]
    assert [each["solved"] for each in results if each["id"] == case] == [False]
    assert all(each["solved"] for each in results if each["id"] != case)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (Call("A_APROVED", {}), "no tool 'A_APROVED'; did you mean A_APPROVED?"),
        (Call("A_DECLINED", {}), "A_DECLINED takes case; given nothing"),
        (Call("A_DECLINED", {"case": "case-1", "why": 1}), "A_DECLINED takes case; given case, why"),
        (Call("A_DECLINED", {"case": 1}), "A_DECLINED: case: give a value of type case"),
        (Call("A_DECLINED", {"case": "case-999"}), "no open case 'case-999'; of those shown so far 1 is open"),
        (Call("O_CREATED", {"case": "case-1", "term": 13}), "O_CREATED: term: give one of 12, 24, 36"),
        (Call("O_CREATED", {"case": "case-1", "term": True}), "O_CREATED: term: give a value of type integer"),
        (Call("A_PARTLYSUBMITTED", {"case": "case-1", "amount": 5}), "give a value from 500 to 75000"),
        (Call("A_PARTLYSUBMITTED", {"case": "case-1", "amount": 700.0}), "amount: give a value of type integer"),
    ],
)
def test_a_refusal_says_what_is_wrong_with_the_call(env: WorkflowEnv, call: Call, said: str) -> None:
    while "[case-1 " not in env.reset()[0]["text"]:
        pass
    answered = env.step(call.text)[0]["text"]
    assert answered.startswith("Refused: ")
    assert said in answered


def test_a_call_that_is_refused_for_its_form_is_not_right_though_its_values_are_equal(env: WorkflowEnv) -> None:
    env.reset(seed=0)
    call = json.loads(env.right_call())
    call["args"]["amount"] = float(call["args"]["amount"])
    observation, *_, info = env.step(json.dumps(call))
    assert observation["text"].startswith("Refused: A_PARTLYSUBMITTED: amount: give a value of type integer")
    assert not info["right"]


def test_no_number_without_an_end_is_taken() -> None:
    for number in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(Refused, match="give a finite number"):
            accept(Argument(type="number"), number)


def test_a_tool_out_of_its_turn_is_refused_by_what_the_record_says(env: WorkflowEnv) -> None:
    env.reset(seed=0)
    case = json.loads(env.right_call())["args"]["case"]
    answered = env.step(Call("A_APPROVED", {"case": case}).text)[0]["text"]
    assert answered.startswith(f"Refused: A_APPROVED needs status accepted; of {case} it is None\n")


def test_a_valid_call_with_a_wrong_value_fails_the_case_by_the_field(env: WorkflowEnv) -> None:
    def act(_: list[str]) -> str:
        call = json.loads(env.right_call())
        if "term" in call["args"]:
            call["args"]["term"] = 12 if call["args"]["term"] != 12 else 24
        return json.dumps(call)

    results = list(play(env, 0, act))[-1][1]["results"]
    failed = [each for each in results if each["kind"] != "refused"]
    assert failed
    assert all(not each["solved"] and each["hidden"] and set(each["failed"]) == {"term"} for each in failed)


@settings(max_examples=80, deadline=None)
@given(
    st.text()
    | JSON.map(json.dumps)
    | st.builds(lambda tool, args: json.dumps({"tool": tool, "args": args}), st.text(), JSON)
    | st.sampled_from(["[" * 4000, "9" * 5000, '{"tool": "A_DECLINED", "args": {"case": NaN}}', "\ud800"])
)
def test_any_text_is_a_graded_action(action: str) -> None:
    env = WorkflowEnv(DEFINITION)
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(action)
    assert observation in env.observation_space
    assert (reward, terminated, truncated, info["right"]) == (0.0, False, False, False)
    assert observation["text"].startswith("Refused: ")


@pytest.mark.parametrize("action", [None, 3, b"{}", ["A_DECLINED"], {"tool": "A_DECLINED", "args": {}}])
def test_what_is_no_text_is_a_graded_action_too(env: WorkflowEnv, action: Any) -> None:
    env.reset(seed=0)
    assert env.step(action)[0]["text"].startswith("Refused: an action is a text of at most 4096 characters")


def test_only_the_privileged_are_told_the_right_call() -> None:
    env = WorkflowEnv(DEFINITION, privileged=True)
    info = env.reset(seed=0)[1]
    for _ in range(9):
        assert info["gold"] == env.right_call()
        info = env.step(info["gold"])[4]
        assert info["right"]
    assert "gold" not in WorkflowEnv(DEFINITION).reset(seed=0)[1]


@pytest.mark.parametrize("privileged", ["no", "yes", 1, 0, None])
def test_whether_it_is_privileged_is_true_or_false(privileged: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"privileged={privileged!r}: give True or False"):
        WorkflowEnv(DEFINITION, privileged=privileged)


def test_a_path_or_a_dict_makes_it_by_its_id() -> None:
    name = next(each for each in agentmem_envs.ENVIRONMENTS if "Workflow" in each)
    by_path = gymnasium.make(name, definition=str(LOAN))
    by_dict = gymnasium.make(name, definition=yaml.safe_load(LOAN.read_text()))
    first, again = by_path.reset(seed=4), by_dict.reset(seed=4)
    assert first[0]["text"] == again[0]["text"]
    assert first[1]["goal"].startswith("Handle loan applications.")
    tools = {tool["name"]: tool["parameters"] for tool in first[1]["tools"]}
    assert tools["O_CREATED"]["required"] == ["case", "term"]
    assert tools["O_CREATED"]["properties"]["term"]["enum"] == [12, 24, 36, 48, 60, 72, 84, 96]


def test_vectors_of_it_read_what_the_single_one_reads() -> None:
    def made() -> WorkflowEnv:
        return WorkflowEnv(LOAN)

    single = made().reset(seed=8)[0]["text"]
    for vector in (SyncVectorEnv([made, made]), AsyncVectorEnv([made, made], shared_memory=False)):
        observations, _ = vector.reset(seed=[7, 8])
        assert observations["text"][1] == single
        assert vector.step(("", ""))[0]["text"][1].startswith("Refused: ")
        vector.close()


def test_it_ends_truncated_after_its_steps_and_takes_no_more() -> None:
    definition = yaml.safe_load(LOAN.read_text()) | {"steps": 4, "delay": [1, 1]}
    env = WorkflowEnv(definition, render_mode="ansi")
    env.reset(seed=0)
    assert [env.step(env.right_call())[3] for _ in range(4)] == [False, False, False, True]
    assert env.render().startswith("step 4 of 4, 2 open cases\nDone.\n[case-")
    with pytest.raises(InvalidInputError, match="the episode ended after 4 steps; call reset"):
        env.step("")
    with pytest.raises(InvalidInputError, match="render_mode='human': give"):
        WorkflowEnv(definition, render_mode="human")


def test_a_second_of_processor_time_is_more_than_a_thousand_steps(env: WorkflowEnv) -> None:
    env.reset(seed=0)
    began = time.process_time()
    for _ in range(env.definition.steps):
        env.step(env.right_call())
    assert env.definition.steps / (time.process_time() - began) > 1_000
