"""What is wrong with a definition is told in the words of the package, whatever stands where."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from workflows import SMALL, changed, conditioned, there

from agentmem.errors import InvalidInputError
from agentmem_envs.workflow.definition import load

BARE = "YAML takes a bare yes, no, on or off for true or false: put it in quotes"
PLAIN = [None, True, 5, -1, 5.5, float("nan"), 10**400, "", "x" * 9_999, "60", b"x", date(2024, 1, 1)]
WRONG = [*PLAIN, [], [None], {}, {5: 1}]
"""Of which some are right at some places."""


def told(written: dict[str, Any]) -> list[str]:
    """The lines of what is wrong with a definition."""
    with pytest.raises(InvalidInputError) as error:
        load(written)
    return [line.strip() for line in str(error.value).splitlines()[1:]]


def places(written: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of every value in a value."""
    for key, value in written.items() if isinstance(written, dict) else enumerate(written):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def put(written: Any, place: tuple[Any, ...], value: Any) -> None:
    for part in place[:-1]:
        written = written[part]
    written[place[-1]] = value


def put_name(written: Any, place: tuple[Any, ...], name: Any) -> None:
    """In place of a key of a mapping."""
    for part in place[:-1]:
        written = written[part]
    if isinstance(written, dict):
        written[name] = written.pop(place[-1])


@pytest.mark.parametrize(("change", "values"), [(put, WRONG), (put_name, PLAIN)])
def test_whatever_is_wrong_is_told_in_words_of_our_own(change: Callable[..., None], values: list[Any]) -> None:
    said = []
    for place, value in product(places(SMALL), values):
        change(written := deepcopy(SMALL), place, value)
        try:
            load(written)
        except InvalidInputError as error:
            said.append(str(error))
    words = ("Input", "should", "valid ", "Value error", "Keys", "pattern", "[key]")
    assert [each for each in said if any(word in each for word in words)] == []
    assert len(said) > 300


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(first=False),
        lambda d: d.update(goal=True),
        lambda d: d["states"].update({False: d["states"]["there"]}),
        lambda d: d["grader"].update({False: {"noted": True}}),
        lambda d: there(d).update(next=True),
        lambda d: there(d)["call"].update(tool=True),
        lambda d: d["facts"].update({True: {"values": [1]}}),
        lambda d: d["deadlines"]["pickup"].update(starts=False),
        lambda d: d["facts"]["door"].update(values=[True, False]),
        lambda d: d["facts"]["door"].update(values=["yes", "no"]) or conditioned(d, "door", {"equals": True}),
        lambda d: d["facts"].update(lift={"values": [True, False]}) or conditioned(d, "lift", {"equals": "yes"}),
        lambda d: d["tools"]["deliver"]["args"]["door"].update(one_of=[True, False]),
        lambda d: d["tools"]["note"]["sets"].update(noted="yes"),
        lambda d: d["grader"]["late"].update(noted="yes"),
    ],
)
def test_where_a_text_is_wanted_and_yaml_read_a_bare_word_quotes_are_asked_for(change: Callable[[Any], object]) -> None:
    assert any(line.endswith(BARE) for line in told(changed(change)))


def test_bare_words_of_a_file_are_told_by_their_place(tmp_path: Path) -> None:
    written = yaml.safe_dump(SMALL, sort_keys=False)
    (tmp_path / "a.yaml").write_text(written.replace("first: told", "first: no").replace("  late:", "  no:"))
    with pytest.raises(InvalidInputError) as error:
        load(tmp_path / "a.yaml")
    assert str(error.value).splitlines()[1:] == [
        f"  first: false: give a text; {BARE}",
        f"  grader: false: a name is a letter and up to 63 letters, digits, _ and - of ASCII; {BARE}",
    ]


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_a_name_a_goal_and_what_is_read_are_not_blank(blank: str) -> None:
    for place in (("name",), ("goal",), ("states", "told", "text")):
        (line,) = told(changed(lambda d, place=place: put(d, place, blank)))
        assert line == f"{'.'.join(place)}: {json.dumps(blank)}: give a text that is not blank"


def test_a_name_is_guessed_only_where_one_is_near() -> None:
    def named(name: str, written: str) -> list[str]:
        return told(
            changed(lambda d: d["facts"].update({name: {"values": [1]}}) or conditioned(d, written, {"equals": 1}))
        )

    assert any(
        "'nope': no such fact or deadline; there are: door, floor, income" in line for line in named("income", "nope")
    )
    assert any("'incom': no such fact or deadline; did you mean 'income'?" in line for line in named("income", "incom"))


def test_a_number_or_a_date_where_a_text_is_wanted_is_to_be_quoted() -> None:
    assert told(changed(lambda d: d.update(name=3))) == ["name: 3: give a text: put it in quotes"]
    assert told(changed(lambda d: d.update(goal=date(2024, 1, 1))))[0].endswith(": give a text: put it in quotes")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(steps="60"), 'steps: "60": give a whole number, without quotes'),
        (lambda d: d.update(steps="sixty"), 'steps: "sixty": give a whole number, without quotes'),
        (lambda d: d.update(open=True), "open: true: give a whole number"),
        (lambda d: d.update(delay=["5", 9]), 'delay.0: "5": give a whole number, without quotes'),
        (lambda d: d["facts"]["floor"].update(least="0"), 'floor.least: "0": give a whole number, without quotes'),
        (lambda d: conditioned(d, "floor", {"below": "3"}), '.floor.below: "3": give a finite number, without quotes'),
        (lambda d: conditioned(d, "floor", {"below": True}), ".floor.below: true: give a finite number"),
        (lambda d: conditioned(d, "pickup", {"passed": "yes"}), 'passed: "yes": give true or false, without quotes'),
        (lambda d: conditioned(d, "pickup", {"passed": 1}), "passed: 1: give true or false"),
        (lambda d: d["tools"]["deliver"]["args"]["floor"].update(most="9"), '"9": give a finite number, without quo'),
    ],
)  # fmt: skip
def test_a_number_in_quotes_is_a_text_and_no_number(change: Callable[[Any], object], said: str) -> None:
    (line,) = told(changed(change))
    assert said in line


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert load(changed(lambda d: d.update(steps=60.0))).steps == 60


def test_where_a_case_begins_or_goes_on_is_told_by_what_is_lacking() -> None:
    assert "first: 'no': no such state; there are: told, there" in told(changed(lambda d: d.update(first="no")))
    assert ("first: 'late': is a last state, which the grader has; begin in one of the states: told, there") in told(
        changed(lambda d: d.update(first="late"))
    )
    assert told(changed(lambda d: there(d).update(next="no"))) == [
        "states.there.choices.1.next: 'no': no such state, nor a last one in `grader`; there are: told, there, late, "
        "delivered"
    ]


def test_a_delay_that_cannot_be_is_told_by_its_place() -> None:
    assert told(changed(lambda d: d.update(delay=[9, 5]))) == ["delay: [9, 5]: give the least number of steps first"]
    assert told(changed(lambda d: d.update(delay=[60, 70]))) == [
        "delay: [60, 70]: no hidden fact is needed before step 60, in 'there', and the episode ends after 50 steps; "
        "give more than 60, or a shorter delay"
    ]
