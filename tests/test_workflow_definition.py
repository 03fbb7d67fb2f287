"""A workflow's definition: what is wrong with one is told by place, value and remedy, before anything is played."""

import json
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from workflows import SMALL, changed, conditioned, there

from agentmem.errors import InvalidInputError
from agentmem_envs.workflow import definition
from agentmem_envs.workflow.definition import (
    Argument,
    Choice,
    Deadline,
    Definition,
    Fact,
    State,
    Tool,
    Wanted,
    fill,
    load,
)
from agentmem_envs.workflow.env import WorkflowEnv

DOORS = ["李", "王", "Zoë", "Zoe", "🚪", "e\u0301"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("goal"), "goal: is missing; needed are name, goal, facts, tools,"),
        (lambda d: d.update(gaol="x"), "gaol: 'gaol': no such key; did you mean 'goal'?"),
        (lambda d: d.update({"x" * 999: 1}), f"{'x' * 77}...: '{'x' * 77}...': no such key; there are: name,"),
        (lambda d: d.update(steps=0), "steps: 0: give at least 1"),
        (lambda d: d.update(delay=[9, 5]), "  delay: [9, 5]: give the least number of steps first"),
        (lambda d: d["facts"].update(x={"least": 3}), 'facts.x: {"least": 3}: give either values, or least and most'),
        (lambda d: d["facts"].update(pickup={"values": [1]}), "deadlines.pickup: 'pickup': is already one of the fact"),
        (lambda d: d["facts"].update({"two words": {"values": [1]}}), "facts: \"two words\": a name is a letter"),
        (lambda d: d["deadlines"]["pickup"].update(starts="tolt"), "deadlines.pickup.starts: 'tolt': no such state; d"),
        (lambda d: d.update(first="start"), "first: 'start': no such state; there are: told, there"),
        (lambda d: there(d).update(next="gone"), "choices.1.next: 'gone': no such state, nor a last one in `gr"),
        (lambda d: there(d).update(when={"door": {}}), "states.there.choices.1.when.door: {}: give exactly one of equ"),
        (lambda d: there(d).update(when={"door": {"equals": "blue"}}), "holds always; leave `when` out of the last"),
        (lambda d: there(d)["call"].update(tool="delivr"), "call.tool: 'delivr': no such tool; did you mean 'deliver'"),
        (lambda d: there(d)["call"]["args"].pop("door"), "call.args: 'door' is missing; deliver takes case, door, flo"),
        (lambda d: there(d)["call"]["args"].update(flor=1), "call.args: 'flor': no such argument of deliver; did you"),
        (lambda d: there(d)["call"]["args"].update(floor="{dor}"), "args.floor: 'dor': no such fact or deadline; did"),
        (lambda d: there(d)["call"]["args"].update(floor="{door}"), "can be 'blue', which is refused: give a value of"),
        (lambda d: there(d)["call"]["args"].update(door="{case}"), "give {case} for an argument of type case, and onl"),
        (lambda d: d["facts"]["floor"].update(most=10), "'{floor}' can be 10, which is refused: give a value of 9"),
        (lambda d: there(d)["call"]["args"].update(floor="{case}-x"), "can be 'case-1-x', which is refused: give a"),
        (lambda d: d["states"]["told"].update(text="{door:>9}"), "states.told.text: '{door:>9}': {door}: give a name"),
        (lambda d: d["states"]["told"].update(text="x" * 4000), "4000 characters with its facts: give at most 3584"),
        (lambda d: d["states"]["told"].update(choices=[]), "states.told.choices: []: give at least one"),
        (lambda d: d["states"]["told"].update(text="Hi."), "states.there.choices.0: {pickup} is needed and was not sh"),
        (lambda d: d["tools"]["note"]["args"].clear(), "tools.note.args: []: give exactly one argument of type case"),
        (lambda d: d["tools"]["deliver"]["args"]["door"].update(least=3), "args.door: least and most are for numbers"),
        (lambda d: d["tools"]["deliver"]["args"]["floor"].update(least=10), "args.floor: least 10 and most 9: give"),
        (lambda d: d["tools"]["deliver"]["args"]["floor"].update(one_of=["a"]), "args.floor.one_of: 'a': give a value"),
        (lambda d: d["tools"]["note"].update(sets={"a": "{b}"}), "tools.note.sets.a: 'b': no such argument"),
        (lambda d: d["tools"]["note"].update(requires={"nted": [1]}), "requires: 'nted': no such field set by a tool;"),
        (lambda d: d["grader"].update(late={}), "grader.late: nothing is asserted; give at least one field"),
        (lambda d: d["grader"].update(late={"dor": 1}), "grader.late: 'dor': no such field set by a tool; did you mea"),
        (lambda d: d["facts"].update(x={"values": [1]}) or d["grader"].update(late={"noted": "{x}"}), "{x} was not"),
        (lambda d: d["deadlines"]["pickup"].update(starts="there"), "{pickup} begins only in 'there'; show it there"),
        (lambda d: d["grader"].update(lost={"noted": True}), "grader.lost: 'lost': no way leads here from 'told'"),
        (lambda d: d["grader"].update(told={"noted": True}), "grader.told: 'told': is a state with choices"),
        (lambda d: d["tools"]["deliver"].update(requires={"noted": [False]}), "states.there: the right call is refus"),
        (lambda d: d["grader"]["delivered"].update(at="at {floor}"), "grader.delivered.at: right calls leave 'floor "),
        (lambda d: d["grader"]["late"].update(door="{door}"), "grader.late.door: right calls leave None on a way here"),
        (lambda d: d.update(delay=[5, 10**30]), "delay.1: 1000000000000000000000000000000: give at most 1,000,000"),
        (lambda d: d["deadlines"]["pickup"].update(steps=10**30), "deadlines.pickup.steps: 100000000000000000000000"),
        (lambda d: d["facts"]["floor"].update(most=10**16), "facts.floor.most: 10000000000000000: give at most 1,000,"),
        (lambda d: d.update(steps={date(2024, 1, 1): 5}), "steps: {datetime.date(2024, 1, 1): 5}: give a whole number"),
        (lambda d: d.update(delay=[60, 70]), "no hidden fact is needed before step 60, in 'there', and the"),
        (lambda d: d.update(delay=5), "delay: 5: give two whole numbers, the least and the most steps from the last s"),
        (lambda d: d.update(delay=[5]), "delay: [5]: give two whole numbers"),
        (lambda d: d.update(facts=[1]), "facts: [1]: give a mapping of names"),
        (lambda d: d["facts"].update(door=3), "facts.door: 3: give a mapping with the keys values, least, most, by"),
        (lambda d: d["facts"]["door"].update(values=3), "facts.door.values: 3: give a list"),
        (lambda d: there(d)["call"].update(tol=1), "choices.1.call.tol: 'tol': no such key; did you mean 'tool'?"),
        (lambda d: there(d)["call"].pop("args"), "choices.1.call.args: is missing; needed are tool, args"),
        (lambda d: there(d).update(next="told"), "states.told: told -> there -> told: a case would never end"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_place_its_value_and_the_remedy(change: Callable[[Any], object], said: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        load(changed(change))
    assert str(error.value).startswith("the workflow's definition cannot be used:\n  ")
    assert said in str(error.value)


def test_all_mistakes_are_told_at_once() -> None:
    def change(written: dict[str, Any]) -> None:
        written["first"] = "start"
        there(written)["call"]["tool"] = "delivr"

    with pytest.raises(InvalidInputError) as error:
        load(changed(change))
    assert len(str(error.value).splitlines()) == 3


def test_a_mistake_within_a_list_is_the_only_one_told() -> None:
    with pytest.raises(InvalidInputError) as error:
        load(changed(lambda d: d["states"]["told"]["choices"][0].update(when={"door": {"equal": "blue"}})))
    assert str(error.value).splitlines()[1:] == [
        "  states.told.choices.0.when.door.equal: 'equal': no such key; did you mean 'equals'?"
    ]


@pytest.mark.parametrize("wrong", [None, [1], {}, float("nan"), float("inf")])
def test_what_is_no_value_is_told_once(wrong: object) -> None:
    with pytest.raises(InvalidInputError) as error:
        load(changed(lambda d: d["facts"]["door"]["values"].append(wrong)))
    (line,) = str(error.value).splitlines()[1:]
    assert line.startswith("  facts.door.values.2: ")
    assert line.endswith(": give a text, a finite number, true or false")


def test_a_condition_must_fit_what_it_is_about() -> None:
    for fact, test, said in (
        ("door", {"below": 3}, "give equals"),
        ("door", {"passed": True}, "`passed` is for deadlines"),
        ("door", {"equals": None}, "give exactly one of equals"),
        ("floor", {"at_least": None}, "give exactly one of equals"),
        ("door", {"equals": "bleu"}, "holds for none of the fact's values, 'blue', 'grün'; give a condition"),
        ("floor", {"equals": 2.5}, "holds for none of the fact's values, 0 to 9; give"),
        ("floor", {"equals": "2"}, "holds for none"),
        ("floor", {"at_least": 10}, "holds for none"),
        ("floor", {"below": 0}, "holds for none"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            load(changed(lambda d, fact=fact, test=test: conditioned(d, fact, test)))
    for fact, test in (("floor", {"equals": 9.0}), ("floor", {"at_least": 9}), ("floor", {"below": 0.5})):
        assert load(changed(lambda d, fact=fact, test=test: conditioned(d, fact, test)))


def test_a_fact_of_a_thousand_million_values_is_checked_and_drawn_at_once() -> None:
    def change(written: dict[str, Any]) -> None:
        written["facts"]["floor"] = {"least": 10**8, "most": 10**9 - 1}
        written["tools"]["deliver"]["args"]["floor"] = {"type": "integer", "least": 10**8}

    began = time.process_time()
    env = WorkflowEnv(changed(change))
    env.reset(seed=0)
    assert time.process_time() - began < 1
    written = changed(change)
    written["tools"]["deliver"]["args"]["floor"]["one_of"] = [10**8, 10**9 - 1]
    with pytest.raises(InvalidInputError, match="'{floor}' can be 100000001, which is refused: give one of"):
        load(written)


def test_a_name_with_a_hyphen_is_one_in_texts_too() -> None:
    written = yaml.safe_load(yaml.safe_dump(SMALL, sort_keys=False).replace("door", "door-colour"))
    env = WorkflowEnv(written)
    env.reset(seed=0)
    for _ in range(50):
        *_, info = env.step(env.right_call())
    assert all(result["solved"] for result in info["results"])


def test_what_a_template_can_be_is_tried_with_the_words_around_it() -> None:
    def change(written: dict[str, Any], doors: list[str]) -> None:
        written["tools"]["deliver"]["args"]["door"] = {"type": "text", "one_of": doors}
        there(written)["call"]["args"]["door"] = "{door} door"
        written["grader"]["delivered"]["door"] = "{door} door"

    assert load(changed(lambda d: change(d, ["blue door", "grün door"])))
    with pytest.raises(InvalidInputError, match="'{door} door' can be 'grün door', which is refused: give one of blue"):
        load(changed(lambda d: change(d, ["blue door"])))


def test_a_deadline_may_be_an_argument_within_the_steps_that_it_can_be() -> None:
    def change(written: dict[str, Any], limits: dict[str, int]) -> None:
        written["tools"]["deliver"]["args"]["floor"] = {"type": "integer", **limits}
        there(written)["call"]["args"]["floor"] = "{pickup}"
        written["grader"]["delivered"].pop("at")

    assert load(changed(lambda d: change(d, {"least": 1})))
    with pytest.raises(InvalidInputError, match="'{pickup}' can be 56, which is refused: give a value of 30 at most"):
        load(changed(lambda d: change(d, {"most": 30})))


def test_a_way_of_more_than_a_thousand_states_is_a_way() -> None:
    written = changed(lambda d: d.update(steps=2_000))
    for number in range(1_200):
        choice = {"call": {"tool": "note", "args": {"case": "{case}"}}, "next": f"s{number + 1}"}
        written["states"][f"s{number}"] = {"text": "Go on.", "choices": [choice]}
    written["states"]["s1199"]["choices"][0]["next"] = "there"
    written["states"]["told"]["choices"][0]["next"] = "s0"
    assert len(load(written).states) == 1_202


def test_lists_too_deep_within_each_other_are_refused_in_a_dict_too() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidInputError, match="name: lists within lists, too deep: give a text"):
        load(SMALL | {"name": deep})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d, long: d.update(goal=long), "  goal: .*: give at most 100,000 characters"),
        (lambda d, long: d["facts"]["door"]["values"].append(long), "  facts.door.values.2: .*: give at most 100,"),
        (lambda d, long: d["tools"]["note"].update(description=long), "  tools.note.description: .*: give at most 100"),
        (lambda d, long: d.update({long: 1}), "  x{77}...: 'x{77}...': no such key; there are: name"),
        (lambda d, long: d["facts"].update({long: {"values": [1]}}), '  facts: "x{76}...: a name is a letter and'),
        (lambda d, long: d.update(first=long), "  first: 'x{76}...: no such state; there are: told"),
    ],
)  # fmt: skip
def test_a_text_that_is_absurdly_long_is_refused_at_once_and_told_shortly(change: Any, said: str) -> None:
    began = time.process_time()
    with pytest.raises(InvalidInputError, match=said) as error:
        load(changed(lambda d: change(d, "x" * 30_000_000)))
    assert time.process_time() - began < 3
    assert len(str(error.value)) < 1_000


