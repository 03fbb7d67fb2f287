"""A workflow's definition: what is wrong with one is told by place, value and remedy, before anything is played."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentmem.errors import InvalidInputError
from agentmem_envs.workflow.definition import Definition, fill, load
from agentmem_envs.workflow.env import WorkflowEnv

SMALL: dict[str, Any] = {
    "name": "parcels",
    "goal": "Deliver.",
    "steps": 50,
    "delay": [5, 9],
    "facts": {"door": {"values": ["blue", "grün"]}, "floor": {"least": 0, "most": 9}},
    "deadlines": {"pickup": {"starts": "told", "steps": 6}},
    "tools": {
        "note": {"args": {"case": {"type": "case"}}, "sets": {"noted": True}},
        "deliver": {
            "args": {"case": {"type": "case"}, "door": {"type": "text"}, "floor": {"type": "integer", "most": 9}},
            "sets": {"door": "{door}", "at": "floor {floor}"},
        },
    },
    "first": "told",
    "states": {
        "told": {
            "text": "The {door} door on floor {floor}, until step {pickup}.",
            "choices": [{"call": {"tool": "note", "args": {"case": "{case}"}}, "next": "there"}],
        },
        "there": {
            "text": "You are there.",
            "choices": [
                {
                    "when": {"pickup": {"passed": True}},
                    "call": {"tool": "note", "args": {"case": "{case}"}},
                    "next": "late",
                },
                {
                    "call": {"tool": "deliver", "args": {"case": "{case}", "door": "{door}", "floor": "{floor}"}},
                    "next": "delivered",
                },
            ],
        },
    },
    "grader": {"late": {"noted": True}, "delivered": {"door": "{door}", "at": "floor {floor}"}},
}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    written: dict[str, Any] = yaml.safe_load(yaml.safe_dump(SMALL, sort_keys=False))
    change(written)
    return written


def there(written: dict[str, Any]) -> dict[str, Any]:
    choice: dict[str, Any] = written["states"]["there"]["choices"][1]
    return choice


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("goal"), "goal: Field required"),
        (lambda d: d.update(gaol="x"), 'gaol: "x": Extra inputs are not permitted'),
        (lambda d: d.update(steps=0), "steps: 0: Input should be greater than or equal to 1"),
        (lambda d: d.update(delay=[9, 5]), "delay [9, 5]: give the least number of steps first"),
        (lambda d: d["facts"].update(x={"least": 3}), 'facts.x: {"least": 3}: give either values, or least and most'),
        (lambda d: d["facts"].update(pickup={"values": [1]}), "deadlines.pickup: 'pickup': is already one of the fact"),
        (lambda d: d["facts"].update({"two words": {"values": [1]}}), "facts.two words.[key]: \"two words\": String s"),
        (lambda d: d["deadlines"]["pickup"].update(starts="tolt"), "deadlines.pickup.starts: 'tolt': no such state; d"),
        (lambda d: d.update(first="start"), "first: 'start': no such state; there are: told, there"),
        (lambda d: there(d).update(next="gone"), "states.there.choices.1.next: 'gone': no such state; there are"),
        (lambda d: there(d).update(when={"door": {}}), "states.there.choices.1.when.door: {}: give exactly one of equ"),
        (lambda d: there(d).update(when={"door": {"equals": "blue"}}), "holds always; leave `when` out of the last"),
        (lambda d: there(d)["call"].update(tool="delivr"), "call.tool: 'delivr': no such tool; did you mean 'deliver'"),
        (lambda d: there(d)["call"]["args"].pop("door"), "call.args: 'door' is missing; deliver takes case, door, flo"),
        (lambda d: there(d)["call"]["args"].update(flor=1), "call.args: 'flor': no such argument of deliver; did you"),
        (lambda d: there(d)["call"]["args"].update(floor="{dor}"), "args.floor: 'dor': no such fact or deadline; did"),
        (lambda d: there(d)["call"]["args"].update(floor="{door}"), "can be 'blue', which is refused: give a value of"),
        (lambda d: there(d)["call"]["args"].update(door="{case}"), "give {case} for an argument of type case, and onl"),
        (lambda d: d["facts"]["floor"].update(most=10), "'{floor}' can be 10, which is refused: give a value from"),
        (lambda d: d["states"]["told"].update(text="{door:>9}"), "states.told.text: '{door:>9}': {door}: give a name"),
        (lambda d: d["states"]["told"].update(text="x" * 4000), "4000 characters with its facts: give at most 3584"),
        (lambda d: d["states"]["told"].update(choices=[]), "states.told.choices: []: Tuple should have at least 1 ite"),
        (lambda d: d["states"]["told"].update(text="Hi."), "states.there.choices.0: {pickup} is needed and was not sh"),
        (lambda d: d["tools"]["note"]["args"].clear(), "tools.note.args: []: give exactly one argument of type case"),
        (lambda d: d["tools"]["note"].update(sets={"a": "{b}"}), "tools.note.sets.a: 'b': no such argument"),
        (lambda d: d["tools"]["note"].update(requires={"nted": [1]}), "requires: 'nted': no such field set by a tool;"),
        (lambda d: d["grader"].update(late={}), "grader.late: nothing is asserted; give at least one field"),
        (lambda d: d["grader"].update(late={"dor": 1}), "grader.late: 'dor': no such field set by a tool; did you mea"),
        (lambda d: d["facts"].update(x={"values": [1]}) or d["grader"].update(late={"noted": "{x}"}), "{x} was not"),
        (lambda d: d["deadlines"]["pickup"].update(starts="there"), "{pickup} begins only in 'there'; show it there"),
        (lambda d: d["grader"].update(lost={"noted": True}), "grader.lost: 'lost': no way leads here from 'told'"),
        (lambda d: d["grader"].update(told={"noted": True}), "grader.told: 'told': is a state with choices"),
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


def test_a_condition_must_fit_what_it_is_about() -> None:
    for test, said in ({"below": 3}, "give equals"), ({"passed": True}, "`passed` is for deadlines"):
        written = changed(lambda d, test=test: d["states"]["there"]["choices"][0].update(when={"door": test}))
        with pytest.raises(InvalidInputError, match=said):
            load(written)


def test_a_file_that_cannot_be_read_is_told_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="absent.yaml': No such file or directory; give a YAML file or a dict"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("name: [a")
    with pytest.raises(InvalidInputError, match="broken.yaml': not YAML: .* line 1, column 9"):
        load(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(InvalidInputError, match="the definition: .* valid dictionary"):
        load(str(tmp_path / "list.yaml"))


def test_a_definition_is_frozen_and_may_be_given_itself() -> None:
    definition = load(SMALL)
    assert load(definition) is definition
    assert isinstance(definition, Definition)
    with pytest.raises(ValueError, match="frozen"):
        definition.steps = 3  # type: ignore[misc]


def test_texts_and_values_are_plain_so_that_what_is_read_can_be_answered() -> None:
    assert load(SMALL).facts["door"].options == ("blue", "grun")


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
