"""A choice that can never have its turn, and an episode in which no case can end, are refused; what is right is not."""

import time
from collections.abc import Callable, Iterator
from itertools import product
from random import Random
from typing import Any

import pytest
from workflows import LOAN, SMALL, changed

from agentmem.errors import InvalidInputError
from agentmem_envs.workflow.cases import choose
from agentmem_envs.workflow.definition import Choice, Definition, load
from agentmem_envs.workflow.env import WorkflowEnv
from agentmem_envs.workflow.turns import idle


def asking(*whens: dict[str, Any], state: str = "there") -> Callable[[dict[str, Any]], None]:
    """A change that puts choices with these conditions before the last one of a state."""

    def change(written: dict[str, Any]) -> None:
        written["states"]["told"]["text"] += " Has it a {lift}?"
        written["facts"] |= {"lift": {"values": [True, False]}, "weight": {"values": [1, 2.5, 4]}}
        written["states"]["told"]["text"] += " It weighs {weight}."
        last = written["states"][state]["choices"][-1]
        call = {"tool": "note", "args": {"case": "{case}"}}
        written["states"][state]["choices"] = [*({"when": when, "call": call, "next": "late"} for when in whens), last]
        written["grader"] |= {"late": {"noted": True}}

    return change


def said_of(*whens: dict[str, Any], state: str = "there") -> list[str]:
    """What is told of a state with these conditions, each line from the number of the choice on."""
    definition = Definition.model_validate(changed(asking(*whens, state=state)))
    return [line.removeprefix(f"states.{state}.choices.") for line in idle(definition)]


def test_a_choice_that_always_holds_is_refused_with_its_place_its_conditions_and_the_remedy() -> None:
    with pytest.raises(InvalidInputError) as error:
        load(changed(asking({"floor": {"at_least": 0}})))
    assert str(error.value).splitlines()[1:] == [
        "  states.there.choices.0.when: {'floor': {'at_least': 0}} always holds, so that no choice behind it has its "
        "turn; give conditions that can fail, or leave out `when` and the choices behind it"
    ]


def test_a_choice_behind_one_that_holds_wherever_it_does_is_refused() -> None:
    with pytest.raises(InvalidInputError) as error:
        load(changed(asking({"floor": {"at_least": 4}}, {"floor": {"at_least": 6}})))
    assert str(error.value).splitlines()[1:] == [
        "  states.there.choices.1.when: {'floor': {'at_least': 6}} never has its turn: choices.0 before it holds "
        "wherever it does; put it first, or leave it out"
    ]


def test_a_choice_that_asks_whether_a_deadline_has_passed_where_it_begins_is_refused() -> None:
    with pytest.raises(InvalidInputError) as error:
        load(changed(asking({"pickup": {"passed": True}}, state="told")))
    assert (
        "  states.told.choices.0.when: {'pickup': {'passed': True}} never holds here, where 'pickup' begins; ask for "
        "it in a later state, or leave the choice out"
    ) in str(error.value).splitlines()
    assert said_of({"pickup": {"passed": False}}, state="told")[0].startswith(
        "0.when: {'pickup': {'passed': False}} al"
    )


@pytest.mark.parametrize(
    ("whens", "said"),
    [
        ([{"floor": {"below": 10}}], "0.when: {'floor': {'below': 10}} always holds"),
        ([{"floor": {"at_least": -0.5}, "weight": {"below": 4.5}}], "0.when: {'floor': {'at_least': -0.5}, 'weight'"),
        ([{"floor": {"equals": 3}}, {"floor": {"equals": 3.0}}], "1.when: {'floor': {'equals': 3.0}} never has its t"),
        ([{"floor": {"below": 5}}, {"floor": {"at_least": 3}}, {"floor": {"equals": 4}}], "2.when: {'floor': {'equal"),
        (
            [{"lift": {"equals": True}}, {"lift": {"equals": False}}, {"weight": {"at_least": 4}}],
            "2.when: {'weight': {'at_least': 4}} never has its turn: one of the choices before it holds wherever it do",
        ),
        ([{"weight": {"below": 2}}, {"weight": {"below": 2.5}}], "1.when: {'weight': {'below': 2.5}} never has its"),
        ([{"door": {"equals": "blue"}}, {"door": {"equals": "blue"}, "floor": {"below": 3}}], "1.when: {'door': {'eq"),
        ([{"pickup": {"passed": True}}, {"pickup": {"passed": True}, "floor": {"below": 3}}], "1.when: {'pickup': {'"),
        (
            [{"pickup": {"passed": True}}, {"pickup": {"passed": False}}, {"floor": {"below": 3}}],
            "2.when: {'floor': {'below': 3}} never has its turn: one of the choices before it holds",
        ),
    ],
)  # fmt: skip
def test_what_choices_leave_is_found_over_several_conditions_facts_and_choices(whens: Any, said: str) -> None:
    (line,) = said_of(*whens)
    assert line.startswith(said)


def test_of_deadlines_that_begin_together_the_later_one_passes_after_the_earlier() -> None:
    def two(*whens: dict[str, Any]) -> list[str]:
        written = changed(asking(*whens))
        written["deadlines"]["closing"] = {"starts": "told", "steps": 9}
        return list(idle(Definition.model_validate(written)))

    assert not two({"closing": {"passed": True}}, {"pickup": {"passed": True}})
    (line,) = two({"pickup": {"passed": True}}, {"closing": {"passed": True}})
    assert "never has its turn: choices.0 before it holds wherever it does" in line
    (line,) = two({"pickup": {"passed": False}, "closing": {"passed": True}})
    assert "never holds, for its conditions rule each other out; change one, or leave the choice out" in line


