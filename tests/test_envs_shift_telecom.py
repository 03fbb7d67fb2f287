"""tau2's telecom: its callers are copies that share nothing, and all of its own tickets can be solved on them."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from shifts import NEEDS_TAU2, by_oracle, checked

from agentmem_envs.calls import Refused, call
from agentmem_envs.shift import schema, tau2
from agentmem_envs.shift.retail_data import base, full_name
from agentmem_envs.shift.telecom import ShiftTelecom, Telecom, TelecomMaterial, amounts
from agentmem_envs.shift.telecom_callers import JOHN, OFF, PHONES, Caller, callers, people, tasks, tickets
from agentmem_envs.shift.telecom_data import Account, TelecomSide
from agentmem_envs.shift.telecom_tickets import holds, rights, ticket

pytestmark = NEEDS_TAU2


def caller() -> Caller:
    return callers()[people("test")[0]]


def solve(known: list[Caller]) -> None:
    """Plays each ticket of tau2's on a side of its own; its assertions hold at the end, and not before."""
    for each in known:
        side = TelecomSide()
        gives_up = [right.tool for right in rights(each)] == ["transfer_to_human_agents"]
        assert holds(each)(side.row) == gives_up
        for right in rights(each):
            assert not side.do(right).startswith("Error")
        assert holds(each)(side.row)


def test_a_sample_of_tau2s_tickets_is_solved_by_its_right_calls() -> None:
    solve([*tickets("train"), *tickets("test")][::40])


@pytest.mark.slow
def test_all_of_tau2s_tickets_are_solved_by_their_right_calls() -> None:
    known = [*tickets("train"), *tickets("test")]
    assert len(known) == len(tasks()) == 2285
    solve(known)


def test_a_ticket_of_tau2s_says_what_tau2_says_about_the_caller_it_is_copied_for() -> None:
    for each in tickets("test")[::60]:
        made = ticket(each, tickets("test")[:9])
        told = tasks()[each.task or ""]["ticket"].replace("John Smith", each.name).replace("555-123-2002", each.phone)
        assert made.decisions[0].say == told
        assert made.source == "tau2"
        assert [decision.call for decision in made.decisions[1:]] == rights(each)


def test_no_two_right_calls_of_a_ticket_are_asked_for_in_the_same_words() -> None:
    for each in tickets("train")[::60]:
        says = [decision.say for decision in ticket(each, []).decisions]
        assert len(set(says)) == len(says)
        assert all(says)


def test_nobody_shares_an_id_or_a_number_and_a_name_is_in_one_split() -> None:
    own = Counter(new for each in callers().values() for old, new in each.new.items() if old[0] in "CLBD5")
    assert max(own.values()) == 1
    names = {split: {each.name for each in callers().values() if each.split == split} for split in ("train", "test")}
    assert names["train"] & names["test"] == set()
    assert names["train"] | names["test"] == {full_name(user) for user in base().users.values()}
    assert len({callers()[id].name for id in people("train")}) == len(people("train"))


def test_tau2s_split_of_its_tickets_stands() -> None:
    split = tau2.data("telecom", "split_tasks.json")
    for name in ("train", "test"):
        assert set(split[name]) <= {each.task for each in tickets(name)}


def test_none_of_a_callers_ids_is_told_by_another() -> None:
    """Ranked by one of his ids, callers have the others in no order."""
    known = [callers()[id] for split in ("train", "test") for id in people(split)]
    columns = [[each.id for each in known], [each.line(OFF) for each in known], [each.phone for each in known]]
    ranks = [sorted(range(len(known)), key=column.__getitem__) for column in columns]
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert abs(correlation(ranks[one], ranks[two])) < 0.2
    assert Counter(each.id[1] for each in known).most_common(1)[0][1] < 0.2 * len(known)


def correlation(one: list[int], two: list[int]) -> float:
    mean = (len(one) - 1) / 2
    both = sum((a - mean) * (b - mean) for a, b in zip(one, two, strict=True))
    return float(both / sum((a - mean) ** 2 for a in one))


def test_a_call_reaches_the_account_it_names_and_no_other() -> None:
    side, one, two = TelecomSide(), *(callers()[id] for id in people("train")[:2])
    before = Account(two).agent.db
    side.do(call("refuel_data", customer_id=one.id, line_id=one.line(PHONES), gb_amount=1.5))
    assert side.row(("lines", one.line(PHONES))).data_refueling_gb == 1.5
    assert side.account(two.id).agent.db == before  # type: ignore[union-attr]
    with pytest.raises(Refused, match="not found for customer"):
        side.do(call("refuel_data", customer_id=one.id, line_id=two.line(PHONES), gb_amount=1.5))


def test_handset_and_database_are_as_one_after_every_call() -> None:
    side, one = TelecomSide(), tickets("train")[0]
    account: Any = side.account(one.id)
    line = {"customer_id": one.id, "line_id": one.new[PHONES[JOHN]]}
    for tool, allowed in (("disable_roaming", False), ("enable_roaming", True)):
        side.do(call(tool, **line))
        assert account.user.surroundings.roaming_allowed == allowed


@pytest.mark.parametrize("tool", ["reboot_device", "check_sim_status"])
def test_a_number_without_a_handset_is_refused(tool: str) -> None:
    side, other = TelecomSide(), caller().new["555-123-2001" if caller().like == JOHN else "555-123-2005"]
    for number in ("555-000-0000", other, caller().id, ""):
        with pytest.raises(Refused, match="no handset"):
            side.do(call(tool, phone_number=number))


def test_what_nobody_has_is_answered_as_tau2_answers_it() -> None:
    side = TelecomSide()
    assert json.loads(side.do(call("get_details_by_id", id="P1001")))["name"] == "Basic Plan"
    assert side.do(call("get_customer_by_name", full_name="Nobody", dob="")) == "[]"
    for tool, args in (("get_customer_by_id", {"customer_id": "C1001"}), ("get_details_by_id", {"id": "L1002"})):
        with pytest.raises(Refused, match="not found"):
            side.do(call(tool, **args))


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), 10**400, True, "2.0", None])
def test_an_amount_that_is_no_number_of_gigabytes_is_refused(amount: Any) -> None:
    with pytest.raises(Refused, match="gb_amount is of the form number"):
        schema.check(call("refuel_data", customer_id="C", line_id="L", gb_amount=amount), Telecom().schema)


def test_what_a_tool_may_be_given_without_need_may_be_left_out() -> None:
    known = Telecom().schema
    assert known["get_bills_for_customer"] == {"customer_id": "string", "limit": "integer?"}
    schema.check(call("get_bills_for_customer", customer_id="C"), known)


def test_every_template_is_met_and_its_own_check_fails_before_its_call_and_holds_after() -> None:
    met = checked(ShiftTelecom(steps=400, privileged=True))
    assert {"line", "roaming", "refuel", "phone", "bill"} <= met


def test_a_caller_who_is_asked_again_uses_up_no_data_pack() -> None:
    material = TelecomMaterial("test", np.random.default_rng(0), drift=False)
    first, second = material.customers[:2]
    promises = [material.promise(first, "refuel") for _ in range(len(amounts("test")))]
    assert [promise is not None for promise in promises] == [True] + [False] * (len(promises) - 1)
    assert material.promise(second, "refuel") is not None


def test_tau2s_own_tickets_are_in_a_shift_and_told_by_their_source() -> None:
    assert {"tau2", "generated"} == {result["source"] for result in by_oracle("telecom", 1)[0].results}
