"""Rules by which steps expire: what is not recalled any more, and removing it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from doors import DAY, WEEK, numbers, read_back, there
from strategies import opened

from agentmem import InvalidInputError, Memory, Rule
from agentmem.errors import ReadOnlyError
from agentmem.graph import memory_graph
from agentmem.mcp.scope import Scope
from agentmem.replay import replay
from agentmem.testing import FakeClock

# ---- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        (Rule(max_age=timedelta(days=3)), [0, 1, 2, 3, 4, 5]),
        (Rule(max_steps=4), [0, 1, 2, 3, 4, 5]),
        (Rule(kind="action", max_steps=0), [4]),
        (Rule(subject="ann", max_steps=0), [1, 3, 5, 7, 9]),
        (Rule(trust="web", max_steps=1), [0, 3, 6]),
        (Rule(agent="porter", max_age=timedelta(days=5)), [0, 2]),
        (Rule(subject="ann", trust="web", agent="guard", max_steps=0), [3, 9]),
    ],
)
def test_what_a_rule_is_about_expires_beyond_its_limit(doors: Memory, rule: Rule, gone: list[int]) -> None:
    left = [n for n in range(10) if n not in gone]
    assert doors.retain([rule], dry_run=True).steps == len(gone)
    assert numbers(doors) == list(range(10))
    last = list(doors.steps())[-1].id
    assert doors.retain(rule.model_dump_json(exclude_none=True).join("[]")).steps == len(gone)
    assert doors.rules() == (rule,)
    assert numbers(doors) == numbers(doors, as_of=last) == left
    assert there(doors) == list(range(10))
    assert doors.expire().steps == len(gone)
    assert (numbers(doors), there(doors)) == (left, left)
    assert doors.verify().ok


def test_several_rules_add_up_and_none_bring_back_what_was_not_removed_yet(doors: Memory) -> None:
    before = doors.recall("red door").text
    doors.retain([{"max_age": "P3D"}, {"subject": "ann", "max_steps": 1}])
    assert numbers(doors) == [6, 8, 9]
    doors.retain([])
    assert doors.recall("red door").text == before
    assert doors.expire().certificate is None


def test_pins_keep_steps_from_all_limits_but_an_age(doors: Memory) -> None:
    doors.pin([next(doors.steps()).id])
    doors.retain([Rule(max_steps=2)])
    assert numbers(doors) == [0, 8, 9]
    doors.retain([Rule(max_age=WEEK)])
    assert numbers(doors) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_recall_goes_by_the_time_of_the_log_and_removing_by_the_clock(doors: Memory, clock: FakeClock) -> None:
    doors.retain([Rule(max_age=WEEK)])
    clock.advance(5 * DAY)  # nothing is logged
    assert numbers(doors) == list(range(2, 10))
    assert doors.expire(dry_run=True).steps == 7
    assert doors.expire().steps == 7
    assert numbers(doors) == [7, 8, 9]


def test_a_line_of_the_future_removes_nothing(doors: Memory, clock: FakeClock) -> None:
    doors.retain([Rule(max_age=WEEK)])
    read_back(doors, ['{"episode": "x", "id": "1", "text": "The red door 99 is open.", "logged_at": "2100-01-01"}'])
    assert numbers(doors) == [99]
    assert doors.expire(dry_run=True).steps == 2
    doors.erase(episode="x")
    assert numbers(doors) == list(range(2, 10))


def test_what_repeats_or_showed_it_goes_too_and_its_subject_may_be_logged_about_again(
    doors: Memory, clock: FakeClock
) -> None:
    with doors.episode(id="asked") as episode:
        episode.recall("Is the red door 1 open?")
    doors.crystallize()
    doors.retain([Rule(subject="ann", max_age=timedelta(days=1))])
    would = doors.expire(dry_run=True)
    assert (would.steps, would.recalls) == (4, 1)
    counts = {"dry_run", "surfaces", "certificate"}
    report = doors.acting("officer").expire()
    assert report.model_dump(exclude=counts) == would.model_dump(exclude=counts)
    assert report.certificate is not None
    assert (report.certificate.request, report.certificate.who) == ("expired", "officer")
    assert doors.confirm(report.certificate).ok
    assert not any("door 1 " in crystal.text for crystal in doors.crystals())
    doors.episode(id="porter").log("Ann is back.", subjects=["ann"])


def test_a_version_of_recall_says_which_steps_had_expired(doors: Memory, clock: FakeClock) -> None:
    as_of = list(doors.steps())[6].id
    doors.retain([Rule(max_age=WEEK)])
    before = doors.recall("red door", as_of=as_of)
    clock.advance(DAY)
    doors.episode(id="guard").log("It rains.")
    after = doors.recall("red door", as_of=as_of)
    assert len(before.hits) == len(after.hits) + 1
    assert before.store_version != after.store_version
    assert Scope(doors).intact([before, after]) == [after]
    expired = {step.id for step in list(doors.steps())[:3]}
    assert expired.isdisjoint(hit.id for hit in after.hits)
    assert expired.isdisjoint(memory_graph(doors).nodes)
    assert len(Scope(doors).rows().position) == len(list(doors.steps())) - 3


def test_a_replay_says_that_steps_expired_since(doors: Memory, clock: FakeClock) -> None:
    doors.retain([Rule(max_age=timedelta(days=20))])
    episode = doors.episode(id="asked")
    episode.recall("red door")
    episode.log("They are open.")
    clock.advance(15 * DAY)
    episode.log("So they were.")
    (frame, *_) = replay(doors, "asked")
    assert [recall.why for recall in frame.recalls] == ["steps expired since, by the rules of their namespace"]


def test_least_salient_units_go_once_and_what_was_kept_is_not_weighed_again() -> None:
    texts = ["and so on and so forth, well, yes", "ERROR 4711: Harbour invoice 88 of 12 May failed with 17.50 EUR"]
    with opened() as memory:
        for n in range(40):
            with memory.episode(id=f"e{n}") as episode:
                episode.log_many([f"{texts[n % 2]} {n}." for _ in range(3)])
        memory.crystallize()
        least = sorted(crystal.salience for crystal in memory.crystals(["unit"]))[len(memory.crystals(["unit"])) // 2]
        report = memory.retain([Rule(min_salience=least)])
        assert 0 < report.steps < 120
        assert all("ERROR" in step.text for step in list(memory.steps())[-1:])
        assert memory.expire().steps == report.steps
        assert memory.stats().watermark
        assert memory.expire(dry_run=True).steps == 0
        assert memory.retain([Rule(min_salience=least)], dry_run=True).steps == 0
        for n in range(2):
            with memory.episode(id=f"new {n}") as episode:
                episode.log_many([f"{texts[0]}." for _ in range(3)])
        memory.crystallize()
        assert memory.expire(dry_run=True).steps >= 3  # what is new is weighed


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{}], "has no limit; give it max_age, max_steps or min_salience"),
        ([{"max_age": -1}], "give more than 0"),
        ([{"max_steps": -1}], "max_steps: -1 is under 0; give at least 0"),
        ([{"max_steps": True}], "max_steps: True is no limit; give a number"),
        ([{"max_age": False}], "max_age: False is no limit"),
        ([{"max_age": "P1D", "colour": "red"}], "colour"),
        ([{"kind": "thought", "max_steps": 1}], "'observation', 'action' or 'message'"),
        ([{"subject": "", "max_steps": 1}], "subject: a length of 0 is under 1; give at least 1"),
        ({"max_age": "P1D"}, "give a list of rules"),
        ("[{", "cannot be read"),
        (7, "cannot be read"),
    ],
)
def test_rules_that_are_none_are_refused_and_nothing_changes(doors: Memory, rules: Any, said: str) -> None:
    doors.retain([Rule(max_age=WEEK)])
    head = doors.head()
    with pytest.raises(InvalidInputError, match=said):
        doors.retain(rules)
    assert (doors.head(), doors.rules()) == (head, (Rule(max_age=WEEK),))


def test_rules_are_of_one_namespace_alone_and_a_memory_opened_to_read_only_previews(doors: Memory, file: Path) -> None:
    other = doors.scoped("other")
    other.episode(id="e").log("The red door 77 is open.")
    doors.retain([Rule(max_steps=0)])
    assert (numbers(doors), numbers(other)) == ([], [77])
    assert other.rules() == ()
    doors.close()
    with opened(file, read_only=True) as memory:
        assert memory.expire(dry_run=True).steps == 10
        with pytest.raises(ReadOnlyError):
            memory.expire()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_steps": True}, "max_steps: True is no limit"),
        ({"max_age": 0}, "max_age: .* is not over 0 seconds; give more than 0 seconds"),
        ({"max_steps": -1}, "max_steps: -1 is under 0; give at least 0"),
        ({"days": 30}, "days: is not known here; leave it out"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_in_our_words(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as caught:
        Rule(**given)
    assert "pydantic" not in str(caught.value)


def test_the_age_of_a_rule_is_a_timedelta_a_duration_or_seconds() -> None:
    assert {Rule(max_age=age).max_age for age in (timedelta(days=30), "P30D", 2_592_000)} == {timedelta(days=30)}