@pytest.mark.parametrize("source", [5, None, [1], b"a.yaml"])
def test_what_is_neither_a_file_nor_a_dict_is_refused(source: Any) -> None:
    with pytest.raises(InvalidInputError, match="definition=.*: give a YAML file or a dict"):
        load(source)


def test_a_definition_is_frozen_and_may_be_given_itself() -> None:
    definition = load(SMALL)
    assert load(definition) is definition
    assert isinstance(definition, Definition)
    with pytest.raises(ValueError, match="frozen"):
        definition.steps = 3  # type: ignore[misc]


def test_texts_and_values_keep_their_letters_in_every_script() -> None:
    def change(written: dict[str, Any]) -> None:
        written.update(steps=400)
        written["facts"]["door"] = {"values": DOORS}
        written["states"]["told"]["text"] = "客户 möchte 90 €: {door}, {floor}, {pickup}"

    env = WorkflowEnv(changed(change))
    observation, info = env.reset(seed=0)
    seen, doors = [observation["text"]], set[str]()
    while len(seen) <= 400:
        doors |= {need["value"] for need in info["needs"] if need["kind"] == "door"}
        observation, _, _, _, info = env.step(json.dumps(json.loads(env.right_call()), ensure_ascii=False))
        assert observation in env.observation_space
        assert info["right"]
        seen.append(observation["text"])
    assert doors == set(DOORS)
    assert all(any(f"客户 möchte 90 €: {door}, " in text for text in seen) for door in DOORS)
    assert all(result["solved"] for result in info["results"])


