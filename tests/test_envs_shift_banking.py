"""tau2's banking: its callers are copies, its documents tell the names of tools, and those are new in every shift."""

import json
from collections import Counter
from contextlib import suppress
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from shifts import NEEDS_TAU2, by_oracle, checked

from agentmem_envs.calls import Refused, call
from agentmem_envs.shift import banking_data, schema, tau2
from agentmem_envs.shift.banking import Banking, ShiftBanking
from agentmem_envs.shift.banking_data import (
    COMMON,
    OPEN,
    STATEMENT,
    UNLOCK,
    USE,
    BankingSide,
    aliases,
    customers,
    discoverable,
    documents,
    manuals,
    people,
    stem,
)

pytestmark = NEEDS_TAU2


def made() -> BankingSide:
    return BankingSide(aliases(np.random.default_rng(4)))


def test_a_document_is_tau2s_with_other_digits_in_the_names_of_its_tools() -> None:
    assert len(documents()) == 698
    live = made()
    for paper in manuals()[0]:
        shown = live.do(call(OPEN, document_id=paper.id))
        assert len(shown) == len(paper.content)
        for tool in paper.tools:
            assert live.names[tool] in shown
            assert tool not in shown
            shown = shown.replace(live.names[tool], tool)
        assert shown[: banking_data.SHOWN] == paper.content[: banking_data.SHOWN]


def test_no_two_documents_of_a_shift_tell_the_same_tool_and_others_tell_none() -> None:
    told, papers = manuals()
    tools = [tool for paper in told for tool in paper.tools if tool not in COMMON]
    assert len(tools) == len(set(tools)) > 30
    assert not any(tool in paper.content for paper in papers for tool in discoverable())


def test_names_of_tools_are_new_in_every_shift_and_no_two_have_the_same_digits() -> None:
    one, two = (aliases(np.random.default_rng(seed)) for seed in (1, 2))
    assert len({name[-4:] for name in one.values()}) == len(one) == len(discoverable())
    assert all(stem(name) == stem(tool) for tool, name in one.items())
    assert sum(one[tool] == two[tool] for tool in one) < 3


def test_a_shift_keeps_its_names_of_tools_while_others_of_the_same_domain_are_opened() -> None:
    domain = Banking()
    before = dict(vars(domain))
    one, two = (domain.open("train", np.random.default_rng(seed), False) for seed in (1, 2))
    assert vars(domain) == before
    assert one.names != two.names
    assert (one.side().names, two.side().names) == (one.names, two.names)


def test_a_tool_is_used_by_the_name_of_this_shift_once_it_is_unlocked() -> None:
    live, user = made(), people("train")[0]
    tool = live.names["get_all_user_accounts_by_user_id_3847"]
    asked = call(USE, agent_tool_name=tool, user_id=user, arguments={"user_id": user})
    with pytest.raises(Refused, match="has not been unlocked"):
        live.do(asked)
    assert live.do(call(UNLOCK, agent_tool_name=tool, user_id=user)).startswith(f"Tool unlocked: {tool}")
    assert not live.do(asked).startswith("Error")
    for name in ("get_all_user_accounts_by_user_id_3847", f"{tool}0", ""):
        with pytest.raises(Refused, match="no such tool"):
            live.do(call(UNLOCK, agent_tool_name=name, user_id=user))


def test_nobody_shares_an_id_and_every_name_is_in_one_split() -> None:
    tables = set(banking_data.ROWS.values())
    ids = Counter(id for each in customers().values() for table in tables for id in each.rows(table))
    assert max(ids.values()) == 1
    assert len({each.name for each in customers().values()}) == len(customers())
    assert set(people("train")) & set(people("test")) == set()
    assert len(people("train")) + len(people("test")) == len(customers())


def test_a_copy_keeps_nothing_of_who_it_is_a_copy_of_where_it_is_read() -> None:
    old = tau2.data("banking_knowledge", "db.json")["users"]["data"]
    for each in customers().values():
        assert each.id not in old
        assert each.user["email"] not in {row["email"] for row in old.values()}
        assert each.user["phone_number"] not in {row["phone_number"] for row in old.values()}


def test_what_tau2_merges_into_a_database_leaves_its_tasks_and_its_database_as_they_were() -> None:
    base = {name: table["data"] for name, table in tau2.data("banking_knowledge", "db.json").items()}
    known = tau2.data("banking_knowledge", "tasks.json")
    before = deepcopy((base, known))
    for _ in range(2):
        states = [banking_data._merged(base, task)[0] for task in known]
    assert (base, known) == before
    assert any(state != base for state in states)
    for state, task in zip(states, known, strict=True):
        for name, update in given(task).items():
            rows = update.get("data", update)
            assert not any(state[name][key] is row for key, row in rows.items())


