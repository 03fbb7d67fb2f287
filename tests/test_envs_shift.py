"""Shifts: the oracle solves them, a window cannot, and what they show depends on the seed alone."""

import json
from statistics import fmean

import pytest
from shifts import (
    BOUND,
    CHANCE,
    DELAY,
    DOMAINS,
    NEEDS_TAU2,
    WINDOW,
    Played,
    by_oracle,
    far_from_chance,
    offered,
    played,
    ruled,
)

from agentmem_envs.shift.policies import Oracle, Rule, leaves
from agentmem_envs.shift.retail_data import base

DRIFTS = pytest.mark.parametrize("drift", [False, True], ids=["", "drift"])
ALL = pytest.mark.parametrize("domain", DOMAINS)
JOINED = tuple([kind, "stock"] for kind in ("item", "flight", "refuel", "credit"))


def short(domain: str, drift: bool) -> list[Played]:
    """Shifts of 300 steps, as the oracle played them."""
    return by_oracle(domain, 5 if drift else 8, drift=drift)


@DRIFTS
@ALL
def test_the_oracle_solves_every_ticket_and_every_right_call_succeeds_on_the_live_database(
    domain: str, drift: bool
) -> None:
    shifts = [
        *short(domain, drift),
        *(by_oracle(domain, 1, 1000, drift=True) if drift else by_oracle(domain, 1, split="test")),
    ]
    assert all(result["solved"] for shift in shifts for result in shift.results)
    assert all(all(shift.accepted) and all(shift.taken) for shift in shifts)
    assert sum(shift.stale for shift in shifts) == 0


@DRIFTS
@ALL
def test_six_in_ten_tickets_turn_on_a_hidden_fact(domain: str, drift: bool) -> None:
    for shift in short(domain, drift):
        assert 0.55 <= fmean(result["hidden"] for result in shift.results) <= 0.65


@DRIFTS
@ALL
def test_what_is_needed_was_last_shown_at_least_the_delay_before_and_stands_nowhere_in_the_window(
    domain: str, drift: bool
) -> None:
    for shift in short(domain, drift):
        for step in shift.hidden:
            window = "\n".join(shift.window(step))
            assert all(step - need["shown"] >= DELAY for need in shift.needs[step])
            assert [value for value in shift.values[step] if value in window] == []


@DRIFTS
@ALL
def test_the_step_that_a_need_names_is_the_last_that_showed_its_value(domain: str, drift: bool) -> None:
    for shift in short(domain, drift):
        for step in shift.hidden:
            value, shown = shift.values[step][0], shift.needs[step][0]["shown"]
            assert shift.needs[step][0]["value"] == value
            assert all(need["value"] in shift.texts[need["shown"]] for need in shift.needs[step])
            assert not any(value in text for text in shift.texts[shown + 1 : step + 1])


@DRIFTS
@ALL
def test_there_are_eight_candidates_and_no_wrong_one_stands_in_the_window_either(domain: str, drift: bool) -> None:
    for shift in short(domain, drift)[:3]:
        for step in shift.hidden:
            window = "\n".join(shift.window(step))
            lines = [values(line) for line in shift.candidates[step].split("\n")]
            shared = set.intersection(*lines)
            assert len(lines) == len({frozenset(each) for each in lines}) == 8
            assert not any(all(value in window for value in each - shared) for each in lines)


@pytest.mark.parametrize("often", [1, pytest.param(3, marks=pytest.mark.slow)])
@DRIFTS
@ALL
def test_a_rule_that_sees_the_newest_delay_less_one_observations_is_at_chance(
    domain: str, drift: bool, often: int
) -> None:
    shifts = by_oracle(domain, often * len(short(domain, drift)), drift=drift)
    assert far_from_chance((each for shift in shifts for each in ruled(shift, WINDOW)), 60) == {}


@ALL
def test_the_same_rule_solves_most_hidden_decisions_when_it_sees_the_whole_history(domain: str) -> None:
    plain = [each for shift in short(domain, False)[:1] for each in ruled(shift, None)]
    assert fmean(right for _, right in plain) > 0.85
    drift = [each for shift in short(domain, True)[:1] for each in ruled(shift, None)]
    assert 0.5 < fmean(right for _, right in drift) < fmean(right for _, right in plain)


@DRIFTS
@ALL
def test_how_often_a_value_stood_among_candidates_does_not_tell_the_right_one(domain: str, drift: bool) -> None:
    shifts = short(domain, drift)[:3]
    for most in (True, False):
        taken = [counted(shift, step, most) for shift in shifts for step in shift.hidden]
        assert abs(fmean(taken) - CHANCE) < BOUND