def test_the_spaces_have_the_letters_of_the_definition_and_what_is_refused_is_told_in_them() -> None:
    env = WorkflowEnv(changed(lambda d: d["tools"]["note"].update(description="李\x1b")))
    assert "李ü" in env.action_space
    assert "\x1b" not in env.action_space
    assert "王" not in env.action_space
    env.reset(seed=0)
    observation = env.step('{"tool": "李王Zoë", "args": {}}')[0]
    assert observation["text"].startswith("Refused: no tool '李?Zoe'; ")
    assert observation in env.observation_space


def test_control_characters_of_a_definition_are_neither_shown_nor_asked_for() -> None:
    def change(written: dict[str, Any]) -> None:
        written.update(goal="Deliver.\ud800", facts=written["facts"] | {"door": {"values": ["李\x1b\t1", "2\ud800"]}})
        written["states"]["there"]["text"] = "You are\x85 there.\r\nGo on."

    env = WorkflowEnv(changed(change))
    observation, info = env.reset(seed=0)
    assert info["goal"] == "Deliver.?"
    for _ in range(50):
        assert observation in env.observation_space
        assert env.right_call() in env.action_space
        observation, _, _, _, info = env.step(env.right_call())
    assert all(result["solved"] for result in info["results"])
    assert load(changed(change)).facts["door"].options == ("李? 1", "2?")
    assert load(changed(change)).states["there"].text == "You are? there.\nGo on."