@pytest.mark.parametrize(
    "whens",
    [
        [{"floor": {"at_least": 6}}, {"floor": {"at_least": 4}}],
        [{"floor": {"below": 5}}, {"floor": {"at_least": 5}}],  # and a last one, to be on the safe side
        [{"lift": {"equals": True}}, {"lift": {"equals": False}}],
        [{"pickup": {"passed": True}}, {"pickup": {"passed": False}}],
        [{"floor": {"at_least": 4}, "lift": {"equals": True}}, {"floor": {"at_least": 6}}],
        [{"floor": {"equals": number}} for number in range(9)],
    ],
)
def test_choices_that_each_have_their_turn_are_taken(whens: Any) -> None:
    assert load(changed(asking(*whens)))


def drawn(random: Random) -> dict[str, Any]:
    """Conditions that may hold."""
    tests: dict[str, list[dict[str, Any]]] = {
        "floor": [{bound: number} for bound in ("at_least", "below") for number in (1, 3, 3.5, 6, 9)],
        "weight": [{bound: number} for bound in ("at_least", "below") for number in (1.5, 2.5, 4)],
        "lift": [{"equals": True}, {"equals": False}],
        "pickup": [{"passed": True}, {"passed": False}],
    }
    tests["floor"] += [{"equals": number} for number in (0, 4, 9)] * 2
    tests["weight"] += [{"equals": number} for number in (1, 2.5, 4)]
    names = random.sample(sorted(tests), random.choice([1, 1, 2, 3]))
    return {name: random.choice(tests[name]) for name in names}


def everything(definition: Definition) -> Iterator[tuple[dict[str, Any], int]]:
    """All that can be so for a case, its deadline begun at step 0, and a step before and one after that passed."""
    facts = [definition.facts[name].options for name in ("floor", "weight", "lift")]
    for (floor, weight, lift), at in product(product(*facts), (1, 7)):
        yield {"floor": floor, "weight": weight, "lift": lift, "door": "blue", "pickup": 6}, at


@pytest.mark.parametrize("seed", range(150))
def test_exactly_the_choices_that_nothing_leads_to_are_told(seed: int) -> None:
    random = Random(seed)
    whens = [drawn(random) for _ in range(random.randint(1, 6))]
    definition = Definition.model_validate(changed(asking(*whens)))
    state, told = definition.states["there"], said_of(*whens)
    chosen = [choose(state, values, at)[0] for values, at in everything(definition)]
    never, hiding = list[int](), list[int]()
    for number, choice in enumerate(state.choices[:-1]):
        if not any(choice is one for one in chosen):
            never.append(number)
        elif all(holds(choice, values, at) for values, at in everything(definition)):
            hiding.append(number)
            break
    assert [int(line.split(".")[0]) for line in told if "always" not in line] == never
    assert [int(line.split(".")[0]) for line in told if "always" in line] == hiding


def holds(choice: Choice, values: dict[str, Any], at: int) -> bool:
    return all(test.holds(values[name], at) for name, test in choice.when.items())


def test_a_table_of_hundreds_of_choices_is_looked_through_in_moments() -> None:
    def change(written: dict[str, Any], size: int) -> None:
        asking(*({"floor": {"equals": number}} for number in range(size)))(written)
        written["facts"]["floor"]["most"] = 10**9
        written["tools"]["deliver"]["args"]["floor"] = {"type": "integer"}

    for size in (300, 3_000):
        definition = Definition.model_validate(changed(lambda d, size=size: change(d, size)))
        began = time.process_time()
        assert not list(idle(definition))
        assert time.process_time() - began < 2


# ---- episodes in which no case ends


def shown(written: dict[str, Any], **settings: int) -> None:
    """Nothing is hidden."""
    written["states"]["there"]["text"] = "The {door} door on floor {floor}, until step {pickup}."
    written.update(settings)


def test_an_episode_that_is_over_before_a_case_can_end_is_refused() -> None:
    assert load(changed(lambda d: shown(d, steps=2, open=1)))
    with pytest.raises(
        InvalidInputError, match=r"  steps: 1: no case can end before step 2, in 'late'; give 2 or more"
    ):
        load(changed(lambda d: shown(d, steps=1, open=1)))


def test_an_episode_in_which_so_many_cases_are_open_that_none_ends_is_refused() -> None:
    with pytest.raises(InvalidInputError) as error:
        load(changed(lambda d: shown(d, steps=5, open=100)))
    (line,) = str(error.value).splitlines()[1:]
    assert line.startswith("  steps: 5: with open: 100 no case came to its end in 20 episodes; give more steps, or ")
    for settings in ({"steps": 5, "open": 5}, {"steps": 100, "open": 100}):
        env = WorkflowEnv(changed(lambda d, settings=settings: shown(d, **settings)))
        assert any(ended(env, seed) for seed in range(20))


def ended(env: WorkflowEnv, seed: int) -> int:
    """Cases that ended in an episode."""
    _, info = env.reset(seed=seed)
    for _ in range(env.definition.steps):
        *_, info = env.step("no call")
    return len(info["results"])


def test_the_definitions_that_are_there_are_taken() -> None:
    assert load(LOAN)
    assert load(SMALL)