def counted(shift: Played, step: int, most: bool) -> float:
    """The chance that the one that stood most, or least, often among the window's candidates is the right one."""
    before = [past for past in shift.candidates[max(0, step + 1 - WINDOW) : step] if past]
    lines = [values(line) for line in shift.candidates[step].split("\n")]
    shared = set.intersection(*lines)
    counts = [sum(any(value in past for value in line - shared) for past in before) for line in lines]
    best = (max if most else min)(counts)
    return (counts[shift.right[step]] == best) / counts.count(best)


def values(line: str) -> set[str]:
    """The arguments of a call, as text."""
    return set(leaves(json.loads(line)["args"]))


@NEEDS_TAU2
def test_candidates_of_a_hidden_decision_share_what_a_name_or_a_product_would_tell() -> None:
    for shift in short("retail", False):
        for step in shift.hidden:
            calls = [json.loads(line)["args"] for line in shift.candidates[step].split("\n")]
            if shift.kinds[step] == "identity":
                assert len({call["user_id"].rpartition("_")[0] for call in calls}) == 1
            if shift.kinds[step] == "item":
                products = [set(product.variants) for product in base().products.values()]
                assert sum(all(call["new_item_ids"][0] in product for call in calls) for product in products) == 1


@ALL
def test_under_drift_the_newest_value_is_right_the_old_one_is_offered_and_facts_are_joined(domain: str) -> None:
    shifts = by_oracle(domain, 1, 1000, drift=True)
    needs = [(shift, step) for shift in shifts for step in shift.hidden]
    stale = [(shift, step) for shift, step in needs if shift.needs[step][0]["stale"]]
    assert len(stale) > 0.15 * len(needs)
    for shift, step in stale:
        old = shift.needs[step][0]["stale"]
        lines = shift.candidates[step].split("\n")
        assert old not in lines[shift.right[step]]
        assert sum(old in values(line) for line in lines) == 1
    joined = [shift.needs[step] for shift, step in needs if len(shift.needs[step]) > 1]
    assert joined
    assert all([need["kind"] for need in each] in JOINED for each in joined)
    assert {"bulletin", "policy", "schema"} <= {shift.needs[step][0]["kind"] for shift, step in stale}


@ALL
def test_a_superseded_value_that_is_chosen_is_told_as_stale(domain: str) -> None:
    seen = played(offered(domain, steps=500, drift=True), 0, Superseded())
    old = [step for step in seen.hidden if seen.needs[step][0]["stale"]]
    assert 0 < len(old) == seen.stale
    assert not any(seen.taken[step] for step in old)


class Superseded:
    """The oracle, except that it holds on to what was superseded."""

    def act(self, observation: dict[str, str], info: dict[str, object]) -> int:
        needs = info["needs"]
        assert isinstance(needs, list)
        old = needs[0]["stale"] if needs else None
        lines = observation["candidates"].split("\n")
        found = [place for place, line in enumerate(lines) if old and old in values(line)]
        right = info["gold_index"]
        assert isinstance(right, int)
        return found[0] if found else right


@DRIFTS
@ALL
def test_who_comes_when_does_not_depend_on_the_policy(domain: str, drift: bool) -> None:
    right = short(domain, drift)[0]
    wrong = played(offered(domain, steps=300, drift=drift), 0, Rule(1, 5))
    head = [[text.partition("]")[0] for text in shift.texts] for shift in (right, wrong)]
    assert head[0] == head[1]
    assert (right.needs, right.candidates) == (wrong.needs, wrong.candidates)
    assert not all(wrong.taken)


@ALL
def test_a_wrong_policy_reads_none_of_the_values_that_others_need(domain: str) -> None:
    seen = played(offered(domain, steps=300), 1, Rule(1, 5))
    for step in seen.hidden:
        assert [value for value in seen.values[step] if value in "\n".join(seen.window(step))] == []


@ALL
def test_a_week_is_five_shifts_on_one_database_and_what_was_told_is_needed_on_another_day(domain: str) -> None:
    env = offered(domain, steps=200, days=5, drift=True)
    week = played(env, 0, Oracle())
    assert len(week.texts) == 1000
    assert all(result["solved"] for result in week.results)
    assert any(need["shown"] // 200 < step // 200 - 1 for step in week.hidden for need in week.needs[step])
    assert sum("Good morning" in text for text in week.texts) == 4