def test_an_episode_must_last_until_a_hidden_fact_can_be_needed() -> None:
    env = WorkflowEnv(changed(lambda d: d.update(steps=6, open=1)))
    env.reset(seed=0)
    assert any(env.step(env.right_call())[4]["needs"] for _ in range(6))
    with pytest.raises(
        InvalidInputError, match=r"before step 5, in 'there', and the episode ends after 5 steps; give more than 5,"
    ):
        load(changed(lambda d: d.update(steps=5)))


def test_a_workflow_that_hides_nothing_may_be_shorter_than_its_delay() -> None:
    def change(written: dict[str, Any]) -> None:
        written.update(steps=2)
        written["states"]["there"]["text"] = "The {door} door on floor {floor}, until step {pickup}."

    assert load(changed(change))


def test_the_page_says_every_key_of_a_definition() -> None:
    page = (Path(__file__).parent.parent / "docs" / "environments.md").read_text().split("## Workflow", 1)[1]
    for model in (Definition, Fact, Deadline, Tool, Argument, State, Choice, Wanted, definition.Test):
        for key in model.model_fields:
            assert f"`{key}`" in page


def test_a_lone_name_keeps_its_type_and_braces_are_written_twice() -> None:
    assert fill("{floor}", {"floor": 3}) == 3
    assert fill("floor {floor} {{x}}", {"floor": 3}) == "floor 3 {x}"
    assert fill(4, {}) == 4


def test_a_deadline_passes_after_its_steps_and_the_small_workflow_is_solved_on_both_ways() -> None:
    env = WorkflowEnv(SMALL)
    env.reset(seed=0)
    for _ in range(50):
        *_, info = env.step(env.right_call())
    assert {result["kind"] for result in info["results"] if result["solved"]} == {"late", "delivered"}