def given(task: Any) -> dict[str, Any]:
    """What a task adds to the database at its start."""
    found: dict[str, Any] = ((task["initial_state"] or {}).get("initialization_data") or {}).get("agent_data") or {}
    return found


def test_tasks_whose_own_right_calls_fail_are_left_out() -> None:
    known = {task["id"] for task in tau2.data("banking_knowledge", "tasks.json")}
    assert set(banking_data.LEFT_OUT) <= known
    assert {id[-3:] for id in banking_data.LEFT_OUT} == {"051", "077", "083"}


def test_a_call_changes_the_account_it_names_and_no_other() -> None:
    live = made()
    one, two = [id for id in people("train") if customers()[id].rows("credit_card_accounts")][:2]
    arguments = {
        "user_id": one,
        "credit_card_account_id": customers()[one].rows("credit_card_accounts")[0],
        "amount": 12.5,
        "reason": "goodwill_adjustment",
    }
    live.do(call(USE, agent_tool_name=live.names[STATEMENT], user_id=one, arguments=arguments))
    assert [row["transaction_amount"] for row in live.row(("added", one))] == ["-$12.50"]
    assert live.row(("added", two)) == []
    with pytest.raises(Refused, match="not found"):
        live.do(call(USE, agent_tool_name=live.names[STATEMENT], user_id=two, arguments=arguments))


@pytest.mark.parametrize(
    "arguments",
    [{}, {"pin": 7}, {"card_id": []}, {"card_id": "x", "pin": 1234, "cvv": [], "last_4_digits": {}, "amount": None}],
)
def test_arguments_of_any_form_are_answered_or_refused(arguments: dict[str, Any]) -> None:
    live, user = made(), people("test")[0]
    for tool in live.names.values():
        live.do(call(UNLOCK, agent_tool_name=tool, user_id=user))
        with suppress(Refused):
            assert isinstance(live.do(call(USE, agent_tool_name=tool, user_id=user, arguments=arguments)), str)


@pytest.mark.parametrize("arguments", ["{}", [], None, 3])
def test_arguments_of_a_discovered_tool_are_an_object(arguments: Any) -> None:
    with pytest.raises(Refused, match="arguments is of the form object"):
        schema.check(call(USE, agent_tool_name="x_1234", user_id="u", arguments=arguments), Banking().schema)


def test_every_template_is_met_and_its_own_check_fails_before_its_call_and_holds_after() -> None:
    met = checked(ShiftBanking(steps=500, privileged=True), logs=("log_verification",))
    assert {"tool", "verification", "email", "credit", "card", "rewards"} <= met


def test_no_ticket_says_that_it_is_tau2s() -> None:
    """Its tasks here are scripts for a simulated customer."""
    assert {result["source"] for result in by_oracle("banking", 1)[0].results} == {"generated"}


def test_a_refusal_repeats_no_value_of_an_object_either() -> None:
    shift = ShiftBanking(privileged=True)
    shift.reset(seed=3)
    side: Any = shift._desk.live.side
    user, tool = shift._ticket.owner, side.names["freeze_debit_card_3892"]
    args = {"agent_tool_name": tool, "user_id": user, "arguments": {"card_id": "dbc_0123456789"}}
    observation, *_ = shift.step(json.dumps({"tool": USE, "args": args}))
    assert not observation["accepted"]
    assert "dbc_0123456789" not in shift._text()


@pytest.mark.parametrize("depth", [100, 600, 900])
def test_arguments_nested_as_deep_as_json_allows_are_a_graded_failure(depth: int) -> None:
    shift = ShiftBanking(privileged=True)
    shift.reset(seed=3)
    side: Any = shift._desk.live.side
    args = {"agent_tool_name": side.names["freeze_debit_card_3892"], "user_id": shift._ticket.owner}
    text = json.dumps({"tool": USE, "args": {**args, "arguments": {"card_id": None}}})
    observation, _, _, _, info = shift.step(text.replace("null", "[" * depth + "]" * depth))
    assert (observation["accepted"], info["right"]) == (0, False)


def test_a_wrong_credit_spoils_no_other_ticket_of_its_customer() -> None:
    shift, wrong = ShiftBanking(steps=300, privileged=True), 0
    _, info = shift.reset(seed=1)
    for _ in range(300):
        gold = json.loads(info["gold"])
        amount = gold["args"].get("arguments", {}).get("amount") if gold["tool"] == USE else None
        if amount and not wrong:
            gold["args"]["arguments"]["amount"], wrong = amount + 0.5, wrong + 1
        _, _, _, _, info = shift.step(json.dumps(gold))
    assert [result["solved"] for result in info["results"]].count(False) == wrong == 1
